import pytest

from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.errors import InvalidRequest, LanguageNotSupported, VoiceNotFound
from wyoming_qwen3.core.speakers import find_language, find_voice


@pytest.mark.parametrize(
    ("voice", "asked", "default_language", "speaker", "language"),
    [
        (None, None, None, "aiden", None),
        ("", "", None, "aiden", None),
        (None, None, "en", "aiden", "en"),
        (None, None, "ja", "ono_anna", "ja"),
        (None, None, "de", "aiden", "de"),
        (None, "zh-CN", None, "vivian", "zh"),
        (None, "fr", "ja", "aiden", "fr"),
        (None, "auto", "ja", "aiden", None),
        ("sohee", None, None, "sohee", None),
        ("sohee", None, "ko", "sohee", "ko"),
        ("sohee", "German", "ko", "sohee", "de"),
        ("sohee-ru", None, "ko", "sohee", "ru"),
        ("sohee-ru", "ru", None, "sohee", "ru"),
        ("sohee-ru", "Auto", None, "sohee", "ru"),
        ("alloy", "ja", None, "aiden", "ja"),
    ],
)
def test_who_speaks_which_language(
    voice: str | None, asked: str | None, default_language: str | None, speaker: str, language: str | None
) -> None:
    configured = find_language(default_language) if default_language else None
    chosen, spoken = Defaults(find_voice("aiden")[0], configured).choose(voice, asked)
    assert chosen.id == speaker
    assert (spoken and spoken.code) == language


@pytest.mark.parametrize(
    ("voice", "language", "error", "param"),
    [
        ("nobody", None, VoiceNotFound, "voice"),
        (None, "Klingon", LanguageNotSupported, "language"),
        ("ryan-de", "fr", InvalidRequest, "language"),
    ],
)
def test_no_wish_is_replaced_silently(
    voice: str | None, language: str | None, error: type[InvalidRequest], param: str
) -> None:
    with pytest.raises(error) as caught:
        Defaults(find_voice("aiden")[0]).choose(voice, language)
    assert caught.value.param == param
