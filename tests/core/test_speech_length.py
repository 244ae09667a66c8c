import pytest

from wyoming_qwen3.core.speech_length import (
    expected_seconds,
    frame_limit_of_text,
    frame_limit_of_tokens,
    seconds_by_person,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 0.0), ("The front door is open.", 1.5), ("玄関のドアが開いています。", 2.9), ("前门开着。", 1.1)],
)
def test_about_how_long_a_text_takes(text: str, seconds: float) -> None:
    assert expected_seconds(text) == pytest.approx(seconds, abs=0.06)


@pytest.mark.parametrize(
    ("text", "shortest", "longest"),
    [
        ("The front door is open.", 0.72, 3.0),
        ("玄関のドアが開いています。", 1.1, 4.4),
        ("前门开着。", 0.5, 2.0),
        ("문이 열려 있어요.", 0.875, 3.5),
        ("１２3", 0.12, 4.0),
    ],
)
def test_how_fast_and_how_slowly_people_speak(text: str, shortest: float, longest: float) -> None:
    assert seconds_by_person(text) == pytest.approx((shortest, longest), abs=0.1)


def test_a_text_without_letters_is_not_said() -> None:
    assert seconds_by_person(" ... ?!") is None


@pytest.mark.parametrize(
    ("text", "most", "limit"),
    [
        ("Hi.", 4096, 192),
        ("x" * 300, 4096, 1200),
        ("9" * 100, 4096, 1200),
        ("字" * 100, 4096, 1200),
        ("x" * 9999, 4096, 4096),
        ("Hi.", 50, 50),
    ],
)
def test_frames_that_a_text_can_need(text: str, most: int, limit: int) -> None:
    assert frame_limit_of_text(text, most) == limit


@pytest.mark.parametrize(("tokens", "frames"), [(1, 60), (4, 90), (5, 100), (10, 100), (11, 110), (500, 5000)])
def test_frames_that_tokens_can_need(tokens: int, frames: int) -> None:
    assert frame_limit_of_tokens(tokens, None) == frames
    assert frame_limit_of_tokens(tokens, 105) == min(frames, 105)
    assert frame_limit_of_tokens(tokens, 3) == 3
