"""Recognises the checkpoints in a server's list of models."""

import re
from collections.abc import Mapping
from typing import Any

from wyoming_qwen3.core.checkpoints import KIND_NAMES, PUBLISHED, Checkpoint, Kind, Size

_KINDS: dict[str, Kind] = {name.lower(): kind for kind, name in KIND_NAMES.items()}
_KIND = re.compile(r"(?<![a-z])(custom[-_.]?voice|voice[-_.]?design|base)(?![a-z])")
_SIZES: dict[str, Size] = {"0.6": "0.6B", "1.7": "1.7B"}
_SIZE = re.compile(r"(?<![\d.])(0\.6|1\.7)[-_]?b(?![a-z])")

ASSUMED_SIZE: Size = "1.7B"
"""Size of a checkpoint whose name does not include it."""


class Unrecognised(Exception):
    """A server serves no Qwen3-TTS, or not the configured kind; the message completes "The server ..."."""


def recognise(listing: Any, hint: Kind | None, size: Size | None) -> Mapping[Checkpoint, str]:
    """Return the checkpoints in an answer of GET /v1/models, each with its model id.

    The kind is taken from the model's id, or from its root, the path that it was loaded from, which a server keeps when
    it renames the model; otherwise it is `hint`, the kind that the user gave. Without a size there, it is `size`, or
    1.7B if that is None. Raises Unrecognised.
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
            raise Unrecognised(f"is configured as {KIND_NAMES[hint]}, but serves {name}")
        found = _SIZE.search(words)
        checkpoint = Checkpoint(kind, _SIZES[found[1]] if found else size or ASSUMED_SIZE)
        if checkpoint not in PUBLISHED:
            checkpoint = Checkpoint(kind, ASSUMED_SIZE)
        served.setdefault(checkpoint, name)
    if not served:
        names = ", ".join(name for name, _ in models) or "nothing"
        raise Unrecognised(
            f"serves {names}, which names no kind of Qwen3-TTS; if it is one, set it, as by --vllm-customvoice-url"
        )
    return served
