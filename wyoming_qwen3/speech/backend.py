"""Who speaks one utterance, and the pieces of it: what a session holds while it speaks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import OutOfMemory
from wyoming_qwen3.core.request import FloatArray, Priority, SpeechRequest
from wyoming_qwen3.models.worker import EngineRow, Worker

_SIDE_BY_SIDE = 3
"""Pieces of one answer that are made at a time: more rows of a step gain little on a CPU."""


class PieceAudio(Protocol):
    """One piece of text being spoken; leave its context to stop it.

    Iterating raises a SpeechError where the audio can't be completed.
    """

    made: asyncio.Event
    """Whether all of it is made, though its listener may not be through with it."""

    @property
    def text_tokens(self) -> int:
        """Tokens of its text; 0 before the end."""

    @property
    def frames(self) -> int:
        """Codec frames of its audio."""

    def hear(self, in_hand: float) -> None:
        """Its turn has come; who listens has so many seconds of sound in hand beside what is there of this."""

    def __aiter__(self) -> AsyncIterator[FloatArray]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """Who speaks one utterance, piece after piece."""

    @property
    def model(self) -> str:
        """Name of the checkpoint, or "standby"."""

    @property
    def side_by_side(self) -> int:
        """How many pieces may be made at a time, without changing any of them."""

    def submit(self, text: str, turn: Priority = ...) -> PieceAudio:
        """Have a piece of text spoken; use it as a context manager."""


@dataclass(frozen=True)
class EngineBackend:
    """An engine process that speaks with a checkpoint, which is None for the standby voice."""

    worker: Worker
    checkpoint: Checkpoint | None
    request: SpeechRequest

    @property
    def side_by_side(self) -> int:
        """How many pieces may be made at a time, without changing any of them."""
        hello = self.worker.hello
        return _SIDE_BY_SIDE if self.checkpoint and hello and hello.apart else 1

    def submit(self, text: str, turn: Priority = Priority.NOW, *, live: bool = False) -> EngineRow:
        """Have a piece of text spoken; one that is `live` is fed more of it."""
        return self.worker.submit(self.checkpoint, self.request, text, live=live, turn=turn)


class ShrinkingBackend:
    """An engine process for one utterance. Where memory runs out, what `find_less` gives goes on with it."""

    def __init__(
        self,
        speaker: EngineBackend,
        make_room: Callable[[], Awaitable[None]],
        find_less: Callable[[], Awaitable[Backend]],
    ) -> None:
        self.speaker = speaker
        self.make_room = make_room
        """Drops what can be dropped, for now and for who comes next."""

        self.less: Backend | None = None
        """What speaks now instead."""

        self._find_less = find_less

    @property
    def model(self) -> str:
        """Name of the checkpoint, or "standby"."""
        if self.less:
            return self.less.model
        return self.speaker.checkpoint.name if self.speaker.checkpoint else "standby"

    @property
    def side_by_side(self) -> int:
        """How many pieces may be made at a time, without changing any of them."""
        return (self.less or self.speaker).side_by_side

    def submit(self, text: str, turn: Priority = Priority.NOW) -> PieceAudio:
        """Have a piece of text spoken."""
        return self.less.submit(text, turn) if self.less else Piece(self, text, turn)

    def submit_live(self, text: str) -> EngineRow:
        """Have a piece of text spoken that is fed more of it, by this engine alone."""
        return self.speaker.submit(text, live=True)

    async def take_less(self) -> None:
        """Have something else speak from now on. Raises a SpeechError where nothing can."""
        self.less = await self._find_less()


class Piece:
    """A piece of text being spoken, which is begun by another if memory runs out before any of it was heard."""

    def __init__(self, local: ShrinkingBackend, text: str, turn: Priority) -> None:
        self._local = local
        self._text = text
        self._sound: PieceAudio = local.speaker.submit(text, turn)
        self._in_hand: float | None = None
        self._heard = self._moved = False

    @property
    def made(self) -> asyncio.Event:
        """Whether all of it is made."""
        return self._sound.made

    @made.setter
    def made(self, event: asyncio.Event) -> None:
        self._sound.made = event

    @property
    def text_tokens(self) -> int:
        """Tokens of its text; 0 before the end."""
        return self._sound.text_tokens

    @property
    def frames(self) -> int:
        """Codec frames of its audio; 0 before the end."""
        return self._sound.frames

    def hear(self, in_hand: float) -> None:
        """Its turn has come; who listens has so many seconds of sound in hand beside what is there of this."""
        self._in_hand = in_hand
        self._sound.hear(in_hand)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FloatArray:
        try:
            chunk = await anext(aiter(self._sound))
        except OutOfMemory:
            if self._moved or not await self._move():
                raise
            chunk = await anext(aiter(self._sound))
        self._heard = True
        return chunk

    async def _move(self) -> bool:
        """Have room made, and begin anew with what needs less, if nothing was heard; whether it could."""
        if not self._local.less:
            await self._local.make_room()
        if self._heard:
            return False
        if not self._local.less:  # a piece beside this one may have moved before
            await self._local.take_less()
        made, self._sound = self._sound.made, self._local.submit(self._text)
        self._sound.made = made  # who waits for the first is told of the second
        self._moved = True
        if self._in_hand is not None:
            self._sound.hear(self._in_hand)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sound.__exit__(kind, error, traceback)
