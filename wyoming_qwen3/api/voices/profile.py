"""Profiles as JSON, with warnings about their clips."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.audio.reference import ClipFinding, check
from wyoming_qwen3.core.errors import StorageFailed
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.store.voices.voice import KeptVoice

from .kept import KeptEntry, entry_fields, sample_url


class Warned(BaseModel):
    """A warning about a profile: about one `sample`, or about the whole profile if that is null."""

    code: str
    message: str
    sample: str | None


class SampleEntry(BaseModel):
    """A clip. Without a text, only its timbre is cloned."""

    id: str
    text: str | None
    duration_ms: int
    audio_url: str


class Profile(KeptEntry):
    """A kept voice.

    `status` is `ready` if it can speak at once, `pending` if its clips are read when it first speaks, `empty` if it has
    neither clips nor speaker. `warnings` is null in lists. `folder` is the entry of the voices folder that it follows.
    """

    default_effects: list[dict[str, Any]]
    consent: str
    samples: list[SampleEntry]
    warnings: list[Warned] | None
    default: bool
    folder: str | None


_OF_UPLOADS = ("cut", "timbre")
"""Findings that are not about a clip as it is kept, but about what became of an upload."""


async def answer_profile(
    request: web.Request,
    voice: KeptVoice,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    told: Sequence[Sequence[ClipFinding]] = (),
) -> web.StreamResponse:
    """Answer with a profile, including warnings about its clips. `told` are the findings about its newest clips."""
    profile = await describe(request.app[SERVICES], voice, told)
    return web.json_response(text=profile.model_dump_json(), status=status, headers=headers)


async def describe(services: Services, voice: KeptVoice, told: Sequence[Sequence[ClipFinding]] = ()) -> Profile:
    """Return a profile, including warnings about its clips. `told` are the findings about its newest clips."""
    (profile,) = await describe_all(services, [voice])
    uploaded = [
        Warned(code=finding.code, message=finding.message, sample=sample.id)
        for sample, findings in zip(voice.samples[len(voice.samples) - len(told) :], told, strict=True)
        for finding in findings
        if finding.code in _OF_UPLOADS
    ]
    return profile.model_copy(update={"warnings": [*uploaded, *await _warnings(services, voice)]})


async def describe_all(services: Services, voices: Sequence[KeptVoice]) -> list[Profile]:
    """Return profiles as JSON, without warnings about their clips."""
    told = await entry_fields(services, voices)
    default = services.store.voices.default
    return [_describe(voice, fields, default) for voice, fields in zip(voices, told, strict=True)]


def _describe(voice: KeptVoice, fields: dict[str, Any], default: str | None) -> Profile:
    samples = [
        SampleEntry(
            id=sample.id,
            text=sample.text,
            duration_ms=round(1000 * sample.seconds),
            audio_url=sample_url(voice, sample),
        )
        for sample in voice.samples
    ]
    more = {
        "default_effects": fields["effects"],
        "consent": voice.manner.consent,
        "samples": samples,
        "warnings": None,
        "default": voice.id == default,
        "folder": voice.folder,
    }
    return Profile(**(fields | more))


async def _warnings(services: Services, voice: KeptVoice) -> list[Warned]:
    """Return warnings about a profile's clips. If they are lost, that is the warning, so that it can be repaired."""
    try:
        recordings = await services.store.voices.recordings(voice.id)
    except StorageFailed as error:
        return [Warned(code=error.code, message=str(error), sample=None)]

    def listen() -> list[Warned]:
        return [
            Warned(code=finding.code, message=finding.message, sample=sample.id)
            for sample, recording in zip(voice.samples, recordings, strict=False)
            for finding in check(recording.samples, recording.sample_rate, recording.text)
        ]

    return await asyncio.to_thread(listen)
