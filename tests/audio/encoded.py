"""Encoded sound, decoded again and compared with what it was."""

import io
from typing import get_args

import av
import numpy as np

from wyoming_qwen3.audio.encode import AudioFormat
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)

# Samples that an encoder puts before the first, where the format has no field to say so.
DELAYS: dict[AudioFormat, int] = {"mp3": 576 + 529, "opus": 0, "aac": 1024, "flac": 0}


def decoded(data: bytes) -> FloatArray:
    """The samples of a file at 24 kHz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(io.BytesIO(data), "r") as container:
        frames = [*container.decode(audio=0), None]
        out = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return np.concatenate(out, dtype=np.float32)


def likeness(left: FloatArray, right: FloatArray) -> float:
    """Correlation: 1 for the same waveform at any volume."""
    return float(np.corrcoef(left, right)[0, 1])
