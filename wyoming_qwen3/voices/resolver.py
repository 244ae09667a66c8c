"""Resolves the name of a voice: one rule for all surfaces, for built-in and kept voices."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.effects import Effect
from wyoming_qwen3.core.errors import InvalidRequest, LanguageNotSupported, VoiceNotFound
from wyoming_qwen3.core.foreign_voices import find_foreign, nearest_speaker
from wyoming_qwen3.core.request import (
    MAX_SPEED,
    MIN_SPEED,
    KeptVoiceRef,
    Sampling,
    SpeechRequest,
    Voice,
    VoiceFallback,
)
from wyoming_qwen3.core.speakers import (
    MAX_NAME_CHARACTERS,
    SPEAKERS,
    Language,
    Speaker,
    agreed_language,
    find_language,
    find_voice,
    language_in,
    quoted,
    split_language,
    voice_key,
)
from wyoming_qwen3.ops.logs import RequestLog
from wyoming_qwen3.ops.recent import RecentKeys
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import KeptVoice

Surface = Literal["wyoming", "http"]

MAX_REMEMBERED = 32
"""How many wishes that could not be met are remembered, to be shown at /health."""

REMEMBERED_SECONDS = 24 * 3600.0
"""How long such a wish is remembered after it was last received."""


@dataclass(frozen=True)
class VoiceNames:
    """The names that a client sent: its wish. A name that is None or blank is not part of the wish."""

    voice: str | None = None
    language: str | None = None
    speaker: str | None = None
    """Wyoming's field for one of several speakers of a voice. Here each speaker is a voice of its own."""


@dataclass(frozen=True)
class ResolvedVoice:
    """What a voice's name and a language resolve to."""

    voice: Voice
    language: Language | None
    instruct: str | None = None
    speed: float = 1.0
    effects: tuple[Effect, ...] = ()
    name: str | None = None
    """The voice's own name if it is a kept voice, else None."""

    warning: str | None = None
    """What is not available and which voice speaks instead, in one sentence; None if the wish was met."""

    @property
    def label(self) -> str:
        """Name by which the voice can be asked for again; "" if it has none."""
        return self.name or (self.voice.name if isinstance(self.voice, Speaker) else "")

    def request(self, sampling: Sampling, style: str | None = None) -> SpeechRequest:
        """Return the request that speaks with this voice as it was kept. `style` is followed after the voice's own."""
        return SpeechRequest(
            self.voice,
            self.language,
            " ".join(filter(None, (self.instruct, style))) or None,
            sampling,
            speed=self.speed,
            effects=self.effects,
            voice_name=self.name,
        )


class Replacements:
    """The last day's wishes that could not be met, at most `MAX_REMEMBERED`. Each is logged once for each client."""

    def __init__(self, request_log: RequestLog, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns monotonic time in seconds."""
        self._request_log = request_log
        self._seen = RecentKeys[tuple[Surface, str, VoiceNames]](MAX_REMEMBERED, REMEMBERED_SECONDS, clock)

    def add(self, surface: Surface, client: str, wish: VoiceNames, warning: str) -> None:
        """Remember that a client's wish was met in another way, and log it once."""
        if self._seen.add((surface, client, wish)):
            self._request_log.log_replaced(surface, warning, client=client or "local")

    def wishes(self) -> list[tuple[Surface, VoiceNames]]:
        """Return each wish once, with the surface that received it."""
        return list(dict.fromkeys((surface, wish) for surface, _, wish in self._seen.keys()))  # noqa: SIM118  no dict


@dataclass(frozen=True)
class VoiceResolver:
    """Resolves names to voices, built-in and kept, and provides the defaults where no name is given."""

    defaults: Defaults
    voices: VoiceStore
    fallback: VoiceFallback = "auto"
    replacements: Replacements = field(default_factory=lambda: Replacements(RequestLog()))
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further names for voices, each with the name of its voice. Those that the store keeps come before these."""

    def names(self) -> list[str]:
        """Return the names of all voices that can speak, the built-in ones first."""
        return [speaker.name for speaker in SPEAKERS] + [kept.name for kept in self.voices.all() if kept.speaks]

    def choose(self, voice: str | None, language: str | None, speaker: str | None = None) -> ResolvedVoice:
        """Return the voice for these names; a name that is None or "" leaves the choice to the defaults.

        A kept voice is found by its name or ID, alone or with a language as in "commander-de", and if no voice has that
        name, by a former name. It speaks its own language unless another is asked for. Built-in names are resolved by
        Defaults.choose. Raises VoiceNotFound, LanguageNotSupported or InvalidRequest; the error's `param` is the name
        that can't be resolved.
        """
        try:
            return self._choose(VoiceNames(voice, language, speaker), self.voices.default)
        except VoiceNotFound as error:
            kept = ", ".join(one.name for one in self.voices.all() if one.speaks)
            told = f"{error} Kept voices: {kept}." if kept else str(error)
            advice = "With --voice-fallback on the default voice speaks instead."
            raise VoiceNotFound(f"{told} {advice}", param="voice") from None

    def choose_for(self, surface: Surface, wish: VoiceNames, client: str = "") -> ResolvedVoice:
        """Return the voice as `choose` does, but replace what is not available if `fallback` allows that.

        With the fallback "auto" that is everything over Wyoming, and over HTTP the names of other servers' voices,
        which clients have built in. The result's `warning` then says what was replaced. Otherwise raises what `choose`
        raises.
        """
        if self.fallback == "off" or (self.fallback == "auto" and surface == "http"):
            try:
                return self.choose(wish.voice, wish.language, wish.speaker)
            except VoiceNotFound:
                if self.fallback == "off" or find_foreign(wish.voice or "") is None:
                    raise
        wish = VoiceNames(
            *(name and name[: MAX_NAME_CHARACTERS + 1] for name in (wish.voice, wish.language, wish.speaker))
        )
        resolved = self.choose_or_replace(wish)
        if resolved.warning:
            self.replacements.add(surface, client, wish, resolved.warning)
        return resolved

    def faults(self) -> list[str]:
        """Return a sentence for a person about each remembered wish that still can't be met."""
        warnings = [(surface, self.choose_or_replace(wish).warning) for surface, wish in self.replacements.wishes()]
        return [f"{warning} Asked for over {_SURFACES[surface]}." for surface, warning in warnings if warning]

    def choose_or_replace(self, wish: VoiceNames) -> ResolvedVoice:
        """Return the voice for what is left of a wish after the names that can't be resolved are removed."""
        default, rest, reasons, instead = self.voices.default, wish, [], ""
        while True:
            try:
                resolved = self._choose(rest, default)
                break
            except InvalidRequest as error:
                reasons.append(self._reason(error, rest, default))
                if error.param == "speaker":
                    rest = replace(rest, speaker=None)
                elif error.param == "language":
                    rest = replace(rest, language=None)
                else:
                    instead = " instead"
                    spoken = rest.language or self._language_of(rest.voice or default or "")
                    nearest = None if default else _nearest(rest.voice, spoken)
                    default = default if rest.voice else None
                    rest = VoiceNames(nearest, spoken)
        if not reasons:
            return resolved
        language = resolved.language.label if resolved.language else "the language of the text"
        told = "; ".join(reasons)
        return replace(
            resolved, warning=f"{told[0].upper()}{told[1:]}; {resolved.label} speaks{instead}, in {language}."
        )

    def _choose(self, wish: VoiceNames, default: str | None) -> ResolvedVoice:
        """Return the voice as `choose` does. `default` is the ID of the kept voice or speaker if none is asked for."""
        voice, language, speaker = (name if name and name.strip() else None for name in vars(wish).values())
        if language:
            find_language(language)
        resolved = self._resolve(voice, language, default)
        if speaker and not self._is(speaker, resolved.voice):
            raise InvalidRequest(
                f"Voice {resolved.label} has no speaker {quoted(speaker)}; send it as the voice.", param="speaker"
            )
        return resolved

    def _resolve(self, voice: str | None, language: str | None, default: str | None) -> ResolvedVoice:
        voice = self._without_alias(voice) if voice else voice
        wanted = voice or default
        if wanted and (found := self._find(wanted)):
            return _resolve_kept(*found, language, self.defaults)
        defaults = self.defaults
        if not voice and wanted:  # a built-in speaker was made the default
            defaults = replace(defaults, speaker=find_voice(wanted)[0])
        try:
            chosen = defaults.choose(voice, language)
            return ResolvedVoice(*chosen, None if voice else defaults.style, defaults.speed)
        except VoiceNotFound:
            if voice and (found := self._find_former(voice)):
                return _resolve_kept(*found, language, self.defaults)
            raise

    def _without_alias(self, name: str) -> str:
        """Return the name of the voice that an alias stands for, with the alias's language; other names as they are.

        What a kept voice is called is no alias, or it could not be asked for.
        """
        if len(name) > MAX_NAME_CHARACTERS or self.voices.find(name):
            return name
        voices = {voice_key(alias): voice for alias, voice in (*self.aliases.items(), *self.voices.aliases.items())}
        if voice := voices.get(voice_key(name)):
            return voice
        for base, language in split_language(name):
            if self.voices.find(base):
                return name
            if voice := voices.get(voice_key(base)):
                return f"{voice}-{language.code}"
        return name

    def _is(self, name: str, voice: Voice) -> bool:
        try:
            return self._resolve(name, None, None).voice == voice
        except InvalidRequest:
            return False

    def _find(self, name: str) -> tuple[KeptVoice, Language | None] | None:
        return _read(name, self.voices.find)

    def _find_former(self, name: str) -> tuple[KeptVoice, Language | None] | None:
        return _read(name, self.voices.find_former)

    def _language_of(self, voice: str) -> str | None:
        """Return the code of the language that a voice would have spoken; None if neither its name nor it tells."""
        if foreign := find_foreign(voice):
            return foreign.language.code if foreign.language else None
        if found := self._find(voice) or self._find_former(voice):
            kept, named = found
            language = named or kept.manner.language
        else:
            language = language_in(voice)
        return language.code if language else None

    def _reason(self, error: InvalidRequest, wish: VoiceNames, default: str | None) -> str:
        """Return why a wish can't be met, as part of a sentence."""
        asked = f"the voice {quoted(wish.voice)}" if wish.voice else "the default voice"
        match error.param:
            case "speaker":
                return f"{asked} has no speaker {quoted(wish.speaker or '')}"
            case "language" if isinstance(error, LanguageNotSupported):
                return f"the language {quoted(wish.language or '')} is not supported"
            case "language":
                return f"{asked} does not speak {quoted(wish.language or '')}"
        wanted = wish.voice or default or ""
        found = self._find(wanted) or self._find_former(wanted)
        return f"the voice {found[0].name!r} has no clip" if found else f"there is no voice {quoted(wanted)}"


_SURFACES: dict[Surface, str] = {"wyoming": "Wyoming", "http": "HTTP"}


def _read(name: str, find: Callable[[str], KeptVoice | None]) -> tuple[KeptVoice, Language | None] | None:
    """Return the kept voice of a name, and the language that the name ends with; None if there is no such voice.

    The language is None if the name is the voice's own.
    """
    if len(name) > MAX_NAME_CHARACTERS:
        return None
    if kept := find(name):
        return kept, None
    return next(((kept, language) for base, language in split_language(name) if (kept := find(base))), None)


def _nearest(name: str | None, language: str | None) -> str | None:
    """Return a speaker's ID for the name of another server's voice that tells a gender; else None."""
    foreign = find_foreign(name or "")
    if foreign is None or foreign.gender is None:
        return None
    return nearest_speaker(foreign.gender, find_language(language) if language else foreign.language).id


def _resolve_kept(kept: KeptVoice, named: Language | None, language: str | None, defaults: Defaults) -> ResolvedVoice:
    manner = kept.manner
    asked = agreed_language(f"{kept.name}-{named.code}" if named else kept.name, named, language)
    if not kept.speaks:
        raise InvalidRequest(f"Voice {kept.name} has no clip yet; add one to its profile.", param="voice")
    voice: Voice = manner.speaker or KeptVoiceRef(kept.id, kept.revision)
    spoken = asked or manner.language or defaults.language
    speed = min(max(manner.speed * defaults.speed, MIN_SPEED), MAX_SPEED)
    return ResolvedVoice(voice, spoken, manner.instructions, speed, manner.effects, kept.name)
