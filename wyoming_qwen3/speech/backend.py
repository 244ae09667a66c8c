"""The backend of one utterance and the audio of its pieces: what a session holds while it speaks."""

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
"""Pieces of one answer that are generated at a time: on a CPU, more rows per step gain little."""


class PieceAudio(Protocol):
    """The audio of one piece of text; iterate it for float32 24 kHz chunks. Leaving its context stops it.

    Iterating raises a SpeechError if the audio can't be completed.
    """

    made: asyncio.Event
    """Set when all audio of the piece is generated, though the listener may not have taken all of it."""

    @property
    def text_tokens(self) -> int:
        """Number of tokens of its text; 0 before the end."""

    @property
    def frames(self) -> int:
        """Number of codec frames of its audio."""

    def hear(self, in_hand: float) -> None:
        """Note that it is this piece's turn to be played.

        `in_hand` is how many seconds of audio the listener has left to play, without what is there of this piece.
        """

    def __aiter__(self) -> AsyncIterator[FloatArray]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """What speaks one utterance, piece after piece."""

    @property
    def model(self) -> str:
        """Name of the checkpoint, or "standby"."""

    @property
    def side_by_side(self) -> int:
        """How many pieces may be generated at a time without changing the audio of any."""

    def submit(self, text: str, turn: Priority = ...) -> PieceAudio:
        """Start to speak a piece of text and return its audio, to be used as a context manager."""


@dataclass(frozen=True)
class EngineBackend:
    """An engine process that speaks with `checkpoint`, which is None for the standby voice."""

    worker: Worker
    checkpoint: Checkpoint | None
    request: SpeechRequest

    @property
    def side_by_side(self) -> int:
        """How many pieces may be generated at a time without changing the audio of any."""
        hello = self.worker.hello
        return _SIDE_BY_SIDE if self.checkpoint and hello and hello.apart else 1

    def submit(self, text: str, turn: Priority = Priority.NOW, *, live: bool = False) -> EngineRow:
        """Start to speak a piece of text and return its row. More text may be fed to a row that is `live`."""
        return self.worker.submit(self.checkpoint, self.request, text, live=live, turn=turn)


class ShrinkingBackend:
    """An engine process for one utterance. When memory runs out, the backend that `find_less` returns takes over."""

    def __init__(
        self,
        speaker: EngineBackend,
        make_room: Callable[[], Awaitable[None]],
        find_less: Callable[[], Awaitable[Backend]],
    ) -> None:
        self.speaker = speaker
        self.make_room = make_room
        """Frees memory, for this utterance and for the next ones."""

        self.less: Backend | None = None
        """The backend that has taken over; None while the engine itself speaks."""

        self._find_less = find_less

    @property
    def model(self) -> str:
        """Name of the checkpoint, or "standby"."""
        if self.less:
            return self.less.model
        return self.speaker.checkpoint.name if self.speaker.checkpoint else "standby"

    @property
    def side_by_side(self) -> int:
        """How many pieces may be generated at a time without changing the audio of any."""
        return (self.less or self.speaker).side_by_side

    def submit(self, text: str, turn: Priority = Priority.NOW) -> PieceAudio:
        """Start to speak a piece of text and return its audio."""
        return self.less.submit(text, turn) if self.less else Piece(self, text, turn)

    def submit_live(self, text: str) -> EngineRow:
        """Start to speak a piece of text to which more may be fed. No other backend takes over from the engine."""
        return self.speaker.submit(text, live=True)

    async def take_less(self) -> None:
        """Let another backend speak from now on. Raises a SpeechError if there is none."""
        self.less = await self._find_less()


class Piece:
    """The audio of a piece of text. If memory runs out before its first chunk, another backend starts it again."""

    def __init__(self, local: ShrinkingBackend, text: str, turn: Priority) -> None:
        self._local = local
        self._text = text
        self._sound: PieceAudio = local.speaker.submit(text, turn)
        self._in_hand: float | None = None
        self._heard = self._moved = False

    @property
    def made(self) -> asyncio.Event:
        """Set when all audio of the piece is generated."""
        return self._sound.made

    @made.setter
    def made(self, event: asyncio.Event) -> None:
        self._sound.made = event

    @property
    def text_tokens(self) -> int:
        """Number of tokens of its text; 0 before the end."""
        return self._sound.text_tokens

    @property
    def frames(self) -> int:
        """Number of codec frames of its audio; 0 before the end."""
        return self._sound.frames

    def hear(self, in_hand: float) -> None:
        """Note that it is this piece's turn to be played.

        `in_hand` is how many seconds of audio the listener has left to play, without what is there of this piece.
        """
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
        """Free memory and, if no chunk was returned yet, start again with a backend that needs less memory.

        Return whether the piece was started again. Raises a SpeechError if there is no such backend.
        """
        if not self._local.less:
            await self._local.make_room()
        if self._heard:
            return False
        if not self._local.less:  # a piece beside this one may have moved before
            await self._local.take_less()
        made, self._sound = self._sound.made, self._local.submit(self._text)
        self._sound.made = made  # whoever waits for the first is woken by the second
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
