import pytest

from wyoming_qwen3.core.errors import LanguageNotSupported, VoiceNotFound
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS, find_language, find_voice, native_speaker, voice_name

RYAN = next(speaker for speaker in SPEAKERS if speaker.id == "ryan")


@pytest.mark.parametrize(
    ("name", "speaker", "code"),
    [
        ("ryan", "ryan", None),
        ("Ryan", "ryan", None),
        ("Uncle_Fu", "uncle_fu", None),
        ("uncle fu", "uncle_fu", None),
        (" UNCLE  FU ", "uncle_fu", None),
        ("ryan-de", "ryan", "de"),
        ("Ono_Anna-ja", "ono_anna", "ja"),
        ("uncle fu-zh", "uncle_fu", "zh"),
        ("vivian-chinese", "vivian", "zh"),
        ("uncle-fu", "uncle_fu", None),
        ("UncleFu", "uncle_fu", None),
        ("Uncle Fu (zh)", "uncle_fu", "zh"),
        ("uncle_fu_de", "uncle_fu", "de"),
        ("ryan-pt-BR", "ryan", "pt"),
        ("ryan_pt_br", "ryan", "pt"),
        ("ryan-zh-Hans", "ryan", "zh"),
        ("ryan-zh-Hant-TW", "ryan", "zh"),
        ("ryan-es-419", "ryan", "es"),
        ("ryan-de-DE", "ryan", "de"),
        ("Ryan (de)", "ryan", "de"),
        ("ryan(de)", "ryan", "de"),
        ("Ryan [DE]", "ryan", "de"),
        ("Ryan (pt-BR)", "ryan", "pt"),
        ("ryan_de", "ryan", "de"),
        ("Ryan de", "ryan", "de"),
        ("Ryan - de", "ryan", "de"),
        ("Ryan, German", "ryan", "de"),
        ("ryan:de", "ryan", "de"),
        ("ryan/de", "ryan", "de"),
        ("ryan-german", "ryan", "de"),
        ("Ryan German", "ryan", "de"),
        ("Ryan (German)", "ryan", "de"),
        ("Ryan (Deutsch)", "ryan", "de"),
        ("Vivian（中文）", "vivian", "zh"),
        ("Ryan français", "ryan", "fr"),
        ("Ryan (Portuguese (Brazil))", "ryan", "pt"),
        ("alloy-de", "aiden", "de"),
        ("Nova (German)", "vivian", "de"),
    ],
)
def test_a_voice_is_found_however_it_is_spelt(name: str, speaker: str, code: str | None) -> None:
    found, language = find_voice(name)
    assert (found.id, language and language.code) == (speaker, code)


@pytest.mark.parametrize(
    "name",
    [
        *("", "alloyed", "ryan-xx", "ryan-", "-de", "(de)", "fu", "ryan-de-de-de", "ｒyan", "ryande", "ryan (nl)"),
        *("ryan (de", "de", "german", "af_sky", "en_US-amy-medium", "ryan" * 100_000, "ryan" + "-" * 100_000),
    ],
)
def test_an_unknown_voice_is_refused_with_the_list(name: str) -> None:
    with pytest.raises(VoiceNotFound, match=r"Vivian.*Sohee"):
        find_voice(name)


def test_every_advertised_name_is_found_again() -> None:
    for speaker in SPEAKERS:
        for language in LANGUAGES:
            assert find_voice(voice_name(speaker, language)) == (speaker, language)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("de", "de"),
        ("German", "de"),
        ("de-CH", "de"),
        ("zh_Hans", "zh"),
        ("EN-us", "en"),
        ("auto", None),
        ("Auto", None),
        ("zh-Hans-CN", "zh"),
        ("de_DE.UTF-8", "de"),
        ("Deutsch", "de"),
        ("PORTUGUÊS", "pt"),
        ("Portuguese (Brazil)", "pt"),
    ],
)
def test_a_language_is_found_by_code_name_or_region(name: str, code: str | None) -> None:
    found = find_language(name)
    assert (found and found.code) == code


@pytest.mark.parametrize("name", ["", "nl", "klingon", "e", "auto-auto"])
def test_an_unknown_language_is_refused_with_the_ten(name: str) -> None:
    with pytest.raises(LanguageNotSupported, match=r"zh \(chinese\).*it \(italian\)"):
        find_language(name)


@pytest.mark.parametrize(
    ("code", "speaker"), [("zh", "vivian"), ("en", "ryan"), ("ja", "ono_anna"), ("ko", "sohee"), ("de", "aiden")]
)
def test_a_language_without_a_voice_gets_its_native_speaker_or_the_default(code: str, speaker: str) -> None:
    aiden = next(speaker for speaker in SPEAKERS if speaker.id == "aiden")
    default = RYAN if code == "en" else aiden
    language = find_language(code)
    assert language is not None
    assert native_speaker(language, default).id == speaker


def test_a_default_speaker_at_home_in_the_language_stays() -> None:
    serena = next(speaker for speaker in SPEAKERS if speaker.id == "serena")
    assert native_speaker(serena.native, serena) is serena
