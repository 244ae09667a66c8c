"""When an answer is sent that is still being made."""

import numpy as np
import pytest

from wyoming_qwen3.request import FRAME_SAMPLES
from wyoming_qwen3.start import Start, expected_seconds, plays_through

FRAME = 0.08


@pytest.mark.parametrize(
    ("made", "expected", "speed", "chunk", "plays"),
    [
        # Twice as fast as it is played and more: at once.
        (1 * FRAME, 10.0, 2.2, 1 * FRAME, True),
        (1 * FRAME, 10.0, 20.0, 1 * FRAME, True),
        # A little faster than it is played: when the next chunk comes before this is over.
        (1 * FRAME, 10.0, 1.3, 1 * FRAME, False),
        (3 * FRAME, 10.0, 1.3, 2 * FRAME, False),
        (7 * FRAME, 10.0, 1.3, 4 * FRAME, True),
        (2 * FRAME, 10.0, 1.3, 1 * FRAME, True),
        # As fast as it is played is not counted on.
        (4 * FRAME, 10.0, 1.0, 4 * FRAME, False),
        # Half as fast: about half of it.
        (4.0, 10.0, 0.5, 4 * FRAME, False),
        (5.8, 10.0, 0.5, 4 * FRAME, True),
        # A quarter as fast: three quarters.
        (7.0, 10.0, 0.25, 4 * FRAME, False),
        (8.1, 10.0, 0.25, 4 * FRAME, True),
        # Longer than was thought; and more than is held.
        (1.1, 1.0, 0.1, 1 * FRAME, True),
        (120.0, 9000.0, 0.1, 4 * FRAME, True),
    ],
)
def test_when_playback_does_not_stall(made: float, expected: float, speed: float, chunk: float, plays: bool) -> None:
    assert plays_through(made, expected, speed, chunk) is plays


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 0.0), ("The front door is open.", 1.5), ("玄関のドアが開いています。", 2.9), ("前门开着。", 1.1)],
)
def test_about_how_long_a_text_takes(text: str, seconds: float) -> None:
    assert expected_seconds(text) == pytest.approx(seconds, abs=0.06)


def sent(start: Start, expected: float, pace: float, chunks: list[int]) -> list[int]:
    """Chunks that are sent when each comes, of so many frames, where a frame takes `pace` seconds to make."""
    now, counts = 0.0, []
    for frames in chunks:
        now += frames * pace
        counts.append(len(start.take(np.zeros(frames * FRAME_SAMPLES, np.float32), expected, now)))
    return counts


RAMP = [1, 2, 4, 4, 4, 4, 4, 4]


def test_what_was_held_is_sent_before_what_comes_then() -> None:
    start = Start(0.0, None)
    chunks = [np.full(frames * FRAME_SAMPLES, number, np.float32) for number, frames in enumerate(RAMP)]
    times = np.cumsum(RAMP) * 0.1
    heard = [chunk for chunk, now in zip(chunks, times, strict=True) for chunk in start.take(chunk, 2.5, float(now))]
    heard += start.open()
    assert [int(chunk[0]) for chunk in heard] == list(range(len(RAMP)))
    assert start.open() == []


@pytest.mark.parametrize(
    ("pace", "counts"),
    [(0.01, [1, 1, 1, 1, 1, 1, 1, 1]), (0.05, [0, 2, 1, 1, 1, 1, 1, 1]), (0.1, [0, 0, 0, 0, 5, 1, 1, 1])],
    ids=["fast", "a little faster than real time", "slower"],
)
def test_the_speed_is_measured(pace: float, counts: list[int]) -> None:
    assert sent(Start(0.0, None), 2.5, pace, RAMP) == counts


def test_a_speed_that_is_known_need_not_be_measured_first() -> None:
    """A first chunk takes longer, as the text is read before it."""
    first = np.zeros(FRAME_SAMPLES, np.float32)
    assert Start(0.0, None).take(first, 2.5, 0.3) == []
    assert len(Start(0.0, 4.0).take(first, 2.5, 0.3)) == 1


def test_asap_sends_at_once_and_measures_nothing() -> None:
    start = Start(0.0, float("inf"))
    assert sent(start, 60.0, 1.0, RAMP) == [1] * len(RAMP)
    assert start.speed == float("inf")
