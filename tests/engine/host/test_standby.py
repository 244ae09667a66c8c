"""The standby voice's engine: what its library can't read is spelled, and what it can't speak costs one row."""

from collections.abc import Sequence

import pytest
from hibari.tts import MAX_PHONEMES
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine.host.standby import StandbyEngine, spell_numbers
from wyoming_qwen3.engine.wire import Audio, Ended, Failed, Output, Submit


@pytest.fixture(scope="module")
def engine() -> StandbyEngine:
    return StandbyEngine()


def speak(engine: StandbyEngine, *texts: str) -> list[list[Output]]:
    """All outputs of each text, spoken side by side."""
    for row, text in enumerate(texts):
        engine.admit(Submit(row, None, SpeechRequest(SPEAKERS[0]), text, live=False, credit=0))
    found: list[list[Output]] = [[] for _ in texts]
    going = set(range(len(texts)))
    while going:
        for output in engine.step(sorted(going)):
            found[output.row].append(output)
            if isinstance(output, Ended | Failed):
                going.discard(output.row)
                engine.cancel(output.row)
    return found


def seconds(outputs: Sequence[Output]) -> float:
    return sum(len(output.samples) for output in outputs if isinstance(output, Audio)) / 4 / 24_000


@pytest.mark.parametrize(
    "text",
    [
        "9" * 37,
        "The number is " + "1234567890" * 4 + ".",
        "$" + "9" * 40,
        "9" * 40 + "th",
        "-" + "9" * 40 + "%",
        "1," * 50 + "1",
        "5" * 40 + "." + "5" * 40,
        "7" * 290,
        "①a",
        "x⁴ and ⑨AM",
    ],
)
def test_numbers_that_the_library_cant_read_are_spelled(engine: StandbyEngine, text: str) -> None:
    with pytest.raises((IndexError, ValueError)):
        engine._voice.phonemize(text)
    (outputs,) = speak(engine, text)
    assert isinstance(outputs[-1], Ended)
    digits = sum(char.isdigit() for char in text)
    assert seconds(outputs) > 0.15 * digits


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("It costs 12,345.67.", "It costs 12,345.67."),
        ("1" * 36, "1" * 36),
        ("1" * 37, " " + "1 1 1, " * 12 + "1 "),
        ("$-" + "1" * 37 + "km", "$ minus " + "1 1 1, " * 12 + "1 km"),
        ("2" * 37 + ".25", " " + "2 2 2, " * 12 + "2 point 2 5 "),
        ("no-" + "3" * 37, "no- " + "3 3 3, " * 12 + "3 "),
        ("x² is ①, ٣ or Ⅳ", "x2 is 1, 3 or Ⅳ"),
    ],
)
def test_long_numbers_are_spelled(text: str, spelled: str) -> None:
    assert spell_numbers(text) == spelled


def test_a_step_makes_so_many_phonemes_at_most(engine: StandbyEngine) -> None:
    """Those of a text that has no pauses are cut between words, and none is lost."""
    text = "the longest sentence has no pause " * 40
    (whole,) = engine._voice.phonemize(text)
    parts = engine._phonemes(text)
    assert len(whole) > 2 * MAX_PHONEMES
    assert max(map(len, parts)) <= MAX_PHONEMES
    assert " ".join(parts) == whole


def test_a_text_that_cant_be_spoken_costs_its_row_alone(engine: StandbyEngine) -> None:
    texts = ("The front door is open. The light is on.", "Yes.")
    golden = speak(engine, *texts)
    *good, [bad] = speak(engine, *texts, "你好，世界。")
    assert good == golden
    assert isinstance(bad, Failed)
    assert bad.row == 2
    assert str(bad.error) == "The standby voice can't pronounce this text; it speaks English only."


def test_an_error_in_the_library_costs_its_row_alone(engine: StandbyEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, or after the first sentence."""
    make, golden = engine._voice.from_ids, speak(engine, "The front door is open. The light is on.")[0]
    broken = engine._voice.ids(engine._voice.phonemize("Broken.")[0])

    def make_or_break(ids: list[int], *rest: object) -> object:
        if ids == broken:
            raise RuntimeError("ONNXRuntimeError: bad dimension")
        return make(ids, *rest)

    monkeypatch.setattr(engine._voice, "from_ids", make_or_break)
    first, *bad = speak(engine, "The front door is open. The light is on.", "Broken.", "Yes. Broken. No.")
    assert first == golden
    assert [[type(output) for output in outputs] for outputs in bad] == [[Failed], [Audio, Failed]]
    for outputs in bad:
        assert isinstance(outputs[-1], Failed)
        assert str(outputs[-1].error) == "The standby voice failed on this text (RuntimeError)."


@tried(300)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=8),
            st.text("0123456789.,-$%:/ ", max_size=60),
            st.text("0123456789①²٣९Ⅳ½", min_size=30, max_size=90),
            st.sampled_from(
                ["Chapter XVII", "Henry VIII", "$1,234.50", "12/31/2024", "7:05pm", "No. 5", "a.m.", "°C", "th"]
            ),
        ),
        max_size=5,
    )
)
def test_no_text_raises(engine: StandbyEngine, words: list[str]) -> None:
    for phonemes in engine._phonemes(" ".join(words)):
        assert 0 < len(phonemes) <= MAX_PHONEMES
