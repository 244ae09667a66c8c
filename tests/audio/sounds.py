"""Sounds like those of a voice, and texts that clips may say."""

import numpy as np

from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

ENGLISH = "She sells sea shells by the sea shore, and the shells are sea shells."  # 54 letters
CHINESE = "今天天气很好我们一起去公园散步吧然后回家吃饭"  # 22 letters


def speech(seconds: float, level: float = -23, rate: int = SAMPLE_RATE) -> FloatArray:
    """Noise that swells four times a second as syllables do, from silence to silence; `level` in dBFS."""
    time = np.arange(round(seconds * rate)) / rate
    ends = np.minimum(1, 8 * np.minimum(time, time[::-1]))  # comes and dies away in an eighth of a second
    syllables = (0.3 + np.sin(2 * np.pi * 4 * time) ** 2) * ends
    sound = syllables * np.random.default_rng(round(seconds * 1000)).standard_normal(time.size)
    scaled: FloatArray = (sound / np.sqrt(np.square(sound).mean()) * 10 ** (level / 20)).astype(np.float32)
    return scaled.clip(-0.99, 0.99)


def quiet(seconds: float, rate: int = SAMPLE_RATE) -> FloatArray:
    """Silence."""
    return np.zeros(round(seconds * rate), np.float32)


def clipped(share: float) -> FloatArray:
    """Four seconds of speech of which that share is at full scale, ten samples at a time."""
    sound = speech(4.0)
    for at in np.linspace(2_000, sound.size - 12_000, round(share * sound.size / 10), dtype=int):
        sound[at : at + 10] = 1.0
    return sound
