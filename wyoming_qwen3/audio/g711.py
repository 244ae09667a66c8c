"""Encodes samples to G.711, the format of telephony: 8 kHz, 8 bits per sample. Knows no protocol.

ITU-T G.711 (11/88): mu-law in North America and Japan, A-law elsewhere.
"""

import math
from typing import Literal

import av

from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

from .libav import run_out, to_frame

G711_RATE = 8_000
"""Sample rate in Hz; a sample is one byte."""

Law = Literal["mulaw", "alaw"]


class G711Encoder:
    """An `Encoder` for mono float32 [samples] at `SAMPLE_RATE`; samples outside [-1, 1] are clipped.

    The output depends on the samples only, not on how they were split, so that there is no click between two chunks.
    """

    def __init__(self, law: Law) -> None:
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=G711_RATE)
        codec = av.CodecContext.create(f"pcm_{law}", "w")
        assert isinstance(codec, av.AudioCodecContext)
        codec.sample_rate, codec.layout, codec.format = G711_RATE, "mono", "s16"
        self._codec = codec
        self._fed = self._given = 0

    def feed(self, samples: FloatArray) -> bytes:
        """Add float32 [samples], and return the bytes that are ready, perhaps none."""
        self._fed += samples.size
        data = self._encode(samples)
        self._given += len(data)
        return data

    def finish(self) -> bytes:
        """Return the remaining bytes. The total length is that of the input, rounded up to a sample."""
        length = math.ceil(self._fed * G711_RATE / SAMPLE_RATE)
        return self._encode(run_out(SAMPLE_RATE))[: length - self._given]

    def close(self) -> None:
        """Do nothing: there are no resources to free."""

    def _encode(self, samples: FloatArray) -> bytes:
        if not samples.size:
            return b""
        parts = self._resampler.resample(to_frame(samples))
        packets = [packet for part in parts for packet in self._codec.encode(part)]
        return b"".join(map(bytes, packets))
