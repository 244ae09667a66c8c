"""When an answer is sent that is still being made: at once, or when playback will not stall.

Times and sound are in seconds; the clock is told.
"""

from .request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray

_LONGEST_CHUNK = 4 * FRAME_SAMPLES / SAMPLE_RATE
_CAUTION = 0.95
"""Of the speed measured, what is counted on."""

_MOST_HELD = 120.0
"""Then it is sent whatever will come of it: what is held takes memory."""

_LETTER, _SYLLABLE = 0.065, 0.22
"""How long a character takes to say: one of an alphabet, and one of those that stand for a syllable."""

_FIRST_OF_EAST_ASIA = "\u2e80"


def expected_seconds(text: str) -> float:
    """About how long a text takes to say."""
    return sum(_SYLLABLE if character >= _FIRST_OF_EAST_ASIA else _LETTER for character in text)


def plays_through(made: float, expected: float, speed: float, chunk: float) -> bool:
    """Whether playback that begins now will not stall.

    `made` is there of the `expected` sound, and more is made at `speed`, seconds of sound a second, and comes in chunks
    of which the last had the length `chunk`; the next may be twice as long.
    """
    rest, speed = expected - made, speed * _CAUTION
    if rest <= 0 or made >= _MOST_HELD:
        return True
    until_next = min(2 * chunk, _LONGEST_CHUNK, rest) / speed
    return made >= until_next + rest * max(1 / speed - 1, 0.0)


class Start:
    """Holds the beginning of an answer back until it may be sent, and measures how fast it is made."""

    def __init__(self, now: float, speed: float | None) -> None:
        """`now` it begins to be made; `speed` is how fast it will be, as far as is known: infinite sends at once."""
        self.speed = speed
        self._asked = now
        self._first: tuple[float, float] | None = None
        self._made = 0.0
        self._held: list[FloatArray] | None = []

    def take(self, chunk: FloatArray, expected: float, now: float) -> list[FloatArray]:
        """More of it is made, of so much as is `expected` in all; what may be sent now."""
        length = chunk.size / SAMPLE_RATE
        self._made += length
        if self._held is None:
            return [chunk]
        self._held.append(chunk)
        speed = self._measure(length, now)
        return self.open() if plays_through(self._made, expected, speed, length) else []

    def open(self) -> list[FloatArray]:
        """What was held back, which is sent now, and all that comes after it at once."""
        held, self._held = self._held or [], None
        return held

    def _measure(self, length: float, now: float) -> float:
        """The first chunk took time to be begun, so that it tells the least that the speed may be."""
        if self._first is None:
            self._first = length, now
            return self.speed or length / max(now - self._asked, 1e-6)
        first, since = self._first
        if self.speed != float("inf"):
            self.speed = (self._made - first) / max(now - since, 1e-6)
        return self.speed
