"""Text as it comes, with the clock told."""

import pytest

from wyoming_qwen3.core.errors import TextTimeout
from wyoming_qwen3.speech import text_feed
from wyoming_qwen3.speech.text_feed import TextFeed


class Clock:
    """Of the module under test."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(text_feed, "time", clock)
    return clock


def feed(clock: Clock, *arrivals: float) -> list[int]:
    """Numbers of the texts that a pause came before, where each comes so many seconds after the one before."""
    text, pauses = TextFeed(), []
    for number, wait in enumerate(arrivals):
        clock.now += wait
        text.add("x")
        while text.waiting:
            if text.take() is None:
                pauses.append(number)
    return pauses


@pytest.mark.parametrize(
    ("arrivals", "pauses"),
    [
        ((0.0, 0.9, 0.05, 0.05), []),
        ((0.0, 0.05, 0.05, 5.0, 0.05), [3]),  # a tool was called
        ((0.0, 4.0, 4.0), [1, 2]),  # a message a piece
        ((0.0, *[1.3] * 20), []),  # a model that writes a word in 1.3 s
        ((0.0, *[0.02, 0.02, 1.5] * 8), []),  # the same, in parts of words
        ((0.0, *[0.05] * 100, *[1.3] * 8), [101]),  # one that becomes slow
        ((0.0, *[1.3] * 8, 6.0, 1.3), [9]),
        ((0.0, *[0.6] * 8, 1.7, 0.6, 4.0), [11]),
        ((0.0, *[0.1] * 40, 1.1), [41]),
    ],
)
def test_a_pause_is_longer_than_the_waits_before_it(
    clock: Clock, arrivals: tuple[float, ...], pauses: list[int]
) -> None:
    assert feed(clock, *arrivals) == pauses


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["Hi \ud83d", "\ude00!"], "Hi \U0001f600!"),
        (["\ud83d\ude00"], "\U0001f600"),
        (["a\ud83d", "b"], "ab"),
        (["a\ude00b\ud83d"], "ab"),
        (["\ud83d", "\ud83d", "\ude00"], "\U0001f600"),
    ],
)
def test_halves_of_a_character_are_joined_or_dropped(parts: list[str], text: str) -> None:
    taken = TextFeed()
    for part in parts:
        taken.add(part)
    found = ""
    while taken.waiting:
        found += taken.take() or ""
    assert found == text


async def test_text_that_does_not_come_is_an_error() -> None:
    text = TextFeed(timeout=0.01)
    text.add("x")
    text.take()
    with pytest.raises(TextTimeout, match=r"Neither text nor its end arrived for 0\.01 seconds"):
        await text.wait(for_pause=False)


async def test_a_pause_counts_from_the_last_text(clock: Clock) -> None:
    text = TextFeed()
    text.add("x")
    text.take()
    clock.now += 1.0
    assert await text.wait(for_pause=True)


async def test_the_end_ends_the_wait() -> None:
    text = TextFeed()
    text.add("x" * 450)
    assert [len(text.take() or "") for _ in range(3)] == [200, 200, 50]
    text.end()
    assert text.finished.is_set()
    assert not text.waiting
