"""/api/effects: lists the effects, and previews them."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech import MAX_BYTES, with_session
from wyoming_qwen3.api.speech_request import SpeechFields, understand, voice_headers
from wyoming_qwen3.api.speech_response import MoreHeaders, stream_audio, whole_audio
from wyoming_qwen3.api.validation import ignored_headers, parse_body
from wyoming_qwen3.audio.chain import Chain, check_installed
from wyoming_qwen3.audio.encode import MEDIA_TYPES
from wyoming_qwen3.audio.mix import MAX_SECONDS
from wyoming_qwen3.audio.streaming import processed
from wyoming_qwen3.core.effects import EFFECTS, Effect, EffectKind, read_effects
from wyoming_qwen3.core.errors import InvalidRequest, NotSupported
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray
from wyoming_qwen3.speech.voice_design import sample_text

from .sources import DESCRIPTION, SOUND_WORK, bounded, load_sound

resource = Resource("Studio")

MAX_CHARACTERS = 300
"""Maximum number of characters of a text to preview effects with."""


class ParameterEntry(BaseModel):
    """A number that an effect accepts."""

    name: str
    description: str
    minimum: float
    maximum: float
    default: float | None
    unit: str
    required: bool


class EffectEntry(BaseModel):
    """An effect. A `whole` effect needs all of the sound before it sends any."""

    type: str
    description: str
    whole: bool
    parameters: list[ParameterEntry]
    available: bool
    """Whether the libraries that it needs are installed on the server."""


class EffectList(BaseModel):
    """All effects."""

    effects: list[EffectEntry]


class PreviewBody(SpeechFields):
    """Effects, and what to hear them with: a text, a sound, or, without both, a sample sentence."""

    text: str | None = Field(None, max_length=MAX_CHARACTERS, description="The text to speak.")
    audio: str | None = Field(None, description=f"A sound, instead of a text: {DESCRIPTION}")
    stream: bool | None = Field(
        None, description="true sends the audio while it is generated; later errors then have no status."
    )


@resource.operation("GET", "/api/effects", "List the effects", answers={200: {"application/json": EffectList}})
async def list_effects(_: web.Request) -> web.StreamResponse:
    """The effects that every field named `effects` accepts."""
    return web.json_response(text=EffectList(effects=[_entry(kind) for kind in EFFECTS]).model_dump_json())


@resource.operation(
    "POST",
    "/api/effects/preview",
    "Preview effects",
    body=PreviewBody,
    answers={200: dict.fromkeys(MEDIA_TYPES.values())},
    errors=(404, 429, 500, 501, 503, 507),
)
async def preview_effects(request: web.Request) -> web.StreamResponse:
    """Speaks a text with the effects, or applies them to a sound. Kept in the history only if `save` is true."""
    body = await parse_body(request, PreviewBody, MAX_BYTES)
    if body.audio is not None:
        return await _preview_sound(request, body, body.audio)
    services, config = request.app[SERVICES], request.app[CONFIG]
    wanted = replace(await understand(body, config), save=bool(body.save))
    headers = voice_headers(wanted) | ignored_headers(body)
    async with services.synthesizer.open(wanted, "preview", client=request.remote) as session:
        session.add_text((body.text or "").strip() or sample_text(wanted.language))
        session.end_text()
        return await _send(request, aiter(session), body, lambda: with_session(headers, session))


def _entry(kind: EffectKind) -> EffectEntry:
    return EffectEntry.model_validate(kind.to_json() | {"available": _is_available(kind)})


def _is_available(kind: EffectKind) -> bool:
    try:
        check_installed([Effect(kind.type, ())])
    except NotSupported:
        return False
    return True


async def _preview_sound(request: web.Request, body: PreviewBody, source: str) -> web.StreamResponse:
    for field in ("text", "voice"):
        if getattr(body, field):
            raise InvalidRequest(f"audio replaces spoken text; leave {field} out.", param=field)
    effects = read_effects(body.effects or [])
    check_installed(effects)
    async with request.app[SOUND_WORK].place():
        sound = await load_sound(request.app[SERVICES].store, source, "audio")
    chunks = processed(_seconds(sound), partial(Chain, effects))
    async with contextlib.aclosing(chunks):
        return await _send(request, chunks, body, lambda: ignored_headers(body))


async def _send(
    request: web.Request, chunks: AsyncGenerator[FloatArray, None], body: PreviewBody, more: MoreHeaders
) -> web.StreamResponse:
    if body.stream:
        return await stream_audio(request, chunks, body.response_format, more)
    return await whole_audio(bounded(chunks, MAX_SECONDS), body.response_format, more)


async def _seconds(sound: FloatArray) -> AsyncGenerator[FloatArray, None]:
    """Yield a sound in chunks of one second."""
    for at in range(0, sound.size, SAMPLE_RATE):
        yield sound[at : at + SAMPLE_RATE]
