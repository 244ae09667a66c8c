"""Chooses the checkpoint and the server for a request: pure functions."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from wyoming_qwen3.core.checkpoints import KIND_NAMES, Checkpoint, Kind, Size
from wyoming_qwen3.core.errors import (
    BackendUnavailable,
    ModelNotFound,
    NotSupported,
    SpeechError,
)
from wyoming_qwen3.core.instructions import not_followed
from wyoming_qwen3.core.request import SpeechRequest, kind_for

from .failure import Blame
from .server import Server

_MAX_BROKEN = 2
"""If two servers break off a request, or one does twice, the request itself may be the cause."""


def choose_checkpoint(
    request: SpeechRequest, served: Mapping[Checkpoint, bool], unknown: Collection[Kind | None], preferred: Size | None
) -> Checkpoint:
    """Return the checkpoint for a request. `served` says for each checkpoint whether a server that has it is up.

    It has the kind and size that the request needs. Among these, one that follows its instruction comes first, then one
    that is up, then the preferred size, then the larger. An instruction that none follows is an error only if the
    request is strict. `unknown` contains the configured kinds of servers that have never reported what they serve. If
    one of them may have the checkpoint, raises BackendUnavailable; otherwise NotSupported, ModelNotFound or
    InstructionsNotSupported.
    """
    check_sampling(request)
    kind = kind_for(request.voice)
    some = [one for one in served if one.kind == kind and request.size in (None, one.size)]
    following = [one for one in some if one.follows_instructions or not request.instruct]
    if fit := following or ([] if request.strict else some):
        return max(fit, key=lambda one: (served[one], one.size == preferred, one.size))
    if None in unknown or kind in unknown:
        raise BackendUnavailable(f"No vLLM server that may serve {KIND_NAMES[kind]} has been reached yet.")
    raise _never(kind, request, some)


def _never(kind: Kind, request: SpeechRequest, some: Sequence[Checkpoint]) -> SpeechError:
    name = KIND_NAMES[kind]
    if some:
        return not_followed(some[0])
    if request.size:
        return ModelNotFound(f"None of the vLLM servers serves {name} in {request.size}.", param="model")
    return NotSupported(f"None of the vLLM servers serves {name} (--vllm-{name.lower()}-url).", param="voice")


def check_sampling(request: SpeechRequest) -> None:
    """Raise NotSupported for parameters that vLLM-Omni would silently ignore."""
    for name in ("temperature", "top_k", "top_p", "repetition_penalty"):
        if getattr(request.sampling, name) is not None:
            raise NotSupported(f"vLLM servers do not support {name}; leave it out.", param=name)


def choose_server(
    servers: Iterable[Server], checkpoint: Checkpoint, tried: Sequence[tuple[Server, Blame]], now: float
) -> Server | None:
    """Return the server to use next for a piece; None to give up. `tried` are the failed attempts for this piece.

    Among servers that are up, it prefers one that has not recently broken off a request, then the one with the fewest
    active requests, then the least recently used. Each is tried once, but if none is left and the last one broke off,
    that one is tried again.
    """
    if sum(blame is Blame.BROKEN for _, blame in tried) >= _MAX_BROKEN:
        return None
    up = [server for server in servers if server.up and checkpoint in server.serves]
    asked = [server for server, _ in tried]
    fresh = [server for server in up if server not in asked]
    if not fresh and tried and tried[-1][1] is Blame.BROKEN:
        fresh = [server for server in up if server is tried[-1][0]]
    return min(fresh, key=lambda one: (now < one.doubtful_until, one.active, one.last_asked), default=None)
