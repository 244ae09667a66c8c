"""Decides by which former names a voice is still found. Pure functions.

A name belongs to one voice: the one that has it now, else the one that had it last.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.speakers import voice_key

from .voice import KeptVoice

MAX_FORMER_NAMES = 16
"""Maximum per voice. The oldest are dropped first."""


def rename(voice: KeptVoice, name: str | None, kept: Sequence[str] | None) -> KeptVoice:
    """Return the voice with another name, and its old one among its former names. None does not change the name.

    `kept` are the former names to keep; None keeps all. Raises InvalidRequest if the voice does not have one of them.
    """
    old = voice.former_names if kept is None else _chosen(voice, kept)
    renamed = replace(voice, name=voice.name if name is None else name)
    return replace(renamed, former_names=merge(renamed.name, [*old, voice.name]))


def merge(name: str, old: Iterable[str], taken: Collection[str] = ()) -> tuple[str, ...]:
    """Return the former names of the voice `name`, oldest first: each once, without `name` and the keys in `taken`."""
    excluded = {voice_key(name), *taken}
    by_key: dict[str, str] = {}
    for one in old:
        key = voice_key(one)
        by_key.pop(key, None)  # only its last position counts
        by_key[key] = one
    return tuple(one for key, one in by_key.items() if key not in excluded)[-MAX_FORMER_NAMES:]


def settle(voices: Iterable[KeptVoice]) -> list[KeptVoice]:
    """Return the voices without former names that another voice has, or that an older voice had."""
    voices = sorted(voices, key=lambda voice: voice.created_at)
    taken = {voice_key(voice.name) for voice in voices}
    settled = []
    for voice in voices:
        settled.append(free := replace(voice, former_names=merge(voice.name, voice.former_names, taken)))
        taken |= {voice_key(name) for name in free.former_names}
    return settled


def _chosen(voice: KeptVoice, kept: Sequence[str]) -> list[str]:
    there = {voice_key(name) for name in voice.former_names}
    keys = {voice_key(name): name for name in kept}
    if unknown := [name for key, name in keys.items() if key not in there]:
        has = ", ".join(voice.former_names) or "none"
        raise InvalidRequest(
            f"{unknown[0][:64]!r} is not a former name of the voice {voice.name!r}, which has {has}. Former names "
            "can only be removed.",
            param="former_names",
        )
    return [name for name in voice.former_names if voice_key(name) in keys]
