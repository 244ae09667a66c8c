"""What an engine process needs of an engine, whatever makes the sound."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from wyoming_qwen3.checkpoints import Checkpoint

from .wire import Output, Submit


class Engine(Protocol):
    """Speaks rows, a small step at a time. Used from one thread, but for `load`.

    Whatever goes wrong with one row is told as its Failed; an exception out of `step` means that the engine itself
    can't be trusted any more.
    """

    device: str
    """Where it computes, as torch spells it."""

    memory: int
    """Bytes that models may take there."""

    weight_bytes: int
    """Bytes of one weight in memory."""

    def load(self, checkpoint: Checkpoint, path: Path) -> int:
        """Read a checkpoint and return its footprint in bytes. Called on a thread of its own while rows go on.

        Raises a SpeechError saying why the checkpoint can't be used.
        """

    def unload(self, checkpoint: Checkpoint) -> None:
        """Give a checkpoint's memory back. No row of it is active."""

    def admit(self, submit: Submit) -> None:
        """Take a row in. Raises a SpeechError where the request can't be spoken."""

    def feed(self, row: int, text: str) -> None:
        """More text of a live row."""

    def finish(self, row: int) -> None:
        """A live row's text is complete."""

    def cancel(self, row: int) -> None:
        """Forget a row."""

    def step(self, rows: Collection[int]) -> Iterator[Output]:
        """Advance these rows by about a frame each, and tell what came of it."""

    def waiting(self, row: int) -> bool:
        """Whether the row can't go on before more of its text comes."""
