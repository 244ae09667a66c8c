"""Which rows are stepped together: what is heard now never waits for what is heard later.

Rows share a step, but a step takes longer the more there are. So rows whose listeners have little sound in hand are
stepped without the others, unless the others cost nothing that anybody hears. Knows neither pipe nor tensors.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, Priority

ENOUGH = 2.0
"""Seconds of sound in hand with which a listener can wait."""

_EASY = 0.6 * FRAME_SAMPLES / SAMPLE_RATE
"""Seconds of a step that leave every listener of it ample time."""

_SMOOTHING = 0.2
"""Weight of the newest step in what a step is taken to cost: one in four has the codec's work in it."""


@dataclass(frozen=True)
class Standing:
    """A row that could go on. `in_hand` is in seconds, None before its first sound; it counts for turn NOW alone."""

    row: int
    turn: Priority
    in_hand: float | None


def choose(standings: Sequence[Standing], cost: Callable[[int], float]) -> list[int]:
    """The rows to step now, none only where there are none. `cost` is the seconds that a step of so many rows takes.

    Who has no sound yet, or not enough in hand, goes first; the others come along where a step stays short, or when
    all who listen have enough. Before a first sound nobody comes along who has any: that sound is waited for.
    """
    needy = [one for one in standings if one.turn is Priority.NOW and (one.in_hand is None or one.in_hand < ENOUGH)]
    if not needy:
        return [one.row for one in standings]
    chosen = [one.row for one in needy]
    if any(one.in_hand is None for one in needy):
        return chosen
    for one in sorted((one for one in standings if one not in needy), key=_urgency):
        if cost(len(chosen) + 1) > _EASY:
            break
        chosen.append(one.row)
    return chosen


def _urgency(one: Standing) -> tuple[Priority, float]:
    return one.turn, one.in_hand or 0.0


class Costs:
    """Seconds that a step takes by its number of rows, as measured lately."""

    def __init__(self) -> None:
        self._measured: dict[int, float] = {}

    def add(self, rows: int, seconds: float) -> None:
        """A step of so many rows took so long."""
        known = self._measured.get(rows, seconds)
        self._measured[rows] = known + _SMOOTHING * (seconds - known)

    def of(self, rows: int) -> float:
        """What a step would take, as if each row that was never tried with the others cost as much as all of these."""
        fewer = [count for count in self._measured if count <= rows]
        if not fewer:
            return math.inf
        most = max(fewer)
        return max(self._measured[count] for count in fewer) * rows / most
