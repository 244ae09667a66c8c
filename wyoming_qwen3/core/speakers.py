"""The nine speakers of CustomVoice and the ten languages of Qwen3-TTS, and how they are found by name."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .errors import InvalidRequest, LanguageNotSupported, VoiceNotFound


@dataclass(frozen=True)
class Language:
    """A language. `code` is ISO 639-1, `name` is the model's name, `own_name` the native one; all in lower case."""

    code: str
    name: str
    own_name: str

    @property
    def label(self) -> str:
        """Its English name as lists and sentences show it, such as German."""
        return self.name.title()


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
"""Maximum length of the requested name of a voice or language. A longer name is never found."""

MAX_VOICE_NAME_CHARACTERS = 64
"""Maximum length of the name of a kept voice."""


def find_language(name: str) -> Language | None:
    """Return the language of a code or name in any case, with or without a region ("de", "German", "de-CH").

    "auto" gives None. Raises LanguageNotSupported, which names the ten languages.
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


def agreed_language(voice: str, named: Language | None, language: str | None) -> Language | None:
    """Return the language that a request asks for, or else `named`, the one in its voice's name; None for neither.

    Raises LanguageNotSupported, and InvalidRequest if the two differ.
    """
    asked = find_language(language) if language else None
    if named and asked not in (None, named):
        raise InvalidRequest(
            f"Voice {voice!r} speaks {named.label}, but the requested language is {language!r}; leave one of them out.",
            param="language",
        )
    return asked or named


def _read_language(name: str) -> Language | None:
    """Return the language of a code or name, with any region: "pt-BR", "de_DE.UTF-8", "Portuguese (Brazil)"."""
    if len(name) > MAX_NAME_CHARACTERS:
        return None
    key = unicodedata.normalize("NFC", name).strip().casefold()
    return _LANGUAGE_BY_NAME.get(re.split(r"[-_.@]| ?\(", key)[0])


def quoted(name: str) -> str:
    """Return a client's name for a message: quoted, shortened, and with escapes for unprintable characters."""
    return repr(name if len(name) <= _MAX_TOLD_CHARACTERS else f"{name[:_MAX_TOLD_CHARACTERS]}...")


_MAX_TOLD_CHARACTERS = 64


@dataclass(frozen=True)
class Speaker:
    """A speaker. `id` is the model's name in lower case; `native` is the language that the speaker speaks best."""

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

OPENAI_VOICES: dict[str, str] = {
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
"""OpenAI's voices -> the most similar speaker, for programs that know only those names."""

_NATIVE_SPEAKER = {"zh": "vivian", "en": "ryan", "ja": "ono_anna", "ko": "sohee"}


def voice_name(speaker: Speaker, language: Language) -> str:
    """Return the name of the voice that speaks a language as this speaker, such as "ryan-de"."""
    return f"{speaker.id}-{language.code}"


def split_language(name: str) -> Iterator[tuple[str, Language]]:
    """Yield the ways to read a voice's name as another name followed by a language; the longest other name first.

    The language is a name, or a code with or without a region. It is in brackets, or follows a space or one of
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
"""Matches a language with an optional script and region, in lower case."""

_MAX_TAG_CHARACTERS = 24


def language_in(name: str) -> Language | None:
    """Return the language in the name of an unknown voice: at its end, or at its start if a region follows."""
    for _, language in split_language(name):
        return language
    match = re.match(r"([a-z]{2})[-_][A-Z]{2}[-_]", name)
    return _read_language(match[1]) if match else None


def voice_key(name: str) -> str:
    """Return a key that is equal for names of the same voice: case, spaces, underscores and composition are ignored."""
    return re.sub(r"[\s_]+", "_", unicodedata.normalize("NFC", name).strip().casefold())


def check_voice_name(name: str) -> str:
    """Return the name for a new voice in NFC and without surrounding whitespace.

    Raises InvalidRequest if the name is empty, too long, has characters other than letters, digits, spaces and
    _ . ' -, starts with a dot, or is that of a built-in voice, alone or with a language.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not re.fullmatch(rf"(?!\.)[\w .'-]{{1,{MAX_VOICE_NAME_CHARACTERS}}}", clean):
        raise InvalidRequest(
            f"A voice's name has 1 to {MAX_VOICE_NAME_CHARACTERS} letters, digits, spaces or _ . ' -, "
            "and does not start with a dot.",
            param="name",
        )
    names = (clean, *(base for base, _ in split_language(clean)))
    if any(_find_speaker(name) or voice_key(name) in _RESERVED for name in names):
        raise InvalidRequest(f"The name {clean!r} is reserved; choose another.", param="name")
    return clean


_RESERVED = ("auto", "clone", "custom", "default", "design", "none", "standby")
"""Names with another meaning, to this program or to its clients."""


def find_voice(name: str) -> tuple[Speaker, Language | None]:
    """Return the speaker, and the language if the name contains one, of a name such as "ryan-de" or "Uncle Fu (zh)".

    OpenAI's names, such as "alloy", are found too. Raises VoiceNotFound, which names the speakers.
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
    return _SPEAKER_BY_KEY.get(OPENAI_VOICES.get(key, key))


def native_speaker(language: Language, default: Speaker) -> Speaker:
    """Return the speaker for a language if none was requested: a native speaker, else the default."""
    if default.native == language:
        return default
    return _SPEAKER_BY_ID.get(_NATIVE_SPEAKER.get(language.code, ""), default)
