"""The standby voice: a small English voice from the hibari-tts wheel, for when no Qwen3 checkpoint is ready.

Needs no download and no torch. Does NOT know when it is used.
"""

import re
import textwrap
import unicodedata
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from hibari import Hibari
from hibari.g2p import G2P
from hibari.tts import MAX_PHONEMES

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.core.hardware import Selection, available_memory
from wyoming_qwen3.core.request import FRAME_SAMPLES
from wyoming_qwen3.engine.base import as_speech_error
from wyoming_qwen3.engine.wire import Audio, ClipJob, Ended, Failed, Loaded, OnProgress, Opening, Output, Room, Submit

_NAMED_DIGITS = 36
"""Most digits of a number that is spoken by name: the library's names end with decillions."""

_SEED = 0
"""Seed of the noise component; it is fixed, so that the same text gives the same audio."""


@dataclass
class _Counts:
    """What a row has taken so far."""

    phonemes: int = 0
    samples: int = 0


class StandbyEngine:
    """Speaks whole texts, one sentence per step."""

    selection = Selection("cpu", "0.6B", "float32", "The standby voice speaks on the CPU.")
    weight_bytes = 1
    batch_invariant = True
    fatal: tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        self._voice = _make_voice()
        self._rows: dict[int, tuple[Iterator[npt.NDArray[np.float32]], _Counts]] = {}
        self._voice("Ready.", seed=_SEED)  # the first call is slower, so do it before anyone listens

    def measure(self) -> Room:
        """Return that there is no memory for checkpoints."""
        return Room(available_memory(), 0)

    def load(self, checkpoint: Checkpoint, path: Path, report: OnProgress) -> Loaded:  # noqa: ARG002
        """Raise EngineFailed: there are no checkpoints."""
        _no_checkpoints()

    def gauge(self, checkpoint: Checkpoint, spare: Callable[[], bool]) -> Loaded | None:  # noqa: ARG002
        """Raise EngineFailed: there are no checkpoints."""
        _no_checkpoints()

    def unload(self, checkpoint: Checkpoint) -> None:  # noqa: ARG002
        """Raise EngineFailed: there are no checkpoints."""
        _no_checkpoints()

    def compute(self, job: ClipJob) -> NoReturn:  # noqa: ARG002
        """Raise EngineFailed: codes and cloned voices need a checkpoint."""
        _no_checkpoints()

    def admit(self, opening: Opening) -> None:
        """Open a row with its whole text; voice, language and sampling are ignored.

        Raises EngineFailed for codes to play, and for live text.
        """
        if not isinstance(opening, Submit):
            _no_checkpoints()
        if opening.live:
            raise EngineFailed("The standby voice accepts complete texts only.")
        counts = _Counts()
        self._rows[opening.row] = self._speak(opening.text, counts), counts

    def add_text(self, row: int, text: str) -> NoReturn:  # noqa: ARG002
        """Raise EngineFailed: there are no live rows."""
        raise EngineFailed("The standby voice accepts complete texts only.")

    def end_text(self, row: int) -> NoReturn:  # noqa: ARG002
        """Raise EngineFailed: there are no live rows."""
        raise EngineFailed("The standby voice accepts complete texts only.")

    def cancel(self, row: int) -> None:
        """Drop a row; does nothing if there is none of this number."""
        self._rows.pop(row, None)

    def waiting(self, row: int) -> bool:  # noqa: ARG002
        """Return False: all text is there from the beginning."""
        return False

    def step(self, rows: Collection[int]) -> Iterator[Output]:
        """Yield one sentence of each row, or its error; rows share no state, so an error never concerns another row."""
        for row in rows:
            speech, counts = self._rows[row]
            try:
                yield Audio(row, next(speech).tobytes())
            except StopIteration:
                yield Ended(row, counts.phonemes, -(-counts.samples // FRAME_SAMPLES))
            except Exception as error:
                yield Failed(row, as_speech_error(error, "The standby voice failed on this text"))

    def _speak(self, text: str, counts: _Counts) -> Iterator[npt.NDArray[np.float32]]:
        spoken, rng = False, np.random.default_rng(_SEED)
        for phonemes in self._phonemes(text):
            counts.phonemes += len(phonemes)
            samples = self._voice.from_ids(self._voice.ids(phonemes), 1.0, rng)
            if samples.size:
                spoken = True
                counts.samples += samples.size
                yield samples.astype(np.float32)
        if not spoken:
            raise EngineFailed("The standby voice can't pronounce this text; it speaks English only.")

    def _phonemes(self, text: str) -> list[str]:
        """Return the phonemes of each sentence in parts of at most MAX_PHONEMES, to limit a step's time and memory."""
        try:
            sentences = self._voice.phonemize(text)
        except (ValueError, IndexError):  # the library raises these for a number that it can't read
            sentences = self._voice.phonemize(spell_numbers(text))
        return [part for sentence in sentences for part in _parts(sentence)]


def _make_voice() -> Hibari:
    """Return the voice, whose lexicon is read on a thread while the session is made: 0.3 and 0.1 seconds."""
    with ThreadPoolExecutor(1, "lexicon") as thread:
        lexicon = thread.submit(G2P)
        return Hibari(g2p=lambda sentence: lexicon.result()(sentence))  # noqa: PLW0108  so that nothing waits for it


def spell_numbers(text: str) -> str:
    """Spell numbers that are too long for names digit by digit, in groups of three, and write all digits as 0 to 9."""
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
    """Split phonemes into parts of at most MAX_PHONEMES, between words where possible."""
    return textwrap.wrap(phonemes, MAX_PHONEMES) if len(phonemes) > MAX_PHONEMES else [phonemes]


def _no_checkpoints() -> NoReturn:
    raise EngineFailed("The standby voice has no checkpoints.")
