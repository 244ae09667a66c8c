"""The nine speakers of CustomVoice and the ten languages of Qwen3-TTS: one table, and how to find them by name."""

import re
from dataclasses import dataclass
from typing import Literal

from .errors import LanguageNotSupported, VoiceNotFound


@dataclass(frozen=True)
class Language:
    """`code` is ISO 639-1, for the world; `name` is what the model knows, lower case."""

    code: str
    name: str


LANGUAGES: tuple[Language, ...] = (
    Language("zh", "chinese"),
    Language("en", "english"),
    Language("ja", "japanese"),
    Language("ko", "korean"),
    Language("de", "german"),
    Language("fr", "french"),
    Language("ru", "russian"),
    Language("pt", "portuguese"),
    Language("es", "spanish"),
    Language("it", "italian"),
)

_LANGUAGE_BY_NAME = {language.code: language for language in LANGUAGES} | {
    language.name: language for language in LANGUAGES
}


def find_language(name: str) -> Language | None:
    """Language by code or name in any case, with or without a region ("de", "German", "de-CH"); None for "auto".

    Raises LanguageNotSupported, naming the ten.
    """
    key = name.strip().lower()
    if key == "auto":
        return None
    found = _LANGUAGE_BY_NAME.get(key) or _LANGUAGE_BY_NAME.get(re.split("[-_]", key)[0])
    if found is None:
        accepted = ", ".join(f"{language.code} ({language.name})" for language in LANGUAGES)
        raise LanguageNotSupported(
            f"Language {name!r} is not supported; choose auto or one of {accepted}.", param="language"
        )
    return found


@dataclass(frozen=True)
class Speaker:
    """`id` is what the model knows, lower case; `native` is the language spoken best."""

    id: str
    name: str
    native: Language
    gender: Literal["female", "male"]
    description: str


def _speaker(name: str, native: str, gender: Literal["female", "male"], description: str) -> Speaker:
    return Speaker(name.lower(), name, _LANGUAGE_BY_NAME[native], gender, description)


SPEAKERS: tuple[Speaker, ...] = (
    _speaker("Vivian", "zh", "female", "bright, slightly edgy young woman"),
    _speaker("Serena", "zh", "female", "warm, gentle young woman"),
    _speaker("Uncle_Fu", "zh", "male", "seasoned man, low and mellow"),
    _speaker("Dylan", "zh", "male", "youthful Beijing man, clear and natural"),
    _speaker("Eric", "zh", "male", "lively Chengdu man, slightly husky"),
    _speaker("Ryan", "en", "male", "dynamic man, strong rhythmic drive"),
    _speaker("Aiden", "en", "male", "sunny American man, clear midrange"),
    _speaker("Ono_Anna", "ja", "female", "playful Japanese woman, light and nimble"),
    _speaker("Sohee", "ko", "female", "warm Korean woman, rich emotion"),
)

_SPEAKER_BY_ID = {speaker.id: speaker for speaker in SPEAKERS}

ALIASES: dict[str, str] = {
    "alloy": "aiden",
    "ash": "ryan",
    "ballad": "eric",
    "cedar": "ryan",
    "coral": "serena",
    "echo": "aiden",
    "fable": "dylan",
    "marin": "serena",
    "nova": "vivian",
    "onyx": "uncle_fu",
    "sage": "sohee",
    "shimmer": "ono_anna",
    "verse": "eric",
}
"""OpenAI's voices, for programs that know no others -> the speaker whose voice is nearest in kind."""

_NATIVE_SPEAKER = {"zh": "vivian", "en": "ryan", "ja": "ono_anna", "ko": "sohee"}


def voice_name(speaker: Speaker, language: Language) -> str:
    """Name of the voice that speaks `language` as `speaker`, for a world that sends names only: "ryan-de"."""
    return f"{speaker.id}-{language.code}"


def find_voice(name: str) -> tuple[Speaker, Language | None]:
    """Speaker, and the language where the name holds one, of "ryan-de", "ryan", "Uncle_Fu", "uncle fu" or "alloy".

    Raises VoiceNotFound, naming the speakers.
    """
    key = re.sub(r"[\s_]+", "_", name.strip().lower())
    if speaker := _SPEAKER_BY_ID.get(ALIASES.get(key, key)):
        return speaker, None
    base, _, code = key.rpartition("-")
    if (speaker := _SPEAKER_BY_ID.get(base)) and code in _LANGUAGE_BY_NAME:
        return speaker, _LANGUAGE_BY_NAME[code]
    known = ", ".join(speaker.name for speaker in SPEAKERS)
    raise VoiceNotFound(
        f"There is no voice {name!r}; choose one of {known}, alone or with a language as in 'ryan-de'.", param="voice"
    )


def native_speaker(language: Language, default: Speaker) -> Speaker:
    """Speaker for a language when none was asked for: one at home in it, else the default."""
    if default.native == language:
        return default
    return _SPEAKER_BY_ID.get(_NATIVE_SPEAKER.get(language.code, ""), default)
