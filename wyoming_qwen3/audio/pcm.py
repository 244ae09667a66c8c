"""float32 <-> int16, the only place that does it."""

import numpy as np
import numpy.typing as npt

_FULL_SCALE = 32767.0


def to_int16(samples: npt.NDArray[np.float32]) -> bytes:
    """float32 in [-1, 1] (what lies outside is clipped) -> little-endian signed 16 bit."""
    scaled: npt.NDArray[np.int16] = np.rint(np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype("<i2")
    return scaled.tobytes()


def from_int16(data: bytes) -> npt.NDArray[np.float32]:
    """Little-endian signed 16 bit -> float32 [samples], which `to_int16` makes the same bytes of; -32768 is clipped."""
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(_FULL_SCALE)


def silence(seconds: float, sample_rate: int) -> npt.NDArray[np.float32]:
    """That much of nothing, float32 [samples]."""
    return np.zeros(round(seconds * sample_rate), dtype=np.float32)
