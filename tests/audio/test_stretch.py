"""Stretched speech has the length that was asked for, and its own pitch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyoming_qwen3.audio.stretch import Stretcher
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray

SPEEDS = (0.25, 0.4, 0.5, 0.8, 0.999, 1.0, 1.25, 2.0, 3.0, 4.0)


def tone(frequency: float, seconds: float) -> FloatArray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(
        np.float32
    )


def noise(samples: int) -> FloatArray:
    return (0.1 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


def stretched(samples: FloatArray, speed: float, sizes: list[int]) -> FloatArray:
    """Fed in pieces of those sizes, in turn, until all are fed."""
    stretcher, at = Stretcher(speed), 0
    out: list[FloatArray] = []
    while at < samples.size:
        size = sizes[len(out) % len(sizes)]
        out.append(stretcher.feed(samples[at : at + size]))
        at += size
    return np.concatenate([*out, stretcher.finish()])


@pytest.mark.parametrize("speed", SPEEDS)
def test_the_length_follows_the_speed_and_the_pitch_stays(speed: float) -> None:
    out = stretched(tone(220, 2.0), speed, [FRAME_SAMPLES])
    assert out.dtype == np.float32
    assert out.size / SAMPLE_RATE == pytest.approx(2.0 / speed, abs=0.025)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(out.size), n=10 * SAMPLE_RATE))
    assert np.argmax(spectrum) / 10 == pytest.approx(220, abs=0.5)


@pytest.mark.parametrize("speed", SPEEDS)
def test_the_sound_is_as_loud_from_beginning_to_end(speed: float) -> None:
    """No gap, no click: a sine stays a sine of the same height but for where it is joined."""
    out = stretched(tone(220, 1.0), speed, [FRAME_SAMPLES])[: round(0.95 / speed * SAMPLE_RATE)]
    blocks = out[: out.size // 480 * 480].reshape(-1, 480)
    assert np.sqrt((blocks**2).mean(axis=1)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    assert np.abs(np.diff(out)).max() < 0.06  # a sine of this height and pitch has 0.029


@pytest.mark.parametrize("speed", [speed for speed in SPEEDS if speed != 1])
def test_the_last_sound_is_not_lost(speed: float) -> None:
    quiet, last = noise(30_000) / 50, noise(480)
    out = stretched(np.concatenate([quiet, last]), speed, [FRAME_SAMPLES])
    assert np.square(out[-round(0.2 * SAMPLE_RATE) :]).sum() > 0.5 * np.square(last).sum() / max(speed, 1)


@pytest.mark.parametrize("speed", SPEEDS)
def test_output_begins_before_the_input_ends(speed: float) -> None:
    stretcher = Stretcher(speed)
    out = np.concatenate([stretcher.feed(piece) for piece in np.split(noise(SAMPLE_RATE), 10)])
    assert out.size > 0.6 * SAMPLE_RATE / speed


@given(
    speed=st.sampled_from(SPEEDS),
    samples=st.integers(0, 6_000),
    sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=5),
)
def test_the_split_does_not_show(speed: float, samples: int, sizes: list[int]) -> None:
    sound = noise(samples)
    assert np.array_equal(stretched(sound, speed, sizes), stretched(sound, speed, [max(1, samples)]))


def test_single_samples_may_be_fed() -> None:
    sound = noise(3_000)
    assert np.array_equal(stretched(sound, 1.3, [1]), stretched(sound, 1.3, [3_000]))


def test_at_speed_one_samples_go_through_at_once() -> None:
    stretcher, sound = Stretcher(1.0), noise(100)
    assert stretcher.feed(sound) is sound
    assert stretcher.finish().size == 0


def test_nothing_fed_is_nothing() -> None:
    assert Stretcher(2.0).finish().size == 0
