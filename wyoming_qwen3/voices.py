"""The nine speakers of CustomVoice and the ten languages of Qwen3-TTS: one table, and how to find them by name."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from .errors import InvalidRequest, LanguageNotSupported, VoiceNotFound


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


def split_language(name: str) -> tuple[str, Language | None]:
    """A voice's name without the language in it, and the language: of "ryan-de" "ryan" and German."""
    base, _, code = name.strip().rpartition("-")
    language = _LANGUAGE_BY_NAME.get(code.lower())
    return (base, language) if base and language else (name, None)


def voice_key(name: str) -> str:
    """What names have in common that mean the same voice: case, spaces, underscores and composition don't matter."""
    return re.sub(r"[\s_]+", "_", unicodedata.normalize("NFC", name).strip().casefold())


def check_voice_name(name: str) -> str:
    """The name for a new voice, in NFC and without blanks around it.

    Raises InvalidRequest for one that is empty, too long, has other characters than letters, digits, blanks and
    _ . ' -, begins with a dot, or belongs to a voice that is built in, alone or with a language.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not re.fullmatch(r"(?!\.)[\w .'-]{1,64}", clean):
        raise InvalidRequest(
            "A voice's name has 1 to 64 letters, digits, blanks or _ . ' - and does not begin with a dot.", param="name"
        )
    key = voice_key(clean)
    base, language = split_language(key)
    taken = {*_SPEAKER_BY_ID, *ALIASES, *_RESERVED}
    if key in taken or (language and base in taken):
        raise InvalidRequest(f"The name {clean!r} is reserved; choose another.", param="name")
    return clean


_RESERVED = ("auto", "clone", "custom", "default", "design", "none", "standby")
"""Names that mean something else than a voice of that name, here or to a program that asks."""


def find_voice(name: str) -> tuple[Speaker, Language | None]:
    """Speaker, and the language where the name holds one, of "ryan-de", "ryan", "Uncle_Fu", "uncle fu" or "alloy".

    Raises VoiceNotFound, naming the speakers.
    """
    key = voice_key(name)
    if speaker := _SPEAKER_BY_ID.get(ALIASES.get(key, key)):
        return speaker, None
    base, language = split_language(key)
    if language and (speaker := _SPEAKER_BY_ID.get(base)):
        return speaker, language
    known = ", ".join(speaker.name for speaker in SPEAKERS)
    raise VoiceNotFound(
        f"There is no voice {name!r}; choose one of {known}, alone or with a language as in 'ryan-de'.", param="voice"
    )


def native_speaker(language: Language, default: Speaker) -> Speaker:
    """Speaker for a language when none was asked for: one at home in it, else the default."""
    if default.native == language:
        return default
    return _SPEAKER_BY_ID.get(_NATIVE_SPEAKER.get(language.code, ""), default)
