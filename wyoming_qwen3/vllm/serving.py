"""What a server serves, read out of its list of models."""

import re
from collections.abc import Mapping
from typing import Any

from wyoming_qwen3.core.checkpoints import KIND_NAMES, PUBLISHED, Checkpoint, Kind, Size

_KINDS: dict[str, Kind] = {name.lower(): kind for kind, name in KIND_NAMES.items()}
_KIND = re.compile(r"(?<![a-z])(custom[-_.]?voice|voice[-_.]?design|base)(?![a-z])")
_SIZES: dict[str, Size] = {"0.6": "0.6B", "1.7": "1.7B"}
_SIZE = re.compile(r"(?<![\d.])(0\.6|1\.7)[-_]?b(?![a-z])")

ASSUMED_SIZE: Size = "1.7B"
"""Of a checkpoint whose name does not tell."""


class Unrecognised(Exception):
    """What is served is no Qwen3-TTS, or not what it is said to be; the message completes "The server ..."."""


def recognise(listing: Any, hint: Kind | None, size: Size | None) -> Mapping[Checkpoint, str]:
    """The checkpoints in a list as GET /v1/models answers it, each with the id by which it is asked for.

    The kind is in a model's id, or in its root, the path that it was loaded from, which stays when a server gives
    it another name; else it is the one that a person has told (`hint`). A size that is not there either is `size`,
    else 1.7B. Raises Unrecognised.
    """
    try:
        models = [(str(model["id"]), f"{model['id']} {model.get('root') or ''}".lower()) for model in listing["data"]]
    except (TypeError, KeyError, AttributeError):
        raise Unrecognised("does not list its models as vLLM does") from None
    served: dict[Checkpoint, str] = {}
    for name, words in models:
        told = _KIND.search(words)
        kind = _KINDS[re.sub("[-_.]", "", told[1])] if told else hint
        if kind is None:
            continue
        if hint not in (None, kind):
            raise Unrecognised(f"is said to serve {KIND_NAMES[hint]}, but serves {name}")
        found = _SIZE.search(words)
        checkpoint = Checkpoint(kind, _SIZES[found[1]] if found else size or ASSUMED_SIZE)
        if checkpoint not in PUBLISHED:
            checkpoint = Checkpoint(kind, ASSUMED_SIZE)
        served.setdefault(checkpoint, name)
    if not served:
        names = ", ".join(name for name, _ in models) or "nothing"
        raise Unrecognised(
            f"serves {names}, which tells no kind of Qwen3-TTS; if it is one, say which, as in --vllm-customvoice-url"
        )
    return served
