"""/v1/models and /v1/audio/models for programs that choose one; /api/models for people who look after them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.checkpoints import PUBLISHED, SIZES, Checkpoint, Kind, Size
from wyoming_qwen3.errors import InvalidRequest, ModelNotFound
from wyoming_qwen3.model_state import Event, State, Status

from .answer import EVENT_STREAM, STREAM_HEADERS, send_event
from .errors import error_body
from .intent import MODEL, STANDBY, find_model, model_id
from .keys import CONFIG, SERVICES, Services
from .operation import Resource
from .parse import Fields, ignored_headers, parse_body

resource = Resource("Models")

_SMALL_BODY = 1024 * 1024

_HEARTBEAT_SECONDS = 15.0

_RELEASED = 1769040000
"""22 January 2026, when Qwen3-TTS was published."""


class OpenAIModel(BaseModel):
    """A model as OpenAI lists it, and what is more to say of ours."""

    id: str
    object: Literal["model"] = "model"
    created: int = _RELEASED
    owned_by: str = "qwen"
    variant: str | None = None
    size: str | None = None
    loaded: bool


class OpenAIModelList(BaseModel):
    """All names that `model` may have, but for OpenAI's own."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class AudioModel(BaseModel):
    """A model as Open WebUI wants it."""

    id: str
    name: str


class AudioModelList(BaseModel):
    """The same for Open WebUI."""

    models: list[AudioModel]


class ProgressEntry(BaseModel):
    """How far a download is, in bytes."""

    done: int
    total: int


class ModelEntry(BaseModel):
    """A checkpoint and where it is: on the hub, on the disk, in memory."""

    id: str
    name: str
    variant: str
    size: str
    state: Literal["missing", "downloading", "on disk", "loading", "ready", "failed"]
    progress: ProgressEntry | None = None
    error: dict[str, str | None] | None = None
    memory_bytes: int
    disk_bytes: int
    users: int
    last_used: float | None = None


class ModelsAnswer(BaseModel):
    """All checkpoints, and the device they are loaded on, once there is an engine."""

    device: str | None
    device_memory_bytes: int | None
    models: list[ModelEntry]


class ModelBody(Fields):
    """Which checkpoint: its id, or its variant and size."""

    model: str | None = Field(None, max_length=200, description="As listed, such as qwen3-tts-0.6b-base.")
    variant: Literal["custom_voice", "voice_design", "base"] | None = None
    size: Annotated[str, Field(max_length=10, description="1.7B or 0.6B")] | None = None


@resource.operation("GET", "/v1/models", "List the models", answers={200: {"application/json": OpenAIModelList}})
async def list_models(request: web.Request) -> web.StreamResponse:
    """Open without an API key, because Open WebUI asks without one."""
    return web.json_response(text=OpenAIModelList(data=_openai_models(request)).model_dump_json(exclude_none=True))


@resource.operation(
    "GET", "/v1/models/{id}", "One model", answers={200: {"application/json": OpenAIModel}}, errors=(404,)
)
async def one_model(request: web.Request) -> web.StreamResponse:
    """OpenAI's names are the default model's."""
    name = request.match_info["id"]
    wish = find_model(name)
    for model in _openai_models(request):
        if model.id == name.lower():
            return web.json_response(text=model.model_dump_json(exclude_none=True))
    default = OpenAIModel(id=name, variant=wish.kind, size=wish.size, loaded=_any_ready(request.app[SERVICES]))
    return web.json_response(text=default.model_dump_json(exclude_none=True))


@resource.operation(
    "GET", "/v1/audio/models", "List the models for Open WebUI", answers={200: {"application/json": AudioModelList}}
)
async def list_audio_models(request: web.Request) -> web.StreamResponse:
    """Open without an API key, because Open WebUI asks without one."""
    models = [AudioModel(id=model.id, name=model.id) for model in _openai_models(request)]
    return web.json_response(text=AudioModelList(models=models).model_dump_json())


@resource.operation("GET", "/api/models", "List the checkpoints", answers={200: {"application/json": ModelsAnswer}})
async def list_checkpoints(request: web.Request) -> web.StreamResponse:
    """What is on disk and in memory, looked up now."""
    models = request.app[SERVICES].models
    entries = [model_entry(status) for status in await models.survey()]
    hello = models.engine
    answer = ModelsAnswer(
        device=hello.device if hello else None, device_memory_bytes=hello.memory if hello else None, models=entries
    )
    return web.json_response(text=answer.model_dump_json())


@resource.operation(
    "POST",
    "/api/models/load",
    "Load a checkpoint",
    body=ModelBody,
    answers={200: {"application/json": ModelEntry}},
    errors=(404, 501, 503),
)
async def load(request: web.Request) -> web.StreamResponse:
    """Answers when it is ready. A missing one begins to be downloaded, which is a 503 that says how far it is."""
    return await _change(request, request.app[SERVICES].models.load)


@resource.operation(
    "POST",
    "/api/models/unload",
    "Unload a checkpoint",
    body=ModelBody,
    answers={200: {"application/json": ModelEntry}},
    errors=(404, 501, 503),
)
async def unload(request: web.Request) -> web.StreamResponse:
    """Gives its memory back; one that speaks is left alone, which is a 503."""
    return await _change(request, request.app[SERVICES].models.unload)


@resource.operation(
    "POST",
    "/api/models/download",
    "Download a checkpoint",
    body=ModelBody,
    answers={200: {"application/json": ModelEntry}},
    errors=(404, 501, 503),
)
async def download(request: web.Request) -> web.StreamResponse:
    """Begins, and answers at once; /api/models/events tells how it goes."""
    return await _change(request, request.app[SERVICES].models.fetch)


@resource.operation("GET", "/api/models/events", "What happens to the checkpoints", answers={200: {EVENT_STREAM: None}})
async def events(request: web.Request) -> web.StreamResponse:
    """First a `status` event for each checkpoint, then one for every change: download, loading, ready, evicted."""
    models = request.app[SERVICES].models
    response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM} | STREAM_HEADERS)
    with models.watch() as happened:
        await response.prepare(request)
        for status in models.statuses():
            await send_event(response, {"type": "status", "model": model_entry(status).model_dump()})
        waiting = asyncio.ensure_future(anext(happened, None))
        try:
            while True:
                done, _ = await asyncio.wait([waiting], timeout=_HEARTBEAT_SECONDS)
                if not done:
                    await response.write(b": still here\n\n")  # a client that left is noticed only when written to
                elif (event := waiting.result()) is None:
                    break
                else:
                    await send_event(response, _told(event))
                    waiting = asyncio.ensure_future(anext(happened, None))
        finally:
            waiting.cancel()
    return response


def model_entry(status: Status) -> ModelEntry:
    """A checkpoint's status, for JSON."""
    checkpoint, progress = status.checkpoint, status.progress
    return ModelEntry(
        id=model_id(checkpoint),
        name=checkpoint.name,
        variant=checkpoint.kind,
        size=checkpoint.size,
        state=status.state.value,
        progress=ProgressEntry(done=progress.done, total=progress.total) if progress else None,
        error=error_body(status.error)["error"] if status.error else None,
        memory_bytes=status.footprint,
        disk_bytes=status.disk,
        users=status.users,
        last_used=status.last_used,
    )


def _told(event: Event) -> dict[str, object]:
    return {"type": event.kind, "model": model_entry(event.status).model_dump()}


async def _change(request: web.Request, change: Callable[[Checkpoint], Awaitable[Status]]) -> web.StreamResponse:
    body = await parse_body(request, ModelBody, _SMALL_BODY)
    status = await change(_named(body, request.app[SERVICES].models.size))
    return web.json_response(text=model_entry(status).model_dump_json(), headers=ignored_headers(body))


def _named(body: ModelBody, default_size: Size) -> Checkpoint:
    """The checkpoint that is meant. Raises InvalidRequest, ModelNotFound."""
    kind: Kind | None = body.variant
    size = _size(body.size)
    if body.model:
        wish = find_model(body.model)
        if wish.standby:
            raise InvalidRequest("The standby voice is always there; name a checkpoint of Qwen3-TTS.", param="model")
        kind, size = wish.kind or kind, wish.size or size
    if kind is None:
        raise InvalidRequest("Say which checkpoint: model, or variant and size.", param="model")
    named = Checkpoint(kind, size or ("1.7B" if kind == "voice_design" else default_size))
    if named not in PUBLISHED:
        raise ModelNotFound(f"{named.name} was never published; VoiceDesign exists in 1.7B only.", param="size")
    return named


def _size(text: str | None) -> Size | None:
    for size in SIZES:
        if text is not None and text.upper().removesuffix("B") == size.removesuffix("B"):
            return size
    if text is None:
        return None
    raise InvalidRequest(f"size: {text!r} is not one of {', '.join(SIZES)}.", param="size")


def _openai_models(request: web.Request) -> list[OpenAIModel]:
    services = request.app[SERVICES]
    checkpoints = [
        OpenAIModel(
            id=model_id(status.checkpoint),
            variant=status.checkpoint.kind,
            size=status.checkpoint.size,
            loaded=status.state is State.READY,
        )
        for status in services.models.statuses()
    ]
    standby = OpenAIModel(id=STANDBY, owned_by="wyoming-qwen3", loaded=services.standby.ready)
    default = OpenAIModel(id=MODEL, loaded=standby.loaded if request.app[CONFIG].standby_only else _any_ready(services))
    return [default, *checkpoints, standby]


def _any_ready(services: Services) -> bool:
    return any(status.state is State.READY for status in services.models.statuses())
