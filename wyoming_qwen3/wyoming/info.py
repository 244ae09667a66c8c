"""Builds the answer to Describe. Home Assistant names its entity after the one program, so the name never changes."""

from collections.abc import Iterable, Iterator

from wyoming.info import Attribution, Info, TtsProgram, TtsVoice

from wyoming_qwen3 import __version__
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS, Language, Speaker, voice_name
from wyoming_qwen3.store.voices.voice import KeptVoice

PROGRAM = "qwen3-tts"

_ATTRIBUTION = Attribution(name="Alibaba Qwen team", url="https://github.com/QwenLM/Qwen3-TTS")


def build_info(kept: Iterable[KeptVoice]) -> Info:
    """Return the program with all its voices.

    There is one voice for each speaker and language, because Home Assistant sends only the voice's name and never the
    language. Those at home in a language come first. A kept voice that can speak is one voice, for its own language or,
    if it has none, for all languages.
    """
    return Info(
        tts=[
            TtsProgram(
                name=PROGRAM,
                description="Qwen3-TTS",
                attribution=_ATTRIBUTION,
                installed=True,
                version=__version__,
                voices=[*_voices(), *(_kept_voice(voice) for voice in kept if voice.speaks)],
                supports_synthesize_streaming=True,
            )
        ]
    )


def _voices() -> Iterator[TtsVoice]:
    for language in LANGUAGES:
        for speaker in sorted(SPEAKERS, key=lambda speaker: speaker.native != language):
            yield _voice(speaker, language)


def _voice(speaker: Speaker, language: Language) -> TtsVoice:
    return TtsVoice(
        name=voice_name(speaker, language),
        description=_described(speaker, language),
        attribution=_ATTRIBUTION,
        installed=True,
        version=None,
        languages=[language.code],
    )


def _described(speaker: Speaker, language: Language) -> str:
    """Return what Home Assistant shows in its list of a language's voices."""
    person = "woman" if speaker.gender == "female" else "man"
    native = "native" if speaker.native == language else f"native {speaker.native.label}"
    return f"{speaker.name.replace('_', ' ')} ({person}, {native})"


def _kept_voice(kept: KeptVoice) -> TtsVoice:
    language = kept.manner.language
    return TtsVoice(
        name=kept.name,
        description=kept.name,
        attribution=_ATTRIBUTION,
        installed=True,
        version=None,
        languages=[language.code] if language else [language.code for language in LANGUAGES],
    )
