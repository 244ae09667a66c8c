"""Each effect does what its name says, measured; a chain neither cuts nor shifts the sound, however it is split."""

import itertools
import sys

import av
import av.filter
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from wyoming_qwen3.audio.chain import Chain, check_installed
from wyoming_qwen3.core.effects import EFFECTS, read_effects
from wyoming_qwen3.core.errors import NotSupported
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray

EVERY: dict[str, dict[str, object]] = {
    "pitch": {"type": "pitch", "semitones": 4},
    "speed": {"type": "speed", "factor": 1.3},
    "reverb": {"type": "reverb"},
    "low_shelf": {"type": "low_shelf", "gain_db": 6},
    "high_shelf": {"type": "high_shelf", "gain_db": -6},
    "gain": {"type": "gain", "gain_db": -6},
    "loudness": {"type": "loudness", "target_lufs": -23},
    "limiter": {"type": "limiter", "threshold_db": -20},
}
STREAMED = [effect for effect in EVERY.values() if effect["type"] != "loudness"]


def voice(seconds: float, f0: float = 140.0) -> FloatArray:
    """Three syllables a second of a voice whose pitch moves, 24 harmonics."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(f0 * (1 + 0.1 * np.sin(2 * np.pi * 1.3 * time))) / SAMPLE_RATE
    harmonics = sum(np.sin(number * phase) / number for number in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, 1)
    return (0.2 * harmonics * syllables).astype(np.float32)


def sine(frequency: float, seconds: float, height: float = 0.5) -> FloatArray:
    return (height * np.sin(2 * np.pi * frequency * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(
        np.float32
    )


def noise(samples: int, height: float = 0.1) -> FloatArray:
    return (height * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


def chained(samples: FloatArray, *items: dict[str, object], sizes: tuple[int, ...] = (FRAME_SAMPLES,)) -> FloatArray:
    """Fed in pieces of those sizes, in turn, until all are fed."""
    chain, at = Chain(read_effects(items)), 0
    out: list[FloatArray] = []
    for size in itertools.cycle(sizes):
        if at >= samples.size:
            return np.concatenate([*out, chain.finish()])
        out.append(chain.feed(samples[at : at + size]))
        at += size
    raise AssertionError


def decibels(ratio: float) -> float:
    return float(20 * np.log10(ratio))


def height(samples: FloatArray) -> float:
    return float(np.abs(samples).max())


def rms(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def pitch(samples: FloatArray) -> float:
    """Hz, of a steady sound: where the autocorrelation is highest within 40 to 1000 Hz."""
    spectrum = np.fft.rfft(samples * np.hanning(samples.size), n=2 * samples.size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    low, high = SAMPLE_RATE // 1000, SAMPLE_RATE // 40
    return SAMPLE_RATE / (low + float(np.argmax(correlation[low:high])))


def envelope(samples: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.convolve(samples.astype(np.float64) ** 2, np.hanning(480), "same")


def delay_ms(before: FloatArray, after: FloatArray) -> float:
    """How much later the syllables come, by the correlation of the envelopes; of two sounds of one length."""
    size = 2 * max(before.size, after.size)
    spectrum = np.fft.rfft(envelope(after), size) * np.conj(np.fft.rfft(envelope(before), size))
    at = int(np.argmax(np.fft.irfft(spectrum)))
    return (at if at < size // 2 else at - size) / SAMPLE_RATE * 1000


def response(effect: dict[str, object], frequency: float) -> float:
    """Gain in dB that the effect's impulse response has there."""
    impulse = np.zeros(SAMPLE_RATE, np.float32)
    impulse[0] = 0.01
    return decibels(np.abs(np.fft.rfft(chained(impulse, effect))[round(frequency)]) / 0.01)


def loudness(samples: FloatArray) -> float:
    """LUFS, by libav's meter: not the one that the chain measures with."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono")
    graph.link_nodes(source, graph.add("ebur128", "metadata=1"), graph.add("abuffersink")).configure()
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    graph.push(frame)
    graph.push(None)
    measured = []
    while True:
        try:
            measured.append(graph.pull())
        except EOFError:
            return float(measured[-1].metadata["lavfi.r128.I"])


# The chain.


def test_every_effect_of_the_table_can_be_made() -> None:
    assert list(EVERY) == [kind.type for kind in EFFECTS]
    for effect in EVERY.values():
        assert chained(voice(0.5), effect).dtype == np.float32


def test_an_empty_chain_gives_back_what_it_is_fed_at_once() -> None:
    chain, sound = Chain(()), noise(100)
    assert chain.feed(sound) is sound
    assert chain.finish().size == 0


@tried(40)
@given(
    items=st.lists(st.sampled_from(list(EVERY.values())), min_size=1, max_size=3),
    samples=st.integers(0, 6_000),
    sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=5),
)
def test_the_split_does_not_show(items: list[dict[str, object]], samples: int, sizes: list[int]) -> None:
    sound = noise(samples, 0.4)
    assert np.array_equal(chained(sound, *items, sizes=tuple(sizes)), chained(sound, *items, sizes=(max(1, samples),)))


@pytest.mark.parametrize("effect", EVERY.values(), ids=EVERY)
def test_single_samples_may_be_fed(effect: dict[str, object]) -> None:
    sound = voice(0.1)
    assert np.array_equal(chained(sound, effect, sizes=(1,)), chained(sound, effect))


@pytest.mark.parametrize("samples", [0, 1, 2, 100, 479, 480, 481, 3_000, 9_599])
@pytest.mark.parametrize("effect", EVERY.values(), ids=EVERY)
def test_sound_however_short_keeps_its_length(effect: dict[str, object], samples: int) -> None:
    out = chained(voice(1.0)[9_000 : 9_000 + samples], effect)
    assert np.isfinite(out).all()
    if effect["type"] == "speed":
        assert abs(out.size - samples / 1.3) <= 0.025 * SAMPLE_RATE
    elif effect["type"] == "pitch":
        assert 0 <= out.size - samples <= 0.045 * SAMPLE_RATE
        assert samples or not out.size
    elif effect["type"] == "reverb":
        assert out.size >= samples
        assert samples or not out.size
    else:
        assert out.size == samples


@pytest.mark.parametrize("effect", EVERY.values(), ids=EVERY)
def test_silence_stays_silence(effect: dict[str, object]) -> None:
    out = chained(np.zeros(30_001, np.float32), effect)
    assert not out.any()
    assert effect["type"] == "speed" or out.size == 30_001


@pytest.mark.parametrize("effect", STREAMED, ids=lambda effect: effect["type"])
def test_what_needs_not_the_whole_sound_does_not_wait_for_it(effect: dict[str, object]) -> None:
    chain = Chain(read_effects([effect]))
    out = np.concatenate([chain.feed(piece) for piece in np.split(voice(2.0), 25)])
    due = 2.0 / 1.3 if effect["type"] == "speed" else 2.0
    assert due - 0.15 < out.size / SAMPLE_RATE <= due


def test_effects_follow_one_another_in_the_order_that_is_asked_for() -> None:
    held: dict[str, object] = {"type": "limiter", "threshold_db": -20}
    louder: dict[str, object] = {"type": "gain", "gain_db": 6}
    assert decibels(height(chained(voice(1.0), held, louder))) == pytest.approx(-14, abs=0.01)
    assert decibels(height(chained(voice(1.0), louder, held))) == pytest.approx(-20, abs=0.01)


def test_a_chain_of_all_effects_ends_with_the_reverb_and_nothing_else() -> None:
    out = chained(voice(2.0), *EVERY.values())
    assert np.isfinite(out).all()
    assert 2.0 / 1.3 < out.size / SAMPLE_RATE < 2.0 / 1.3 + 2.0


@pytest.mark.parametrize("package", ["pedalboard", "pyloudnorm"])
def test_a_missing_package_is_named_before_anything_is_made(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    effects = read_effects([EVERY["gain"], EVERY["reverb" if package == "pedalboard" else "loudness"]])
    for refuse in (check_installed, Chain):
        with pytest.raises(NotSupported, match=r"pip install 'wyoming-qwen3\[effects\]'") as refused:
            refuse(effects)
        assert refused.value.param == "effects"


def test_only_the_effects_that_need_a_package_are_refused_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed(read_effects(list(EVERY.values())))
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    monkeypatch.setitem(sys.modules, "pyloudnorm", None)
    effects = read_effects([effect for name, effect in EVERY.items() if name not in {"reverb", "loudness"}])
    check_installed(effects)
    Chain(effects)


# What leaves it.


def test_what_is_louder_than_full_scale_is_limited_not_clipped() -> None:
    """A sine that is 12 dB too loud stays a sine: all but 0.1 % of its height is in the one frequency."""
    out = chained(sine(440, 1.0), {"type": "gain", "gain_db": 18})
    assert height(out) == pytest.approx(1.0, abs=1e-6)
    assert height(out) <= 1.0
    spectrum = np.abs(np.fft.rfft(out[6_000:18_000] * np.hanning(12_000))) ** 2
    assert spectrum[217:224].sum() > (1 - 1e-6) * spectrum.sum()


def test_what_is_not_louder_than_full_scale_leaves_as_it_is() -> None:
    sound = noise(48_000)
    assert np.array_equal(chained(sound / height(sound), {"type": "gain", "gain_db": 0}), sound / height(sound))


# Pitch and speed.


@pytest.mark.parametrize("semitones", [-12, -7, -3, -0.5, 0, 1, 4, 7, 12])
def test_pitch_moves_by_its_semitones_and_length_stays(semitones: float) -> None:
    sound = sum(sine(150 * number, 2.0, 0.2 / number) for number in range(1, 8))
    assert isinstance(sound, np.ndarray)
    out = chained(sound, {"type": "pitch", "semitones": semitones})
    assert 0 <= out.size - sound.size < 0.045 * SAMPLE_RATE
    assert pitch(out[4_800:-4_800]) / 150 == pytest.approx(2 ** (semitones / 12), rel=0.01)


@pytest.mark.parametrize("semitones", [-12, -3, 0, 3, 12])
def test_pitch_leaves_the_syllables_where_they_are_and_as_loud(semitones: float) -> None:
    sound = voice(4.0)
    out = chained(sound, {"type": "pitch", "semitones": semitones})
    assert out.size == sound.size  # it ends with a pause
    assert delay_ms(sound, out) == pytest.approx(0, abs=10)
    assert decibels(rms(out) / rms(sound)) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("semitones", [-12, -3, 3, 12])
def test_pitch_does_not_lose_the_last_sound(semitones: float) -> None:
    for start in range(30_000, 31_000, 100):
        sound = np.concatenate([noise(start, 0.002), sine(1_000, 0.02)])
        out = chained(sound, {"type": "pitch", "semitones": semitones})
        assert sound.size <= out.size <= sound.size + 0.045 * SAMPLE_RATE
        assert np.square(out[-3_400:]).sum() > 0.5 * np.square(sound[-2_400:]).sum()


def test_no_semitones_change_nothing() -> None:
    sound = voice(1.0)
    assert np.array_equal(chained(sound, {"type": "pitch", "semitones": 0}), sound)


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.9, 1, 1.5, 2, 4])
def test_speed_changes_the_length_and_not_the_pitch(factor: float) -> None:
    out = chained(sine(220, 2.0), {"type": "speed", "factor": factor})
    assert out.size / SAMPLE_RATE == pytest.approx(2.0 / factor, abs=0.025)
    assert pitch(out[2_400:-2_400]) == pytest.approx(220, rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.5, 2])
def test_speed_leaves_the_syllables_where_they_are_due(factor: float) -> None:
    sound = voice(4.0)
    out = chained(sound, {"type": "speed", "factor": factor})
    due = np.interp(np.arange(round(sound.size / factor)) * factor, np.arange(sound.size), np.sqrt(envelope(sound)))
    assert delay_ms(due.astype(np.float32), np.sqrt(envelope(out)).astype(np.float32)) == pytest.approx(0, abs=10)


# Shelves and gain.


@pytest.mark.parametrize("gain_db", [-24, -6, 3, 12])
@pytest.mark.parametrize(
    ("kind", "frequency", "inside", "outside"),
    [("low_shelf", 200, 20, 4_000), ("low_shelf", 1_000, 50, 11_000), ("high_shelf", 1_000, 11_000, 50)],
)
def test_a_shelf_has_its_gain_on_its_side_and_none_on_the_other(
    kind: str, frequency: float, inside: float, outside: float, gain_db: float
) -> None:
    effect: dict[str, object] = {"type": kind, "gain_db": gain_db, "frequency_hz": frequency}
    assert response(effect, inside) == pytest.approx(gain_db, abs=0.5)
    assert response(effect, outside) == pytest.approx(0, abs=0.5)
    assert response(effect, frequency) == pytest.approx(gain_db / 2, abs=0.5)


@pytest.mark.parametrize("effect", [{"gain_db": 24, "frequency_hz": 20}, {"gain_db": -24, "frequency_hz": 10_000}])
@pytest.mark.parametrize("kind", ["low_shelf", "high_shelf"])
def test_a_shelf_is_stable_at_the_ends_of_its_range(kind: str, effect: dict[str, object]) -> None:
    out = chained(noise(48_000, 0.001), {"type": kind, **effect})
    assert np.isfinite(out).all()
    assert decibels(rms(out[-4_800:]) / rms(out[4_800:9_600])) == pytest.approx(0, abs=3)


@pytest.mark.parametrize("gain_db", [-60, -6.5, 0, 3, 24])
def test_gain_is_exact(gain_db: float) -> None:
    sound = noise(4_801, 0.01)
    assert chained(sound, {"type": "gain", "gain_db": gain_db}) == pytest.approx(sound * 10 ** (gain_db / 20), rel=1e-6)


# Loudness.


@pytest.mark.parametrize("target", [-40, -30, -23, -16])
@pytest.mark.parametrize("level", [0.01, 0.1, 1.0])
def test_speech_is_as_loud_as_asked_for(target: float, level: float) -> None:
    out = chained(voice(5.0) * np.float32(level), {"type": "loudness", "target_lufs": target})
    assert loudness(out) == pytest.approx(target, abs=0.1)


def test_a_sine_has_the_height_that_the_standard_gives_its_loudness() -> None:
    """ITU-R BS.1770-4, annex 1: a sine of 997 Hz at full scale in one channel is -3.01 LKFS."""
    out = chained(sine(997, 2.0, 0.01), {"type": "loudness", "target_lufs": -23.01})
    assert height(out) == pytest.approx(0.1, rel=0.01)


def test_pauses_do_not_count() -> None:
    """The gate: the same sound with ten seconds of silence behind it gets the same gain."""
    alone = chained(sine(300, 2.0, 0.02), {"type": "loudness"})
    paused = chained(np.concatenate([sine(300, 2.0, 0.02), np.zeros(240_000, np.float32)]), {"type": "loudness"})
    assert decibels(height(paused) / height(alone)) == pytest.approx(0, abs=0.5)


def test_a_target_that_would_clip_loses_peaks_and_not_its_gain() -> None:
    out = chained(voice(5.0), {"type": "loudness", "target_lufs": -8})
    assert height(out) <= 1.0
    assert -12 < loudness(out) < -7.9


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.39, 0.4])
def test_sound_shorter_than_the_meter_can_measure_is_measured_as_one_block(seconds: float) -> None:
    """So it is as loud as a long one: neither padded with silence, nor left alone."""
    out = chained(sine(1_000, seconds, 0.01), {"type": "loudness", "target_lufs": -23})
    assert decibels(height(out)) == pytest.approx(-20, abs=1.5)


def test_sound_below_the_gate_is_left_alone() -> None:
    """-70 LUFS is the absolute gate: there is nothing to be measured."""
    sound = sine(1_000, 1.0, 1e-4)
    assert np.array_equal(chained(sound, {"type": "loudness"}), sound)


# The limiter.


@pytest.mark.parametrize("threshold_db", [-40, -20, -6, 0])
@pytest.mark.parametrize("release_ms", [1, 100, 1_000])
def test_no_sample_exceeds_the_threshold(threshold_db: float, release_ms: float) -> None:
    effect: dict[str, object] = {"type": "limiter", "threshold_db": threshold_db, "release_ms": release_ms}
    out = chained(noise(24_000, 0.5), effect)
    assert decibels(height(out)) == pytest.approx(threshold_db, abs=0.001)


def test_the_limiter_leaves_alone_what_is_soft() -> None:
    """Not turned up, not delayed: untouched until just before the loud part, and again after the release."""
    sound = sine(440, 3.0)
    sound[24_000:48_000] *= 1.9
    sound[:24_000] *= 0.9
    out = chained(sound, {"type": "limiter", "threshold_db": -6, "release_ms": 100})
    assert np.array_equal(out[:23_800], sound[:23_800])
    assert np.array_equal(out[51_000:], sound[51_000:])
    assert not np.array_equal(out[48_000:49_000], sound[48_000:49_000])


def test_a_longer_release_lets_go_later() -> None:
    sound = sine(440, 2.0, 0.4)
    sound[:12_000] *= 2

    def softened(release_ms: float) -> int:
        out = chained(sound, {"type": "limiter", "threshold_db": -6, "release_ms": release_ms})
        return int(np.flatnonzero(out != sound)[-1]) - 12_000

    assert softened(50) < 0.06 * SAMPLE_RATE < 0.3 * SAMPLE_RATE < softened(500) < 0.6 * SAMPLE_RATE


# Reverb.


def tail(**parameters: float) -> FloatArray:
    """What a burst of noise leaves behind it."""
    return chained(noise(12_000), {"type": "reverb", **parameters})[12_000:]


def test_a_room_rings_on_until_it_is_60_db_below_its_loudest() -> None:
    out = chained(noise(12_000), {"type": "reverb"})
    assert 0.5 < out.size / SAMPLE_RATE - 0.5 < 2
    assert decibels(height(out[-240:]) / height(out)) == pytest.approx(-60, abs=6)
    assert decibels(rms(out[12_000:14_400]) / rms(out[:12_000])) > -25
    blocks = [rms(block) for block in np.array_split(out[12_000:], 8)]
    assert blocks == sorted(blocks, reverse=True)


def test_a_larger_room_rings_longer() -> None:
    sizes = [tail(room_size=size).size / SAMPLE_RATE for size in (0, 0.3, 0.6, 0.9, 1)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 1
    assert 5 < sizes[-1] < 12


def test_walls_swallow_the_high_frequencies() -> None:
    def brightness(damping: float) -> float:
        spectrum = np.abs(np.fft.rfft(tail(damping=damping)[:12_000])) ** 2
        return float(spectrum[3_000:].sum() / spectrum[:1_000].sum())

    assert brightness(1) < brightness(0.5) < brightness(0)


def test_dry_is_the_voice_as_it_was_without_delay_or_gain() -> None:
    sound = voice(1.0)
    assert chained(sound, {"type": "reverb", "wet": 0}) == pytest.approx(sound, abs=1e-6)
    assert chained(sound, {"type": "reverb", "wet": 0, "dry": 0.5}) == pytest.approx(sound / 2, abs=1e-6)


def test_wet_is_the_room_alone_about_as_loud_as_the_voice() -> None:
    sound = noise(24_000)
    full, half = (chained(sound, {"type": "reverb", "dry": 0, "wet": wet}) for wet in (1.0, 0.5))
    assert not full[:600].any()  # the first wall is 25 ms away
    assert decibels(rms(full[12_000:24_000]) / rms(sound)) == pytest.approx(0, abs=2)
    assert half[:24_000] == pytest.approx(full[:24_000] / 2, abs=1e-6)


def test_a_click_has_its_tail_too() -> None:
    """Sound shorter than the way to the first wall: the silence before its echo is not the end."""
    out = chained(np.array([0.5], np.float32), {"type": "reverb", "wet": 1})
    assert out[0] == pytest.approx(0.5, abs=0.01)
    assert out.size > 0.1 * SAMPLE_RATE


def test_a_soft_voice_has_the_same_tail_as_a_loud_one() -> None:
    loud = chained(voice(1.0), {"type": "reverb"})
    soft = chained(voice(1.0) * np.float32(0.01), {"type": "reverb"})
    assert abs(loud.size - soft.size) < 0.02 * SAMPLE_RATE
