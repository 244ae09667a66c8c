"""Clips of a voice, as programs send them."""

import base64
import io

import numpy as np
import soundfile


def data_url(seconds: float, sample_rate: int = 24_000) -> str:
    """A hum of that length at a quarter of full scale, as a WAV file in a data: URL."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    hum = 0.25 * np.sin(2 * np.pi * (110 * time + 35 * time**2))
    file = io.BytesIO()
    soundfile.write(file, hum, sample_rate, format="WAV", subtype="PCM_16")
    return f"data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode()}"
