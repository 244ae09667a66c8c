"""POST /v1/audio/compose: mixes sounds, or joins them one after the other."""

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from aiohttp import web
from pydantic import BaseModel, Field, model_validator

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech import MAX_BYTES
from wyoming_qwen3.api.speech_request import Effects
from wyoming_qwen3.api.speech_response import whole_audio
from wyoming_qwen3.api.validation import Fields, ignored_headers, parse_body
from wyoming_qwen3.audio.chain import Chain, check_installed
from wyoming_qwen3.audio.encode import MEDIA_TYPES, AudioFormat
from wyoming_qwen3.audio.mix import MAX_FADE_SECONDS, MAX_SECONDS, MAX_VOLUME, Track, mix, sequence
from wyoming_qwen3.audio.streaming import in_thread
from wyoming_qwen3.core.effects import Effect, read_effects, stretch
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray
from wyoming_qwen3.speech.shared import Store

from .sources import DESCRIPTION, SOUND_WORK, keep, load_sound

resource = Resource("Studio")

MAX_TRACKS = 64

_MAX_MS = 1000.0 * MAX_SECONDS
_FADE_MS = 1000.0 * MAX_FADE_SECONDS


class TrackFields(Fields):
    """A sound, and when and how it is heard."""

    audio: str = Field(description=DESCRIPTION)
    offset_ms: float = Field(
        0, ge=0, le=_MAX_MS, description="Silence before the sound; in a sequence, after the end of the previous track."
    )
    volume: float = Field(1, ge=0, le=MAX_VOLUME, description="2 is 6 dB louder.")
    fade_in_ms: float = Field(0, ge=0, le=_FADE_MS)
    fade_out_ms: float = Field(0, ge=0, le=_FADE_MS)


class ComposeBody(Fields):
    """Sounds, and how to combine them. The list of the tracks alone is accepted, too."""

    tracks: list[TrackFields] = Field(min_length=1, max_length=MAX_TRACKS, fail_fast=True)
    mode: Literal["mix", "sequence"] = Field("mix", description="mix: all at once; sequence: one after the other.")
    crossfade_ms: float = Field(
        0, ge=0, le=_FADE_MS, description="Overlap of two tracks in a sequence without an offset between them."
    )
    normalize: bool = Field(True, description="Bring the peak of the whole to -1 dBFS; else levels just add up.")
    effects: Effects | None = Field(None, description="Effects on the whole, in order.")
    response_format: AudioFormat = "wav"
    return_: Literal["audio", "json"] = Field(
        "audio", alias="return", description="The file, or the URL to fetch it from."
    )

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        return {"tracks": given} if isinstance(given, list) else given


class ComposeAnswer(BaseModel):
    """A composition, which can be fetched for a day."""

    audio_url: str
    duration_ms: float
    format: AudioFormat


@resource.operation(
    "POST",
    "/v1/audio/compose",
    "Compose sounds",
    body=ComposeBody,
    answers={200: dict.fromkeys(MEDIA_TYPES.values()) | {"application/json": ComposeAnswer}},
    errors=(404, 429, 501, 507),
)
async def compose(request: web.Request) -> web.StreamResponse:
    """Accepts at most 64 sounds of 10 minutes each. All of them together, and the result, may last 30 minutes."""
    body = await parse_body(request, ComposeBody, MAX_BYTES)
    if body.crossfade_ms and body.mode == "mix":
        raise InvalidRequest(
            "crossfade_ms is only for tracks in sequence; set mode to sequence, or leave crossfade_ms out.",
            param="mode",
        )
    effects = read_effects(body.effects or [])
    check_installed(effects)
    headers = ignored_headers(body, *body.tracks)
    store = request.app[SERVICES].store
    async with request.app[SOUND_WORK].place():
        sounds = await _load_tracks(store, body.tracks)
        composed = await in_thread(partial(_compose, body, sounds, effects))
        if body.return_ == "audio":
            return await whole_audio(_once(composed), body.response_format, lambda: headers)
        url, seconds = await keep(store.clips, _once(composed), body.response_format)
    answer = ComposeAnswer(audio_url=url, duration_ms=round(1000 * seconds, 1), format=body.response_format)
    return web.json_response(text=answer.model_dump_json(), headers=headers)


async def _load_tracks(store: Store, tracks: Sequence[TrackFields]) -> list[FloatArray]:
    """Return the sounds of the tracks. Raises TooLarge if they are too long together, and what `load_sound` raises."""
    sounds, samples = [], 0
    for number, track in enumerate(tracks):
        sounds.append(await load_sound(store, track.audio, f"tracks[{number}].audio"))
        samples += sounds[-1].size
        if samples > MAX_SECONDS * SAMPLE_RATE:
            raise TooLarge(f"The tracks must not last more than {MAX_SECONDS} s together.", param="tracks")
    return sounds


def _compose(body: ComposeBody, sounds: Sequence[FloatArray], effects: Sequence[Effect]) -> FloatArray:
    """Return the composition. Takes seconds for long sounds."""
    tracks = [
        Track(sound, track.offset_ms / 1000, track.volume, track.fade_in_ms / 1000, track.fade_out_ms / 1000)
        for sound, track in zip(sounds, body.tracks, strict=True)
    ]
    if body.mode == "mix":
        composed = mix(tracks, normalize=body.normalize)
    else:
        composed = sequence(tracks, crossfade=body.crossfade_ms / 1000, normalize=body.normalize)
    return _changed(composed, effects) if effects else composed


def _changed(sound: FloatArray, effects: Sequence[Effect]) -> FloatArray:
    if sound.size * stretch(effects) > MAX_SECONDS * SAMPLE_RATE:
        raise TooLarge(f"With its effects the composition would last more than {MAX_SECONDS} s.", param="effects")
    chain = Chain(effects)
    parts = [chain.feed(sound[at : at + SAMPLE_RATE]) for at in range(0, sound.size, SAMPLE_RATE)]
    return np.concatenate([*parts, chain.finish()])


async def _once(sound: FloatArray) -> AsyncGenerator[FloatArray, None]:
    yield sound
