"""Publishes items to all subscribers without ever waiting for one. Knows nothing about the items."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

_T = TypeVar("_T")


class Subscription(Generic[_T]):
    """The items that one listener has not received yet. Iterate it.

    The iterator ends when nothing more is published, or when the listener has fallen too far behind.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending: deque[_T] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, item: _T) -> None:
        """Add an item, or end the subscription if `limit` items wait already."""
        if len(self._pending) >= self._limit:
            self.end()
        if not self._ended:
            self._pending.append(item)
            self._changed.set()

    def end(self) -> None:
        """Accept no more items; those that wait are still delivered."""
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        while not self._pending:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._pending.popleft()


class Broadcast(Generic[_T]):
    """Any number of subscriptions to the same items."""

    def __init__(self, limit: int) -> None:
        """`limit` is how many items may wait for one listener."""
        self._limit = limit
        self._listeners: set[Subscription[_T]] = set()
        self._ended = False

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[Subscription[_T]]:
        """Yield a subscription to what is published within the context."""
        listener = Subscription[_T](self._limit)
        if self._ended:
            listener.end()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def publish(self, item: _T) -> None:
        """Add an item to all subscriptions."""
        for listener in self._listeners:
            listener.put(item)

    def end(self) -> None:
        """End all subscriptions, including those that start later."""
        self._ended = True
        for listener in self._listeners:
            listener.end()
