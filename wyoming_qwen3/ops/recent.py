"""Remembers the newest keys, so that what repeats can be told from what is new."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


class RecentKeys(Generic[_Key]):
    """At most `limit` keys, the newest; each is forgotten `seconds` after it was last added."""

    def __init__(self, limit: int, seconds: float = float("inf"), clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns monotonic time in seconds."""
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._added: OrderedDict[_Key, float] = OrderedDict()

    def add(self, key: _Key) -> bool:
        """Remember a key, and return whether it is new."""
        self._forget()
        new = key not in self._added
        self._added[key] = self._clock()
        self._added.move_to_end(key)
        if len(self._added) > self._limit:
            self._added.popitem(last=False)
        return new

    def keys(self) -> list[_Key]:
        """Return the remembered keys, the newest last."""
        self._forget()
        return list(self._added)

    def _forget(self) -> None:
        oldest = self._clock() - self._seconds
        while self._added and next(iter(self._added.values())) < oldest:
            self._added.popitem(last=False)
