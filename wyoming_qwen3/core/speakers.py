"""The nine speakers of CustomVoice and the ten languages of Qwen3-TTS: one table, and how to find them by name."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .errors import InvalidRequest, LanguageNotSupported, VoiceNotFound


@dataclass(frozen=True)
class Language:
    """`code` is ISO 639-1, `name` is what the model knows, `own_name` what its speakers call it; all in lower case."""

    code: str
    name: str
    own_name: str


LANGUAGES: tuple[Language, ...] = (
    Language("zh", "chinese", "中文"),
    Language("en", "english", "english"),
    Language("ja", "japanese", "日本語"),
    Language("ko", "korean", "한국어"),
    Language("de", "german", "deutsch"),
    Language("fr", "french", "français"),
    Language("ru", "russian", "русский"),
    Language("pt", "portuguese", "português"),
    Language("es", "spanish", "español"),
    Language("it", "italian", "italiano"),
)

_LANGUAGE_BY_NAME = {
    name: language for language in LANGUAGES for name in (language.code, language.name, language.own_name)
}

MAX_NAME_CHARACTERS = 200
"""Of a voice or a language that is asked for; a longer name is nobody's."""

MAX_VOICE_NAME_CHARACTERS = 64
"""Maximum length of the name of a kept voice."""


def find_language(name: str) -> Language | None:
    """Language by code or name in any case, with or without a region ("de", "German", "de-CH"); None for "auto".

    Raises LanguageNotSupported, naming the ten.
    """
    if name.strip().lower() == "auto":
        return None
    found = _read_language(name)
    if found is None:
        accepted = ", ".join(f"{language.code} ({language.name})" for language in LANGUAGES)
        raise LanguageNotSupported(
            f"Language {quoted(name)} is not supported; choose auto or one of {accepted}.", param="language"
        )
    return found


def _read_language(name: str) -> Language | None:
    """A language by code or name, whatever follows it as region: "pt-BR", "de_DE.UTF-8", "Portuguese (Brazil)"."""
    if len(name) > MAX_NAME_CHARACTERS:
        return None
    key = unicodedata.normalize("NFC", name).strip().casefold()
    return _LANGUAGE_BY_NAME.get(re.split(r"[-_.@]| ?\(", key)[0])


def quoted(name: str) -> str:
    """A name as a client sent it, for a message: its beginning, with escapes for what is not to be printed."""
    return repr(name if len(name) <= _MAX_TOLD_CHARACTERS else f"{name[:_MAX_TOLD_CHARACTERS]}...")


_MAX_TOLD_CHARACTERS = 64


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
_SPEAKER_BY_KEY = {speaker.id.replace("_", between): speaker for speaker in SPEAKERS for between in ("_", "-", "")}

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


def split_language(name: str) -> Iterator[tuple[str, Language]]:
    """The ways to read a voice's name as another name and a language behind it; the longest other name first.

    The language is a code, with or without a region, or a name, and stands in brackets or behind a blank or one of
    - _ , : / as in "ryan-pt-BR", "Ryan (German)" and "ryan_de".
    """
    if len(name) > MAX_NAME_CHARACTERS:
        return
    name = unicodedata.normalize("NFC", name).strip()
    if (match := _IN_BRACKETS.fullmatch(name)) and (language := _read_language(match[2])):
        yield match[1], language
    for separator in reversed(list(_SEPARATORS.finditer(name))):
        base, tail = name[: separator.start()], name[separator.end() :]
        if len(tail) > _MAX_TAG_CHARACTERS:
            return
        if base and _LANGUAGE_TAG.fullmatch(tail.casefold()) and (language := _read_language(tail)):
            yield base, language


_IN_BRACKETS = re.compile(r"(.+?)\s*[(\[（](.+)[)\]）]", re.DOTALL)
_SEPARATORS = re.compile(r"[-_\s,:/]+")
_LANGUAGE_TAG = re.compile(r"[^\W\d_]+(?:[-_][a-z]{4})?(?:[-_](?:[a-z]{2}|[0-9]{3}))?")
"""A language, its script and its region, in lower case."""

_MAX_TAG_CHARACTERS = 24


def language_in(name: str) -> Language | None:
    """The language that the name of an unknown voice holds: at its end, or with a region at its beginning."""
    for _, language in split_language(name):
        return language
    match = re.match(r"([a-z]{2})[-_][A-Z]{2}[-_]", name)
    return _read_language(match[1]) if match else None


def voice_key(name: str) -> str:
    """What names have in common that mean the same voice: case, spaces, underscores and composition don't matter."""
    return re.sub(r"[\s_]+", "_", unicodedata.normalize("NFC", name).strip().casefold())


def check_voice_name(name: str) -> str:
    """The name for a new voice, in NFC and without blanks around it.

    Raises InvalidRequest for one that is empty, too long, has other characters than letters, digits, blanks and
    _ . ' -, begins with a dot, or belongs to a voice that is built in, alone or with a language.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not re.fullmatch(rf"(?!\.)[\w .'-]{{1,{MAX_VOICE_NAME_CHARACTERS}}}", clean):
        raise InvalidRequest(
            f"A voice's name has 1 to {MAX_VOICE_NAME_CHARACTERS} letters, digits, blanks or _ . ' - "
            "and does not begin with a dot.",
            param="name",
        )
    names = (clean, *(base for base, _ in split_language(clean)))
    if any(_find_speaker(name) or voice_key(name) in _RESERVED for name in names):
        raise InvalidRequest(f"The name {clean!r} is reserved; choose another.", param="name")
    return clean


_RESERVED = ("auto", "clone", "custom", "default", "design", "none", "standby")
"""Names that mean something else than a voice of that name, here or to a program that asks."""


def find_voice(name: str) -> tuple[Speaker, Language | None]:
    """Speaker, and the language where the name holds one, of "ryan-de", "ryan", "Uncle_Fu", "Uncle Fu (zh)" or "alloy".

    Raises VoiceNotFound, naming the speakers.
    """
    if speaker := _find_speaker(name):
        return speaker, None
    for base, language in split_language(name):
        if speaker := _find_speaker(base):
            return speaker, language
    known = ", ".join(speaker.name for speaker in SPEAKERS)
    raise VoiceNotFound(
        f"There is no voice {quoted(name)}; choose one of {known}, alone or with a language as in 'ryan-de'.",
        param="voice",
    )


def _find_speaker(name: str) -> Speaker | None:
    if len(name) > MAX_NAME_CHARACTERS:
        return None
    key = voice_key(name)
    return _SPEAKER_BY_KEY.get(ALIASES.get(key, key))


def native_speaker(language: Language, default: Speaker) -> Speaker:
    """Speaker for a language when none was asked for: one at home in it, else the default."""
    if default.native == language:
        return default
    return _SPEAKER_BY_ID.get(_NATIVE_SPEAKER.get(language.code, ""), default)
