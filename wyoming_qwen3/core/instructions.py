"""What becomes of an instruction (how to speak, in words) that a checkpoint can't follow: pure functions."""

from dataclasses import replace

from .checkpoints import PUBLISHED, Checkpoint
from .errors import InstructionsNotSupported
from .request import SpeechRequest


def instructable(checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the checkpoint of the same kind that follows instructions; None if there is none."""
    return next((one for one in PUBLISHED if one.kind == checkpoint.kind and one.follows_instructions), None)


def as_spoken(request: SpeechRequest, checkpoint: Checkpoint | None) -> tuple[SpeechRequest, tuple[str, ...]]:
    """Return the request as the checkpoint speaks it, and a warning for each thing that is left out.

    An instruction that it can't follow is left out. None is the standby voice, which follows none.
    """
    if not request.instruct or (checkpoint and checkpoint.follows_instructions):
        return request, ()
    why = _reason(checkpoint) if checkpoint else "The standby voice does not follow instructions."
    return replace(request, instruct=None), (f"The instructions were left out. {why}",)


def not_followed(checkpoint: Checkpoint) -> InstructionsNotSupported:
    """Return the error for a strict request whose instruction the checkpoint can't follow."""
    return InstructionsNotSupported(_reason(checkpoint), param="instructions")


def _reason(checkpoint: Checkpoint) -> str:
    """Return why the checkpoint follows no instruction, and which one would, in one sentence."""
    if better := instructable(checkpoint):
        return (
            f"{checkpoint.name} does not follow instructions; {better.name} does: ask for the model qwen3-tts-"
            f"{better.size.lower()}, or start the server with --model {better.size}."
        )
    return f"{checkpoint.name} clones a voice and does not follow instructions; a named speaker of the 1.7B model does."
