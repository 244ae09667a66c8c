"""Names of other speech servers' voices, which many programs have built in: what they tell of a voice."""

import re
from dataclasses import dataclass
from typing import Literal

from .speakers import SPEAKERS, Language, Speaker, find_language, language_in

Gender = Literal["female", "male"]


@dataclass(frozen=True)
class ForeignVoice:
    """What the name tells; None is not told."""

    language: Language | None = None
    gender: Gender | None = None


def find_foreign(name: str) -> ForeignVoice | None:
    """Return what the name of a voice of Kokoro, Piper or Azure tells; None for any other name.

    Kokoro's names are a letter for the language, one for the gender and a name (af_heart), which may be mixed and
    weighted (af_bella(2)+af_sky). Piper's have a locale, a name and a quality (en_US-amy-medium), Azure's a locale and
    a name (en-US-AriaNeural).
    """
    if match := _KOKORO.match(name):
        code = _KOKORO_LANGUAGES.get(match[1])
        return ForeignVoice(find_language(code) if code else None, "female" if match[2] == "f" else "male")
    if _PIPER.fullmatch(name) or _AZURE.fullmatch(name):
        return ForeignVoice(language_in(name))
    return None


def kokoro_language(code: str) -> str | None:
    """Return the language of Kokoro's one-letter code, "auto" for one that Qwen3-TTS does not speak; else None."""
    if code in ("a", "b"):
        return "en"
    return _KOKORO_LANGUAGES.get(code) or ("auto" if code == "h" else None)


def nearest_speaker(gender: Gender, language: Language | None) -> Speaker:
    """Return a speaker of that gender, preferably one at home in the language."""
    same = [speaker for speaker in SPEAKERS if speaker.gender == gender]
    natives = [speaker for speaker in same if speaker.native == language]
    return (natives or [speaker for speaker in same if speaker.id in _ALL_ROUND])[0]


_KOKORO = re.compile(r"(?:v\d+)?([abefhijpz])([fm])_[a-z]+(?=$|[(+])")
_KOKORO_LANGUAGES = {"e": "es", "f": "fr", "i": "it", "j": "ja", "p": "pt", "z": "zh"}
"""https://huggingface.co/hexgrad/Kokoro-82M/blob/main/VOICES.md; "h", Hindi, is not among Qwen3's languages.

"a" and "b", American and British English, are left out: clients send such a voice by default, whatever their texts are.
"""

_PIPER = re.compile(r"[a-z]{2,3}_[A-Z]{2}-[\w+]+-(?:x_low|low|medium|high)")
_AZURE = re.compile(r"[a-z]{2,3}-[A-Z]{2}-\w+Neural")
_ALL_ROUND = ("serena", "ryan")
"""Speakers for languages in which no speaker of the gender is at home."""
