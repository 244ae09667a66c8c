"""Stores clips as WAV files of 16 bits at their own sample rate. Knows neither voices nor folders."""

import io

import numpy as np
import soundfile

from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import Reference

from .checks import check_words

_RATES = range(8_000, 192_000 + 1)


def check_clip(clip: Reference) -> None:
    """Raise InvalidRequest if the clip is empty, not finite float32 [samples], or not at 8 to 192 kHz."""
    samples = clip.samples
    if samples.dtype != np.float32 or samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
        raise InvalidRequest("A recording must be mono audio with at least one sample.", param="samples")
    if clip.sample_rate not in _RATES:
        raise InvalidRequest(f"A recording must have a sample rate of {_RATES[0]} to {_RATES[-1]} Hz.", param="samples")
    check_words(clip.text, "text")


def pack(clip: Reference) -> bytes:
    """Return the clip as the bytes of a mono PCM_16 WAV file, without its text. Samples outside [-1, 1] are clipped.

    Unpacking and packing it again gives the same bytes. Raises InvalidRequest as `check_clip` does.
    """
    check_clip(clip)
    # libsndfile scales floats by 32767 but reads by 32768, so a clip would get quieter each time.
    samples = pcm.quantize(clip.samples, pcm.LIBRARY_SCALE)
    file = io.BytesIO()
    soundfile.write(file, samples, clip.sample_rate, subtype="PCM_16", format="WAV")
    return file.getvalue()


def unpack(data: bytes, text: str | None) -> Reference:
    """Return the clip in the bytes of a mono PCM_16 WAV file, with `text`. Raises InvalidRequest for anything else."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if (file.format, file.subtype, file.channels) != ("WAV", "PCM_16", 1):
                raise InvalidRequest("A stored recording must be a mono WAV file of 16 bits.", param="samples")
            samples = file.read(dtype="float32")  # exact: scaled by a power of two
            rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise InvalidRequest("The recording is not a complete WAV file.", param="samples") from error
    if not samples.size or rate not in _RATES:
        raise InvalidRequest("The recording is empty or has an unsupported sample rate.", param="samples")
    return Reference(samples, rate, text)
