"""Generates the pieces of one answer ahead of playback, and yields them in order.

Segments come from the caller, rows from the backend; this module reads neither text nor audio.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Self

from wyoming_qwen3.core.request import Priority
from wyoming_qwen3.text.pieces import Segment, SpokenPiece

from .backend import PieceAudio
from .deliveries import EngagedBackend


class PieceQueue:
    """Iterate it for (segment, row) in order; row is None for a pause. Leaving its context stops all rows.

    Iteration ends with the text. It also ends when all submitted pieces were heard and no more text has come, so that
    a session that waits for text keeps no engine.

    A piece is submitted when the ones before it are generated. When the text is complete and the first audio was sent,
    some are generated side by side: earlier, that would cut pieces shorter or delay the first audio.
    """

    def __init__(
        self,
        backend: EngagedBackend,
        first: Segment,
        following: Callable[[], Awaitable[Segment | None]],
        complete: asyncio.Event,
        *,
        background: bool,
    ) -> None:
        """`following` returns the next segment, None at the end. `complete` is set once it no longer has to wait."""
        self._backend = backend
        self._following = following
        self._complete = complete
        self._background = background
        self._sounding = asyncio.Event()
        self._in_flight = 0
        """Pieces that were submitted and not yet heard to their end."""

        self._drained = asyncio.Event()
        """Set while there are none."""

        self._rows = contextlib.ExitStack()
        self._line: asyncio.Queue[tuple[Segment, PieceAudio | None] | None] = asyncio.Queue()
        self._places = asyncio.Semaphore(max(backend.side_by_side, 2) - 1)
        self._running = asyncio.create_task(self._run(first), name="pieces")

    def sound(self) -> None:
        """Note that audio was sent."""
        self._sounding.set()

    def played(self) -> None:
        """Note that the listener has taken all audio of a piece."""
        self._places.release()
        self._in_flight -= 1
        if not self._in_flight:
            self._drained.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[Segment, PieceAudio | None]:
        entry = await self._line.get()
        if entry is None:
            await self._running
            raise StopAsyncIteration
        return entry

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()  # it submits no more rows
        self._rows.close()  # before any wait, in which this may be cancelled
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, segment: Segment | None) -> None:
        priority = Priority.LAST if self._background else Priority.NOW
        try:
            while segment is not None:
                if isinstance(segment, SpokenPiece):
                    row = self._rows.enter_context(self._backend.submit(segment, priority))
                    self._in_flight += 1
                    self._drained.clear()
                    self._line.put_nowait((segment, row))
                    priority = max(priority, Priority.NEXT)
                    await self._next_may_begin(row)
                else:
                    self._line.put_nowait((segment, None))
                segment = await self._next()
        finally:
            self._line.put_nowait(None)

    async def _next(self) -> Segment | None:
        """Return the next segment; None at the end, or if none came before all submitted pieces were heard."""
        if self._complete.is_set():
            return await self._following()
        following = asyncio.ensure_future(self._following())
        await _first(following, self._drained.wait())
        return following.result() if not following.cancelled() else None

    async def _next_may_begin(self, row: PieceAudio) -> None:
        if self._backend.side_by_side > 1:
            await _first(row.made.wait(), self._all_known())
        else:
            await row.made.wait()
        await self._places.acquire()

    async def _all_known(self) -> None:
        await self._complete.wait()
        await self._sounding.wait()


async def _first(*ways: Awaitable[object]) -> None:
    """Wait until one of `ways` is done, and cancel the others."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
