"""Combines several tracks: mixed, or one after the other. Knows no protocol, and not where a track comes from.

This may take seconds for long tracks, so it must not run on an event loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

from .libav import Filters

MAX_SECONDS = 30 * 60
"""Maximum length of a composition, including silence. It takes 170 MB, and twice that while it is made."""

MAX_FADE_SECONDS = 60.0

MAX_VOLUME = 4.0
"""12 dB."""

NORMAL_PEAK = 10 ** (-1 / 20)
"""-1 dBFS, which leaves room for the overshoot of a lossy format."""

MAX_GAIN = 100.0
"""40 dB. Anything quieter is noise or silence, and is not made as loud as speech."""


@dataclass(frozen=True, eq=False)
class Track:
    """A track of a composition: mono float32 [samples] in [-1, 1] at `SAMPLE_RATE`, at least one sample.

    Raises InvalidRequest for values out of range. The error's `param` is the name of the attribute.
    """

    samples: FloatArray
    offset: float = 0.0
    """Seconds of silence before the track, after the start of a mix or the end of the track before in a sequence."""

    volume: float = 1.0
    """Factor applied to the amplitude."""

    fade_in: float = 0.0
    """Seconds of fade in, shaped as a quarter of a sine; cut to the length of the track."""

    fade_out: float = 0.0
    """Seconds of fade out at the end, with the same curve reversed."""

    def __post_init__(self) -> None:
        if not self.samples.size:
            raise InvalidRequest("A track must contain audio.", param="samples")
        _check("offset", self.offset, MAX_SECONDS)
        _check("volume", self.volume, MAX_VOLUME)
        _check("fade_in", self.fade_in, MAX_FADE_SECONDS)
        _check("fade_out", self.fade_out, MAX_FADE_SECONDS)


def mix(tracks: Sequence[Track], *, normalize: bool) -> FloatArray:
    """Return the sum of all tracks, each starting at its offset: float32 [samples] in [-1, 1], up to the last end.

    With `normalize`, the sum is scaled so that its peak is `NORMAL_PEAK`, by a factor of at most `MAX_GAIN`. Without
    it, a look-ahead limiter reduces only what exceeds full scale. Raises InvalidRequest if there are no tracks, and
    TooLarge if the sum is longer than `MAX_SECONDS`, before anything is allocated.
    """
    placed = [_Placed(track, _samples(track.offset), 0, 0) for track in tracks]
    return _leveled(_sum(placed), normalize)


def sequence(tracks: Sequence[Track], *, crossfade: float, normalize: bool) -> FloatArray:
    """Return all tracks one after the other: float32 [samples] in [-1, 1]. Level and errors are as in `mix`.

    Two tracks without an offset between them overlap by `crossfade` seconds at constant power: their amplitudes follow
    a sine and a cosine. The overlap is never longer than either track, or than half of a track that overlaps on both
    sides. Also raises InvalidRequest for a crossfade out of range.
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
    """A track, the position of its first sample, and the number of samples that overlap with the tracks around it."""

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
    """Return the track's samples with its volume and fades."""
    shaped = part.track.samples * np.float32(part.track.volume)
    for length in (_samples(part.track.fade_in), part.overlap_before):
        rise = _rise(min(length, shaped.size))
        shaped[: rise.size] *= rise
    for length in (_samples(part.track.fade_out), part.overlap_after):
        rise = _rise(min(length, shaped.size))
        shaped[shaped.size - rise.size :] *= rise[::-1]
    return shaped


def _rise(length: int) -> FloatArray:
    """Return a quarter of a sine, taken in the middle of each sample: the squares of it and its reverse add up to 1."""
    rise: FloatArray = np.sin((np.arange(length) + 0.5) * (np.pi / 2 / max(length, 1))).astype(np.float32)
    return rise


def _leveled(whole: FloatArray, normalize: bool) -> FloatArray:
    """Normalize or limit the samples in place, and return them."""
    peak = float(max(whole.max(), -whole.min()))
    if normalize and peak:
        whole *= np.float32(min(NORMAL_PEAK / peak, MAX_GAIN))
    elif peak > 1:
        _limit(whole)
    return whole


_BLOCK = SAMPLE_RATE
"""Samples per call of libav. The output does not depend on it."""


def _limit(whole: FloatArray) -> None:
    """Limit the samples to full scale in place, with libav's `alimiter`, which looks 5 ms ahead.

    50 ms after a peak the signal is unchanged again. `latency` compensates for the filter's delay.
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
