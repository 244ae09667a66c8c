"""Which checkpoint speaks a request, and which one's codec is used: pure functions."""

from collections.abc import Collection, Iterable

from wyoming_qwen3.core.checkpoints import Checkpoint, Size, other_size, published
from wyoming_qwen3.core.errors import ModelNotFound, OutOfMemory
from wyoming_qwen3.core.instructions import instructable, not_followed
from wyoming_qwen3.core.request import SpeechRequest, kind_for

from .state import Model, State, Status


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


def choose_other_size(request: SpeechRequest, checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the checkpoint of the same kind in the other size, which can speak a request while `checkpoint` can't.

    None if there is none, if the request itself asks for a size, or if it is strict and has an instruction that the
    other one can't follow.
    """
    other = other_size(checkpoint)
    if request.size or other is None:
        return None
    if request.strict and request.instruct and not other.follows_instructions:
        return None
    return other


def choose_smaller(request: SpeechRequest, checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the smaller checkpoint that can speak a request if there is too little memory for `checkpoint`.

    None if `checkpoint` is the smallest, and where `choose_other_size` returns None.
    """
    return None if checkpoint.size == "0.6B" else choose_other_size(request, checkpoint)


def choose_instead(request: SpeechRequest, model: Model | Status, *, open_size: bool) -> Checkpoint | None:
    """Return the checkpoint that may speak a request, if it is on disk, because the one chosen for it, `model`, can't.

    That is the smaller one if there was too little memory for `model`, and the one of the other size while `model` is
    not on disk. With `open_size` nobody has chosen a size; else only memory is a reason. None if there is no reason.
    """
    if isinstance(model.error, OutOfMemory):
        return choose_smaller(request, model.checkpoint)
    return choose_other_size(request, model.checkpoint) if open_size and not model.state.available else None


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
