"""Chooses which rows are stepped together: what is played now never waits for what is played later.

Rows share a step, but a step with more rows takes longer. So rows whose listeners have little audio left to play are
stepped without the others, unless the others add no audible delay. Knows neither pipe nor tensors.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, Priority

ENOUGH = 2.0
"""Seconds of audio left to play from which on a listener can wait."""

_EASY = 0.6 * FRAME_SAMPLES / SAMPLE_RATE
"""Seconds up to which a step is short enough for all its listeners."""

_SMOOTHING = 0.2
"""Weight of the newest step in the average cost; the average is needed because one step in four includes the codec."""


@dataclass(frozen=True)
class Candidate:
    """A row that could be stepped. `buffered_seconds` is None before its first audio; only priority NOW uses it."""

    row: int
    priority: Priority
    buffered_seconds: float | None


def choose(candidates: Sequence[Candidate], cost: Callable[[int], float]) -> list[int]:
    """Return the rows to step now, at least one if there are any. `cost` gives the seconds of a step by its row count.

    Rows of priority NOW with no audio yet or too little left to play go first. Other rows join if the step stays short,
    or if all listeners have enough. While any row waits for its first audio, no row that is not needy joins.
    """
    needy = [
        one
        for one in candidates
        if one.priority is Priority.NOW and (one.buffered_seconds is None or one.buffered_seconds < ENOUGH)
    ]
    if not needy:
        return [one.row for one in candidates]
    chosen = [one.row for one in needy]
    if any(one.buffered_seconds is None for one in needy):
        return chosen
    for one in sorted((one for one in candidates if one not in needy), key=_urgency):
        if cost(len(chosen) + 1) > _EASY:
            break
        chosen.append(one.row)
    return chosen


def _urgency(one: Candidate) -> tuple[Priority, float]:
    return one.priority, one.buffered_seconds or 0.0


class Costs:
    """Seconds that a step takes by its number of rows, as a moving average."""

    def __init__(self) -> None:
        self._measured: dict[int, float] = {}

    def add(self, rows: int, seconds: float) -> None:
        """Record that a step of `rows` rows took `seconds`."""
        known = self._measured.get(rows, seconds)
        self._measured[rows] = known + _SMOOTHING * (seconds - known)

    def of(self, rows: int) -> float:
        """Estimate the seconds of a step with `rows` rows; infinite if no step with as many rows or fewer was measured.

        Beyond the largest number of rows that was measured, the cost is taken to grow in proportion to the rows.
        """
        fewer = [count for count in self._measured if count <= rows]
        if not fewer:
            return math.inf
        most = max(fewer)
        return max(self._measured[count] for count in fewer) * rows / most
