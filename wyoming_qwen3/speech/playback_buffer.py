"""Decides when audio that is still being generated is sent: when playback will not stall, or after `max_hold` seconds.

Lengths and times are in seconds; callers pass the current time. Audio is float32 [samples] at 24 kHz.
"""

from collections import deque

import numpy as np

from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray

MAX_HOLD_SECONDS = 8.0
"""Default limit on how long audio is held back.

Home Assistant sends a player nothing before the first audio, and ESPHome's players give up after 27 to 30 seconds.
Speech recognition, the assistant and the first chunk need part of that time.
"""

_MAX_CHUNK = 4 * FRAME_SAMPLES / SAMPLE_RATE
_CAUTION = 0.95
"""Share of the measured speed that is relied on."""

_BLOCK = SAMPLE_RATE // 100
_QUIET_BLOCKS = 6
"""60 ms: the closure of a plosive, inside a word, is rarely longer."""

_QUIET = 0.03
"""Share of the loudest block's level below which a block is quiet: -30 dB."""

_SILENT = 1e-3
"""Level below which a block is quiet whatever is beside it: -60 dBFS."""


def plays_through(made: float, expected: float, speed: float, chunk: float) -> bool:
    """Return whether playback that begins now will reach the end without a stall.

    `made` seconds of `expected` are there. The rest is generated at `speed` seconds of audio per second and arrives in
    chunks; the last one was `chunk` seconds long, and the next may be twice as long.
    """
    rest, speed = expected - made, speed * _CAUTION
    if rest <= 0:
        return True
    until_next = min(2 * chunk, _MAX_CHUNK, rest) / speed
    return made >= until_next + rest * max(1 / speed - 1, 0.0)


def last_pause(samples: FloatArray) -> int:
    """Return the middle of the last pause between words, as an index of a sample; 0 where there is no pause."""
    blocks = samples[: samples.size // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    if not blocks.size:
        return 0
    levels = np.sqrt(np.square(blocks, dtype=np.float64).mean(axis=1))
    quiet = levels < max(_QUIET * levels.max(), _SILENT)
    runs = np.convolve(quiet, np.ones(_QUIET_BLOCKS), "valid") == _QUIET_BLOCKS
    found = np.flatnonzero(runs)
    return int(found[-1] + _QUIET_BLOCKS // 2) * _BLOCK if found.size else 0


class PlaybackBuffer:
    """Holds audio back until playback will not stall, and measures how fast audio is generated.

    Before anything is sent, the whole answer must be able to play through. When a later piece arrives too late for
    that, its beginning is held back. After `max_hold` seconds without audible audio, what is held is sent up to its
    last pause between words.
    """

    def __init__(self, speed: float | None, max_hold: float = MAX_HOLD_SECONDS) -> None:
        """`speed` is the expected seconds of audio generated per second: None if unknown; infinity sends at once."""
        self.measured: float | None = None
        """Seconds of audio of this answer generated per second, from its first chunk on; None before its second."""

        self._speed = speed
        self._max_hold = max_hold
        self._tempo = 1.0
        self._held: deque[FloatArray] = deque()
        self._sent = False
        """Whether any audio was sent; until then the whole answer must play through."""

        self._begun = float("inf")
        self._piece_begun = 0.0
        self._made = 0.0
        self._of_piece = 0.0
        self._first: tuple[float, float] | None = None
        """Seconds of audio after the first measured chunk, and the time of that chunk."""

    def begin(self, now: float) -> None:
        """Note that a piece is now being generated."""
        self._begun = min(self._begun, now)
        self._piece_begun, self._of_piece = now, 0.0

    def restart(self, now: float, tempo: float) -> None:
        """Begin to measure the speed anew after a time in which there was nothing to generate.

        `tempo` is the playback speed from here on; 1 is the speed at which the audio is generated.
        """
        self._tempo = tempo
        if self._first:
            self._first = self._made, now

    def take(
        self, chunk: FloatArray, whole: float, piece: float, buffered_seconds: float, now: float
    ) -> list[FloatArray]:
        """Add a chunk of a piece and return the chunks that may be sent now.

        `whole` and `piece` are the expected lengths of the answer and of this piece. `buffered_seconds` is how much
        audio the listener has left to play; below 0, how long it has been waiting.
        """
        length = chunk.size / SAMPLE_RATE
        self._made += length
        self._of_piece += length
        self._held.append(chunk)
        speed = self._measure(length, now) / self._tempo
        held = sum(one.size for one in self._held) / SAMPLE_RATE / self._tempo
        if self._sent:
            made, waited = max(buffered_seconds, 0.0) + held, min(-buffered_seconds, now - self._piece_begun)
            expected = made + max(piece - self._of_piece, 0.0) / self._tempo
        else:
            made, waited, expected = held, now - self._begun, whole / self._tempo
        if plays_through(made, expected, speed, length / self._tempo):
            return self.release()
        return self._release_words() if waited >= self._max_hold else []

    def add(self, silence: FloatArray) -> list[FloatArray]:
        """Add silence, which takes no time to generate, and return the chunks that may be sent now."""
        if self._sent and not self._held:
            return [silence]
        self._held.append(silence)
        return []

    def end(self, *, known: bool) -> list[FloatArray]:
        """Note that a piece is complete and return the chunks that may be sent now.

        `known` tells whether all of the text is known; where it is not, nothing is held back for what may follow.
        """
        return self.release() if self._sent or not known else []

    def release(self) -> list[FloatArray]:
        """Stop holding back and return all held chunks."""
        held, self._held = list(self._held), deque()
        self._sent |= bool(held)
        return held

    def _release_words(self) -> list[FloatArray]:
        """Return the held audio up to its last pause between words; all of it where there is none."""
        held = np.concatenate(self.release())
        if end := last_pause(held):
            self._held.append(held[end:])
        return [held[: end or None]]

    def _measure(self, length: float, now: float) -> float:
        """Return the generation speed after a chunk of `length` seconds.

        The first chunk includes the time to begin, so it gives a lower bound.
        """
        if self._first is None:
            self._first = self._made, now
            return self._speed or length / max(now - self._begun, 1e-6)
        first, since = self._first
        self.measured = (self._made - first) / max(now - since, 1e-6)
        return float("inf") if self._speed == float("inf") else self.measured
