"""The list of all voices, and who sounds best in which language."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS, Language
from wyoming_qwen3.store.voices.voice import KeptVoice

ANY_LANGUAGE = "any"


@dataclass(frozen=True)
class ListedVoice:
    """A line of the list. `language` is an English name, or `ANY_LANGUAGE`."""

    name: str
    language: str
    description: str


def speakers() -> list[ListedVoice]:
    """Return the nine speakers."""
    return [ListedVoice(one.id, _title(one.native), one.description) for one in SPEAKERS]


def kept(voices: Iterable[KeptVoice]) -> list[ListedVoice]:
    """Return the kept voices that can speak."""
    return [
        ListedVoice(one.name, _title(one.manner.language), one.manner.description or _origin(one))
        for one in voices
        if one.speaks
    ]


def show(voices: Sequence[ListedVoice], stored: Sequence[ListedVoice], place: str) -> str:
    """Return the list as text. `stored` are the kept voices at `place`, a folder or a server."""
    name = max(len(voice.name) for voice in (*voices, *stored))

    def rows(some: Sequence[ListedVoice]) -> list[str]:
        return [f"{voice.name:{name}}  {voice.language:10}  {voice.description}".rstrip() for voice in some]

    lines = [f"{'Voice':{name}}  Best in", *rows(voices)]
    if stored:
        lines += ["", f"Kept voices of {place}", *rows(stored)]
    return "\n".join([*lines, "", *_advice()]) + "\n"


def _advice() -> list[str]:
    """Return sentences on which voice to choose for a language."""
    native = {one: [speaker.name for speaker in SPEAKERS if speaker.native == one] for one in LANGUAGES}
    best = "; ".join(f"{_title(one)}: {', '.join(names)}" for one, names in native.items() if names)
    foreign = ", ".join(_title(one) for one, names in native.items() if not names)
    codes = ", ".join(one.code for one in LANGUAGES)
    return [
        f"Who sounds best: {best}.",
        f"No speaker is native to {foreign}; all speak them, with an accent.",
        f"Add a language to force it, as in ryan-de: {codes}.",
    ]


def _title(language: Language | None) -> str:
    return language.label if language else ANY_LANGUAGE


def _origin(voice: KeptVoice) -> str:
    """Return what a kept voice was made from."""
    if voice.design:
        return voice.design.description
    manner = voice.manner
    if manner.speaker:
        return ", ".join(filter(None, (manner.speaker.name, manner.instructions)))
    return "recordings"
