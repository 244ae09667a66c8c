"""/v1/audio/voices: all voices, and OpenAI's custom voices.

The list has the format of Open WebUI's and Kokoro's clients. The rest follows
https://platform.openai.com/docs/api-reference/audio .
"""

import asyncio
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field, RootModel

from wyoming_qwen3.api.access import has_key
from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.body import FormShape, read_form
from wyoming_qwen3.api.model_names import MODEL, find_model
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech_response import with_warnings
from wyoming_qwen3.api.validation import Fields, Query, ignored_headers, parse_body, parse_json, parse_query
from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import Reference
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS, Speaker, find_language, find_voice
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.speech.voice_design import MAX_CHARACTERS, sample_text
from wyoming_qwen3.store.voices.voice import KeptVoice, Manner

from .kept import DeletedAnswer, check_unbound, language_name, not_at_path, preview_url
from .presets import designer
from .uploads import UploadedClip, fields_json, to_recording

resource = Resource("Voices")

_SAMPLE_BYTES = 10 * 1024 * 1024
"""OpenAI's maximum size of a clip in bytes."""

_FORM_BYTES = _SAMPLE_BYTES + 256 * 1024
_JSON_BYTES = 256 * 1024
_FORM = FormShape({"audio_sample": 1}, file_bytes=_SAMPLE_BYTES)


class VoiceEntry(BaseModel):
    """A voice. `language` is its native language, or Auto for all; it can speak all of `languages`."""

    id: str
    name: str
    language: str
    languages: list[str]
    gender: Literal["female", "male"] | None
    description: str
    type: Literal["builtin", "preset", "profile"]
    preview_url: str | None = None


class VoiceList(BaseModel):
    """All voices that can speak: the built-in speakers, then the kept voices, ordered by name."""

    object: Literal["list"] = "list"
    voices: list[VoiceEntry] | list[str]


class SpeachesVoice(BaseModel):
    """A voice in the format of Speaches."""

    model_id: str
    voice_id: str
    name: str


class VoiceQuery(Query):
    """`legacy` answers only names; `language` keeps only voices whose native language it is."""

    legacy: bool = False
    language: str | None = None


class NewVoice(Fields):
    """A voice from words (`prompt`), or, in a form, from a clip (`audio_sample`)."""

    name: str = Field(max_length=200)
    type: Literal["prompt", "audio_sample"] | None = None
    prompt: str | None = Field(None, max_length=2000, description="A description of the voice.")
    script_hint: str | None = Field(None, max_length=MAX_CHARACTERS, description="The text of the clip that is cloned.")
    ref_text: str | None = Field(
        None, max_length=2000, description="The text spoken in the clip; without it only the timbre is cloned."
    )
    consent: str | None = Field(None, max_length=2000, description="Who agreed to be cloned.")


class CustomVoice(BaseModel):
    """A new voice in OpenAI's format."""

    id: str
    object: Literal["audio.voice"] = "audio.voice"
    created_at: int
    name: str
    type: Literal["prompt", "audio_sample"]
    prompt: str | None = None


class VoiceDeleted(DeletedAnswer):
    """The voice was deleted."""

    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"


@resource.operation(
    "GET",
    "/v1/audio/voices",
    "List the voices",
    query=VoiceQuery,
    answers={200: {"application/json": VoiceList}},
    also=("/v1/voices",),
)
async def list_voices(request: web.Request) -> web.StreamResponse:
    """Needs no API key, because Open WebUI sends none; without the key, kept voices have no description.

    `?legacy=true` lists only names.
    """
    query = parse_query(request, VoiceQuery)
    wanted = find_language(query.language) if query.language else None
    speakers = [speaker for speaker in SPEAKERS if wanted in (None, speaker.native)]
    voices = request.app[SERVICES].store.voices.all()
    kept = [voice for voice in voices if voice.speaks and (wanted is None or voice.manner.language in (None, wanted))]
    if query.legacy:
        return web.json_response({"voices": [one.name for one in speakers] + [one.name for one in kept]})
    key = request.app[CONFIG].access.at(request).api_key
    known = not key or has_key(request.headers, key)
    entries = [*map(_entry, speakers), *(_kept_entry(voice, described=known) for voice in kept)]
    return web.json_response(text=VoiceList(voices=entries).model_dump_json())


@resource.operation(
    "POST",
    "/v1/audio/voices",
    "Make a voice",
    body=NewVoice,
    form=_FORM,
    fields=NewVoice,
    answers={201: {"application/json": CustomVoice}},
    errors=(404, 429, 500, 501, 503, 507),
)
async def create_voice(request: web.Request) -> web.StreamResponse:
    """As in OpenAI's API. A `prompt` becomes a preset, as in /api/voice-presets/create, an `audio_sample` a profile."""
    body, clip = await _read_new(request)
    services, headers = request.app[SERVICES], ignored_headers(body)
    if body.type == "prompt" or (body.type is None and body.prompt):
        voice = await _from_words(services, request.app[CONFIG].resolver.defaults, body, clip)
    else:
        voice, warnings = await _from_clip(services, body, clip)
        headers = with_warnings(headers, warnings)
    made = CustomVoice(
        id=voice.id,
        created_at=int(voice.created_at),
        name=voice.name,
        type="prompt" if voice.design else "audio_sample",
        prompt=voice.design.description if voice.design else None,
    )
    return web.json_response(text=made.model_dump_json(exclude_none=True), status=201, headers=headers)


@resource.operation(
    "GET",
    "/v1/audio/speech/voices",
    "List the voices for Speaches' clients",
    answers={200: {"application/json": RootModel[list[SpeachesVoice]]}},
)
async def list_speaches_voices(request: web.Request) -> web.StreamResponse:
    """All voices as a list without an object around it. Needs no API key."""
    model = request.query.get("model_id") or MODEL
    names = request.app[CONFIG].resolver.names()
    return web.json_response([SpeachesVoice(model_id=model, voice_id=name, name=name).model_dump() for name in names])


@resource.operation(
    "GET",
    "/v1/audio/voices/{id}",
    "List the voices of a model",
    query=VoiceQuery,
    answers={200: {"application/json": VoiceList}},
    errors=(404,),
)
async def list_model_voices(request: web.Request) -> web.StreamResponse:
    """All voices, which are the same for every model."""
    find_model(request.match_info["id"])
    return await list_voices(request)


@resource.operation(
    "DELETE",
    "/v1/audio/voices/{id}",
    "Delete a voice",
    answers={200: {"application/json": VoiceDeleted}},
    errors=(404, 507),
)
async def delete_voice(request: web.Request) -> web.StreamResponse:
    """`id` is the id or name of any kept voice. Speech that has begun with it is completed."""
    voices, asked = request.app[SERVICES].store.voices, request.match_info["id"]
    voice = voices.find(asked)
    if voice is None:
        with not_at_path():
            speaker, _ = find_voice(asked)
        raise InvalidRequest(f"The voice {speaker.name} is built in and can't be deleted.", param="id")
    check_unbound(voice)
    await voices.delete(voice.id)
    return web.json_response(text=VoiceDeleted(id=voice.id).model_dump_json())


async def _read_new(request: web.Request) -> tuple[NewVoice, bytes | None]:
    """Return the fields and the clip, from JSON or a form. OpenAI's SDK sends forms for prompts, too."""
    if not request.content_type.startswith("multipart/"):
        return await parse_body(request, NewVoice, _JSON_BYTES), None
    form = await read_form(request, _FORM_BYTES, _FORM)
    return parse_json(fields_json(form, _FORM), NewVoice), next(iter(form.files.get("audio_sample", ())), None)


async def _from_words(services: Services, defaults: Defaults, body: NewVoice, clip: bytes | None) -> KeptVoice:
    description, text = (body.prompt or "").strip(), (body.script_hint or "").strip()
    if clip is not None or not description:
        raise InvalidRequest("A voice of type prompt needs a prompt and no audio_sample.", param="prompt")
    made_by, language = designer(services), defaults.language
    await made_by.check(body.name)
    preview = await made_by.preview(description, text or sample_text(language), language, defaults.sampling)
    return await made_by.keep(body.name, preview, Manner(description))


async def _from_clip(services: Services, body: NewVoice, clip: bytes | None) -> tuple[KeptVoice, list[str]]:
    """Return the voice, and sentences on what could be better about it."""
    if clip is None or body.prompt:
        raise InvalidRequest(
            "Send a description of the voice in prompt with type prompt, or a form with a clip in audio_sample.",
            param="audio_sample",
        )
    text = (body.ref_text or "").strip() or None
    recording, warnings = await asyncio.to_thread(_read_clip, clip, text)
    manner = Manner(consent=(body.consent or "").strip())
    return await services.store.voices.create(body.name, "profile", manner, [recording]), warnings


def _read_clip(clip: bytes, text: str | None) -> tuple[Reference, list[str]]:
    recording, findings = to_recording(UploadedClip(clip, text, "audio_sample"))
    return recording, [finding.message for finding in findings]


def _entry(speaker: Speaker) -> VoiceEntry:
    return VoiceEntry(
        id=speaker.name,
        name=speaker.name.replace("_", " "),
        language=language_name(speaker.native),
        languages=_LANGUAGES,
        gender=speaker.gender,
        description=speaker.description,
        type="builtin",
    )


def _kept_entry(voice: KeptVoice, *, described: bool) -> VoiceEntry:
    return VoiceEntry(
        id=voice.name,
        name=voice.name,
        language=language_name(voice.manner.language),
        languages=_LANGUAGES,
        gender=None,
        description=voice.manner.description if described else "",
        type=voice.type,
        preview_url=preview_url(voice),
    )


_LANGUAGES = [language_name(language) for language in LANGUAGES]
