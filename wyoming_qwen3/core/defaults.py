"""Chooses the speaker and language if a request leaves them open: one rule for every surface."""

from dataclasses import dataclass, field

from .request import Sampling
from .speakers import Language, Speaker, agreed_language, find_voice, native_speaker


@dataclass(frozen=True)
class Defaults:
    """What is configured for requests that leave it open. If the language is None, it is detected from the text."""

    speaker: Speaker
    language: Language | None = None
    sampling: Sampling = field(default_factory=Sampling)
    style: str | None = None
    """How the speaker speaks, in words, if no voice is asked for."""

    speed: float = 1.0
    """Factor for the speed of all voices, unless the request has one."""

    def choose(self, voice: str | None, language: str | None) -> tuple[Speaker, Language | None]:
        """Return the speaker and language for the requested names. None or "" means that nothing was requested.

        A language without a voice is spoken by a native speaker of it. Raises VoiceNotFound, LanguageNotSupported, or
        InvalidRequest if the voice's name contains another language. Nothing that was requested is replaced silently.
        """
        speaker, named = find_voice(voice) if voice else (self.speaker, None)
        spoken = agreed_language(voice or "", named, language) or (None if language else self.language)
        if not voice and spoken is not None:
            speaker = native_speaker(spoken, self.speaker)
        return speaker, spoken
