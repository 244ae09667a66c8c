"""Which checkpoint speaks a request, and which one's codec is used: pure functions."""

from collections.abc import Collection, Iterable

from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint, Size, published
from wyoming_qwen3.core.errors import ModelNotFound
from wyoming_qwen3.core.instructions import instructable, not_followed
from wyoming_qwen3.core.request import SpeechRequest, kind_for

from .state import Model, State


def choose_model(request: SpeechRequest, size: Size, at_hand: Collection[Checkpoint] = ()) -> Checkpoint:
    """Return the checkpoint for the request's voice: a named speaker, a description, or a voice to clone.

    It has the size that the request asks for, else the server's own, `size`. There are two exceptions if the request
    leaves the size open: VoiceDesign, which exists in 1.7B only, and a checkpoint that follows the request's
    instruction where the server's own does not, if it is `at_hand`: in memory, or on disk with memory left for it.

    Raises ModelNotFound if the request asks for VoiceDesign in 0.6B, and InstructionsNotSupported if it is strict and
    has an instruction that the checkpoint can't follow.
    """
    chosen = published(kind_for(request.voice), request.size or size)
    if request.size not in (None, chosen.size):
        raise ModelNotFound(f"A voice is made from a description in {chosen.size} only.", param="model")
    if not request.instruct or chosen.follows_instructions:
        return chosen
    if (better := find_follower(request, size)) and better in at_hand:
        return better
    if request.strict:
        raise not_followed(chosen)
    return chosen


def find_follower(request: SpeechRequest, size: Size) -> Checkpoint | None:
    """Return the checkpoint that follows the request's instruction if the server's own, of `size`, does not.

    None if there is no instruction, if the own one follows it or none does, or if the request asks for a size.
    """
    own = published(kind_for(request.voice), size)
    if not request.instruct or request.size or own.follows_instructions:
        return None
    return instructable(own)


def choose_smaller(request: SpeechRequest, checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the smaller checkpoint that can speak a request if there is too little memory for `checkpoint`.

    None if there is none, if the request itself asks for a size, or if it is strict and has an instruction, which
    smaller ones can't follow.
    """
    smaller = Checkpoint(checkpoint.kind, "0.6B")
    instructed = request.instruct and request.strict
    if request.size or instructed or smaller == checkpoint or smaller not in PUBLISHED:
        return None
    return smaller


def choose_codec(models: Iterable[Model], default: Checkpoint) -> Checkpoint:
    """Return the checkpoint whose speech tokenizer to use; all have the same one.

    In this order: one that is loaded, preferably in use, then the last used; one that is being loaded; one on disk,
    preferably the default, then the smallest. The default if there is none of these.
    """
    models = list(models)
    for state in (State.READY, State.LOADING):
        if there := [model for model in models if model.state is state]:
            return max(there, key=lambda model: (model.users > 0, model.last_used)).checkpoint
    on_disk = [model.checkpoint for model in models if model.state is State.ON_DISK]
    return min(on_disk, key=lambda checkpoint: (checkpoint != default, checkpoint.size), default=default)
