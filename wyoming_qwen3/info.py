"""What Describe answers. Home Assistant shows one program, and takes its name for the entity's: it never changes."""

from collections.abc import Iterator

from wyoming.info import Attribution, Info, TtsProgram, TtsVoice

from . import __version__
from .voices import LANGUAGES, SPEAKERS, Language, Speaker, voice_name

PROGRAM = "qwen3-tts"

_ATTRIBUTION = Attribution(name="Alibaba Qwen team", url="https://github.com/QwenLM/Qwen3-TTS")


def build_info() -> Info:
    """One voice for each speaker and language: Home Assistant never sends the language, so the voice's name does."""
    return Info(
        tts=[
            TtsProgram(
                name=PROGRAM,
                description="Qwen3-TTS",
                attribution=_ATTRIBUTION,
                installed=True,
                version=__version__,
                voices=list(_voices()),
                supports_synthesize_streaming=True,
            )
        ]
    )


def _voices() -> Iterator[TtsVoice]:
    for speaker in SPEAKERS:
        for language in sorted(LANGUAGES, key=lambda language: language != speaker.native):
            yield _voice(speaker, language)


def _voice(speaker: Speaker, language: Language) -> TtsVoice:
    return TtsVoice(
        name=voice_name(speaker, language),
        description=speaker.name.replace("_", " "),
        attribution=_ATTRIBUTION,
        installed=True,
        version=None,
        languages=[language.code],
    )
