"""Speech is told from silence by its level, in clean and in noisy rooms."""

import numpy as np
import pytest

from wyoming_qwen3.audio.activity import HOP_SECONDS, find_speech
from wyoming_qwen3.core.request import FloatArray

RATES = (8_000, 11_025, 24_000, 44_100, 48_000)


def noise(seconds: float, rate: int, level: float) -> FloatArray:
    """White, `level` in dBFS."""
    rng = np.random.default_rng(round(seconds * 1000))
    return (10 ** (level / 20) * rng.standard_normal(round(seconds * rate))).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("speech", "room"), [(-20, -120), (-20, -42), (-35, -58), (-12, -40)])
def test_speech_is_found_where_it_is(rate: int, speech: float, room: float) -> None:
    parts = [noise(0.5, rate, room), noise(1.0, rate, speech), noise(0.6, rate, room), noise(0.4, rate, speech)]
    found = find_speech(np.concatenate([*parts, noise(0.9, rate, room)]), rate)
    assert found
    assert found.first * HOP_SECONDS == pytest.approx(0.5, abs=0.03)
    assert found.end * HOP_SECONDS == pytest.approx(2.5, abs=0.03)
    assert found.seconds == pytest.approx(1.4, abs=0.06)
    assert 10 * np.log10(found.level) == pytest.approx(speech, abs=0.7)
    assert 10 * np.log10(found.last_level) == pytest.approx(room, abs=1)


@pytest.mark.parametrize(("gap", "pauses"), [(0.1, False), (0.18, False), (0.24, True), (0.5, True)])
def test_short_gaps_are_part_of_the_speech(gap: float, pauses: bool) -> None:
    word = noise(0.4, 24_000, -20)
    found = find_speech(np.concatenate([word, noise(gap, 24_000, -120), word]), 24_000)
    assert found
    assert found.blocks.all() is np.bool_(not pauses)


def test_a_clip_without_pauses_is_all_speech() -> None:
    found = find_speech(noise(3.0, 24_000, -20), 24_000)
    assert found
    assert found.blocks.all()


def test_a_weak_ending_is_speech() -> None:
    """18 dB below the rest, after which there is nothing: as an s may be."""
    found = find_speech(np.concatenate([noise(1.0, 24_000, -20), noise(0.3, 24_000, -38)]), 24_000)
    assert found
    assert found.end * HOP_SECONDS == pytest.approx(1.3)


@pytest.mark.parametrize("samples", [0, 1, 100, 24_000])
def test_silence_holds_no_speech(samples: int) -> None:
    assert find_speech(np.zeros(samples, np.float32), 24_000) is None
    assert find_speech(noise(1.0, 24_000, -65), 24_000) is None


@pytest.mark.parametrize("samples", [1, 479, 480, 960])
def test_less_than_a_block_is_enough(samples: int) -> None:
    found = find_speech(np.full(samples, 0.5, np.float32), 24_000)
    assert found
    assert found.first == 0
    assert found.end == -(-samples // 480)
