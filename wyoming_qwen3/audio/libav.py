"""Mono samples through libav's frames, filters and resampler. Knows no effects, formats or files.

Everything here keeps state between calls. Use each object from one thread at a time.
"""

from collections.abc import Iterable

import av
import av.filter
import numpy as np
import numpy.typing as npt

from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

NOTHING: FloatArray = np.empty(0, np.float32)


def to_frame(
    samples: FloatArray | npt.NDArray[np.float64] | npt.NDArray[np.int16],
    rate: int = SAMPLE_RATE,
    sample_format: str = "flt",
) -> av.AudioFrame:
    """Return samples [n] as a mono frame at `rate` Hz. `sample_format` is libav's name of their dtype."""
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format=sample_format, layout="mono")
    frame.sample_rate = rate
    return frame


def to_samples(frames: Iterable[av.AudioFrame]) -> FloatArray:
    """Return the samples of mono frames in a float format as float32 [samples]."""
    return np.concatenate([NOTHING, *(frame.to_ndarray()[0].astype(np.float32, copy=False) for frame in frames)])


def run_out(rate: int) -> FloatArray:
    """Return 50 ms of silence: longer than a resampler's filter, which holds back samples until others follow."""
    return np.zeros(rate // 20, np.float32)


class Resampler:
    """Changes the sample rate of mono float32 [samples], fed in any split."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._rate = from_rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=to_rate)

    def feed(self, samples: FloatArray) -> FloatArray:
        """Return the samples that are ready, perhaps none."""
        return to_samples(self._resampler.resample(to_frame(samples, self._rate))) if samples.size else NOTHING

    def finish(self) -> FloatArray:
        """Return the rest, followed by some silence. Nothing may be fed afterwards."""
        return np.concatenate([self.feed(run_out(self._rate)), to_samples(self._resampler.resample(None))])


class Filters:
    """A chain of libav filters for mono samples at `SAMPLE_RATE`. Each is a name and its arguments.

    With `double` the first filter gets float64.
    """

    def __init__(self, *filters: tuple[str, str], double: bool = False) -> None:
        self._double = double
        self._graph = av.filter.Graph()
        sample_format = "dbl" if double else "flt"
        source = self._graph.add_abuffer(sample_rate=SAMPLE_RATE, format=sample_format, layout="mono")
        nodes = [self._graph.add(name, arguments) for name, arguments in filters]
        self._graph.link_nodes(source, *nodes, self._graph.add("abuffersink")).configure()

    def feed(self, samples: FloatArray) -> FloatArray:
        """Return the float32 [samples] that are ready, perhaps none."""
        if samples.size:
            double = self._double
            self._graph.push(to_frame(samples.astype(np.float64), sample_format="dbl") if double else to_frame(samples))
        return self._pull()

    def finish(self) -> FloatArray:
        """Return the rest. Nothing may be fed afterwards."""
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> FloatArray:
        frames: list[av.AudioFrame] = []
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):  # it needs more input first, or has no more
                return to_samples(frames)
            assert isinstance(frame, av.AudioFrame)
            frames.append(frame)
