"""Converts samples between float32 and signed 16-bit little-endian PCM: the only module that does."""

import numpy as np
import numpy.typing as npt

SCALE = 32767
"""The 16-bit value of a sample of 1.0 in what this program sends and keeps of speech."""

LIBRARY_SCALE = 32768
"""The same as libav and libsndfile decode 16 bits. A clip that is decoded and kept again must use it to stay equal."""

_MAX = 32767


def to_int16(samples: npt.NDArray[np.float32]) -> bytes:
    """Return float32 samples as 16-bit PCM. Samples outside [-1, 1] are clipped."""
    return quantize(samples).tobytes()


def quantize(samples: npt.NDArray[np.float32], scale: int = SCALE) -> npt.NDArray[np.int16]:
    """Return float32 samples as int16 of the same shape, where 1.0 is `scale`. Samples outside [-1, 1] are clipped."""
    scaled: npt.NDArray[np.int16] = np.rint(np.clip(samples, -1.0, _MAX / scale) * scale).astype("<i2")
    return scaled


def from_int16(data: bytes, scale: int = SCALE) -> npt.NDArray[np.float32]:
    """Return 16-bit PCM as float32 [samples], where `scale` is 1.0. With the same scale, `quantize` reverses it.

    -32768 is the exception: with SCALE it is below -1, and so clipped.
    """
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(scale)


def silence(seconds: float, sample_rate: int) -> npt.NDArray[np.float32]:
    """Return float32 zeros [samples] of that length."""
    return np.zeros(round(seconds * sample_rate), dtype=np.float32)
