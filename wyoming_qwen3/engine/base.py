"""The interface of an engine, as the engine process uses it."""

import logging
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed, SpeechError
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.core.request import ClonePrompt, CodeArray

from .wire import ClipJob, Loaded, OnProgress, Opening, Output, Room

_LOGGER = logging.getLogger(__name__)

STEP_FAILED = "The engine failed in the middle of this audio"


class JobStopped(EngineFailed):
    """The server cancelled the job while it ran."""


def as_speech_error(error: Exception, what: str, unexpected: type[SpeechError] = EngineFailed) -> SpeechError:
    """Return the error that the server gets: a SpeechError as it is, and for any other one an `unexpected`.

    The other error is logged; the message for the server is `what` followed by the error's type in parentheses.
    """
    if isinstance(error, SpeechError):
        return error.with_traceback(None)  # which would keep alive what the functions that failed had in memory
    _LOGGER.error("%s", what, exc_info=error)
    return unexpected(f"{what} ({type(error).__name__}).")


class Engine(Protocol):
    """Speaks rows in small steps, and does jobs beside that: `load`, `gauge`, `unload`, `compute` and `measure`.

    One thread calls the methods for rows, and another runs the jobs, one after the other. If one row fails in a step,
    the step yields Failed for it and the other rows go on. An exception from `step` ends all rows that were stepped; an
    exception from another call ends the row or job that it was for.
    """

    fatal: tuple[type[Exception], ...]
    """Exceptions, from any call, after which the engine can't be trusted any more: the process ends."""

    selection: Selection
    """The device that it computes on, and why."""

    weight_bytes: int
    """Bytes of one weight in memory."""

    batch_invariant: bool
    """Whether a row's samples are the same to the last bit, whatever rows are stepped with it."""

    def measure(self) -> Room:
        """Return how much memory the device has now."""

    def load(self, checkpoint: Checkpoint, path: Path, report: OnProgress) -> Loaded:
        """Read a checkpoint. `report` is called with what is done and in total: bytes, or GPU kernels to be compiled.

        What it raises stops the load, after which nothing of it is left in memory.

        Raises a SpeechError if the checkpoint can't be used; its message says why.
        """

    def gauge(self, checkpoint: Checkpoint, spare: Callable[[], bool]) -> Loaded | None:
        """Measure how fast a loaded checkpoint speaks, and change its weights if others suit this machine.

        Returns None if `spare` becomes false before the end, and where nothing can be measured.
        """

    def unload(self, checkpoint: Checkpoint) -> None:
        """Release a checkpoint's memory. No row of it is active."""

    def compute(self, job: ClipJob) -> ClonePrompt | CodeArray:
        """Return a job's result. Raises a SpeechError if it can't be computed."""

    def admit(self, opening: Opening) -> None:
        """Open a row. Raises a SpeechError if it can't be spoken or decoded."""

    def add_text(self, row: int, text: str) -> None:
        """Add text to a live row."""

    def end_text(self, row: int) -> None:
        """Mark a live row's text as complete."""

    def cancel(self, row: int) -> None:
        """Drop a row."""

    def step(self, rows: Collection[int]) -> Iterator[Output]:
        """Advance these rows by one or a few frames each, and yield their audio, ends and faults."""

    def waiting(self, row: int) -> bool:
        """Return whether the row must wait for more of its text."""
