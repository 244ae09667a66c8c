"""Who speaks when asked for by name: one rule for every surface, over built-in and kept voices."""

from dataclasses import dataclass, replace

from .defaults import Defaults
from .effects import Effect
from .errors import InvalidRequest, VoiceNotFound
from .request import Kept, Voice
from .store.voice import KeptVoice
from .store.voices import VoiceStore
from .voices import Language, Speaker, find_language, find_voice, split_language


@dataclass(frozen=True)
class Part:
    """What a voice's name and a language mean together."""

    voice: Voice
    language: Language | None
    instruct: str | None = None
    speed: float = 1.0
    effects: tuple[Effect, ...] = ()
    name: str | None = None
    """The voice's own, where it is kept."""

    @property
    def label(self) -> str:
        """By which it can be asked for again."""
        return self.name or (self.voice.name if isinstance(self.voice, Speaker) else "")


@dataclass(frozen=True)
class Cast:
    """All voices that can be asked for, and the ones that speak where none is."""

    defaults: Defaults
    voices: VoiceStore

    def choose(self, voice: str | None, language: str | None) -> Part:
        """The part for the names that were asked for; None or "" is no wish.

        A kept voice is found by its name or id, alone or with a language as in "commander-de"; it speaks its own
        language unless another is asked for. Built-in names are as Defaults.choose takes them. Raises VoiceNotFound,
        LanguageNotSupported and InvalidRequest.
        """
        wanted = voice or self.voices.default
        if wanted and (found := self._find(wanted)):
            return _cast(*found, language, self.defaults)
        defaults = self.defaults
        if not voice and wanted:  # a built-in speaker was made the default
            defaults = replace(defaults, speaker=find_voice(wanted)[0])
        try:
            return Part(*defaults.choose(voice, language))
        except VoiceNotFound as error:
            kept = ", ".join(one.name for one in self.voices.all())
            raise VoiceNotFound(f"{error} Kept voices: {kept}." if kept else str(error), param="voice") from None

    def _find(self, name: str) -> tuple[KeptVoice, Language | None] | None:
        if kept := self.voices.find(name):
            return kept, None
        base, spoken = split_language(name)
        return (kept, spoken) if spoken and (kept := self.voices.find(base)) else None


def _cast(kept: KeptVoice, named: Language | None, language: str | None, defaults: Defaults) -> Part:
    manner = kept.manner
    asked = find_language(language) if language else None
    if named and asked not in (None, named):
        raise InvalidRequest(
            f"Voice {kept.name}-{named.code} speaks {named.name.title()}, but the language asked for is {language!r}; "
            f"leave one of the two out.",
            param="language",
        )
    if not kept.speaks:
        raise InvalidRequest(f"Voice {kept.name} has no clip yet; add one to its profile.", param="voice")
    voice: Voice = manner.speaker or Kept(kept.id, kept.revision)
    spoken = asked or named or manner.language or defaults.language
    return Part(voice, spoken, manner.instructions, manner.speed, manner.effects, kept.name)
