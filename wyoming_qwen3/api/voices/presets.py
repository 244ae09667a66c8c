"""/api/voice-presets: voices made from words, and built-in speakers with a style."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias

from aiohttp import web
from pydantic import Field

from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech_response import EVENT_STREAM
from wyoming_qwen3.api.tasks import Work, stream_progress, wants_events
from wyoming_qwen3.api.validation import Query, ignored_headers, in_range, parse_body, parse_query
from wyoming_qwen3.audio.encode import MEDIA_TYPES
from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.errors import InvalidRequest, NotFound
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.speech.voice_design import (
    MAX_CHARACTERS,
    DesignStage,
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
"""The previews that can still be kept."""

_MAX_BYTES = 256 * 1024


class PresetBody(MannerFields):
    """A voice from words (`description`), or a built-in speaker (`voice`) with a style."""

    name: str | None = Field(None, max_length=200, description="Required unless preview is true.")
    sample_text: str | None = Field(
        None,
        max_length=MAX_CHARACTERS,
        description="The text of the clip from which the voice is cloned; 5 to 15 s are best.",
    )
    seed: int | None = in_range("seed", description="The same seed and description give the same voice.")
    temperature: float | None = in_range("temperature", description="0 always takes the likeliest code.")
    preview: bool = Field(False, description="Only make a preview, which can be kept by its id.")
    preview_id: str | None = Field(None, max_length=64, description="Id of a preview whose voice to keep.")
    overwrite: bool = Field(False, description="Replace the voice that has the name.")


class PresetQuery(Query):
    """`stream` reports progress as server-sent events, as `Accept: text/event-stream` does."""

    stream: bool = False


class PresetChange(MannerFields, FormerNamesFields):
    """The fields to change."""

    name: str | None = Field(None, max_length=200)


_Tell: TypeAlias = Callable[[DesignStage], None]
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
    """With `description`, VoiceDesign speaks the sample text, and the clip's clone prompt is extracted once.

    With `preview`, the clip is only kept if a later request sends its `preview_id`. With `voice`, nothing is spoken:
    the preset is that speaker with `instructions`, which the server's checkpoint must be able to follow.
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
    """Ordered by name."""
    services = request.app[SERVICES]
    presets = [voice for voice in services.store.voices.all() if voice.type == "preset"]
    told = PresetList(presets=await describe_all(services, presets))
    return web.json_response(text=told.model_dump_json())


@resource.operation(
    "GET", "/api/voice-presets/{id}", "Get a preset", answers={200: {"application/json": PresetEntry}}, errors=(404,)
)
async def one_preset(request: web.Request) -> web.StreamResponse:
    """`id` is the preset's id or its name."""
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
    """The clip from which the preset is cloned. A built-in speaker with a style has none."""
    voice = find_kept(request, "preset")
    if not voice.samples:
        raise NotFound(
            f"The preset {voice.name} has no sample, because it is a built-in speaker with a style.", param="id"
        )
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
    """Fields that are left out stay as they are. A new description does not change the sound of a voice from words."""
    body = await parse_body(request, PresetChange, _MAX_BYTES)
    services = request.app[SERVICES]
    voice = find_kept(request, "preset")
    manner = change_manner(voice.manner, body, services.models.size)
    if not voice.samples and manner.speaker is None:
        raise InvalidRequest(
            f"The preset {voice.name} has no clip, so voice must name a built-in speaker.", param="voice"
        )
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
    """Speech that has begun with it is completed."""
    return await delete_kept(request, "preset")


def designer(services: Services) -> VoiceDesigner:
    """Return a VoiceDesigner that uses these services."""
    return VoiceDesigner(services.synthesizer, services.models, services.prompts, services.store.voices)


_PROGRESS = "preset.progress"


def _style(services: Services, body: PresetBody) -> _Make:
    """Return a function that keeps a built-in speaker with a style. Raises InvalidRequest for other fields."""
    for field in ("sample_text", "seed", "temperature", "preview", "preview_id"):
        if (given := getattr(body, field)) is not None and given is not False:
            raise InvalidRequest(
                f"{field} is only for a voice from words; send description without voice, or voice without {field}.",
                param=field,
            )
    manner = change_manner(Manner(), body, services.models.size)
    if manner.speaker is None:
        raise InvalidRequest(
            "voice is empty; send the name of a built-in speaker, or a description instead.", param="voice"
        )
    name = _name(services, body)

    async def make(tell: _Tell) -> PresetEntry:
        tell("saving")
        voice = await services.store.voices.create(name, "preset", manner, [], overwrite=body.overwrite)
        return await describe(services, voice)

    return make


async def _design(request: web.Request, body: PresetBody) -> _Make:
    """Return a function that makes a voice from words, or keeps that of a preview.

    Raises a SpeechError for everything that can be checked before anything is spoken.
    """
    services, previews = request.app[SERVICES], request.app[PREVIEWS]
    if body.instructions:
        raise InvalidRequest(
            "instructions are only for a built-in speaker; send voice too, or put them into description.",
            param="instructions",
        )
    chosen = await _chosen_preview(previews, body)
    before = Manner(chosen.design.description, chosen.language) if chosen else Manner()
    manner = change_manner(before, body, services.models.size)
    if not manner.description:
        raise InvalidRequest(
            "Send a description of the voice, or the name of a built-in speaker in voice with instructions.",
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
    """Return the preview to keep, or None. Raises NotFound, and InvalidRequest if other fields contradict it."""
    if body.preview_id is None:
        return None
    if body.preview:
        raise InvalidRequest("preview_id keeps a preview; send it without preview.", param="preview")
    chosen = await previews.get(body.preview_id)
    for field in ("description", "sample_text", "seed"):
        given = getattr(body, field)
        if given is not None and str(given).strip() != str(getattr(chosen.design, field)):
            raise InvalidRequest(
                f"{field} differs from the one that the preview was made with; leave it out.", param=field
            )
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
    """Return the name. Raises InvalidRequest if it is missing, or would overwrite a voice of the voices folder."""
    if body.name is None:
        raise InvalidRequest("name is missing.", param="name")
    if body.overwrite and (old := services.store.voices.find(body.name)):
        check_unbound(old)
    return body.name


def _with_event(make: _Make) -> Work:
    """Return work that makes the preset or preview and returns the last event."""

    async def work(tell: Callable[[str], None]) -> dict[str, Any]:
        made = await make(tell)
        what = "preview" if isinstance(made, PreviewEntry) else "preset"
        return {"type": "preset.previewed" if what == "preview" else "preset.created", what: made.model_dump()}

    return work
