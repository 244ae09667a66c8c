"""The data of a kept voice. Knows no disk."""

import re
from dataclasses import dataclass
from typing import Literal

from wyoming_qwen3.core.effects import Effect
from wyoming_qwen3.core.speakers import Language, Speaker

VoiceType = Literal["preset", "profile"]
"""A preset was made here, from words or of a speaker and a style; a profile by a person, of clips or settings."""


def is_id(text: str) -> bool:
    """Return whether it is a UUID as the store writes them, and so safe as the name of a file."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


@dataclass(frozen=True)
class Sample:
    """A kept clip: its id, what it says, and its length."""

    id: str
    text: str | None
    sample_rate: int
    seconds: float


@dataclass(frozen=True)
class Design:
    """How a voice was made from words; `model` is the checkpoint's name."""

    description: str
    sample_text: str
    seed: int
    model: str


@dataclass(frozen=True)
class Manner:
    """How a voice speaks, and what a person says of it."""

    description: str = ""
    language: Language | None = None
    """None lets the model tell by the text."""

    speaker: Speaker | None = None
    """The built-in speaker that this voice is, where it has no clips."""

    instructions: str | None = None
    """Style, for a speaker only."""

    speed: float = 1.0
    effects: tuple[Effect, ...] = ()
    consent: str = ""
    """Who agreed to be cloned, in a person's words."""


@dataclass(frozen=True)
class KeptVoice:
    """One voice."""

    id: str
    """A UUID, also the name of its folder."""

    name: str
    type: VoiceType
    created_at: float
    """Seconds since 1970."""

    updated_at: float
    revision: str
    """Another one whenever the samples are others."""

    manner: Manner = Manner()
    samples: tuple[Sample, ...] = ()
    design: Design | None = None
    folder: str | None = None
    """Name of the dropped folder that it mirrors, if it does."""

    digest: str | None = None
    """Of that folder's content."""

    former_names: tuple[str, ...] = ()
    """The names it had before, the oldest first, by which it is still found where no voice has them now."""

    @property
    def speaks(self) -> bool:
        """Whether it can be spoken with: it has a clip or a speaker."""
        return bool(self.samples or self.manner.speaker)
