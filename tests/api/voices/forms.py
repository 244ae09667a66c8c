"""Clips of a voice in forms, as programs send them."""

import io

import soundfile
from aiohttp import FormData

from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

TEXT = "She sells sea shells by the sea shore, and the shells are sea shells."
"""Of two to nine seconds."""


def wav(samples: FloatArray, sample_rate: int = SAMPLE_RATE, kind: str = "WAV") -> bytes:
    """Sound as a file of 16 bits."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format=kind, subtype="PCM_16")
    return file.getvalue()


def form(*files: tuple[str, bytes], filename: str = "clip.wav", **fields: str | list[str]) -> FormData:
    """A form of files by field, and of texts."""
    data = FormData(default_to_multipart=True)
    for name, content in files:
        data.add_field(name, content, filename=filename, content_type="audio/wav")
    for name, given in fields.items():
        for text in [given] if isinstance(given, str) else given:
            data.add_field(name, text)
    return data
