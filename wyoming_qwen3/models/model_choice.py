"""Which checkpoint speaks a request, and which codec it uses: pure functions."""

from collections.abc import Iterable

from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint, Size, published
from wyoming_qwen3.core.errors import InstructionsNotSupported, ModelNotFound
from wyoming_qwen3.core.request import SpeechRequest, kind_for

from .state import Model, State


def choose_model(request: SpeechRequest, size: Size) -> Checkpoint:
    """The checkpoint for what is asked: a named speaker, a description, or a voice to clone.

    It has the size that the request asks for, else the server's own, `size`; VoiceDesign exists in 1.7B only and has
    that where the request leaves it open. Raises ModelNotFound where the request asks for a VoiceDesign of 0.6B, and
    InstructionsNotSupported.
    """
    chosen = published(kind_for(request.voice), request.size or size)
    if request.size not in (None, chosen.size):
        raise ModelNotFound(f"A voice is made from a description in {chosen.size} only.", param="model")
    if request.instruct and not chosen.follows_instructions:
        raise InstructionsNotSupported(
            f"{chosen.name} does not follow instructions; use the 1.7B model and a named speaker, or none.",
            param="instructions",
        )
    return chosen


def choose_smaller(request: SpeechRequest, checkpoint: Checkpoint) -> Checkpoint | None:
    """The checkpoint that could speak a request where there is too little memory for another; None for none.

    A size that the request itself asks for is kept, and so is one that alone follows its instruction.
    """
    smaller = Checkpoint(checkpoint.kind, "0.6B")
    if request.size or request.instruct or smaller == checkpoint or smaller not in PUBLISHED:
        return None
    return smaller


def choose_codec(models: Iterable[Model], default: Checkpoint) -> Checkpoint:
    """The checkpoint whose speech tokenizer to use, for all have the same one.

    One that is loaded, best one in use, then the latest used; one that is being loaded; one on disk, best the default,
    then the smallest. The default where there is none.
    """
    models = list(models)
    for state in (State.READY, State.LOADING):
        if there := [model for model in models if model.state is state]:
            return max(there, key=lambda model: (model.users > 0, model.last_used)).checkpoint
    on_disk = [model.checkpoint for model in models if model.state is State.ON_DISK]
    return min(on_disk, key=lambda checkpoint: (checkpoint != default, checkpoint.size), default=default)
