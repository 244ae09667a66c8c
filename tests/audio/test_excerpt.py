"""The part of a long recording that is cloned: bounded by pauses, full of speech, even, and without clipping."""

import numpy as np
import pytest

from tests.audio.sounds import quiet, speech
from wyoming_qwen3.audio.excerpt import GOOD_SECONDS, best_part
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray


def joined(*parts: FloatArray) -> FloatArray:
    return np.concatenate(parts)


def talk(seconds: float, level: float = -23) -> FloatArray:
    """Sentences of two and a half seconds with half a second between them."""
    return joined(*[part for _ in range(round(seconds / 3)) for part in (speech(2.5, level), quiet(0.5))])


def test_it_begins_and_ends_in_pauses() -> None:
    sound = talk(60)
    part = best_part(sound, SAMPLE_RATE)
    assert 12 < part.end - part.start < GOOD_SECONDS + 0.01
    for at in (part.start, part.end):
        assert not sound[max(0, round((at - 0.02) * SAMPLE_RATE)) : round((at + 0.02) * SAMPLE_RATE)].any()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (talk(45, -41), quiet(1.0)),
        (joined(*[part for _ in range(9) for part in (speech(1.0), quiet(4.0))]), quiet(1.0)),
        (joined(talk(45) * 8).clip(-1, 1), quiet(1.0)),
    ],
    ids=["quiet", "mostly pauses", "clipped"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_better_part_is_chosen(before: FloatArray, after: FloatArray, turned: bool) -> None:
    good = talk(15)
    sound = joined(good, after, before) if turned else joined(before, after, good)
    first = 0 if turned else (before.size + after.size) / SAMPLE_RATE
    part = best_part(sound, SAMPLE_RATE)
    assert first - 0.2 <= part.start < part.end <= first + 15.2


def test_speech_without_a_pause_is_cut_to_its_length() -> None:
    part = best_part(speech(40.0), SAMPLE_RATE)
    assert 14 < part.end - part.start < GOOD_SECONDS + 0.01


def test_the_length_is_in_seconds_at_any_rate_and_short_of_nothing_when_silent() -> None:
    assert best_part(quiet(40.0, 8_000), 8_000).end == GOOD_SECONDS
    assert best_part(quiet(4.0), SAMPLE_RATE).end == 4.0
