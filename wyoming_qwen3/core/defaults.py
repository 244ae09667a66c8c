"""What is spoken with when a request does not say: one rule for every surface."""

from dataclasses import dataclass, field

from .errors import InvalidRequest
from .request import Sampling
from .speakers import Language, Speaker, find_language, find_voice, native_speaker


@dataclass(frozen=True)
class Defaults:
    """The configured voice, language (None lets the model tell by the text) and sampling."""

    speaker: Speaker
    language: Language | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def choose(self, voice: str | None, language: str | None) -> tuple[Speaker, Language | None]:
        """Speaker and language for the names that were asked for; None or "" is no wish.

        A language without a voice is spoken by somebody who is at home in it. Raises VoiceNotFound,
        LanguageNotSupported, or InvalidRequest where the voice's name holds another language; nothing asked for is
        replaced silently.
        """
        speaker, named = find_voice(voice) if voice else (self.speaker, None)
        if not language:
            spoken = named or self.language
        else:
            spoken = find_language(language) or named
            if named and spoken != named:
                raise InvalidRequest(
                    f"Voice {voice!r} speaks {named.name.title()}, but the language asked for is {language!r}; "
                    f"leave one of the two out.",
                    param="language",
                )
        if not voice and spoken is not None:
            speaker = native_speaker(spoken, self.speaker)
        return speaker, spoken
