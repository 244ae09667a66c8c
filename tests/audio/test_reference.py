"""A person is told what is wrong with a clip; several clips become one, and no sound and no text is cut."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.sounds import CHINESE, ENGLISH, clipped, quiet, speech
from wyoming_qwen3.audio.reference import MAX_SECONDS, check, combine, require_usable, try_recording
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray, Reference


def room(seconds: float, level: float) -> FloatArray:
    hiss: FloatArray = np.random.default_rng(7).standard_normal(round(seconds * SAMPLE_RATE), dtype=np.float32)
    return hiss * np.float32(10 ** (level / 20))


def join(*parts: FloatArray) -> FloatArray:
    return np.concatenate(parts)


def decibels(samples: FloatArray) -> float:
    return float(10 * np.log10(np.square(samples, dtype=np.float64).mean()))


def codes(samples: FloatArray, text: str | None = None, rate: int = SAMPLE_RATE) -> list[str]:
    return [finding.code for finding in check(samples, rate, text)]


GOOD = join(quiet(0.2), speech(4.0), quiet(0.3))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (GOOD, []),
        (GOOD + room(4.5, -55), []),
        (quiet(0), ["too_short"]),
        (speech(0.99), ["too_short"]),
        (speech(1.0), ["short"]),
        (speech(2.9), ["short"]),
        (speech(3.1), []),
        (speech(30.0), []),
        (speech(30.1), ["too_long"]),
        (quiet(4.0), ["silent"]),
        (room(4.0, -70), ["silent"]),
        (speech(4.0, -52), ["silent"]),
        (speech(4.0, -48), ["quiet"]),
        (speech(4.0, -36), ["quiet"]),
        (speech(4.0, -34), []),
        (clipped(0.0), []),
        (clipped(0.0005), []),
        (clipped(0.002), ["clipped"]),
        (clipped(0.05), ["clipped"]),
        (join(quiet(0.9), speech(4.0), quiet(0.9)), []),
        (join(quiet(1.2), speech(4.0)), ["silence_at_ends"]),
        (join(speech(4.0), quiet(1.2)), ["silence_at_ends"]),
        (join(room(1.2, -50), speech(4.0)), ["silence_at_ends"]),
        (join(speech(2.0), quiet(3.5), speech(2.0)), []),
        (join(speech(2.0), quiet(4.5), speech(2.0)), ["mostly_pauses"]),
        (join(speech(1.0), quiet(6.0), speech(1.0)), ["short", "mostly_pauses"]),
        (speech(4.0)[: round(3.9 * SAMPLE_RATE)], ["cut_off"]),
    ],
)
def test_findings_on_the_sound(samples: FloatArray, expected: list[str]) -> None:
    assert codes(samples) == expected


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_findings_do_not_depend_on_the_rate(rate: int) -> None:
    assert codes(join(quiet(0.2, rate), speech(4.0, rate=rate), quiet(0.3, rate)), None, rate) == []
    assert codes(join(quiet(1.2, rate), speech(2.5, -40, rate)), None, rate) == ["quiet", "short", "silence_at_ends"]


def test_a_peak_at_full_scale_is_not_clipping() -> None:
    sound = speech(4.0)
    sound[1_000:-12_000:100] = 1.0
    assert codes(sound) == []


@pytest.mark.parametrize(
    ("text", "seconds", "expected"),
    [
        (ENGLISH, 4.0, []),
        (ENGLISH, 8.5, []),
        (ENGLISH, 10.0, ["text_short"]),
        (ENGLISH, 14.0, ["text_too_short"]),
        (ENGLISH * 2, 4.0, ["text_long"]),
        (ENGLISH * 4, 4.0, ["text_too_long"]),
        ("Да", 4.0, ["text_too_short"]),
        ("Шла Саша по шоссе и сосала сушку, и шоссе было длинное.", 4.0, []),
        (CHINESE, 4.0, []),
        (CHINESE, 10.0, []),
        (CHINESE, 13.0, ["text_short"]),
        (CHINESE, 18.0, ["text_too_short"]),
        (CHINESE * 2, 4.0, ["text_long"]),
        (CHINESE * 3, 4.0, ["text_too_long"]),
        ("きょうはとてもいいてんきですからさんぽにいきましょう", 7.0, []),
        ("キョウハトテモイイテンキデスカラサンポニイキマショウ", 7.0, []),
        ("ｷｮｳﾊﾄﾃﾓｲｲﾃﾝｷﾃﾞｽｶﾗｻﾝﾎﾟﾆｲｷﾏｼｮｳ", 7.0, []),  # half width
        ("東京タワーはとても高いですよ", 4.0, []),
        ("오늘은 날씨가 정말 좋으니까 공원에 산책하러 갑시다", 4.0, []),
        ("我用 Home Assistant 控制家里的灯", 4.0, []),
        ("1999", 4.0, []),
        ("030 1234567", 4.0, []),
        ("1", 4.0, ["text_too_short"]),
        ("", 4.0, ["text_empty"]),
        (" … !", 4.0, ["text_empty"]),
    ],
)
def test_findings_on_the_text(text: str, seconds: float, expected: list[str]) -> None:
    assert codes(speech(seconds), text) == expected


def test_pauses_are_not_counted_against_the_text() -> None:
    assert codes(join(speech(2.0), quiet(1.5), speech(2.0)), "Twenty-six letters are said here.") == []
    assert codes(speech(6.0), "Twenty-six letters are said here.") == ["text_short"]


@pytest.mark.parametrize(
    ("samples", "text", "words"),
    [
        (speech(0.5), None, "0.5 s.* 1 s"),
        (speech(31.0), None, "31.0 s.* 30 s"),
        (quiet(2.0), None, "-100 dBFS"),
        (speech(4.0, -40), None, "-40 dBFS.* -30 to -15 dBFS is good"),
        (clipped(0.02), None, "2.0% .* full scale"),
        (speech(2.0), None, "2.0 s of speech; 3 s or more"),
        (join(quiet(2.0), speech(4.0), quiet(0.5)), None, "2.0 s of silence before .* 0.5 s after"),
        (join(speech(1.8), quiet(6.2), speech(1.8)), None, "Only 37% .* 50% or more"),
        (speech(5.0), "Yes, no.", "0.2 to 0.8 s to say, but the clip has 5.0 s of speech"),
        (speech(4.0), CHINESE * 3, "8.2 to 33.0 s .* 4.0 s of speech"),
    ],
)
def test_a_finding_says_what_was_measured(samples: FloatArray, text: str | None, words: str) -> None:
    (finding,) = check(samples, SAMPLE_RATE, text)
    assert re.search(words, finding.message)
    assert re.fullmatch(r"[A-Z0-9].*[^.]\.", finding.message)


def test_errors_come_before_warnings() -> None:
    found = check(speech(2.0, -40), SAMPLE_RATE, ENGLISH * 9)
    assert [(finding.severity, finding.code) for finding in found] == [
        ("error", "text_too_long"),
        ("warning", "quiet"),
        ("warning", "short"),
    ]


def test_errors_refuse_a_clip_and_warnings_do_not() -> None:
    with pytest.raises(InvalidRequest, match=r"^ref_audio: The text takes .* to say, but the clip has") as caught:
        require_usable(check(speech(4.0), SAMPLE_RATE, ENGLISH * 9), "ref_audio")
    assert caught.value.param == "ref_audio"
    require_usable(check(speech(4.0, -40), SAMPLE_RATE, ENGLISH), "ref_audio")


# Longer than what is cloned.


def test_a_clip_of_thirty_seconds_is_used_whole() -> None:
    tried = try_recording(speech(30.0), SAMPLE_RATE, None)
    assert (tried.part, tried.samples.size, tried.findings) == (None, 30 * SAMPLE_RATE, ())


def test_a_longer_recording_is_cut_and_that_is_a_warning() -> None:
    sound = join(*[part for _ in range(10) for part in (speech(5.5), quiet(0.5))])
    tried = try_recording(sound, SAMPLE_RATE, None)
    assert tried.part
    assert [finding.code for finding in tried.findings] == ["cut"]
    assert tried.findings[0].message.endswith(
        f"{tried.part.start:.1f} to {tried.part.end:.1f} s of its 60.0 s are used."
    )
    np.testing.assert_array_equal(tried.samples, sound[round(tried.part.start * SAMPLE_RATE) :][: tried.samples.size])


@pytest.mark.parametrize(
    ("text", "kept", "codes"),
    [
        (ENGLISH * 2, True, ["cut"]),
        (ENGLISH * 10, False, ["cut", "timbre"]),
        ("No.", True, ["text_too_short", "cut"]),
    ],
    ids=["of the part", "of the whole recording", "of neither"],
)
def test_a_text_of_the_whole_recording_is_not_taken_for_that_of_its_part(
    text: str, kept: bool, codes: list[str]
) -> None:
    sound = join(*[part for _ in range(10) for part in (speech(5.5), quiet(0.5))])
    tried = try_recording(sound, SAMPLE_RATE, text)
    assert (tried.text, [finding.code for finding in tried.findings]) == (text if kept else None, codes)


# Several into one.


def clip(*parts: FloatArray, text: str | None = None, rate: int = SAMPLE_RATE) -> Reference:
    return Reference(join(*parts), rate, text)


def sounds(samples: FloatArray) -> list[FloatArray]:
    """The parts of it between its runs of 0.1 s of nothing at all."""
    there = np.flatnonzero(samples)
    return [samples[part[0] : part[-1] + 1] for part in np.split(there, np.flatnonzero(np.diff(there) > 2_400) + 1)]


@given(
    before=st.integers(0, 2 * SAMPLE_RATE),
    after=st.integers(0, 2 * SAMPLE_RATE),
    seconds=st.sampled_from([0.3, 1.0, 3.0]),
    level=st.sampled_from([-45, -23, -12]),
)
def test_only_silence_is_cut_off(before: int, after: int, seconds: float, level: float) -> None:
    """Where there is silence enough around it a clip comes out sample for sample, at its own level."""
    sound = speech(seconds, level)
    combined = combine([clip(np.zeros(before, np.float32), sound, np.zeros(after, np.float32))]).reference
    there = np.flatnonzero(combined.samples)
    padded = sound[np.flatnonzero(sound)[0] : np.flatnonzero(sound)[-1] + 1]
    assert abs(there[-1] + 1 - there[0] - padded.size) < 2
    edge = 120  # 5 ms, faded where the sound begins or ends with the clip
    middle = combined.samples[there[0] + edge : there[-1] - edge]
    assert middle.size
    assert any(np.array_equal(middle, padded[edge + shift :][: middle.size]) for shift in (-1, 0, 1))
    if before > 3_000 and after > 3_000:
        assert np.array_equal(combined.samples[there[0] : there[-1] + 1], padded)


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.0), (2.0, 0.0), (0.0, 3.0), (1.5, 1.5)])
def test_little_silence_is_left_around(before: float, after: float) -> None:
    samples = combine([clip(quiet(before), speech(2.0), quiet(after))]).reference.samples
    assert samples.size / SAMPLE_RATE == pytest.approx(2.0 + min(before, 0.1) + min(after, 0.1), abs=0.03)


def test_noise_of_the_room_is_cut_off_too() -> None:
    samples = combine([clip(room(2.0, -50), speech(2.0) + room(2.0, -50), room(2.0, -50))]).reference.samples
    assert samples.size / SAMPLE_RATE == pytest.approx(2.2, abs=0.06)


def test_a_clip_that_is_cut_off_in_a_sound_does_not_click() -> None:
    tone = (0.5 * np.cos(2 * np.pi * 200 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)
    samples = combine([clip(tone, text="la"), clip(tone, text="la")]).reference.samples
    assert samples[0] == 0
    assert np.abs(np.diff(samples)).max() < 0.03  # the tone's own steepest is 0.026


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_the_reference_is_at_the_models_rate(rate: int) -> None:
    reference = combine([clip(speech(2.0, rate=rate), rate=rate)]).reference
    assert reference.sample_rate == SAMPLE_RATE
    assert reference.samples.dtype == np.float32
    assert reference.samples.size / SAMPLE_RATE == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("levels", [(-20, -35), (-12, -40, -23), (-45, -44, -10, -30)])
def test_several_clips_are_equally_loud(levels: tuple[float, ...]) -> None:
    samples = combine([clip(speech(2.0, level), quiet(0.2)) for level in levels]).reference.samples
    found = [decibels(sound) for sound in sounds(samples)]
    assert len(found) == len(levels)
    assert max(found) - min(found) < 0.5
    assert found[0] == pytest.approx(10 * np.log10(np.median(10 ** (np.array(levels) / 10))), abs=0.5)


def test_matching_does_not_clip() -> None:
    """One of them has a far higher peak for its level: all are turned down, none is bent."""
    peaky = speech(2.0, -30)
    peaky[24_000] = 0.9
    samples = combine([clip(peaky), clip(speech(2.0, -12)), clip(speech(2.1, -12))]).reference.samples
    assert np.abs(samples).max() == pytest.approx(1.0, abs=1e-6)
    found = [decibels(sound) for sound in sounds(samples)]
    assert max(found) - min(found) < 0.5
    first = sounds(samples)[0]
    assert np.argmax(np.abs(first)) == pytest.approx(24_000, abs=2)


def test_a_short_pause_is_between_and_half_a_second_after() -> None:
    said = clip(quiet(0.5), speech(2.0), quiet(0.5), text="Hello.")
    samples = combine([said, said]).reference.samples
    there = np.flatnonzero(samples)
    gaps = np.diff(there)
    assert gaps.max() / SAMPLE_RATE == pytest.approx(0.4, abs=0.03)
    assert (samples.size - there[-1]) / SAMPLE_RATE == pytest.approx(0.6, abs=0.03)
    assert not samples[-SAMPLE_RATE // 2 :].any()
    tight = combine([clip(speech(2.0), text="a"), clip(speech(2.0), text="b")]).reference.samples
    assert np.diff(np.flatnonzero(tight)).max() / SAMPLE_RATE == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Hello."], "Hello."),
        ([" Hello. ", "How are you?\n"], "Hello. How are you?"),
        (["你好。", "今天天气很好。"], "你好。今天天气很好。"),
        (["你好", "今天"], "你好今天"),
        (["こんにちは。", "元気ですか？"], "こんにちは。元気ですか？"),
        (["안녕하세요", "반갑습니다"], "안녕하세요 반갑습니다"),
        (["Привет.", "Как дела?"], "Привет. Как дела?"),
        (["Hello.", "你好。", "Bye."], "Hello. 你好。 Bye."),
        (["Hello.", None], None),
        ([None, "Hello."], None),
        (["Hello.", "  "], None),
        ([None], None),
    ],
)
def test_texts_are_joined_as_their_script_is_written(texts: list[str | None], expected: str | None) -> None:
    combined = combine([clip(speech(1.0), text=text) for text in texts])
    assert combined.reference.text == expected
    assert combined.used == tuple(range(len(texts)))


def test_timbre_alone_needs_no_silence_after_it() -> None:
    assert combine([clip(speech(2.0))]).reference.samples[-SAMPLE_RATE // 2 :].any()


@pytest.mark.parametrize(
    ("seconds", "used"),
    [
        ((10, 10, 9), (0, 1, 2)),
        ((10, 10, 10), (0, 1)),
        ((20, 12, 5), (0, 2)),
        ((20, 10), (0,)),  # the pause counts
        ((30, 1), (0,)),
        ((31, 5), (1,)),
    ],
)
def test_clips_that_do_not_fit_are_left_out_whole_with_their_texts(seconds: tuple[int, ...], used: tuple[int]) -> None:
    combined = combine([clip(speech(length), text=f"Number {number}.") for number, length in enumerate(seconds)])
    assert combined.used == used
    assert combined.reference.text == " ".join(f"Number {number}." for number in used)
    whole = sum(seconds[number] for number in used) + 0.2 * (len(used) - 1) + 0.5
    assert combined.reference.samples.size / SAMPLE_RATE == pytest.approx(whole, abs=0.05 * len(used))
    assert combined.reference.samples.size <= (MAX_SECONDS + 0.5) * SAMPLE_RATE


def test_a_clip_without_text_that_is_left_out_does_not_matter() -> None:
    combined = combine([clip(speech(20.0), text="Long."), clip(speech(15.0))])
    assert (combined.used, combined.reference.text) == ((0,), "Long.")


@pytest.mark.parametrize(
    ("clips", "error"),
    [
        ([], InvalidRequest),
        ([clip(quiet(2.0))], InvalidRequest),
        ([clip(speech(2.0)), clip(quiet(2.0))], InvalidRequest),
        ([clip(speech(30.5))], TooLarge),
    ],
)
def test_what_can_not_be_combined(clips: list[Reference], error: type[InvalidRequest]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        combine(clips)
    assert type(caught.value) is error


def test_the_same_clips_give_the_same_reference_and_stay_as_they_are() -> None:
    clips = [clip(speech(2.0, -30, 44_100), text="a", rate=44_100), clip(speech(3.0, -15), text="b")]
    before = [one.samples.copy() for one in clips]
    first, second = combine(clips), combine(clips)
    assert np.array_equal(first.reference.samples, second.reference.samples)
    assert all(np.array_equal(one.samples, old) for one, old in zip(clips, before, strict=True))
