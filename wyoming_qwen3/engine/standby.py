"""The standby voice: a small English one inside the hibari-tts wheel, for when no Qwen3 checkpoint is ready.

Needs no download and no torch. It knows nothing of when it is wanted.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from hibari import Hibari

from wyoming_qwen3.checkpoints import Checkpoint
from wyoming_qwen3.errors import EngineFailed, SpeechError

from .wire import Audio, Ended, Failed, Job, Opening, Output, Submit

_SEED = 0
"""The noise component is drawn from a fixed seed: the same text is the same audio."""


class StandbyEngine:
    """Speaks whole texts, a sentence a step."""

    device = "cpu"
    memory = 0
    weight_bytes = 1
    apart = True
    fatal: tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        self._voice = Hibari()
        self._rows: dict[int, Iterator[npt.NDArray[np.float32]]] = {}
        self._voice("Ready.", seed=_SEED)  # the first call reads the lexicon: not in a listener's time

    def load(self, checkpoint: Checkpoint, path: Path) -> int:  # noqa: ARG002
        """It has no checkpoints."""
        _no_checkpoints()

    def unload(self, checkpoint: Checkpoint) -> None:  # noqa: ARG002
        """It has no checkpoints."""
        _no_checkpoints()

    def compute(self, job: Job) -> NoReturn:  # noqa: ARG002
        """Codes and cloned voices are a checkpoint's."""
        _no_checkpoints()

    def admit(self, opening: Opening) -> None:
        """Take in a row with all its text; its voice, language and sampling have no meaning here."""
        if not isinstance(opening, Submit):
            _no_checkpoints()
        if opening.live:
            raise EngineFailed("The standby voice takes whole texts only.")
        self._rows[opening.row] = self._speak(opening.text)

    def feed(self, row: int, text: str) -> NoReturn:  # noqa: ARG002
        """There are no live rows."""
        raise EngineFailed("The standby voice takes whole texts only.")

    def finish(self, row: int) -> NoReturn:  # noqa: ARG002
        """There are no live rows."""
        raise EngineFailed("The standby voice takes whole texts only.")

    def cancel(self, row: int) -> None:
        """Forget a row."""
        self._rows.pop(row, None)

    def waiting(self, row: int) -> bool:  # noqa: ARG002
        """All text is there from the beginning."""
        return False

    def step(self, rows: Collection[int]) -> Iterator[Output]:
        """One sentence of each row."""
        for row in rows:
            try:
                yield Audio(row, next(self._rows[row]).tobytes())
            except StopIteration:
                yield Ended(row)
            except SpeechError as error:
                yield Failed(row, error.code, str(error))

    def _speak(self, text: str) -> Iterator[npt.NDArray[np.float32]]:
        spoken = False
        for samples in self._voice.stream(text, seed=_SEED):
            if samples.size:
                spoken = True
                yield samples.astype(np.float32)
        if not spoken:
            raise EngineFailed("The standby voice can't pronounce this text; it speaks English only.")


def _no_checkpoints() -> NoReturn:
    raise EngineFailed("The standby voice has no checkpoints.")
