"""Tell everybody who listens, without ever waiting for anybody. Knows nothing of what is told."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

_T = TypeVar("_T")


class Subscription(Generic[_T]):
    """What one listener has not heard yet. Iterate it; it ends when nothing more is told, or it fell too far behind."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unheard: deque[_T] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, item: _T) -> None:
        """Tell this listener, or give it up where it has `limit` items waiting already."""
        if len(self._unheard) >= self._limit:
            self.end()
        if not self._ended:
            self._unheard.append(item)
            self._changed.set()

    def end(self) -> None:
        """Nothing more is told; what waits is still heard."""
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        while not self._unheard:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._unheard.popleft()


class Broadcast(Generic[_T]):
    """Any number of subscriptions to the same items."""

    def __init__(self, limit: int) -> None:
        """`limit` is how many items may wait for one listener."""
        self._limit = limit
        self._listeners: set[Subscription[_T]] = set()
        self._ended = False

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[Subscription[_T]]:
        """Hear what is told from now on, for as long as the context lasts."""
        listener = Subscription[_T](self._limit)
        if self._ended:
            listener.end()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def publish(self, item: _T) -> None:
        """Tell all who listen."""
        for listener in self._listeners:
            listener.put(item)

    def end(self) -> None:
        """End all subscriptions, and those to come."""
        self._ended = True
        for listener in self._listeners:
            listener.end()
