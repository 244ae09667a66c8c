"""The data of a stored voice. Knows no disk."""

import re
from dataclasses import dataclass
from typing import Literal

from wyoming_qwen3.core.effects import Effect
from wyoming_qwen3.core.speakers import Language, Speaker

VoiceType = Literal["preset", "profile"]
"""A preset was made from words, or of a speaker and a style. A profile has a person's clips, or settings."""


def is_id(text: str) -> bool:
    """Return whether a text is a UUID as the store writes it, and so safe as a file name."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


@dataclass(frozen=True)
class VoiceClip:
    """A stored clip. `text` is what is said in it; None if that is not known."""

    id: str
    text: str | None
    sample_rate: int
    seconds: float


@dataclass(frozen=True)
class Design:
    """How a voice was made from words. `model` is the name of the checkpoint."""

    description: str
    sample_text: str
    seed: int
    model: str


@dataclass(frozen=True)
class Manner:
    """How a voice speaks, and what a person has noted about it."""

    description: str = ""
    language: Language | None = None
    """If None, the model detects the language from the text."""

    speaker: Speaker | None = None
    """The built-in speaker that speaks, if the voice has no clips."""

    instructions: str | None = None
    """Style of speech. Only for a voice with a speaker."""

    speed: float = 1.0
    effects: tuple[Effect, ...] = ()
    consent: str = ""
    """Who has agreed to be cloned, in a person's words."""


@dataclass(frozen=True)
class KeptVoice:
    """A stored voice."""

    id: str
    """A UUID; also the name of the folder."""

    name: str
    type: VoiceType
    created_at: float
    """In seconds since 1970."""

    updated_at: float
    revision: str
    """32 hexadecimal digits that change whenever the samples do."""

    manner: Manner = Manner()
    samples: tuple[VoiceClip, ...] = ()
    design: Design | None = None
    folder: str | None = None
    """Name of the entry in the watched folder that the voice mirrors; None if it mirrors none."""

    digest: str | None = None
    """Digest of that entry's content."""

    former_names: tuple[str, ...] = ()
    """Names that the voice had before, oldest first. It is found by those that no voice has now."""

    @property
    def speaks(self) -> bool:
        """Whether the voice can speak: it has a clip or a speaker."""
        return bool(self.samples or self.manner.speaker)
