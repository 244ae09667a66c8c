"""Who is stepped if there are more rows than slots. Knows neither slots nor what a row is."""

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

_Stepped = TypeVar("_Stepped", bound=Hashable)

TURN = 8
"""Steps for which the same rows are stepped, 0.6 s of their audio.

A row that takes another one's slot costs a copy of both caches, of 46 MB each after 400 positions. If they changed at
each step, that would be most of the step's time.
"""


class Turns(Generic[_Stepped]):
    """Gives each of more rows than slots its turn."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._turn = 0
        self._left = 0
        self._last: WeakKeyDictionary[_Stepped, int] = WeakKeyDictionary()
        """The last turn that each row had a part in; no entry if it had none."""

    def group(self, rows: Sequence[_Stepped]) -> Sequence[_Stepped]:
        """Return the rows to step now: all if there are slots for them, else the same ones for a whole turn.

        Those that have waited longest are next. A row that joins, or that others leave a slot to, is stepped at once if
        there is a slot for it.
        """
        if len(rows) <= self._slots:
            self._left = 0
            return rows
        if not self._left:
            self._turn, self._left = self._turn + 1, TURN
        self._left -= 1
        staying = [row for row in rows if self._last.get(row) == self._turn][: self._slots]
        waiting = sorted((row for row in rows if row not in staying), key=lambda row: self._last.get(row, 0))
        group = [*staying, *waiting[: self._slots - len(staying)]]
        self._last |= dict.fromkeys(group, self._turn)
        return group
