"""Clips of a voice, as programs send them."""

import base64
import io

import numpy as np
import numpy.typing as npt
import soundfile

SAID = "Hello, is anybody there?"
"""What a clip of 1 to 3 s may say."""


def data_url(seconds: float, sample_rate: int = 24_000) -> str:
    """A hum of that length at a quarter of full scale, as a WAV file in a data: URL."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return _url(0.25 * np.sin(2 * np.pi * (110 * time + 35 * time**2)), sample_rate)


def silence_url(seconds: float, sample_rate: int = 24_000) -> str:
    """The same of silence."""
    return _url(np.zeros(round(seconds * sample_rate)), sample_rate)


def _url(sound: npt.NDArray[np.float64], sample_rate: int) -> str:
    file = io.BytesIO()
    soundfile.write(file, sound, sample_rate, format="WAV", subtype="PCM_16")
    return f"data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode()}"
