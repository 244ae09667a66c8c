"""The backend of one utterance and the audio of its pieces: what a session holds while it speaks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.request import FloatArray, Priority, SpeechRequest
from wyoming_qwen3.models.worker import EngineRow, Worker

_SIDE_BY_SIDE = 3
"""Pieces of one answer that are generated at a time: on a CPU, more rows per step gain little."""


class PieceAudio(AbstractContextManager["PieceAudio", None], Protocol):
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

    def set_playing(self, buffered_seconds: float) -> None:
        """Note that it is this piece's turn to be played.

        `buffered_seconds` is how much audio the listener has left to play, without what is there of this piece.
        """

    def __aiter__(self) -> AsyncIterator[FloatArray]: ...


class Backend(Protocol):
    """What speaks one utterance, piece after piece."""

    @property
    def model(self) -> str:
        """Name of the checkpoint, or "standby"."""

    @property
    def side_by_side(self) -> int:
        """How many pieces may be generated at a time without changing the audio of any."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each part of the request that is left out."""

    def submit(self, text: str, priority: Priority = ...) -> PieceAudio:
        """Start to speak a piece of text and return its audio, to be used as a context manager."""


@dataclass(frozen=True)
class EngineBackend:
    """An engine process that speaks with `checkpoint`, which is None for the standby voice."""

    worker: Worker
    checkpoint: Checkpoint | None
    request: SpeechRequest
    warnings: tuple[str, ...] = ()
    """A sentence for each part of the request that is left out."""

    verbalize: Callable[[str], str] = str
    """Returns a piece's text as this voice can pronounce it."""

    @property
    def model(self) -> str:
        """Name of the checkpoint, or "standby"."""
        return self.checkpoint.name if self.checkpoint else "standby"

    @property
    def side_by_side(self) -> int:
        """How many pieces may be generated at a time without changing the audio of any."""
        hello = self.worker.hello
        return _SIDE_BY_SIDE if self.checkpoint and hello and hello.batch_invariant else 1

    def submit(self, text: str, priority: Priority = Priority.NOW, *, live: bool = False) -> EngineRow:
        """Start to speak a piece of text and return its row. More text may be fed to a row that is `live`."""
        return self.worker.submit(self.checkpoint, self.request, self.verbalize(text), live=live, priority=priority)
