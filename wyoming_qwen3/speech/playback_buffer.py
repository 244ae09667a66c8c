"""When sound that is still being made is sent: at once, or when playback will not stall, or else between two words.

Times and sound are in seconds; the clock is told. Sound is float32 [samples] at 24 kHz.
"""

from collections import deque

import numpy as np

from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray

MAX_HOLD_SECONDS = 8.0
"""How long sound is held back at most. Home Assistant sends a player nothing before the first sound, and ESPHome's give
up after 27 to 30 seconds, of which the recognition of speech, the assistant and the first chunk take their part."""

_MAX_CHUNK = 4 * FRAME_SAMPLES / SAMPLE_RATE
_CAUTION = 0.95
"""Of the speed measured, what is counted on."""

_LETTER, _SYLLABLE = 0.065, 0.22
"""How long a character takes to say: one of an alphabet, and one of those that stand for a syllable."""

_FIRST_OF_EAST_ASIA = "\u2e80"

_BLOCK = SAMPLE_RATE // 100
_QUIET_BLOCKS = 6
"""60 ms: the closure of a plosive, inside a word, is rarely longer."""

_QUIET = 0.03
"""Of the loudest block's level: 30 dB below it."""

_SILENT = 1e-3
"""A level, -60 dBFS, below which there is no speech at all."""


def expected_seconds(text: str) -> float:
    """About how long a text takes to say."""
    return sum(_SYLLABLE if character >= _FIRST_OF_EAST_ASIA else _LETTER for character in text)


def plays_through(made: float, expected: float, speed: float, chunk: float) -> bool:
    """Whether playback that begins now will not stall.

    `made` is there of the `expected` sound, and more is made at `speed`, seconds of sound a second, and comes in chunks
    of which the last had the length `chunk`; the next may be twice as long.
    """
    rest, speed = expected - made, speed * _CAUTION
    if rest <= 0:
        return True
    until_next = min(2 * chunk, _MAX_CHUNK, rest) / speed
    return made >= until_next + rest * max(1 / speed - 1, 0.0)


def last_pause(samples: FloatArray) -> int:
    """Where the last pause between words in it is, in samples: its middle; 0 where there is none."""
    blocks = samples[: samples.size // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    if not blocks.size:
        return 0
    levels = np.sqrt(np.square(blocks, dtype=np.float64).mean(axis=1))
    quiet = levels < max(_QUIET * levels.max(), _SILENT)
    runs = np.convolve(quiet, np.ones(_QUIET_BLOCKS), "valid") == _QUIET_BLOCKS
    found = np.flatnonzero(runs)
    return int(found[-1] + _QUIET_BLOCKS // 2) * _BLOCK if found.size else 0


class PlaybackBuffer:
    """Holds sound back until playback will not stall, and measures how fast it is made.

    At first the whole answer is to play through; where a later piece comes too late for that, it is held at its
    beginning. What has been held for `max_hold` seconds, in which nothing could be heard, is sent up to its last pause
    between words.
    """

    def __init__(self, speed: float | None, max_hold: float = MAX_HOLD_SECONDS, tempo: float = 1.0) -> None:
        """`speed` is how fast it will be made, as far as is known: infinite sends at once.

        `tempo` is how fast it is played, where 1 is as fast as it was made to be.
        """
        self.speed = speed
        self._max_hold = max_hold
        self._tempo = tempo
        self._held: deque[FloatArray] = deque()
        self._sent = False
        """Whether anything was; until then the whole answer is waited for."""

        self._begun = float("inf")
        self._piece_begun = 0.0
        self._made = 0.0
        self._of_piece = 0.0
        self._first: tuple[float, float] | None = None
        """Sound made with the first chunk that is measured, and when that came."""

    def begin(self, now: float) -> None:
        """A piece begins to be waited for."""
        self._begun = min(self._begun, now)
        self._piece_begun, self._of_piece = now, 0.0

    def restart(self, now: float) -> None:
        """There was nothing to make for a while, which says nothing of how fast it is made."""
        if self._first:
            self._first = self._made, now

    def take(self, chunk: FloatArray, whole: float, piece: float, in_hand: float, now: float) -> list[FloatArray]:
        """Add a chunk and return what may be sent now.

        `whole` and `piece` are the expected lengths of the answer and of the piece that the chunk is part of; the
        listener has sound for `in_hand` seconds, which are below 0 where it has waited so long.
        """
        length = chunk.size / SAMPLE_RATE
        self._made += length
        self._of_piece += length
        self._held.append(chunk)
        speed = self._measure(length, now) / self._tempo
        held = sum(one.size for one in self._held) / SAMPLE_RATE / self._tempo
        if self._sent:
            made, waited = max(in_hand, 0.0) + held, min(-in_hand, now - self._piece_begun)
            expected = made + max(piece - self._of_piece, 0.0) / self._tempo
        else:
            made, waited, expected = held, now - self._begun, whole / self._tempo
        if plays_through(made, expected, speed, length / self._tempo):
            return self.release()
        return self._release_words() if waited >= self._max_hold else []

    def add(self, silence: FloatArray) -> list[FloatArray]:
        """Add silence, which takes no time to make, and return what may be sent now."""
        if self._sent and not self._held:
            return [silence]
        self._held.append(silence)
        return []

    def end(self, *, known: bool) -> list[FloatArray]:
        """A piece is complete: return what may be sent. `known` is whether all of the text to come is known."""
        return self.release() if self._sent or not known else []

    def release(self) -> list[FloatArray]:
        """Return all that is held."""
        held, self._held = list(self._held), deque()
        self._sent |= bool(held)
        return held

    def _release_words(self) -> list[FloatArray]:
        """All of the words that are complete; everything where no end of a word can be found."""
        held = np.concatenate(self.release())
        if end := last_pause(held):
            self._held.append(held[end:])
        return [held[: end or None]]

    def _measure(self, length: float, now: float) -> float:
        """The first chunk took time to be begun, so that it tells the least that the speed may be."""
        if self._first is None:
            self._first = self._made, now
            return self.speed or length / max(now - self._begun, 1e-6)
        first, since = self._first
        if self.speed != float("inf"):
            self.speed = (self._made - first) / max(now - since, 1e-6)
        return self.speed or length / max(now - since, 1e-6)
