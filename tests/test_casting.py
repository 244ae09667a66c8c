"""Who speaks when asked for by name, among built-in and kept voices."""

from pathlib import Path

import numpy as np
import pytest

from wyoming_qwen3.casting import Cast, Part
from wyoming_qwen3.defaults import Defaults
from wyoming_qwen3.effects import read_effects
from wyoming_qwen3.errors import InvalidRequest, LanguageNotSupported, VoiceNotFound
from wyoming_qwen3.request import Kept, Reference
from wyoming_qwen3.store.voice import KeptVoice, Manner
from wyoming_qwen3.store.voices import VoiceStore
from wyoming_qwen3.voices import find_language, find_voice

CLIP = Reference(np.zeros(24_000, np.float32), 24_000, "Hello.")
RYAN = find_voice("ryan")[0]


@pytest.fixture
async def cast(tmp_path: Path) -> Cast:
    """Commander (cloned, German), Whisper (Ryan with a style) and Nobody (empty)."""
    voices = VoiceStore(tmp_path)
    await voices.open()
    german = Manner(language=find_language("de"), speed=1.1, effects=read_effects([{"type": "gain", "gain_db": -3}]))
    await voices.create("Commander", "preset", german, [CLIP])
    await voices.create("Whisper", "preset", Manner(speaker=RYAN, instructions="whispering"), [])
    await voices.create("Nobody", "profile", Manner(), [])
    return Cast(Defaults(find_voice("aiden")[0], find_language("fr")), voices)


def kept(cast: Cast, name: str) -> KeptVoice:
    return cast.voices.get(name)


def spoken(part: Part) -> str | None:
    return part.language.code if part.language else None


async def test_a_kept_voice_is_found_by_name_in_any_case_and_by_id(cast: Cast) -> None:
    voice = kept(cast, "Commander")
    for name in ("Commander", "commander", " COMMANDER ", voice.id):
        part = cast.choose(name, None)
        assert part.voice == Kept(voice.id, voice.revision)
        assert (part.name, part.label, part.speed) == ("Commander", "Commander", 1.1)
        assert part.effects == voice.manner.effects


@pytest.mark.parametrize(
    ("name", "language", "expected"),
    [
        ("commander", None, "de"),  # its own
        ("commander", "Auto", "de"),
        ("commander", "it", "it"),
        ("commander-ja", None, "ja"),
        ("commander-ja", "ja", "ja"),
        ("whisper", None, "fr"),  # the server's, for it has none
        ("Whisper-de", None, "de"),
    ],
)
async def test_its_language_is_what_was_asked_for_or_its_own(
    cast: Cast, name: str, language: str | None, expected: str
) -> None:
    assert spoken(cast.choose(name, language)) == expected


async def test_two_languages_at_once_are_refused(cast: Cast) -> None:
    with pytest.raises(InvalidRequest, match="speaks Japanese, but the language asked for is 'de'"):
        cast.choose("commander-ja", "de")
    with pytest.raises(LanguageNotSupported):
        cast.choose("commander", "nl")


async def test_a_style_is_a_voice(cast: Cast) -> None:
    part = cast.choose("whisper", None)
    assert (part.voice, part.instruct, part.name) == (RYAN, "whispering", "Whisper")


async def test_built_in_voices_are_as_ever(cast: Cast) -> None:
    assert cast.choose("ryan-de", None) == Part(RYAN, find_language("de"))
    assert cast.choose(None, None).label == "Aiden"
    assert cast.choose(None, "ja").label == "Ono_Anna"


async def test_an_unknown_voice_is_answered_with_all_there_are(cast: Cast) -> None:
    for name in ("admiral", "admiral-de", "commander-xx"):
        with pytest.raises(VoiceNotFound, match=r"choose one of Vivian, .* Kept voices: Commander, Nobody, Whisper\."):
            cast.choose(name, None)


async def test_a_voice_without_clips_says_so(cast: Cast) -> None:
    with pytest.raises(InvalidRequest, match="Nobody has no clip yet"):
        cast.choose("nobody", None)


async def test_the_chosen_default_speaks_until_it_is_deleted(cast: Cast) -> None:
    await cast.voices.set_default("commander")
    assert [cast.choose(voice, None).label for voice in (None, "")] == ["Commander", "Commander"]
    assert (cast.choose(None, "ko").label, spoken(cast.choose(None, "ko"))) == ("Commander", "ko")
    await cast.voices.delete(kept(cast, "commander").id)
    assert cast.choose(None, None).label == "Aiden"


async def test_a_built_in_speaker_can_be_the_chosen_default(cast: Cast) -> None:
    await cast.voices.set_default("sohee")
    assert cast.choose(None, None).label == "Sohee"
    assert cast.choose(None, "ja").label == "Ono_Anna"
    await cast.voices.set_default(None)
    assert cast.choose(None, None).label == "Aiden"
