"""Several sounds as one: side by side, or one after the other.

Works in one thread, for seconds where the sound is long: not for an event loop. Knows no protocol, and not where a
sound comes from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

from .libav import Filters

MAX_SECONDS = 30 * 60
"""Longest composition, silence within it included: 170 MB, and as much again while it is made."""

MAX_FADE_SECONDS = 60.0

MAX_VOLUME = 4.0
"""12 dB more."""

NORMAL_PEAK = 10 ** (-1 / 20)
"""-1 dBFS: a lossy format made of it still has room for its own overshoot."""

MAX_GAIN = 100.0
"""40 dB: what is quieter by more than this is noise or silence, and normalizing won't make it as loud as speech."""


@dataclass(frozen=True, eq=False)
class Track:
    """A sound to be put somewhere: mono float32 [samples] in [-1, 1] at `SAMPLE_RATE`, at least one sample.

    Raises InvalidRequest for values out of range, each named as its field here.
    """

    samples: FloatArray
    offset: float = 0.0
    """Seconds of silence before it: from the beginning of a mix, in a sequence from the end of the track before."""

    volume: float = 1.0
    """Factor of its amplitude."""

    fade_in: float = 0.0
    """Seconds in which it comes up from silence, by a quarter of a sine; as long as the track at most."""

    fade_out: float = 0.0
    """Seconds in which it goes down to silence at its end, by the same curve backwards."""

    def __post_init__(self) -> None:
        if not self.samples.size:
            raise InvalidRequest("A track must have sound in it.", param="samples")
        _check("offset", self.offset, MAX_SECONDS)
        _check("volume", self.volume, MAX_VOLUME)
        _check("fade_in", self.fade_in, MAX_FADE_SECONDS)
        _check("fade_out", self.fade_out, MAX_FADE_SECONDS)


def mix(tracks: Sequence[Track], *, normalize: bool) -> FloatArray:
    """All tracks at once, each beginning at its offset: float32 [samples] in [-1, 1], up to the last one's end.

    With `normalize` the whole is made louder or quieter by one factor, `MAX_GAIN` at most, so that its peak is
    `NORMAL_PEAK`. Without it only what would go beyond full scale is turned down, by a look-ahead limiter; the rest
    is the plain sum. Raises InvalidRequest for no tracks, and TooLarge for a whole beyond `MAX_SECONDS`, before
    anything is allocated.
    """
    placed = [_Placed(track, _samples(track.offset), 0, 0) for track in tracks]
    return _leveled(_sum(placed), normalize)


def sequence(tracks: Sequence[Track], *, crossfade: float, normalize: bool) -> FloatArray:
    """All tracks one after the other: float32 [samples] in [-1, 1]; level and errors as in `mix`.

    Neighbours without an offset between them overlap by `crossfade` seconds, of which the power of both together
    stays the same (their amplitudes are sine and cosine). The overlap is never longer than either neighbour, nor
    than half of one that has neighbours on both sides. Raises InvalidRequest also for a crossfade out of range.
    """
    _check("crossfade", crossfade, MAX_FADE_SECONDS)
    inner = range(1, len(tracks) - 1)
    room = [track.samples.size // (2 if number in inner else 1) for number, track in enumerate(tracks)]
    overlaps = [0] + [
        0 if tracks[number].offset else min(_samples(crossfade), before, after)
        for number, (before, after) in enumerate(pairwise(room), start=1)
    ]
    placed: list[_Placed] = []
    for track, overlap, following in zip(tracks, overlaps, [*overlaps[1:], 0], strict=False):
        end = placed[-1].end if placed else 0
        placed.append(_Placed(track, end - overlap + _samples(track.offset), overlap, following))
    return _leveled(_sum(placed), normalize)


@dataclass(frozen=True, eq=False)
class _Placed:
    """A track at its first sample in the whole, and how many samples it shares with the one before and after."""

    track: Track
    start: int
    overlap_before: int
    overlap_after: int

    @property
    def end(self) -> int:
        return self.start + self.track.samples.size


def _check(name: str, value: float, high: float) -> None:
    if not 0 <= value <= high:
        raise InvalidRequest(f"{name} must be between 0 and {high:g}, but is {value:g}.", param=name)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def _sum(placed: Sequence[_Placed]) -> FloatArray:
    if not placed:
        raise InvalidRequest("A composition needs at least one track.", param="tracks")
    length = max(part.end for part in placed)
    if length > MAX_SECONDS * SAMPLE_RATE:
        raise TooLarge(
            f"The composition would last {length / SAMPLE_RATE:.0f} s, but must not last more than {MAX_SECONDS} s.",
            param="tracks",
        )
    whole = np.zeros(length, np.float32)
    for part in placed:
        whole[part.start : part.end] += _shaped(part)
    return whole


def _shaped(part: _Placed) -> FloatArray:
    """The track's samples at their volume, with its fades."""
    shaped = part.track.samples * np.float32(part.track.volume)
    for length in (_samples(part.track.fade_in), part.overlap_before):
        rise = _rise(min(length, shaped.size))
        shaped[: rise.size] *= rise
    for length in (_samples(part.track.fade_out), part.overlap_after):
        rise = _rise(min(length, shaped.size))
        shaped[shaped.size - rise.size :] *= rise[::-1]
    return shaped


def _rise(length: int) -> FloatArray:
    """Quarter of a sine, taken in the middle of each sample: its square and that of its reverse add up to 1."""
    rise: FloatArray = np.sin((np.arange(length) + 0.5) * (np.pi / 2 / max(length, 1))).astype(np.float32)
    return rise


def _leveled(whole: FloatArray, normalize: bool) -> FloatArray:
    """`whole` itself, changed in place."""
    peak = float(max(whole.max(), -whole.min()))
    if normalize and peak:
        whole *= np.float32(min(NORMAL_PEAK / peak, MAX_GAIN))
    elif peak > 1:
        _limit(whole)
    return whole


_BLOCK = SAMPLE_RATE
"""Samples that libav gets at once; what comes out does not depend on it."""


def _limit(whole: FloatArray) -> None:
    """Turn down what goes beyond full scale, in place: libav's `alimiter`, which looks 5 ms ahead.

    It is back at the plain signal 50 ms later; `latency` makes up for its delay.
    """
    done = 0
    for part in _limited(whole):
        whole[done : done + part.size] = part
        done += part.size
    assert done == whole.size


def _limited(whole: FloatArray) -> Iterator[FloatArray]:
    limit = "limit=1:attack=5:release=50:level=disabled:latency=1"
    limiter = Filters(("alimiter", limit), ("aformat", "sample_fmts=flt"))
    for at in range(0, whole.size, _BLOCK):
        yield limiter.feed(whole[at : at + _BLOCK])
    yield limiter.finish()
