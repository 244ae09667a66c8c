"""Changes the speed of speech but not its pitch, while it is still being generated."""

import math

import numpy as np

from wyoming_qwen3.core.request import FloatArray

from .blocks import Blocks
from .libav import NOTHING, Filters


class Stretcher:
    """Makes mono float32 [samples] at `SAMPLE_RATE`, fed in any split, `speed` times as fast.

    Uses waveform similarity overlap-add (WSOLA), libav's `atempo` filter, which keeps the pitch. The output depends on
    the samples only, not on how they were split. It lags by about 100 ms, and its length is within 25 ms of the input's
    length divided by `speed`. A speed of 1 returns the input at once.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._filters = Filters(*(("atempo", repr(tempo)) for tempo in _stages(speed))) if speed != 1 else None
        self._blocks = Blocks()
        self._fed = 0
        self._given = 0

    def feed(self, samples: FloatArray) -> FloatArray:
        """Add float32 [samples], and return the samples that are ready, perhaps none."""
        if self._filters is None:
            return samples
        self._fed += samples.size
        out = self._push(self._filters, samples)
        self._given += out.size
        return out

    def finish(self) -> FloatArray:
        """Return the rest. Nothing may be fed afterwards."""
        if self._filters is None:
            return NOTHING
        length = round(self._fed / self._speed) + _LATEST if self._fed else 0
        # atempo drops what does not fill its last window, so silence is added, to be dropped instead of speech.
        return self._push(self._filters, np.zeros(_RUN_OUT, np.float32))[: max(0, length - self._given)]

    def _push(self, filters: Filters, samples: FloatArray) -> FloatArray:
        """Feed the filters in blocks of one size: atempo rounds per block, so another split would sound different."""
        return np.concatenate([NOTHING, *map(filters.feed, self._blocks.take(samples))])


_WINDOW = 1024
"""Samples that atempo moves together: the smallest power of two of at least 1/24 s."""

_LATEST = _WINDOW // 2
"""Samples by which the output may be late: the filter searches that far for a matching position."""

_RUN_OUT = 8 * _WINDOW
"""More samples than both stages hold back at the highest speed."""


def _stages(speed: float) -> list[float]:
    """Return equal factors from 0.5 to 2 with the product `speed`. Above 2, atempo would skip samples."""
    count = math.ceil(abs(math.log2(speed)))
    return [speed ** (1 / count)] * count
