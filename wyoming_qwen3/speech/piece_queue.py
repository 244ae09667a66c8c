"""The pieces of one answer, begun before they are heard, and heard in order.

Knows neither text nor sound: segments come from whoever knows them, rows from whoever speaks.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from wyoming_qwen3.core.request import Priority
from wyoming_qwen3.text.pieces import Segment, SpokenPiece

from .backend import Backend, PieceAudio


class PieceQueue:
    """Iterate it for segments in order, those to be spoken each with its row; close it to stop all rows.

    It ends with the text, and where no more text has come when all before it was heard: who waits for text keeps no
    engine.

    A piece is begun when those before it are made. Once the text is complete and the first sound was heard, some are
    made side by side: before that, taking a piece early would make it shorter, or the first sound late. Never more
    than a few are begun and not heard to their end.
    """

    def __init__(
        self,
        backend: Backend,
        first: Segment,
        following: Callable[[], Awaitable[Segment | None]],
        complete: asyncio.Event,
        *,
        behind: bool,
    ) -> None:
        """`following` waits for the next segment, None at the end; `complete` is set when it waits no more."""
        self._backend = backend
        self._following = following
        self._complete = complete
        self._behind = behind
        self._sounding = asyncio.Event()
        self._begun = 0
        """Pieces that are begun and not heard to their end."""

        self._drained = asyncio.Event()
        """Whether there are none."""

        self._rows = contextlib.ExitStack()
        self._line: asyncio.Queue[tuple[Segment, PieceAudio | None] | None] = asyncio.Queue()
        self._places = asyncio.Semaphore(max(backend.side_by_side, 2) - 1)
        self._running = asyncio.create_task(self._run(first), name="pieces")

    def sound(self) -> None:
        """There was sound."""
        self._sounding.set()

    def heard(self) -> None:
        """A piece was heard to its end."""
        self._places.release()
        self._begun -= 1
        if not self._begun:
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

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._rows.close()

    async def _run(self, segment: Segment | None) -> None:
        turn = Priority.LAST if self._behind else Priority.NOW
        try:
            while segment is not None:
                if isinstance(segment, SpokenPiece):
                    row = self._rows.enter_context(self._backend.submit(segment.text, turn))
                    self._begun += 1
                    self._drained.clear()
                    self._line.put_nowait((segment, row))
                    turn = max(turn, Priority.NEXT)
                    await self._next_may_begin(row)
                else:
                    self._line.put_nowait((segment, None))
                segment = await self._next()
        finally:
            self._line.put_nowait(None)

    async def _next(self) -> Segment | None:
        """The next segment; None at the end, and where none has come when all that is begun was heard."""
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
    """Wait until one of them is done, and cancel the others."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
