"""The standby voice: a small English one inside the hibari-tts wheel, for when no Qwen3 checkpoint is ready.

Needs no download and no torch. It knows nothing of when it is wanted.
"""

import re
import textwrap
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from hibari import Hibari
from hibari.tts import MAX_PHONEMES

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.engine.base import told
from wyoming_qwen3.engine.wire import Audio, Ended, Failed, Job, Opening, Output, Submit

_NAMED_DIGITS = 36
"""The library's names of numbers end with decillions."""

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
        """One sentence of each row, or its error: rows share no state, so an error never concerns another row."""
        for row in rows:
            try:
                yield Audio(row, next(self._rows[row]).tobytes())
            except StopIteration:
                yield Ended(row)
            except Exception as error:
                yield Failed(row, *told(error, "The standby voice failed on this text"))

    def _speak(self, text: str) -> Iterator[npt.NDArray[np.float32]]:
        spoken, rng = False, np.random.default_rng(_SEED)
        for phonemes in self._phonemes(text):
            samples = self._voice.from_ids(self._voice.ids(phonemes), 1.0, rng)
            if samples.size:
                spoken = True
                yield samples.astype(np.float32)
        if not spoken:
            raise EngineFailed("The standby voice can't pronounce this text; it speaks English only.")

    def _phonemes(self, text: str) -> list[str]:
        """Phonemes of each sentence, at most MAX_PHONEMES at a time: a step, and its memory, grow with them."""
        try:
            sentences = self._voice.phonemize(text)
        except (ValueError, IndexError):  # what the library raises of a number that it can't read
            sentences = self._voice.phonemize(spell_numbers(text))
        return [part for sentence in sentences for part in _parts(sentence)]


def spell_numbers(text: str) -> str:
    """The text with numbers too long for names digit by digit, in groups of three, and all digits as 0 to 9."""
    plain = "".join(str(unicodedata.digit(char)) if char.isdigit() else char for char in text)
    return _NUMBER.sub(_spell_if_long, plain)


def _spell_if_long(number: re.Match[str]) -> str:
    wholes = re.sub("[^0-9.]", "", number["digits"]).split(".")
    if sum(map(len, wholes)) <= _NAMED_DIGITS:
        return number[0]
    spelled = [", ".join(" ".join(digits[at : at + 3]) for at in range(0, len(digits), 3)) for digits in wholes]
    return f" {'minus ' if number['sign'] else ''}{' point '.join(spelled)} "


_NUMBER = re.compile(r"(?P<sign>(?<!\w)-)?(?P<digits>[0-9](?:[.,']?[0-9])*)")


def _parts(phonemes: str) -> list[str]:
    """Phonemes in parts that are short enough, cut between words where that can be."""
    return textwrap.wrap(phonemes, MAX_PHONEMES) if len(phonemes) > MAX_PHONEMES else [phonemes]


def _no_checkpoints() -> NoReturn:
    raise EngineFailed("The standby voice has no checkpoints.")
