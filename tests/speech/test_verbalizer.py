"""What a piece says is written as it is to be pronounced, in its own language, and none of it is lost."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from wyoming_qwen3.core.request import Normalization
from wyoming_qwen3.core.speakers import find_language
from wyoming_qwen3.speech.pronunciation import PronunciationDictionary
from wyoming_qwen3.speech.segment_feed import SegmentFeed
from wyoming_qwen3.speech.verbalizer import UtteranceVerbalizer, Verbalizer
from wyoming_qwen3.text.delivery import Delivery
from wyoming_qwen3.text.dictionary import make_entry
from wyoming_qwen3.text.language import LanguageGuesser
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Segment, SpokenPiece


def verbalizer(folder: Path, setting: Normalization = "auto") -> Verbalizer:
    return Verbalizer(PronunciationDictionary(folder / "dictionary.csv"), LanguageGuesser(), setting)


def feed(shared: Verbalizer, language: str | None, segments: Sequence[Segment] | None = None) -> SegmentFeed:
    """For an utterance in this language, unless a piece says otherwise."""
    own = UtteranceVerbalizer(shared, lambda piece: find_language(piece.delivery.language or language or "auto"))
    return SegmentFeed(own, 300.0, ssml=False, segments=segments)


async def spoken(fed: SegmentFeed) -> list[str | float]:
    fed.end_text()
    said: list[str | float] = []
    while segment := await fed.next():
        said.append(segment.seconds if isinstance(segment, Pause) else segment.text)
    return said


async def say(shared: Verbalizer, language: str | None, text: str) -> list[str | float]:
    fed = feed(shared, language)
    fed.add_text(text)
    return await spoken(fed)


@pytest.mark.parametrize(
    ("setting", "language", "text", "expected"),
    [
        ("auto", "de", "Es sind 21,5 °C.", "Es sind einundzwanzig Komma fünf Grad Celsius."),
        ("units", "de", "Es sind 21,5 °C.", "Es sind 21,5 Grad Celsius."),
        ("off", "de", "Es sind 21,5 °C.", "Es sind 21,5 °C."),
        ("auto", "en", "It is 21.5 °C, and 3 doors are open.", "It is 21.5 degrees Celsius, and 3 doors are open."),
        ("all", "en", "3 doors are open.", "three doors are open."),
        ("auto", None, "Draußen sind es heute 7 °C.", "Draußen sind es heute sieben Grad Celsius."),
        ("auto", None, "21.5 °C", "21.5 °C"),  # in no known language
    ],
)
async def test_how_numbers_and_units_are_written(
    tmp_path: Path, setting: Normalization, language: str | None, text: str, expected: str
) -> None:
    assert await say(verbalizer(tmp_path, setting), language, text) == [expected]


async def test_the_dictionary_comes_first_and_is_counted(tmp_path: Path) -> None:
    (tmp_path / "dictionary.csv").write_text("written,spoken,language\nkm/h,Sachen,de\n")
    dictionary = PronunciationDictionary(tmp_path / "dictionary.csv")
    await dictionary.look()
    shared = Verbalizer(dictionary, LanguageGuesser(), "auto")
    assert await say(shared, "de", "Er fährt 80 km/h.") == ["Er fährt achtzig Sachen."]
    assert dictionary.counts == {make_entry("km/h", "Sachen", "de").id: 1}
    assert await say(shared, "en", "He drives 80 km/h.") == ["He drives 80 kilometers per hour."]


async def test_a_short_piece_is_in_the_language_of_what_came_before_it(tmp_path: Path) -> None:
    text = "Heute ist es in der Küche wärmer als draußen. [pause:1] 21,5 °C"
    assert (await say(verbalizer(tmp_path), None, text))[-1] == "einundzwanzig Komma fünf Grad Celsius"


async def test_a_direction_changes_the_language(tmp_path: Path) -> None:
    said = await say(verbalizer(tmp_path, "all"), "de", "Es sind 7 °C. [language: en] It is 7 °C.")
    assert said == ["Es sind sieben Grad Celsius.", "It is seven degrees Celsius."]


async def test_segments_that_were_spoken_before_are_spoken_as_they_are(tmp_path: Path) -> None:
    known: list[Segment] = [SpokenPiece("7 °C", Delivery(language="de")), Pause(0.5)]
    assert await spoken(feed(verbalizer(tmp_path), "de", known)) == ["7 °C", 0.5]


@pytest.mark.parametrize("length", [1, 3, 7, 100])
async def test_words_as_they_arrive_say_the_same_as_the_whole_text(tmp_path: Path, length: int) -> None:
    text = "Es sind 21,5 °C in der Küche. [pause:1] Um 14:30 Uhr kostet der Strom 0,32 €/kWh, danach 25"
    shared = verbalizer(tmp_path)
    fed = feed(shared, "de")
    fed.return_words()
    said: list[str | float] = []
    for at in range(0, len(text), length):
        fed.add_text(text[at : at + length])
        while segment := await fed.take():
            said.append(segment.seconds if isinstance(segment, Pause) else segment.text)
    said += await spoken(fed)
    whole = await say(shared, "de", text)
    assert "".join(one for one in said if isinstance(one, str)) == "".join(one for one in whole if isinstance(one, str))
    assert [one for one in said if isinstance(one, float)] == [1.0]


async def test_a_pause_after_words_that_waited_is_not_lost_if_those_are_taken_back(tmp_path: Path) -> None:
    fed = feed(verbalizer(tmp_path), "en")
    fed.return_words()
    fed.add_text("20 [pause:2] degrees")
    first = await fed.take()
    assert first is not None
    fed.keep_back(first)
    assert await spoken(fed) == ["20", 2.0, "degrees"]


async def test_a_piece_is_not_lost_if_whoever_waits_for_it_leaves(tmp_path: Path) -> None:
    """The data of its language is being loaded then."""
    fed = feed(verbalizer(tmp_path), "fr")
    fed.add_text("Il fait 7 °C.")
    fed.end_text()
    leaving = asyncio.ensure_future(fed.next())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    assert await spoken(fed) == ["Il fait sept degrés Celsius."]


@pytest.mark.parametrize(("setting", "expected"), [("auto", "minus seven degrees Celsius"), ("off", "-7 °C")])
async def test_the_standby_voice_needs_words(tmp_path: Path, setting: Normalization, expected: str) -> None:
    assert verbalizer(tmp_path, setting).verbalize_for_standby("-7 °C") == expected
