import pytest

from wyoming_qwen3.text.live import LiveScript
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Segment


def take_all(script: LiveScript) -> list[Segment]:
    taken = []
    while segment := script.take():
        taken.append(segment)
    return taken


def words_of(segments: list[Segment]) -> list[str | float]:
    """Text of each stretch, and the length of each pause."""
    found: list[str | float] = []
    for segment in segments:
        if isinstance(segment, Pause):
            found.append(segment.seconds)
        elif found and isinstance(found[-1], str):
            found[-1] += segment.text
        else:
            found.append(segment.text)
    return found


def spoken(text: str, size: int, max_chars: int = 1000) -> list[str | float]:
    script = LiveScript(max_chars=max_chars)
    segments = []
    for start in range(0, len(text), size):
        script.add_text(text[start : start + size])
        segments += take_all(script)
    script.end_text()
    return words_of(segments + take_all(script))


def test_words_are_there_before_their_sentence_is_complete() -> None:
    script = LiveScript()
    script.add_text("The front door ")
    assert words_of(take_all(script)) == ["The front door"]
    script.add_text("is op")
    assert words_of(take_all(script)) == [" is"]
    script.add_text("en.")
    script.end_text()
    assert words_of(take_all(script)) == [" open."]
    assert script.done


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The **front** door is\nopen. ", ["The front door is open."]),
        ("One. [pause:0.5s] Two.", ["One.", 0.5, "Two."]),
        ("🎉 ... Yes", ["... Yes"]),
        ("🎉 ...", []),
        ("门开了。灯亮着！", ["门开了。灯亮着！"]),
        ("  \n", []),
    ],
)
def test_any_split_says_the_same(text: str, expected: list[str | float], size: int) -> None:
    assert spoken(text, size) == expected


def test_long_text_is_parted_at_a_sentence() -> None:
    text = "This is a sentence. " * 10
    parts = [part for part in spoken(text, 7, max_chars=50) if part]
    assert all(isinstance(part, str) and part.endswith(".") and 50 < len(part) < 80 for part in parts[:-1])
    assert " ".join(str(part) for part in parts) == text.strip()


def test_a_pause_in_the_text_lets_the_last_words_be_spoken() -> None:
    script = LiveScript()
    script.add_text("I'll turn on the lights")
    assert script.unflushed
    script.flush()
    assert words_of(take_all(script)) == ["I'll turn on the lights.", 0.0]
    assert not script.unflushed
    script.add_text("The lights are on.")
    script.end_text()
    assert words_of(take_all(script)) == ["The lights are on."]
