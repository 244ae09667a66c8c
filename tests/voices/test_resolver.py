"""Who speaks when asked for by name, among built-in and kept voices."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest, LanguageNotSupported, VoiceNotFound
from wyoming_qwen3.core.request import KeptVoiceRef, Reference, VoiceFallback
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.ops import logs
from wyoming_qwen3.ops.logs import RequestLog
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import KeptVoice, Manner
from wyoming_qwen3.voices import resolver
from wyoming_qwen3.voices.resolver import Replacements, ResolvedVoice, Surface, VoiceNames, VoiceResolver

CLIP = Reference(np.zeros(24_000, np.float32), 24_000, "Hello.")
RYAN = find_voice("ryan")[0]


@pytest.fixture
async def cast(tmp_path: Path) -> VoiceResolver:
    """Commander (cloned, German), Whisper (Ryan with a style) and Nobody (empty)."""
    voices = VoiceStore(tmp_path)
    await voices.open()
    german = Manner(language=find_language("de"), speed=1.1, effects=read_effects([{"type": "gain", "gain_db": -3}]))
    await voices.create("Commander", "preset", german, [CLIP])
    await voices.create("Whisper", "preset", Manner(speaker=RYAN, instructions="whispering"), [])
    await voices.create("Nobody", "profile", Manner(), [])
    return VoiceResolver(Defaults(find_voice("aiden")[0], find_language("fr")), voices)


def kept(cast: VoiceResolver, name: str) -> KeptVoice:
    return cast.voices.get(name)


def spoken(resolved: ResolvedVoice) -> str | None:
    return resolved.language.code if resolved.language else None


async def test_a_kept_voice_is_found_by_name_in_any_case_and_by_id(cast: VoiceResolver) -> None:
    voice = kept(cast, "Commander")
    for name in ("Commander", "commander", " COMMANDER ", voice.id):
        resolved = cast.choose(name, None)
        assert resolved.voice == KeptVoiceRef(voice.id, voice.revision)
        assert (resolved.name, resolved.label, resolved.speed) == ("Commander", "Commander", 1.1)
        assert resolved.effects == voice.manner.effects


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
    cast: VoiceResolver, name: str, language: str | None, expected: str
) -> None:
    assert spoken(cast.choose(name, language)) == expected


async def test_two_languages_at_once_are_refused(cast: VoiceResolver) -> None:
    with pytest.raises(InvalidRequest, match="speaks Japanese, but the requested language is 'de'"):
        cast.choose("commander-ja", "de")
    with pytest.raises(LanguageNotSupported):
        cast.choose("commander", "nl")


async def test_a_style_is_a_voice(cast: VoiceResolver) -> None:
    resolved = cast.choose("whisper", None)
    assert (resolved.voice, resolved.instruct, resolved.name) == (RYAN, "whispering", "Whisper")


async def test_built_in_voices_are_as_ever(cast: VoiceResolver) -> None:
    assert cast.choose("ryan-de", None) == ResolvedVoice(RYAN, find_language("de"))
    assert cast.choose(None, None).label == "Aiden"
    assert cast.choose(None, "ja").label == "Ono_Anna"


async def test_an_unknown_voice_is_answered_with_all_there_are(cast: VoiceResolver) -> None:
    for name in ("admiral", "admiral-de", "commander-xx"):
        with pytest.raises(VoiceNotFound, match=r"choose one of Vivian, .* Kept voices: Commander, Whisper\."):
            cast.choose(name, None)


async def test_a_voice_without_clips_says_so(cast: VoiceResolver) -> None:
    with pytest.raises(InvalidRequest, match="Nobody has no clip yet"):
        cast.choose("nobody", None)


async def test_the_chosen_default_speaks_until_it_is_deleted(cast: VoiceResolver) -> None:
    await cast.voices.set_default("commander")
    assert [cast.choose(voice, None).label for voice in (None, "")] == ["Commander", "Commander"]
    assert (cast.choose(None, "ko").label, spoken(cast.choose(None, "ko"))) == ("Commander", "ko")
    await cast.voices.delete(kept(cast, "commander").id)
    assert cast.choose(None, None).label == "Aiden"


async def test_a_built_in_speaker_can_be_the_chosen_default(cast: VoiceResolver) -> None:
    await cast.voices.set_default("sohee")
    assert cast.choose(None, None).label == "Sohee"
    assert cast.choose(None, "ja").label == "Ono_Anna"
    await cast.voices.set_default(None)
    assert cast.choose(None, None).label == "Aiden"


async def test_an_exact_name_wins_over_a_reading_with_a_language_in_it(cast: VoiceResolver) -> None:
    await cast.voices.create("Anna", "profile", Manner(), [CLIP])
    for name in ("anna-de", "Anna (de)", "anna_de", "Anna de", "anna-german", "ANNA-DE-AT"):
        resolved = cast.choose(name, None)
        assert (resolved.name, spoken(resolved)) == ("Anna", "de")
    await cast.voices.create("Anna de", "profile", Manner(language=find_language("it")), [CLIP])
    await cast.voices.create("Anna-pt", "profile", Manner(), [CLIP])
    for name, found, language in [
        ("Anna de", "Anna de", "it"),
        ("anna_de", "Anna de", "it"),
        ("anna-de", "Anna", "de"),
        ("anna-pt", "Anna-pt", "fr"),
        ("anna-pt-br", "Anna", "pt"),
        ("anna-pt-de", "Anna-pt", "de"),
        ("Anna de (en)", "Anna de", "en"),
    ]:
        resolved = cast.choose(name, None)
        assert (resolved.name, spoken(resolved)) == (found, language), name


async def test_an_old_name_is_found_after_all_present_ones(cast: VoiceResolver) -> None:
    commander = kept(cast, "commander")
    await cast.voices.change(commander.id, name="Admiral")
    for name, language in [("Commander", "de"), ("commander", "de"), ("commander-ja", "ja"), ("Commander (it)", "it")]:
        resolved = cast.choose(name, None)
        assert (resolved.name, spoken(resolved)) == ("Admiral", language)
    await cast.voices.create("commander", "profile", Manner(), [CLIP])
    assert cast.choose("Commander", None).name == "commander"
    assert cast.choose("commander-ja", None).name == "commander"


async def test_a_present_name_with_a_language_wins_over_an_old_name(cast: VoiceResolver) -> None:
    old = await cast.voices.create("Anna-de", "profile", Manner(), [CLIP])
    await cast.voices.change(old.id, name="Berta")
    assert cast.choose("Anna-de", None).name == "Berta"
    await cast.voices.create("Anna", "profile", Manner(), [CLIP])
    assert cast.choose("Anna-de", None).name == "Anna"


async def test_a_speaker_is_the_voice_itself_or_none(cast: VoiceResolver) -> None:
    assert cast.choose("ryan-de", None, "Ryan") == cast.choose("ryan-de", None)
    for speaker in ("vivian", "nobody at all", "0"):
        with pytest.raises(InvalidRequest, match="Ryan has no speaker") as caught:
            cast.choose("ryan-de", None, speaker)
        assert caught.value.param == "speaker"


@pytest.mark.parametrize(
    ("wish", "label", "language", "warning"),
    [
        (VoiceNames("nosuch"), "Aiden", "fr", "There is no voice 'nosuch'; Aiden speaks instead, in French"),
        (VoiceNames("nosuch-de"), "Aiden", "de", "There is no voice 'nosuch-de'; Aiden speaks instead, in German"),
        (VoiceNames("nosuch (pt-BR)"), "Aiden", "pt", "There is no voice 'nosuch (pt-BR)'; "),
        (
            VoiceNames("nosuch-ja"),
            "Ono_Anna",
            "ja",
            "There is no voice 'nosuch-ja'; Ono_Anna speaks instead, in Japanese",
        ),
        (VoiceNames("de_DE-thorsten-medium"), "Aiden", "de", "There is no voice"),
        (VoiceNames("af_sky"), "Serena", "fr", "There is no voice 'af_sky'; Serena speaks instead, in French."),
        (VoiceNames("bm_george(2)+af_sky"), "Ryan", "fr", "There is no voice"),
        (VoiceNames("jf_alpha"), "Ono_Anna", "ja", "There is no voice"),
        (VoiceNames("de-DE-KatjaNeural"), "Aiden", "de", "There is no voice"),
        (VoiceNames("ryan-nl"), "Aiden", "fr", "There is no voice"),
        (VoiceNames("nosuch-de", "it"), "Aiden", "it", "There is no voice"),
        (
            VoiceNames("nosuch-de", "nl"),
            "Aiden",
            "de",
            "The language 'nl' is not supported; there is no voice 'nosuch-de'; ",
        ),
        (VoiceNames("nosuch", None, "vivian"), "Aiden", "fr", "There is no voice 'nosuch'; Aiden speaks instead"),
        (VoiceNames("x" * 100_000), "Aiden", "fr", f"There is no voice '{'x' * 64}...'; Aiden"),
        (VoiceNames("\ud800\n"), "Aiden", "fr", r"There is no voice '\ud800\n'; Aiden"),
        (VoiceNames("nobody"), "Aiden", "fr", "The voice 'Nobody' has no clip; Aiden speaks instead, in French"),
        (VoiceNames("nobody-de"), "Aiden", "de", "The voice 'Nobody' has no clip; Aiden speaks instead, in German"),
        (VoiceNames("mute"), "Vivian", "zh", "The voice 'Mute' has no clip; Vivian speaks instead, in Chinese"),
        (VoiceNames("ryan", "nl"), "Ryan", "fr", "The language 'nl' is not supported; Ryan speaks, in French"),
        (VoiceNames(None, "nl"), "Aiden", "fr", "The language 'nl' is not supported; Aiden speaks, in French"),
        (VoiceNames("ryan-de", "it"), "Ryan", "de", "The voice 'ryan-de' does not speak 'it'; Ryan speaks, in German"),
        (
            VoiceNames("commander-ja", "it"),
            "Commander",
            "ja",
            "The voice 'commander-ja' does not speak 'it'; Commander",
        ),
        (
            VoiceNames("nobody-ja", "it"),
            "Ono_Anna",
            "ja",
            "The voice 'nobody-ja' does not speak 'it'; the voice 'Nobody' has",
        ),
        (
            VoiceNames("ryan-de", None, "vivian"),
            "Ryan",
            "de",
            "The voice 'ryan-de' has no speaker 'vivian'; Ryan speaks, in",
        ),
        (VoiceNames(None, None, "0"), "Aiden", "fr", "The default voice has no speaker '0'; Aiden speaks, in French"),
        (VoiceNames("ryan", "pt-BR"), "Ryan", "pt", None),
        (VoiceNames("ryan-pt", "pt-BR"), "Ryan", "pt", None),
        (VoiceNames("ryan-de", "auto"), "Ryan", "de", None),
        (VoiceNames(" ", " ", " "), "Aiden", "fr", None),
        (VoiceNames(), "Aiden", "fr", None),
        (VoiceNames("Commander", None, "commander"), "Commander", "de", None),
    ],
)
async def test_what_can_not_be_had_is_replaced_and_told(
    cast: VoiceResolver, wish: VoiceNames, label: str, language: str, warning: str | None
) -> None:
    await cast.voices.create("Mute", "profile", Manner(language=find_language("zh")), [])
    resolved = cast.choose_for("wyoming", wish)
    assert (resolved.label, spoken(resolved)) == (label, language)
    assert (resolved.warning or "").startswith(warning or "")
    assert (resolved.warning is None) == (warning is None)


async def test_a_default_voice_that_lost_its_clip_does_not_mute_who_asks_for_none(cast: VoiceResolver) -> None:
    await cast.voices.create("Lost", "profile", Manner(language=find_language("ko")), [CLIP])
    await cast.voices.set_default("Lost")
    lost = kept(cast, "Lost")
    await cast.voices.remove_sample(lost.id, lost.samples[0].id)
    with pytest.raises(InvalidRequest, match="Lost has no clip yet"):
        cast.choose(None, None)
    resolved = cast.choose_for("wyoming", VoiceNames())
    assert (resolved.label, spoken(resolved)) == ("Sohee", "ko")
    assert resolved.warning == "The voice 'Lost' has no clip; Sohee speaks instead, in Korean."
    resolved = cast.choose_for("wyoming", VoiceNames("nosuch"))
    assert resolved.warning == (
        "There is no voice 'nosuch'; the voice 'Lost' has no clip; Sohee speaks instead, in Korean."
    )


async def test_without_a_language_the_text_tells_it(cast: VoiceResolver) -> None:
    resolved = VoiceResolver(Defaults(RYAN), cast.voices).choose_for("wyoming", VoiceNames("nosuch"))
    assert resolved.warning == "There is no voice 'nosuch'; Ryan speaks instead, in the language of the text."


@pytest.mark.parametrize(
    ("fallback", "surface", "speaks"),
    [
        ("auto", "wyoming", True),
        ("auto", "http", False),
        ("on", "wyoming", True),
        ("on", "http", True),
        ("off", "wyoming", False),
        ("off", "http", False),
    ],
)
async def test_where_unknown_voices_are_replaced(
    cast: VoiceResolver, fallback: VoiceFallback, surface: Surface, speaks: bool
) -> None:
    cast = replace(cast, fallback=fallback)
    if speaks:
        assert cast.choose_for(surface, VoiceNames("nosuch")).label == "Aiden"
        return
    with pytest.raises(VoiceNotFound, match="With --voice-fallback on the default voice speaks instead"):
        cast.choose_for(surface, VoiceNames("nosuch"))
    assert cast.faults() == []


@pytest.mark.parametrize("name", ["af_heart", "en_US-amy-medium", "en-US-AriaNeural", "af_bella+af_sky"])
async def test_voices_that_clients_have_built_in_are_replaced_over_http_too(cast: VoiceResolver, name: str) -> None:
    assert cast.choose_for("http", VoiceNames(name)).warning
    with pytest.raises(VoiceNotFound):
        replace(cast, fallback="off").choose_for("http", VoiceNames(name))


async def test_where_a_person_chose_a_default_voice_it_replaces_them(cast: VoiceResolver) -> None:
    await cast.voices.set_default("Commander")
    assert cast.choose_for("http", VoiceNames("af_heart")).label == "Commander"


@pytest.mark.parametrize(
    ("name", "label", "language"),
    [
        ("nova", "Commander", "de"),
        ("NOVA", "Commander", "de"),
        ("nova-ja", "Commander", "ja"),
        ("kitchen", "Vivian", "fr"),
        ("Ryan", "Aiden", "it"),
        ("alloy", "Aiden", "fr"),
    ],
)
async def test_an_alias_is_a_further_name_of_a_voice(cast: VoiceResolver, name: str, label: str, language: str) -> None:
    """Also over the name of a speaker, or of one of OpenAI's voices. Those that the server keeps come first."""
    cast = replace(cast, aliases={"nova": "ryan", "Kitchen": "vivian", "ryan": "aiden-it"})
    await cast.voices.set_aliases({"Nova": "Commander"})
    resolved = cast.choose(name, None)
    assert (resolved.label, spoken(resolved)) == (label, language)
    reopened = VoiceStore(cast.voices._folder)
    await reopened.open()
    assert reopened.aliases == {"Nova": "Commander"}


@pytest.mark.parametrize(("name", "language"), [("commander", "de"), ("Commander-ja", "ja")])
async def test_a_kept_voice_is_found_by_its_name_whatever_aliases_there_are(
    cast: VoiceResolver, name: str, language: str
) -> None:
    """It may have been made after them."""
    await cast.voices.set_aliases({"commander": "Ryan"})
    resolved = replace(cast, aliases={"Commander": "vivian"}).choose(name, None)
    assert (resolved.label, spoken(resolved)) == ("Commander", language)


async def test_an_alias_of_a_voice_that_is_gone_is_an_unknown_voice(cast: VoiceResolver) -> None:
    cast = replace(cast, aliases={"nova": "Nobody at all"})
    with pytest.raises(VoiceNotFound, match="'Nobody at all'"):
        cast.choose("nova", None)


async def test_what_was_replaced_is_told_once_for_each_client_and_voice(
    cast: VoiceResolver, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        for client in ("10.0.0.2", "10.0.0.3"):
            cast.choose_for("wyoming", VoiceNames("nosuch"), client)
            cast.choose_for("wyoming", VoiceNames("other-de"), client)
    first = "Replaced source=wyoming client=10.0.0.2: There is no voice 'nosuch'; Aiden speaks instead, in French."
    assert len(caplog.messages) == 4
    assert caplog.messages[0] == first
    assert caplog.records[0].levelno == logging.WARNING
    assert cast.faults() == [
        "There is no voice 'nosuch'; Aiden speaks instead, in French. Asked for over Wyoming.",
        "There is no voice 'other-de'; Aiden speaks instead, in German. Asked for over Wyoming.",
    ]


async def test_a_fault_is_over_when_the_voice_is_there_or_is_not_asked_for_any_more(
    cast: VoiceResolver,
) -> None:
    now = 1_000.0
    cast = replace(cast, replacements=Replacements(RequestLog(), lambda: now))
    cast.choose_for("wyoming", VoiceNames("Anna"))
    cast.choose_for("wyoming", VoiceNames("Berta"))
    await cast.voices.create("Anna", "profile", Manner(), [CLIP])
    assert [fault.partition(";")[0] for fault in cast.faults()] == ["There is no voice 'Berta'"]
    now += resolver.REMEMBERED_SECONDS - 1
    assert len(cast.faults()) == 1
    cast.choose_for("wyoming", VoiceNames("Berta"))
    now += resolver.REMEMBERED_SECONDS - 1
    assert len(cast.faults()) == 1
    now += 2
    assert cast.faults() == []


async def test_who_asks_for_ever_other_voices_fills_neither_memory_nor_log(
    cast: VoiceResolver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_MINUTE", 3600.0)
    for number in range(1_000):
        cast.choose_for("wyoming", VoiceNames(f"nosuch {number}"), "10.0.0.2")
    assert len(caplog.messages) == 30
    assert len(cast.faults()) == resolver.MAX_REMEMBERED
    assert "'nosuch 999'" in cast.faults()[-1]


async def test_the_servers_speed_is_that_of_all_voices_and_its_style_that_of_the_default_one(
    cast: VoiceResolver,
) -> None:
    configured = replace(cast, defaults=replace(cast.defaults, speed=1.2, style="calmly"))
    assert (configured.choose(None, None).speed, configured.choose(None, None).instruct) == (1.2, "calmly")
    assert (configured.choose("ryan", None).speed, configured.choose("ryan", None).instruct) == (1.2, None)
    commander = configured.choose("commander", None)
    assert commander.speed == pytest.approx(1.2 * cast.choose("commander", None).speed)
    whisper = configured.choose("whisper", None)
    assert whisper.instruct == "whispering"
