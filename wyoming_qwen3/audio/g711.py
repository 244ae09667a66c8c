"""Samples to G.711, the sound of the telephone: 8 kHz, 8 bits a sample. Knows no protocol.

ITU-T G.711 (11/88): mu-law in North America and Japan, A-law elsewhere.
"""

import math
from typing import Literal

import av

from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

from .libav import run_out, to_frame

G711_RATE = 8_000
"""Hz; one byte a sample."""

Law = Literal["mulaw", "alaw"]


class G711Encoder:
    """Takes mono float32 in [-1, 1] (what lies outside is clipped) at `SAMPLE_RATE`, in any split; an `Encoder`.

    What comes out depends on the samples alone, not on how they were split: there is no click between two pieces.
    """

    def __init__(self, law: Law) -> None:
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=G711_RATE)
        codec = av.CodecContext.create(f"pcm_{law}", "w")
        assert isinstance(codec, av.AudioCodecContext)
        codec.sample_rate, codec.layout, codec.format = G711_RATE, "mono", "s16"
        self._codec = codec
        self._fed = self._given = 0

    def feed(self, samples: FloatArray) -> bytes:
        """float32 [samples], any number, -> the bytes that have become certain, perhaps none."""
        self._fed += samples.size
        data = self._encode(samples)
        self._given += len(data)
        return data

    def finish(self) -> bytes:
        """The rest: in all, the length of what was fed, rounded up to a sample."""
        length = math.ceil(self._fed * G711_RATE / SAMPLE_RATE)
        return self._encode(run_out(SAMPLE_RATE))[: length - self._given]

    def close(self) -> None:
        """Nothing is held that has to be freed."""

    def _encode(self, samples: FloatArray) -> bytes:
        if not samples.size:
            return b""
        parts = self._resampler.resample(to_frame(samples))
        packets = [packet for part in parts for packet in self._codec.encode(part)]
        return b"".join(map(bytes, packets))
