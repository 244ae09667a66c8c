"""/api/voice-presets: voices made from words, and built-in ones with a style of their own.

Knows neither how a voice is made nor where it lies.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias

from aiohttp import web
from pydantic import Field

from wyoming_qwen3.api.app_keys import CONFIG, SERVICES, Services
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.progress import Work, stream_progress, wants_events
from wyoming_qwen3.api.speech_response import EVENT_STREAM
from wyoming_qwen3.api.validation import Query, ignored_headers, parse_body, parse_query
from wyoming_qwen3.audio.encode import MEDIA_TYPES
from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.errors import InvalidRequest, NotFound
from wyoming_qwen3.speech.voice_design import (
    MAX_CHARACTERS,
    Stage,
    VoiceDesigner,
    VoicePreview,
    VoicePreviews,
    sample_text,
)
from wyoming_qwen3.store.voices.voice import Manner

from .kept import (
    DeletedAnswer,
    FormerNamesFields,
    MannerFields,
    change_manner,
    check_unbound,
    delete_kept,
    find_kept,
    serve_sample,
)
from .preset import PresetEntry, PresetList, PreviewEntry, describe, describe_all, describe_preview

resource = Resource("Presets")

PREVIEWS = web.AppKey("previews", VoicePreviews)
"""The previews that may still be kept."""

_MAX_BYTES = 256 * 1024


class PresetBody(MannerFields):
    """A voice from words (`description`), or a built-in one (`voice`) with a style."""

    name: str | None = Field(None, max_length=200, description="Needed unless it is a preview.")
    sample_text: str | None = Field(
        None, max_length=MAX_CHARACTERS, description="What the voice says to be cloned of it; 5 to 15 s are best."
    )
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="The same seed and words give the same voice.")
    temperature: float | None = Field(None, ge=0, le=5, description="0 takes the likeliest code each time.")
    preview: bool = Field(False, description="Let it be chosen, and keep nothing.")
    preview_id: str | None = Field(None, max_length=64, description="Keep the voice of that preview.")
    overwrite: bool = Field(False, description="Replace the voice of that name.")


class PresetQuery(Query):
    """Whether to tell the progress as server-sent events, as `Accept: text/event-stream` does too."""

    stream: bool = False


class PresetChange(MannerFields, FormerNamesFields):
    """What is to change."""

    name: str | None = Field(None, max_length=200)


_Tell: TypeAlias = Callable[[Stage], None]
_Make: TypeAlias = Callable[[_Tell], Awaitable[PresetEntry | PreviewEntry]]


@resource.operation(
    "POST",
    "/api/voice-presets/create",
    "Make a preset",
    body=PresetBody,
    query=PresetQuery,
    answers={200: {"application/json": PreviewEntry, EVENT_STREAM: None}, 201: {"application/json": PresetEntry}},
    errors=(404, 429, 500, 501, 503, 507),
)
async def create_preset(request: web.Request) -> web.StreamResponse:
    """With `description` VoiceDesign speaks the sample text, and what Base needs to clone it is read out of it, once.

    With `preview` that clip is not kept, but can be by its `preview_id`. With `voice` nothing is spoken: the preset is
    that voice with `instructions`, which the server's model must follow.
    """
    query = parse_query(request, PresetQuery)
    body = await parse_body(request, PresetBody, _MAX_BYTES)
    services = request.app[SERVICES]
    make = _style(services, body) if body.voice is not None else await _design(request, body)
    headers = ignored_headers(body)
    if query.stream or wants_events(request):
        checkpoints = designer(services).checkpoints
        return await stream_progress(
            request, services.models, checkpoints, _with_event(make), kind=_PROGRESS, headers=headers
        )
    made = await make(lambda _: None)
    status = 200 if isinstance(made, PreviewEntry) else 201
    return web.json_response(text=made.model_dump_json(), status=status, headers=headers)


@resource.operation("GET", "/api/voice-presets", "List the presets", answers={200: {"application/json": PresetList}})
async def list_presets(request: web.Request) -> web.StreamResponse:
    """By name."""
    services = request.app[SERVICES]
    presets = [voice for voice in services.store.voices.all() if voice.type == "preset"]
    told = PresetList(presets=await describe_all(services, presets))
    return web.json_response(text=told.model_dump_json())


@resource.operation(
    "GET", "/api/voice-presets/{id}", "One preset", answers={200: {"application/json": PresetEntry}}, errors=(404,)
)
async def one_preset(request: web.Request) -> web.StreamResponse:
    """By its id or name."""
    entry = await describe(request.app[SERVICES], find_kept(request, "preset"))
    return web.json_response(text=entry.model_dump_json())


@resource.operation(
    "GET",
    "/api/voice-presets/{id}/audio",
    "Hear a preset",
    answers={200: {MEDIA_TYPES["wav"]: None}, 206: {MEDIA_TYPES["wav"]: None}},
    errors=(404, 507),
)
async def preset_audio(request: web.Request) -> web.StreamResponse:
    """The clip that it is cloned of. A built-in voice with a style has none."""
    voice = find_kept(request, "preset")
    if not voice.samples:
        raise NotFound(f"The preset {voice.name} has no sample; it is a built-in voice with a style.", param="id")
    return await serve_sample(request, voice, voice.samples[0].id)


@resource.operation(
    "PUT",
    "/api/voice-presets/{id}",
    "Change a preset",
    body=PresetChange,
    answers={200: {"application/json": PresetEntry}},
    errors=(404, 501, 507),
)
async def change_preset(request: web.Request) -> web.StreamResponse:
    """What is left out stays as it is; so does the sound of a voice from words, whatever its description says."""
    body = await parse_body(request, PresetChange, _MAX_BYTES)
    services = request.app[SERVICES]
    voice = find_kept(request, "preset")
    manner = change_manner(voice.manner, body, services.models.size)
    if not voice.samples and manner.speaker is None:
        raise InvalidRequest(f"The preset {voice.name} was not made from words and needs a voice.", param="voice")
    changed = await services.store.voices.change(voice.id, name=body.name, manner=manner, former_names=body.kept_names)
    return web.json_response(text=(await describe(services, changed)).model_dump_json(), headers=ignored_headers(body))


@resource.operation(
    "DELETE",
    "/api/voice-presets/{id}",
    "Delete a preset",
    answers={200: {"application/json": DeletedAnswer}},
    errors=(404, 507),
)
async def delete_preset(request: web.Request) -> web.StreamResponse:
    """What is being spoken with it is spoken to its end."""
    return await delete_kept(request, "preset")


def designer(services: Services) -> VoiceDesigner:
    """Who makes voices from words."""
    return VoiceDesigner(services.synthesizer, services.models, services.prompts, services.store.voices)


_PROGRESS = "preset.progress"


def _style(services: Services, body: PresetBody) -> _Make:
    """How to keep a built-in voice with a style. Raises InvalidRequest where that is not all that is asked for."""
    for field in ("sample_text", "seed", "temperature", "preview", "preview_id"):
        if (given := getattr(body, field)) is not None and given is not False:
            raise InvalidRequest(
                f"{field} is for a voice from words: send description without voice, or voice without {field}.",
                param=field,
            )
    manner = change_manner(Manner(), body, services.models.size)
    if manner.speaker is None:
        raise InvalidRequest("voice is empty; send the name of a built-in voice, or a description.", param="voice")
    name = _name(services, body)

    async def make(tell: _Tell) -> PresetEntry:
        tell("saving")
        voice = await services.store.voices.create(name, "preset", manner, [], overwrite=body.overwrite)
        return await describe(services, voice)

    return make


async def _design(request: web.Request, body: PresetBody) -> _Make:
    """How to make a voice from words, or to keep one that was a preview.

    Raises a SpeechError for all that can be found out before anything is spoken.
    """
    services, previews = request.app[SERVICES], request.app[PREVIEWS]
    if body.instructions:
        raise InvalidRequest(
            "instructions are for a built-in voice: send voice too, or put all of it into description.",
            param="instructions",
        )
    chosen = await _chosen_preview(previews, body)
    before = Manner(chosen.design.description, chosen.language) if chosen else Manner()
    manner = change_manner(before, body, services.models.size)
    if not manner.description:
        raise InvalidRequest(
            "Send description, a voice in words, or voice, the name of a built-in one, with instructions.",
            param="description",
        )
    name, by = None if body.preview else _name(services, body), designer(services)
    await by.check(name, overwrite=body.overwrite)

    async def make(tell: _Tell) -> PresetEntry | PreviewEntry:
        preview = chosen or await _make_preview(by, request.app[CONFIG].resolver.defaults, body, manner, tell)
        if name is None:
            return describe_preview(await previews.add(preview), preview)
        return await describe(services, await by.keep(name, preview, manner, tell, overwrite=body.overwrite))

    return make


async def _chosen_preview(previews: VoicePreviews, body: PresetBody) -> VoicePreview | None:
    """The preview to keep, if one is named. Raises NotFound, and InvalidRequest where it is not what is asked for."""
    if body.preview_id is None:
        return None
    if body.preview:
        raise InvalidRequest("preview_id keeps a preview; leave preview out.", param="preview")
    chosen = await previews.get(body.preview_id)
    for field in ("description", "sample_text", "seed"):
        given = getattr(body, field)
        if given is not None and str(given).strip() != str(getattr(chosen.design, field)):
            raise InvalidRequest(f"{field} is not what the preview was made with; leave it out.", param=field)
    return chosen


async def _make_preview(
    by: VoiceDesigner, defaults: Defaults, body: PresetBody, manner: Manner, tell: _Tell
) -> VoicePreview:
    language = manner.language or defaults.language
    text = (body.sample_text or "").strip() or sample_text(language)
    given: dict[str, Any] = {"seed": body.seed, "temperature": body.temperature}
    sampling = replace(defaults.sampling, **{name: value for name, value in given.items() if value is not None})
    return await by.preview(manner.description, text, language, sampling, tell)


def _name(services: Services, body: PresetBody) -> str:
    """Raises InvalidRequest where there is none, or where it would overwrite what a folder would bring back."""
    if body.name is None:
        raise InvalidRequest("name is missing.", param="name")
    if body.overwrite and (old := services.store.voices.find(body.name)):
        check_unbound(old)
    return body.name


def _with_event(make: _Make) -> Work:
    """The same with an event in the end."""

    async def work(tell: Callable[[str], None]) -> dict[str, Any]:
        made = await make(tell)
        what = "preview" if isinstance(made, PreviewEntry) else "preset"
        return {"type": "preset.previewed" if what == "preview" else "preset.created", what: made.model_dump()}

    return work
