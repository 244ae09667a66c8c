"""The published Qwen3-TTS 12 Hz checkpoints: three kinds for three jobs, in two sizes."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["custom_voice", "voice_design", "base"]
Size = Literal["0.6B", "1.7B"]

KINDS: tuple[Kind, ...] = get_args(Kind)
SIZES: tuple[Size, ...] = get_args(Size)

KIND_NAMES: dict[Kind, str] = {
    "custom_voice": "CustomVoice",
    "voice_design": "VoiceDesign",
    "base": "Base",
}
"""Qwen's names for the kinds."""


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights, identified by what it can do and by its size."""

    kind: Kind
    size: Size

    @property
    def name(self) -> str:
        """Name of the repository without its owner, and of the folder in the models folder."""
        return f"Qwen3-TTS-12Hz-{self.size}-{KIND_NAMES[self.kind]}"

    @property
    def repository(self) -> str:
        """Name of the repository on the Hugging Face hub, with its owner."""
        return f"Qwen/{self.name}"

    @property
    def follows_instructions(self) -> bool:
        """Whether an instruction changes how it speaks. The 0.6B CustomVoice and both Base ignore it."""
        return self.kind == "voice_design" or (self.kind == "custom_voice" and self.size == "1.7B")


def published(kind: Kind, size: Size) -> Checkpoint:
    """Return the checkpoint of a kind in that size. VoiceDesign exists in 1.7B only, and is returned in that size."""
    return Checkpoint(kind, "1.7B" if kind == "voice_design" else size)


PUBLISHED: tuple[Checkpoint, ...] = (
    Checkpoint("custom_voice", "1.7B"),
    Checkpoint("voice_design", "1.7B"),
    Checkpoint("base", "1.7B"),
    Checkpoint("custom_voice", "0.6B"),
    Checkpoint("base", "0.6B"),
)


def other_size(checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the checkpoint of the same kind in the other size; None if the kind exists in one size only."""
    return next((one for one in PUBLISHED if one.kind == checkpoint.kind and one != checkpoint), None)
