"""Converts an utterance to what the history keeps of it, and back, so that it can be spoken again.

Knows no database. A clip that came with a request is left out: the voice in it is not ours to keep.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from wyoming_qwen3.core.checkpoints import PUBLISHED
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest, VoiceNotFound
from wyoming_qwen3.core.request import Description, KeptVoiceRef, Sampling, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import Speaker, find_language, find_voice
from wyoming_qwen3.store.history.store import Facts
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.text.delivery import Delivery
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Segment, SpokenPiece

from .report import Report, voice_label

_PLAIN = ("instruct", "ssml", "speed", "length", "size", "standby", "voice_name")
"""Fields of a request that JSON holds as they are."""


def facts(text: str, segments: Iterable[Segment] | None, source: str, request: SpeechRequest, report: Report) -> Facts:
    """Return what the history keeps of an utterance besides its audio. The size is that of the model that spoke."""
    size = next((one.size for one in PUBLISHED if one.name == report.model), request.size)
    return Facts(
        text=text,
        source=source,
        voice=voice_label(request),
        model=report.model,
        language=request.language.code if request.language else None,
        params=to_json(replace(request, size=size), segments),
        seed=request.sampling.seed,
        first_audio=report.first_audio,
        wall=report.wall,
        outcome="cut" if report.outcome == "cut" else "whole",
    )


def to_json(request: SpeechRequest, segments: Iterable[Segment] | None) -> dict[str, Any]:
    """Return a request and its spoken segments as JSON, without fields that have their default.

    `segments` is None if the text was not spoken in pieces.
    """
    plain = {name: getattr(request, name) for name in _PLAIN}
    sampling = asdict(request.sampling)
    told = {
        "voice": _voice_to_json(request.voice),
        "language": request.language.code if request.language else None,
        "sampling": {name: value for name, value in sampling.items() if value is not None},
        "effects": [effect.to_json() for effect in request.effects],
        "segments": None if segments is None else [_segment_to_json(one) for one in segments],
    }
    defaults = {"ssml": False, "speed": 1.0, "effects": []}
    return {name: value for name, value in (plain | told).items() if value is not None and value != defaults.get(name)}


def from_json(
    params: dict[str, Any], voices: VoiceStore, seed: int | None = None
) -> tuple[SpeechRequest, list[Segment] | None]:
    """Return the request, with another seed if one is given, and its segments; None if only the text was kept.

    A kept voice is used as it is now. Raises VoiceNotFound if it was deleted, and InvalidRequest if the voice came from
    a clip that was not kept.
    """
    sampling = Sampling(**params.get("sampling", {}))
    request = SpeechRequest(
        voice=_voice_from_json(params["voice"], params.get("voice_name"), voices),
        language=find_language(params["language"]) if "language" in params else None,
        sampling=sampling if seed is None else replace(sampling, seed=seed),
        effects=read_effects(params.get("effects", [])),
        **{name: params[name] for name in _PLAIN if name in params},
    )
    return request, _segments(params["segments"]) if "segments" in params else None


def _voice_to_json(voice: Voice) -> dict[str, str]:
    match voice:
        case Speaker():
            return {"speaker": voice.id}
        case Description():
            return {"description": voice.text}
        case KeptVoiceRef():
            return {"kept": voice.id}
        case _:
            return {"clip": "not kept"}


def _voice_from_json(told: dict[str, str], name: str | None, voices: VoiceStore) -> Voice:
    match told:
        case {"speaker": speaker}:
            return find_voice(speaker)[0]
        case {"description": text}:
            return Description(text)
        case {"kept": number} if kept := voices.find(number):
            return KeptVoiceRef(kept.id, kept.revision)
        case {"kept": _}:
            raise VoiceNotFound(f"The voice {name}, with which it was spoken, was deleted.")
        case _:
            raise InvalidRequest(
                "It was spoken with a clip that came with its request and was not kept; send the request again, or "
                "keep such a voice as a profile."
            )


def _segment_to_json(segment: Segment) -> dict[str, Any] | str | float:
    if isinstance(segment, Pause):
        return segment.seconds
    changes = segment.delivery.changes
    return {"text": segment.text, **changes} if changes else segment.text


def _segments(told: Sequence[dict[str, Any] | str | float]) -> list[Segment]:
    return [_segment(one) for one in told]


def _segment(told: dict[str, Any] | str | float) -> Segment:
    if isinstance(told, dict):
        return SpokenPiece(told["text"], Delivery(**{name: told[name] for name in told if name != "text"}))
    return SpokenPiece(told) if isinstance(told, str) else Pause(told)
