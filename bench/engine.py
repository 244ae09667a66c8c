"""`bench engine`: gates first, then each system in a fresh process, then the floor.

Knows the order and what is taken of each run; does NOT know how systems work or how results are shown.
"""

import resource
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE

from . import faster, floor, gates, native_peers
from .fresh import in_fresh_process
from .listening import p50_p95
from .machine import describe_machine
from .systems import Ours, Stock, Times, Weights, kind_here, other_speakers, text_for
from .turns import Driver, Turn, in_process, take_turns

_FIRST_CHUNKS = (1, 2, 4, 8)
_WARM_UP_FRAMES = 3
_STOCK_ROW_RUNS = 5
"""One run of stock's rows for so many of everything else: they are slow, and not what it is compared by."""


@dataclass(frozen=True)
class Plan:
    """What is measured. `rows` are the numbers of utterances side by side, `gguf` a peer's talker and codec."""

    weights: Weights
    against: tuple[str, ...]
    frames: int
    runs: int
    rows: tuple[int, ...]
    gguf: tuple[Path, Path] | None = None

    @property
    def takes_turns(self) -> bool:
        """Whether systems speak in turns: on a CPU, where what else is done there changes from minute to minute."""
        return self.weights.device == "cpu" and bool(self.against or self.gguf)


@dataclass(frozen=True)
class Figures:
    """Medians over the runs of one system, and 95th percentiles where their names say so.

    `speed_x` is seconds of audio per second of wall time, `first_pcm_ms` by the frames of the first chunk, for a voice
    that has spoken before, `ms_per_frame` by part, `rows` the speed_x of all utterances together by their number; the
    latter two are empty where a system gives none.
    """

    speed_x: float
    first_pcm_ms: dict[str, float]
    first_pcm_ms_p95: dict[str, float]
    ms_per_frame: dict[str, float]
    rows: dict[str, float]
    peak_mb: float
    utterance_s: dict[str, float]
    """From the call to the last sample: "p50" and "p95"."""

    first_pcm_ms_new_voice: float | None = None
    """At the default first chunk, for voices that have not spoken before."""

    load_s: float | None = None
    """Seconds; of packed weights, if they are quantized."""

    pack_s: float | None = None
    """The same with packing, as at the very first start."""


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

    Raises what loading raises, InvalidRequest where speech ends too soon or a system can't run, and EngineFailed where
    a process dies or a system can't be installed.
    """
    if "faster" in plan.against:
        faster.require_gpu(plan.weights.device)
        faster.environment().install(tell)
    if "vox" in plan.against:
        native_peers.require_cpu("vox-tts", plan.weights.device)
    machine, description = describe_machine(plan.weights.device), _description(plan)
    with plan.weights.on_disk() as weights:
        return _run(replace(plan, weights=weights), machine, description, tell)


def _run(plan: Plan, machine: dict[str, Any], description: dict[str, Any], tell: Callable[[str], None]) -> Report:
    tell("Checking the gates in float32")
    passed = in_fresh_process(gates.check, replace(plan.weights, dtype=torch.float32, quantize="none"))
    if not all(passed.values()):
        return Report(machine, description, passed)
    pack_s = None
    if plan.weights.quantize != "none":
        tell("Packing the weights")
        pack_s = in_fresh_process(measure_load, plan)
    tell("Measuring ours")
    systems = {"ours": replace(in_fresh_process(measure_ours, plan), pack_s=pack_s)}
    if "stock" in plan.against:
        tell("Measuring stock")
        systems["stock"] = in_fresh_process(measure_stock, replace(plan, runs=1) if plan.takes_turns else plan)
    if "faster" in plan.against:
        tell("Measuring faster")
        systems["faster"] = measure_faster(plan)
    if plan.takes_turns:
        systems = _in_turns(plan, systems, tell)
    tell("Measuring the floor")
    milliseconds, speed = in_fresh_process(floor.measure, plan.weights)
    parts = systems["ours"].ms_per_frame
    share = milliseconds / (parts["talker"] + parts["predictor"])
    return Report(machine, description, passed, systems, Floor(speed, milliseconds, share))


def _in_turns(plan: Plan, systems: Mapping[str, Figures], tell: Callable[[str], None]) -> dict[str, Figures]:
    """Have all systems speak in turns, and return their figures with the speeds and first samples of that."""
    weights, turns, peers = plan.weights, dict[str, Turn](), dict[str, Driver]()
    text = text_for(weights.open(), plan.frames)
    with ExitStack() as stack:
        turns["ours"] = stack.enter_context(in_process(Ours.load, weights))
        if "stock" in plan.against:
            turns["stock"] = stack.enter_context(in_process(Stock, weights))
        if "vox" in plan.against:
            peers["vox"] = stack.enter_context(native_peers.vox(weights, tell))
        if plan.gguf:
            peers["qwentts"] = stack.enter_context(native_peers.qwentts(*plan.gguf, tell))
        tell(f"Measuring {', '.join((*turns, *peers))} in turns")
        times = take_turns({**turns, **peers}, text, plan.frames, plan.runs)
        peaks = {name: peer.peak_mb() for name, peer in peers.items()}
    heard = {name: _heard(plan, {"default": [one.first for one in found]}, found) for name, found in times.items()}
    known = {name: _with_turns(systems[name], heard[name]) for name in turns}
    others = {name: Figures(**heard[name], ms_per_frame={}, rows={}, peak_mb=peaks[name]) for name in peers}
    return {**systems, **known, **others}


def _with_turns(known: Figures, heard: Mapping[str, Any]) -> Figures:
    """Return a system's figures with those of its turns in place of the same ones that were measured alone."""
    return replace(
        known,
        speed_x=heard["speed_x"],
        first_pcm_ms={**known.first_pcm_ms, **heard["first_pcm_ms"]},
        first_pcm_ms_p95={**known.first_pcm_ms_p95, **heard["first_pcm_ms_p95"]},
        utterance_s=heard["utterance_s"],
        rows={**known.rows, "1": heard["speed_x"]} if "1" in known.rows else known.rows,
    )


def measure_load(plan: Plan) -> float:
    """Seconds until our engine's weights are there."""
    start = perf_counter()
    Ours.load(plan.weights)
    return perf_counter() - start


def measure_ours(plan: Plan) -> Figures:
    """Figures of this project's engine."""
    start = perf_counter()
    ours = Ours.load(plan.weights)
    load_s = perf_counter() - start
    text = text_for(ours.published, plan.frames)
    ours.speak(text, _WARM_UP_FRAMES)
    whole = [ours.speak(text, plan.frames, seed=seed) for seed in range(plan.runs)]
    first = {str(frames): _up_to_first_chunk(ours, text, frames, plan.runs) for frames in _FIRST_CHUNKS}
    first["default"] = [times.first for times in whole]
    new = [ours.speak(text, _WARM_UP_FRAMES, speaker=speaker).first for speaker in other_speakers(ours.published)]
    with ours.stopwatch() as seconds:
        timed = ours.speak(text, plan.frames)
    peak = _peak_mb(plan.weights.device)

    def speak(rows: int, frames: int, seed: int) -> Times:
        return ours.speak(text, frames, rows=rows, seed=seed)

    return Figures(
        **_heard(plan, first, whole),
        ms_per_frame=_parts(seconds, timed.last, plan.frames),
        rows=_rows(plan, speak, whole, plan.runs),
        peak_mb=peak,
        first_pcm_ms_new_voice=1e3 * median(new) if new else None,
        load_s=load_s,
    )


def measure_stock(plan: Plan) -> Figures:
    """Figures of stock qwen-tts, whose first samples come with the last; its codec has the model's precision."""
    text = text_for(plan.weights.open(), plan.frames)
    stock = Stock(plan.weights)
    stock.speak(text, _WARM_UP_FRAMES)
    whole = [stock.speak(text, plan.frames, seed=seed) for seed in range(plan.runs)]
    first = {str(chunk): [times.first for times in whole] for chunk in (*_FIRST_CHUNKS, "default")}
    with stock.stopwatch() as seconds:
        timed = stock.speak(text, plan.frames)
    peak = _peak_mb(plan.weights.device)

    def speak(rows: int, frames: int, seed: int) -> Times:
        return stock.speak(text, frames, rows=rows, seed=seed)

    return Figures(
        **_heard(plan, first, whole),
        ms_per_frame=_parts(seconds, timed.last, plan.frames),
        rows=_rows(plan, speak, whole, max(1, plan.runs // _STOCK_ROW_RUNS)),
        peak_mb=peak,
    )


def measure_faster(plan: Plan) -> Figures:
    """Figures of faster-qwen3-tts: none by part, and no rows; its codec has the model's precision."""
    text = text_for(plan.weights.open(), plan.frames)
    chunks = [*map(str, _FIRST_CHUNKS), "default"]
    spoken = faster.speak(plan.weights, text, plan.frames, plan.runs, chunks)
    first = {chunk: [times.first for times in runs] for chunk, runs in spoken.times.items()}
    heard = _heard(plan, first, spoken.times["default"])
    return Figures(**heard, ms_per_frame={}, rows={}, peak_mb=spoken.peak_mb)


def _description(plan: Plan) -> dict[str, Any]:
    weights = plan.weights
    return {
        "weights": f"random {weights.size}" if weights.checkpoint is None else weights.checkpoint.name,
        "device": weights.device,
        "dtype": str(weights.dtype).removeprefix("torch."),
        "quantize": weights.quantize,
        "kernels": kind_here(weights),
        "codec": weights.codec,
        "graphs": weights.device != "cpu" and weights.graphs,
        "frames": plan.frames,
        "runs": plan.runs,
    }


def _up_to_first_chunk(ours: Ours, text: str, frames: int, runs: int) -> list[float]:
    return [ours.speak(text, frames, chunk=lambda _: frames, seed=seed).first for seed in range(runs)]


def _heard(plan: Plan, first: dict[str, list[float]], whole: list[Times]) -> dict[str, Any]:
    """What the figures of all systems have in common."""
    chunks = {chunk: p50_p95([1e3 * seconds for seconds in found]) for chunk, found in first.items()}
    p50, p95 = p50_p95([times.last for times in whole])
    return {
        "speed_x": _speed(whole, plan.frames),
        "first_pcm_ms": {chunk: found[0] for chunk, found in chunks.items()},
        "first_pcm_ms_p95": {chunk: found[1] for chunk, found in chunks.items()},
        "utterance_s": {"p50": p50, "p95": p95},
    }


def _rows(plan: Plan, speak: Callable[[int, int, int], Times], alone: list[Times], runs: int) -> dict[str, float]:
    """The speed of utterances side by side, of which `speak` has (rows, frames, seed) spoken; one row is known."""
    found = {}
    for rows in plan.rows:
        times = alone
        if rows > 1:
            speak(rows, _WARM_UP_FRAMES, 0)
            times = [speak(rows, plan.frames, seed) for seed in range(runs)]
        found[str(rows)] = rows * _speed(times, plan.frames)
    return found


def _speed(runs: list[Times], frames: int) -> float:
    return frames * FRAME_SAMPLES / SAMPLE_RATE / median(times.last for times in runs)


def _parts(seconds: dict[str, float], total: float, frames: int) -> dict[str, float]:
    parts = seconds | {"other": total - sum(seconds.values()), "total": total}
    return {part: 1e3 * spent / frames for part, spent in parts.items()}


def _peak_mb(device: str) -> float:
    """Most memory so far: of the GPU's where one is used, else the process's resident set."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
