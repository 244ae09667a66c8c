"""Composed sound lies where it was put, sample for sample, and never goes beyond full scale."""

import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyoming_qwen3.audio.mix import MAX_SECONDS, NORMAL_PEAK, Track, mix, sequence
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

Compose = Callable[[Sequence[Track], bool], FloatArray]


def as_mix(tracks: Sequence[Track], normalize: bool) -> FloatArray:
    return mix(tracks, normalize=normalize)


def as_sequence(tracks: Sequence[Track], normalize: bool) -> FloatArray:
    return sequence(tracks, crossfade=0.0, normalize=normalize)


both = pytest.mark.parametrize("compose", [as_mix, as_sequence])


def noise(samples: int, level: float = 0.1, seed: int = 0) -> FloatArray:
    hiss: FloatArray = np.random.default_rng(seed).standard_normal(samples, dtype=np.float32)
    return hiss * np.float32(level)


def ones(samples: int) -> FloatArray:
    return np.full(samples, 0.5, np.float32)


def test_tracks_of_a_mix_lie_at_their_offsets() -> None:
    first, second = noise(5_000), noise(3_000, seed=1)
    expected = np.zeros(24_240 + 3_000, np.float32)
    expected[480:5_480] += first
    expected[24_240:] += second
    out = mix([Track(second, offset=1.01), Track(first, offset=0.02)], normalize=False)
    assert out.dtype == np.float32
    assert np.array_equal(out, expected)


def test_tracks_that_overlap_add_up() -> None:
    first, second = noise(5_000), noise(5_000, seed=1)
    out = mix([Track(first), Track(second, offset=0.1, volume=0.5)], normalize=False)
    assert np.array_equal(out[:2_400], first[:2_400])
    assert np.array_equal(out[2_400:5_000], first[2_400:] + np.float32(0.5) * second[:2_600])
    assert np.array_equal(out[5_000:], np.float32(0.5) * second[2_600:])


def test_tracks_of_a_sequence_follow_each_other_with_silence_before_them() -> None:
    parts = [noise(1_000), noise(2_000, seed=1), noise(500, seed=2)]
    tracks = [Track(parts[0], offset=0.01), Track(parts[1]), Track(parts[2], offset=0.1)]
    expected = [np.zeros(240, np.float32), *parts[:2], np.zeros(2_400, np.float32), parts[2]]
    for crossfade in (0.0, 0.02):
        out = sequence(tracks, crossfade=crossfade, normalize=False)
        assert out.size == sum(part.size for part in expected) - round(crossfade * SAMPLE_RATE)
    assert np.array_equal(sequence(tracks, crossfade=0.0, normalize=False), np.concatenate(expected))
    assert np.array_equal(out[-2_900:-500], np.zeros(2_400))  # nothing overlaps across the silence
    assert np.array_equal(out[-500:], parts[2])


@both
def test_one_track_alone_stays_as_it_is(compose: Compose) -> None:
    track = Track(noise(7_777))
    before = track.samples.copy()
    out = compose([track], False)
    assert np.array_equal(out, before)
    out[:] = 0
    assert np.array_equal(track.samples, before)  # not a view of it


@both
def test_fades_are_a_quarter_of_a_sine(compose: Compose) -> None:
    out = compose([Track(ones(12_000), fade_in=0.1, fade_out=0.2)], False)
    rise = 0.5 * np.sin(np.pi / 2 * (np.arange(2_400) + 0.5) / 2_400)
    fall = 0.5 * np.cos(np.pi / 2 * (np.arange(4_800) + 0.5) / 4_800)
    assert out[:2_400] == pytest.approx(rise, abs=1e-6)
    assert np.array_equal(out[2_400:7_200], ones(4_800))
    assert out[7_200:] == pytest.approx(fall, abs=1e-6)


def test_a_fade_longer_than_its_track_is_as_long_as_it() -> None:
    out = mix([Track(ones(2_400), fade_in=10.0)], normalize=False)
    assert np.array_equal(out, mix([Track(ones(2_400), fade_in=0.1)], normalize=False))


def test_fades_that_meet_both_apply() -> None:
    out = mix([Track(ones(2_400), fade_in=0.1, fade_out=0.1)], normalize=False)
    angle = np.pi / 2 * (np.arange(2_400) + 0.5) / 2_400
    assert out == pytest.approx(0.5 * np.sin(angle) * np.cos(angle), abs=1e-6)


def test_the_power_stays_the_same_while_tracks_cross() -> None:
    """Of sounds that have nothing to do with each other; measured over many."""
    power = np.zeros(20_000 + 20_000 - 7_200)
    for seed in range(200):
        tracks = [Track(noise(20_000, seed=2 * seed)), Track(noise(20_000, seed=2 * seed + 1))]
        power += np.square(sequence(tracks, crossfade=0.3, normalize=False), dtype=np.float64) / 200
    assert power.reshape(-1, 400).mean(axis=1) == pytest.approx(0.01, rel=0.02)


def test_sounds_that_cross_are_weighted_by_sine_and_cosine() -> None:
    first, second = noise(10_000), noise(8_000, seed=1)
    out = sequence([Track(first), Track(second)], crossfade=0.1, normalize=False)
    assert out.size == 18_000 - 2_400
    assert np.array_equal(out[:7_600], first[:7_600])
    assert np.array_equal(out[10_000:], second[2_400:])
    angle = np.pi / 2 * (np.arange(2_400) + 0.5) / 2_400
    assert out[7_600:10_000] == pytest.approx(np.cos(angle) * first[7_600:] + np.sin(angle) * second[:2_400], abs=1e-6)


@pytest.mark.parametrize(
    ("sizes", "overlaps"),
    [
        ((10_000, 10_000), (2_400,)),
        ((10_000, 1_000), (1_000,)),
        ((1_000, 10_000), (1_000,)),
        ((10_000, 1_000, 10_000), (500, 500)),
        ((10_000, 10_000, 300), (2_400, 300)),
        ((100, 1, 100), (0, 0)),
        ((10_000,), ()),
    ],
)
def test_a_crossfade_is_no_longer_than_its_neighbours_allow(sizes: tuple[int, ...], overlaps: tuple[int, ...]) -> None:
    tracks = [Track(noise(size, seed=size)) for size in sizes]
    out = sequence(tracks, crossfade=0.1, normalize=False)
    assert out.size == sum(sizes) - sum(overlaps)


def test_a_crossfade_goes_with_the_tracks_own_fades() -> None:
    out = sequence([Track(ones(4_800), fade_out=0.1), Track(ones(4_800))], crossfade=0.1, normalize=False)
    angle = np.pi / 2 * (np.arange(2_400) + 0.5) / 2_400
    assert out[2_400:4_800] == pytest.approx(0.5 * np.cos(angle) ** 2 + 0.5 * np.sin(angle), abs=1e-6)


# Level.

sounds = st.lists(
    st.builds(
        lambda size, level, seed, offset, volume: Track(noise(size, level, seed).clip(-1, 1), offset, volume),
        st.integers(1, 30_000),
        st.floats(0, 1, width=32),
        st.integers(0, 9),
        st.floats(0, 1),
        st.floats(0, 4),
    ),
    min_size=1,
    max_size=4,
)


@given(tracks=sounds, crossfade=st.floats(0, 1))
def test_nothing_goes_beyond_full_scale(tracks: list[Track], crossfade: float) -> None:
    for normalize in (False, True):
        for out in (mix(tracks, normalize=normalize), sequence(tracks, crossfade=crossfade, normalize=normalize)):
            assert np.isfinite(out).all()
            assert np.abs(out).max() <= 1


@given(tracks=sounds)
def test_the_limiter_touches_only_what_is_near_a_peak(tracks: list[Track]) -> None:
    """It turns down, not up, and leaves alone what is 5 ms before or 51 ms after the last sample that is too loud."""
    plain = np.zeros(max(round(track.offset * SAMPLE_RATE) + track.samples.size for track in tracks), np.float32)
    for track in tracks:
        at = round(track.offset * SAMPLE_RATE)
        plain[at : at + track.samples.size] += track.samples * np.float32(track.volume)
    out = mix(tracks, normalize=False)
    assert out.size == plain.size
    assert (np.abs(out) <= 1.002 * np.abs(plain)).all()  # its last step back may go a hundredth of a decibel too far
    assert (out * plain >= 0).all()
    near = np.zeros(plain.size, bool)
    for peak in np.flatnonzero(np.abs(plain) > 1):
        near[max(0, peak - 120) : peak + 1_224] = True
    assert np.array_equal(out[~near], plain[~near])


def test_a_single_peak_is_turned_down_smoothly() -> None:
    """Look-ahead: the gain falls before the peak and comes back after it, and nothing is bent."""
    quiet = ones(24_000)
    peak = np.zeros(24_000, np.float32)
    peak[12_000:12_010] = 1.0
    gain = mix([Track(quiet), Track(peak, volume=4.0)], normalize=False) / (quiet + 4 * peak)
    assert gain[12_000:12_010] == pytest.approx(1 / 4.5, rel=0.01)
    assert np.abs(np.diff(gain)).max() < 0.05
    assert gain[11_990] < 0.5
    assert gain[11_800] == gain[13_300] == 1


def test_a_limited_mix_does_not_depend_on_where_blocks_end() -> None:
    """Put a second later, it sounds the same."""
    loud = noise(60_000, 0.6)
    early, late = (mix([Track(loud.clip(-1, 1), at, 3.0)], normalize=False) for at in (0.0, 0.77))
    assert np.array_equal(late[round(0.77 * SAMPLE_RATE) :], early)


@both
@pytest.mark.parametrize("volume", [0.05, 0.5, 1.0, 4.0])
def test_normalizing_brings_the_peak_to_minus_one_decibel_up_or_down(compose: Compose, volume: float) -> None:
    sound = noise(20_000).clip(-0.5, 0.5)
    out = compose([Track(sound, volume=volume)], True)
    assert np.abs(out).max() == pytest.approx(NORMAL_PEAK, rel=1e-5)
    assert 20 * np.log10(NORMAL_PEAK) == pytest.approx(-1.0)
    assert out == pytest.approx(sound * (NORMAL_PEAK / np.abs(sound).max()), abs=1e-6)  # by one factor


def test_normalizing_leaves_silence_silent_and_noise_quiet() -> None:
    assert not mix([Track(np.zeros(1_000, np.float32))], normalize=True).any()
    assert not mix([Track(noise(1_000), volume=0.0)], normalize=True).any()
    hum = noise(1_000, 1e-5)
    assert mix([Track(hum)], normalize=True) == pytest.approx(hum * 100, rel=1e-5)
    tiny = np.full(10, 1e-42, np.float32)  # denormal
    assert np.isfinite(mix([Track(tiny)], normalize=True)).all()


# What is refused.


@pytest.mark.parametrize("compose", [as_mix, as_sequence])
def test_no_tracks_are_refused(compose: Compose) -> None:
    with pytest.raises(InvalidRequest, match="at least one track"):
        compose([], True)


@pytest.mark.parametrize("field", ["offset", "volume", "fade_in", "fade_out"])
@pytest.mark.parametrize("value", [-0.001, 1e12, 1e308, float("inf"), float("nan")])
def test_values_out_of_range_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidRequest, match=f"{field} must be between 0 and ") as caught:
        Track(noise(10), **{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize("value", [-0.1, 61.0, 1e12, float("nan")])
def test_a_crossfade_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(InvalidRequest, match="crossfade must be between 0 and 60") as caught:
        sequence([Track(noise(10))], crossfade=value, normalize=False)
    assert caught.value.param == "crossfade"


def test_a_track_without_samples_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="contain audio"):
        Track(np.empty(0, np.float32))


@pytest.mark.parametrize(
    ("compose", "tracks"),
    [
        (as_mix, [Track(ones(1_000)), Track(ones(1), offset=MAX_SECONDS)]),
        (as_sequence, [Track(ones(1_000), offset=MAX_SECONDS / 2), Track(ones(1_000), offset=MAX_SECONDS / 2)]),
        (as_sequence, [Track(ones(SAMPLE_RATE * 60))] * 31),
    ],
)
def test_what_would_be_too_long_is_refused_before_it_takes_memory(compose: Compose, tracks: list[Track]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="must not last more than 1800 s"):
            compose(tracks, True)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
