"""What an engine process needs of an engine, whatever makes the sound."""

import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed, SpeechError

from .wire import Job, Opening, Output, Result

_LOGGER = logging.getLogger(__name__)

STEP_FAILED = "The engine failed in the middle of this audio"


def told(error: Exception, what: str, unexpected: type[SpeechError] = EngineFailed) -> tuple[str, str]:
    """Code and sentence that the server is told of an error.

    A SpeechError speaks for itself. Any other is logged, and is `unexpected`: `what` went wrong, and its type.
    """
    if isinstance(error, SpeechError):
        return error.code, str(error)
    _LOGGER.error("%s", what, exc_info=error)
    return unexpected.code, f"{what} ({type(error).__name__})."


class Engine(Protocol):
    """Speaks rows, a small step at a time, and does chores beside that: `load`, `unload` and `compute`.

    Rows are used from one thread, and chores from another, one after the other. Whatever goes wrong with one row in a
    step is told as its Failed, and the other rows go on; an exception out of `step` ends all rows that were stepped,
    one out of another call the row or chore that it was for.
    """

    fatal: tuple[type[Exception], ...]
    """Exceptions which mean, out of any call, that the engine itself can't be trusted any more: the process ends."""

    device: str
    """Where it computes, as torch spells it."""

    memory: int
    """Bytes that models may take there."""

    weight_bytes: int
    """Bytes of one weight in memory."""

    apart: bool
    """Whether the numbers of a row are the same, to the last bit, whatever rows are stepped with it."""

    def load(self, checkpoint: Checkpoint, path: Path) -> int:
        """Read a checkpoint and return its footprint in bytes.

        Raises a SpeechError saying why the checkpoint can't be used.
        """

    def unload(self, checkpoint: Checkpoint) -> None:
        """Give a checkpoint's memory back. No row of it is active."""

    def compute(self, job: Job) -> Result:
        """Do a job. Raises a SpeechError where it can't be done."""

    def admit(self, opening: Opening) -> None:
        """Take a row in. Raises a SpeechError where it can't be spoken or played."""

    def feed(self, row: int, text: str) -> None:
        """More text of a live row."""

    def finish(self, row: int) -> None:
        """A live row's text is complete."""

    def cancel(self, row: int) -> None:
        """Forget a row."""

    def step(self, rows: Collection[int]) -> Iterator[Output]:
        """Advance these rows by a frame or a few each, and tell what came of it."""

    def waiting(self, row: int) -> bool:
        """Whether the row can't go on before more of its text comes."""
