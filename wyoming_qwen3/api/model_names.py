"""Names of models: the ids that this server lists, and what any name that clients send asks for."""

import re
from dataclasses import dataclass

from wyoming_qwen3.core.checkpoints import KIND_NAMES, PUBLISHED, Checkpoint, Kind, Size
from wyoming_qwen3.core.errors import ModelNotFound
from wyoming_qwen3.core.speakers import quoted

MODEL = "qwen3-tts"
STANDBY = "standby"

OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""Models that clients of OpenAI's API ask for by default; a date may follow, as in gpt-4o-mini-tts-2025-12-15."""

_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$|-\d{4}$")
_KINDS: dict[str, Kind] = {name.lower(): kind for kind, name in KIND_NAMES.items()}


@dataclass(frozen=True)
class ModelWish:
    """What a model's name asks for; None leaves the choice to the server."""

    kind: Kind | None = None
    size: Size | None = None
    standby: bool = False
    """Whether it names the standby voice."""

    any: bool = False
    """Whether the client did not choose a model of ours: it named none, or one that its program has built in."""

    warning: str | None = None
    """A sentence if the name is unknown and another model speaks instead."""


def find_model(name: str | None, *, fallback: bool = False) -> ModelWish:
    """Return what a model's name asks for: one of ours, OpenAI's, a repository's, or none.

    Raises ModelNotFound for an unknown name, unless `fallback` lets the server's own model speak instead.
    """
    key = (name or "").strip().lower().removeprefix("qwen/")
    if not key or _DATE.sub("", key) in OPENAI_MODELS:
        return ModelWish(any=True)
    if key == STANDBY:
        return ModelWish(standby=True)
    match = re.fullmatch(rf"qwen3-tts(?:-12hz)?(?:-(1\.7|0\.6)b)?(?:-({'|'.join(_KINDS)}))?", key)
    if match is None:
        unknown = f"There is no model {quoted(name or '')}"
        if fallback:
            return ModelWish(any=True, warning=f"{unknown}; {MODEL} speaks instead.")
        raise ModelNotFound(
            f"{unknown}; use {MODEL}, optionally with a size and a kind as in {MODEL}-1.7b-customvoice, or {STANDBY}. "
            "With --voice-fallback on the server speaks with its own model instead.",
            param="model",
        )
    size: Size | None = {"1.7": "1.7B", "0.6": "0.6B", None: None}[match[1]]
    wish = ModelWish(_KINDS.get(match[2] or ""), size)
    if wish.kind and size and Checkpoint(wish.kind, size) not in PUBLISHED:
        raise ModelNotFound(f"{name} was never published; VoiceDesign exists in 1.7B only.", param="model")
    return wish


def model_id(checkpoint: Checkpoint) -> str:
    """Return a checkpoint's id, which `find_model` understands."""
    return f"{MODEL}-{checkpoint.size.lower()}-{KIND_NAMES[checkpoint.kind].lower()}"
