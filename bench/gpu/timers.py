"""Times of a call: on a GPU by its own events."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch

_RUNS = 20


def microseconds(device: str, call: Callable[[], object], runs: int = _RUNS) -> float:
    """The median of some calls, after one that warms up; on a GPU, of the device's time from begin to end."""
    call()
    return round(median(_once(device, call) for _ in range(runs)), 1)


def _once(device: str, call: Callable[[], object]) -> float:
    if device == "cpu":
        start = perf_counter()
        call()
        return 1e6 * (perf_counter() - start)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    call()
    end.record()
    end.synchronize()
    return 1e3 * float(begin.elapsed_time(end))
