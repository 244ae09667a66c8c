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
"""How Qwen calls them."""


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights, named by what it can do and how large it is."""

    kind: Kind
    size: Size

    @property
    def name(self) -> str:
        """Repository name without its owner; also the folder's name below the models folder."""
        return f"Qwen3-TTS-12Hz-{self.size}-{KIND_NAMES[self.kind]}"

    @property
    def repository(self) -> str:
        """Repository on the Hugging Face hub."""
        return f"Qwen/{self.name}"

    @property
    def follows_instructions(self) -> bool:
        """Whether an instruction changes how it speaks: the 0.6B CustomVoice and both Base ignore it."""
        return self.kind == "voice_design" or (self.kind == "custom_voice" and self.size == "1.7B")


def published(kind: Kind, size: Size) -> Checkpoint:
    """The checkpoint of a kind, in that size where there is one: VoiceDesign exists in 1.7B only."""
    return Checkpoint(kind, "1.7B" if kind == "voice_design" else size)


PUBLISHED: tuple[Checkpoint, ...] = (
    Checkpoint("custom_voice", "1.7B"),
    Checkpoint("voice_design", "1.7B"),
    Checkpoint("base", "1.7B"),
    Checkpoint("custom_voice", "0.6B"),
    Checkpoint("base", "0.6B"),
)
