"""How fast a CPU speaks, and what follows from it: the weights, the size, and what is told. Pure functions.

A speed is in times real time: seconds of audio per second, of one utterance. The engine process measures it.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from .checkpoints import Size

Quantize = Literal["none", "int8", "int4"]
"""How the weights of the language model's matrices are stored: as they are, or rounded to 8 or 4 bits."""

RESERVE = 1.15
"""What keeps up with real time: a prompt, a long utterance and other programs take their share."""

_CLEARLY = 1.05
"""Coarser weights must be so many times as fast to be worth their noise."""

_COSTS: Mapping[tuple[Size, Quantize], float] = {
    ("0.6B", "int8"): 1.0,
    ("0.6B", "int4"): 0.69,
    ("1.7B", "int8"): 1.6,
    ("1.7B", "int4"): 1.1,
}
"""Time of a frame beside that of 0.6B in 8 bits, for weights that were not measured yet.

On one processor these are 1, 0.61, 1.44 and 0.91 (docs/performance.md); more is assumed, as others may read memory more
slowly."""

_WHAT_TO_DO = "A machine with a GPU (docs/gpu.md) or a vLLM server (docs/scaling.md) is faster."


def quantize_candidates(wanted: str, *, kernels: bool = True) -> tuple[Quantize, ...]:
    """Return what `--quantize` allows on a CPU, the finest first: auto is 8 or 4 bits. 4 bits need our kernels."""
    match wanted:
        case "none" | "int8" | "int4":
            return (wanted,)
    return ("int8", "int4") if kernels else ("int8",)


def choose_quantize(candidates: Sequence[Quantize], speeds: Mapping[Quantize, float]) -> Quantize:
    """Choose how weights are rounded by the speeds measured so far; `candidates` go from the finest to the coarsest.

    The first one that keeps up with real time, or that was not measured yet, is chosen. If none keeps up, it is the
    fastest, unless a finer one is nearly as fast.
    """
    for candidate in candidates:
        if speeds.get(candidate, RESERVE) >= RESERVE:
            return candidate
    fastest = max(speeds[candidate] for candidate in candidates)
    return next(candidate for candidate in candidates if speeds[candidate] * _CLEARLY >= fastest)


def choose_size(
    candidates: Sequence[Quantize], speeds: Mapping[Size, Mapping[Quantize, float]], *, large_is_there: bool
) -> Size:
    """Choose the size of checkpoints on a CPU, where 0.6B is the rule.

    1.7B is chosen if it is on disk with memory for it, so that nothing is downloaded that nobody asked for, and if it
    keeps up with real time in one of the candidates.
    """
    fast = any(expected_speed("1.7B", candidate, speeds) >= RESERVE for candidate in candidates)
    return "1.7B" if large_is_there and fast else "0.6B"


def expected_speed(size: Size, quantize: Quantize, speeds: Mapping[Size, Mapping[Quantize, float]]) -> float:
    """Return the speed as it was measured, or else the least that others let expect; 0 if nothing was measured."""
    if quantize in speeds.get(size, {}):
        return speeds[size][quantize]
    cost = _COSTS.get((size, quantize))
    known = [
        speed * _COSTS[other_size, other]
        for other_size, own in speeds.items()
        for other, speed in own.items()
        if (other_size, other) in _COSTS
    ]
    return min(known) / cost if known and cost else 0.0


def say_speed(size: Size, weights: str, speed: float) -> str:
    """Return one sentence about the speed; `weights` are "int8", "int4" or a type of numbers."""
    return f"This machine speaks {size} in {weights} at {speed:.2g} times real time."


def say_what_to_do(speed: float) -> str | None:
    """Return what a person can do where speech is slower than real time; None elsewhere."""
    return None if speed >= 1 else f"Speech that is slower than real time starts late or pauses. {_WHAT_TO_DO}"
