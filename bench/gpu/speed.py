"""How fast it is: utterances, rows side by side, kernels, and others on the same GPU."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from statistics import median

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity

from bench import faster as peer
from bench.listening import p50_p95
from bench.systems import Ours, Times, text_for
from wyoming_qwen3.core.hardware import GpuQuantize
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE
from wyoming_qwen3.engine.codec.gpu_decoder import StaticCodec
from wyoming_qwen3.engine.cuda_graphs import choose_graphs
from wyoming_qwen3.engine.lm.fused.choice import why_not_fused
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.precision import compute_exactly

from .found import Finder, Run
from .timers import microseconds

_FIRST_CHUNKS = (1, 2, 4, 8)
_ROWS = (1, 2, 4, 8)
_FRAME_S = FRAME_SAMPLES / SAMPLE_RATE
_RUNS = 7
_PROFILED = 3
_GPU_QUANTIZED: tuple[GpuQuantize, ...] = ("none", "int8")
_SHOWN = 45


def timing(run: Run, finder: Finder) -> None:
    """One utterance at a time: audio per second, time to the first samples, and each captured step alone."""
    for size, ours, text in _systems(run):
        runs = [ours.speak(text, run.frames, seed=seed) for seed in range(_RUNS)]
        finder.keep(f"{size}, audio s per s", _speed(run, runs))
        finder.keep(f"{size}, ms a frame", round(1e3 * median(one.last for one in runs) / run.frames, 3))
        finder.keep(f"{size}, first PCM ms, p50 and p95", _milliseconds(runs))
        for first in _FIRST_CHUNKS:
            short = [ours.speak(text, first, chunk=_chunks_of(first), seed=seed) for seed in range(_RUNS)]
            finder.keep(f"{size}, first PCM ms, p50 and p95, first chunk {first}", _milliseconds(short))
        for name, step in _steps(ours).items():
            finder.keep(f"{size}, us, {name}", microseconds(run.device, step))


def rows(run: Run, finder: Finder) -> None:
    """Several utterances side by side."""
    for size, ours, text in _systems(run):
        alone = 0.0
        for count in _ROWS:
            speed = _speed(run, [ours.speak(text, run.frames, rows=count, seed=seed) for seed in range(3)], count)
            alone = alone or speed
            finder.keep(f"{size}, rows {count}", {"audio s per s": speed, "times one row": round(speed / alone, 2)})


def profile(run: Run, finder: Finder) -> None:
    """Each kernel of a captured step: how often and how long; profile.txt has the whole list."""
    size, ours, _ = next(_systems(run))
    with (run.out / "profile.txt").open("w", encoding="utf-8") as file:
        for name, step in _steps(ours).items():
            kernels = _kernels(run, step)
            busy = sum(sum(times) for times in kernels.values()) / _PROFILED
            count = sum(map(len, kernels.values())) / _PROFILED
            finder.keep(f"{size}, {name}", {"kernels": round(count), "busy us": round(busy, 1)})
            file.write(f"\n{name}: {count:.0f} kernels, busy {busy:.0f} us\n")
            for kernel, times in sorted(kernels.items(), key=lambda item: -sum(item[1]))[:_SHOWN]:
                file.write(f"{sum(times) / _PROFILED:10.1f} us {len(times) / _PROFILED:7.1f} x  {kernel[:110]}\n")


def stock(run: Run, finder: Finder) -> None:
    """Stock qwen-tts in the same run, with the gates of script/bench."""
    _against(run, finder, "stock")


def faster(run: Run, finder: Finder) -> None:
    """faster-qwen3-tts, where script/bench has installed it."""
    if not run.on_gpu or not peer.environment().installed:
        finder.skip("faster-qwen3-tts is not installed: script/bench engine --device cuda --against faster does that")
        return
    _against(run, finder, "faster")


def _against(run: Run, finder: Finder, other: str) -> None:
    size, answer = run.sizes[0], run.out / f"bench-{other}.json"
    command = [sys.executable, "-m", "bench", "engine", "--checkpoint", str(run.folder / size), "--size", size]
    command += ["--device", run.device, "--quantize", "none", "--against", other, "--json", str(answer)]
    command += ["--frames", "25", "--runs", "3", "--rows", "1,4", "--png", str(answer.with_suffix(".png"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout + done.stderr)
    finder.check("the benchmark's gates passed", done.returncode == 0)
    if done.returncode:
        return
    systems = json.loads(answer.read_text(encoding="utf-8"))["systems"]
    for name, figures in systems.items():
        finder.keep(f"{size}, {name}, audio s per s", round(figures["speed_x"], 3))
    ours, theirs = systems["ours"]["speed_x"], next(one["speed_x"] for name, one in systems.items() if name != "ours")
    finder.keep(f"{size}, times as fast", round(ours / theirs, 2))


def _systems(run: Run) -> Iterator[tuple[str, Ours, str]]:
    """Each size as it serves, warmed up, and a text for the measured frames. On a CPU with slots, as on a GPU.

    Where kernels can be fused, also with 8-bit weights.
    """
    compute_exactly()
    for size, quantize in product(run.sizes, _GPU_QUANTIZED[: 1 if why_not_fused(run.device) else 2]):
        ours = Ours.load(run.weights(size, quantize))
        if not run.on_gpu:
            graphs = choose_graphs(run.device, wanted=True)
            decoder = StaticDecoder(ours.published, ours.decoder.model, graphs)
            ours = Ours(ours.published, decoder, StaticCodec(ours.codec, graphs))  # type: ignore[arg-type]
        text = text_for(ours.published, run.frames)
        ours.speak(text, min(run.frames, 12))
        yield size if quantize == "none" else f"{size} in 8 bits", ours, text


def _steps(ours: Ours) -> dict[str, Callable[[], None]]:
    """The captured steps of talker, predictor and codec, by name; none if nothing could be captured."""
    steps: dict[str, Callable[[], None]] = {}
    if isinstance(ours.decoder, StaticDecoder):
        slots = ours.decoder.slots
        few, many = slots.buckets.rows[0], slots.buckets.rows[-1]
        for length in slots.buckets.lengths:
            steps[f"talker, {few} x {length}"] = lambda length=length: slots.talk(few, length)  # type: ignore[misc]
        for count in (few, many):
            steps[f"predictor, {count}"] = lambda count=count: slots.frame(count)  # type: ignore[misc]
    if isinstance(ours.codec, StaticCodec):
        steps |= {f"codec, {frames} frames": step for frames, step in ours.codec.steps.items()}
    return {name: torch.inference_mode()(step) for name, step in steps.items()}


def _kernels(run: Run, step: Callable[[], None]) -> dict[str, list[float]]:
    """Microseconds of each kernel, by name, in some calls; on a CPU of each operation."""
    step()
    wanted = DeviceType.CUDA if run.on_gpu else DeviceType.CPU
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if run.on_gpu else [])]
    with torch.profiler.profile(activities=activities) as seen:
        for _ in range(_PROFILED):
            step()
        if run.on_gpu:
            torch.cuda.synchronize()
    kernels: dict[str, list[float]] = {}
    for event in seen.events() or []:
        if event.device_type == wanted:
            spent = event.device_time_total if run.on_gpu else event.self_cpu_time_total
            kernels.setdefault(event.name, []).append(spent)
    return kernels


def _speed(run: Run, runs: list[Times], count: int = 1) -> float:
    return round(count * run.frames * _FRAME_S / median(one.last for one in runs), 3)


def _milliseconds(runs: list[Times]) -> list[float]:
    return [round(1e3 * value, 2) for value in p50_p95([one.first for one in runs])]


def _chunks_of(frames: int) -> Callable[[int], int]:
    return lambda _: frames
