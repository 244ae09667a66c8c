"""`bench engine`: gates first, then each system in a fresh process, then the floor.

Knows the order and what is taken of each run; does NOT know how systems work or how results are shown.
"""

import resource
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median
from time import perf_counter
from typing import Any

import torch

from wyoming_qwen3.request import FRAME_SAMPLES, SAMPLE_RATE

from . import floor, gates
from .fresh import in_fresh_process
from .machine import describe_machine
from .systems import Ours, Stock, Times, Weights, text_for

_FIRST_CHUNKS = (1, 2, 4, 8)
_WARM_UP_FRAMES = 3


@dataclass(frozen=True)
class Plan:
    """What is measured. `rows` are the numbers of utterances side by side."""

    weights: Weights
    against: tuple[str, ...]
    frames: int
    runs: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Figures:
    """Medians over the runs of one system.

    `speed_x` is seconds of audio per second of wall time, `first_pcm_ms` by the frames of the first chunk,
    `ms_per_frame` by part, `rows` the speed_x of all utterances together by their number.
    """

    speed_x: float
    first_pcm_ms: dict[str, float]
    ms_per_frame: dict[str, float]
    peak_mb: float
    load_s: float | None = None
    rows: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Floor:
    """Matrix-vector products of a frame alone: `share` is the part of our language model's time that they explain."""

    gparam_per_s: float
    ms_per_frame: float
    share: float


@dataclass(frozen=True)
class Report:
    """All that a run found; without passed gates there are no figures."""

    machine: dict[str, Any]
    run: dict[str, Any]
    gates: dict[str, bool]
    systems: dict[str, Figures] = field(default_factory=dict)
    floor: Floor | None = None

    @property
    def passed(self) -> bool:
        """Whether the figures mean anything."""
        return all(self.gates.values())


def run(plan: Plan, tell: Callable[[str], None]) -> Report:
    """Carry the plan out; `tell` is given a line on each step.

    Raises what loading raises, InvalidRequest where speech ends too soon, and EngineFailed where a process dies.
    """
    machine, description = describe_machine(plan.weights.device), _description(plan)
    with plan.weights.on_disk() as weights:
        return _run(replace(plan, weights=weights), machine, description, tell)


def _run(plan: Plan, machine: dict[str, Any], description: dict[str, Any], tell: Callable[[str], None]) -> Report:
    tell("Checking the gates in float32")
    passed = in_fresh_process(gates.check, replace(plan.weights, dtype=torch.float32, quantize="none"))
    if not all(passed.values()):
        return Report(machine, description, passed)
    tell("Measuring ours")
    systems = {"ours": in_fresh_process(measure_ours, plan)}
    if "stock" in plan.against:
        tell("Measuring stock")
        systems["stock"] = in_fresh_process(measure_stock, plan)
    tell("Measuring the floor")
    milliseconds, speed = in_fresh_process(floor.measure, plan.weights)
    parts = systems["ours"].ms_per_frame
    share = milliseconds / (parts["talker"] + parts["predictor"])
    return Report(machine, description, passed, systems, Floor(speed, milliseconds, share))


def measure_ours(plan: Plan) -> Figures:
    """Figures of this project's engine; the codec is computed in float32, as when it serves."""
    start = perf_counter()
    ours = Ours.load(plan.weights)
    load_s = perf_counter() - start
    text = text_for(ours.upstream, plan.frames)
    ours.speak(text, _WARM_UP_FRAMES)
    whole = [ours.speak(text, plan.frames, seed=seed) for seed in range(plan.runs)]
    first = {str(frames): _first(_up_to_first_chunk(ours, text, frames, plan.runs)) for frames in _FIRST_CHUNKS}
    with ours.stopwatch() as seconds:
        timed = ours.speak(text, plan.frames)
    peak = _peak_mb(plan.weights.device)
    speed = _speed(whole, plan.frames)
    rows = {str(count): speed if count == 1 else _speed_of_rows(ours, plan, text, count) for count in plan.rows}
    return Figures(
        speed_x=speed,
        first_pcm_ms=first | {"default": _first(whole)},
        ms_per_frame=_parts(seconds, timed.last, plan.frames),
        peak_mb=peak,
        load_s=load_s,
        rows=rows,
    )


def measure_stock(plan: Plan) -> Figures:
    """Figures of stock qwen-tts, whose first samples come with the last; its codec has the model's precision."""
    upstream, tokenizer = plan.weights.load(), plan.weights.load_codec(plan.weights.dtype)
    text = text_for(upstream, plan.frames)
    stock = Stock(upstream, tokenizer)
    stock.speak(text, _WARM_UP_FRAMES)
    whole = [stock.speak(text, plan.frames, seed=seed) for seed in range(plan.runs)]
    with stock.stopwatch() as seconds:
        timed = stock.speak(text, plan.frames)
    return Figures(
        speed_x=_speed(whole, plan.frames),
        first_pcm_ms={"default": _first(whole)},
        ms_per_frame=_parts(seconds, timed.last, plan.frames),
        peak_mb=_peak_mb(plan.weights.device),
    )


def _description(plan: Plan) -> dict[str, Any]:
    weights = plan.weights
    return {
        "weights": f"random {weights.size}" if weights.checkpoint is None else weights.checkpoint.name,
        "device": weights.device,
        "dtype": str(weights.dtype).removeprefix("torch."),
        "quantize": weights.quantize,
        "frames": plan.frames,
        "runs": plan.runs,
    }


def _up_to_first_chunk(ours: Ours, text: str, frames: int, runs: int) -> list[Times]:
    return [ours.speak(text, frames, chunk=lambda _: frames, seed=seed) for seed in range(runs)]


def _speed_of_rows(ours: Ours, plan: Plan, text: str, rows: int) -> float:
    ours.speak(text, _WARM_UP_FRAMES, rows=rows)
    runs = [ours.speak(text, plan.frames, rows=rows, seed=seed) for seed in range(plan.runs)]
    return rows * _speed(runs, plan.frames)


def _speed(runs: list[Times], frames: int) -> float:
    return frames * FRAME_SAMPLES / SAMPLE_RATE / median(times.last for times in runs)


def _first(runs: list[Times]) -> float:
    return 1e3 * median(times.first for times in runs)


def _parts(seconds: dict[str, float], total: float, frames: int) -> dict[str, float]:
    parts = seconds | {"other": total - sum(seconds.values()), "total": total}
    return {part: 1e3 * spent / frames for part, spent in parts.items()}


def _peak_mb(device: str) -> float:
    """Most memory so far: of the GPU's where one is used, else the process's resident set."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
