"""Faster or slower speech at its own pitch, while it is still being made. Knows no protocol and no format."""

import math

import av
import av.filter
import numpy as np

from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray


class Stretcher:
    """Takes mono float32 [samples] at `SAMPLE_RATE` in any split, gives them back `speed` times as fast.

    Waveform similarity overlap-add (WSOLA) by libav's `atempo` filter, so a voice keeps its pitch. What comes out
    depends on the samples alone, not on how they were split, lags behind by some 100 ms, and ends within 25 ms of
    the input's length divided by `speed`. A speed of 1 gives back what it is fed, at once.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._graph = _graph(_stages(speed)) if speed != 1 else None
        self._held = np.empty(0, np.float32)
        self._fed = 0
        self._given = 0

    def feed(self, samples: FloatArray) -> FloatArray:
        """float32 [samples], any number, -> what has become certain, perhaps nothing."""
        if self._graph is None:
            return samples
        self._fed += samples.size
        out = self._push(self._graph, samples)
        self._given += out.size
        return out

    def finish(self) -> FloatArray:
        """The rest; nothing may be fed after it."""
        if self._graph is None:
            return np.empty(0, np.float32)
        length = round(self._fed / self._speed) + _LATEST if self._fed else 0
        # atempo drops what does not fill its last window: silence follows, to be dropped in place of speech.
        return self._push(self._graph, np.zeros(_RUN_OUT, np.float32))[: max(0, length - self._given)]

    def _push(self, graph: av.filter.Graph, samples: FloatArray) -> FloatArray:
        """Push on in blocks of one size: atempo rounds per block, so that another split would sound different."""
        self._held = np.concatenate([self._held, samples])
        whole = self._held.size - self._held.size % _BLOCK
        out = [np.empty(0, np.float32)]
        for at in range(0, whole, _BLOCK):
            frame = av.AudioFrame.from_ndarray(self._held[np.newaxis, at : at + _BLOCK], format="flt", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            graph.push(frame)
            out += _pull(graph)
        self._held = self._held[whole:]
        return np.concatenate(out)


_BLOCK = 480
"""20 ms: a frame of speech is a whole number of these."""

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


def _graph(tempos: list[float]) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono")
    stages = [graph.add("atempo", repr(tempo)) for tempo in tempos]
    graph.link_nodes(source, *stages, graph.add("abuffersink")).configure()
    return graph


def _pull(graph: av.filter.Graph) -> list[FloatArray]:
    out: list[FloatArray] = []
    while True:
        try:
            frame = graph.pull()
        except BlockingIOError:  # it wants more input first
            return out
        if isinstance(frame, av.AudioFrame):
            out.append(frame.to_ndarray()[0].astype(np.float32, copy=False))
