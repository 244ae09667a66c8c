"""Faster or slower speech at its own pitch, while it is still being made. Knows no protocol and no format."""

import math

import numpy as np

from wyoming_qwen3.core.request import FloatArray

from .blocks import Blocks
from .libav import NOTHING, Filters


class Stretcher:
    """Takes mono float32 [samples] at `SAMPLE_RATE` in any split, gives them back `speed` times as fast.

    Waveform similarity overlap-add (WSOLA) by libav's `atempo` filter, so a voice keeps its pitch. What comes out
    depends on the samples alone, not on how they were split, lags behind by some 100 ms, and ends within 25 ms of
    the input's length divided by `speed`. A speed of 1 gives back what it is fed, at once.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._filters = Filters(*(("atempo", repr(tempo)) for tempo in _stages(speed))) if speed != 1 else None
        self._blocks = Blocks()
        self._fed = 0
        self._given = 0

    def feed(self, samples: FloatArray) -> FloatArray:
        """float32 [samples], any number, -> what has become certain, perhaps nothing."""
        if self._filters is None:
            return samples
        self._fed += samples.size
        out = self._push(self._filters, samples)
        self._given += out.size
        return out

    def finish(self) -> FloatArray:
        """The rest; nothing may be fed after it."""
        if self._filters is None:
            return NOTHING
        length = round(self._fed / self._speed) + _LATEST if self._fed else 0
        # atempo drops what does not fill its last window: silence follows, to be dropped in place of speech.
        return self._push(self._filters, np.zeros(_RUN_OUT, np.float32))[: max(0, length - self._given)]

    def _push(self, filters: Filters, samples: FloatArray) -> FloatArray:
        """Push in blocks of one size: atempo rounds per block, so that another split would sound different."""
        return np.concatenate([NOTHING, *map(filters.feed, self._blocks.take(samples))])


_WINDOW = 1024
"""Samples that atempo shifts as one: the power of two that reaches 1/24 s."""

_LATEST = _WINDOW // 2
"""How much later than its due time a sample may come out: the filter looks that far for a place that fits."""

_RUN_OUT = 8 * _WINDOW
"""More than both stages of the highest speed hold back."""


def _stages(speed: float) -> list[float]:
    """Equal factors within 0.5..2 that multiply to `speed`: above 2, atempo skips samples instead of blending them."""
    count = math.ceil(abs(math.log2(speed)))
    return [speed ** (1 / count)] * count
