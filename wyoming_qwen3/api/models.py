"""/v1/models and /v1/audio/models list the models for programs; /api/models manages the checkpoints."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint, Kind, Size, published
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import BackendName
from wyoming_qwen3.core.speakers import SPEAKERS, Speaker
from wyoming_qwen3.models.state import State, Status
from wyoming_qwen3.speech.shared import Services

from .app_keys import CONFIG, SERVICES
from .errors import error_body
from .model_names import MODEL, OPENAI_MODELS, STANDBY, ModelWish, find_model, model_id
from .operation import Resource
from .speech_response import EVENT_STREAM, STREAM_HEADERS, send_event
from .validation import Fields, ignored_headers, parse_body

resource = Resource("Models")

_SMALL_BODY = 1024 * 1024

_HEARTBEAT_SECONDS = 15.0

_RELEASED = 1769040000
"""Seconds since 1970: 22 January 2026, when Qwen3-TTS was published."""


class OpenAIModel(BaseModel):
    """A model with OpenAI's fields and some of our own."""

    id: str
    object: Literal["model"] = "model"
    created: int = _RELEASED
    owned_by: str = "qwen"
    variant: str | None = None
    size: str | None = None
    loaded: bool
    voices: Annotated[
        list["ModelVoice"] | None, Field(description="The voices, as in Speaches; only in the answer for one model.")
    ] = None


class ModelVoice(BaseModel):
    """A voice of a model."""

    name: str
    language: str
    gender: Literal["female", "male"] | None


class OpenAIModelList(BaseModel):
    """All values of `model`, with those of OpenAI's names that clients offer to choose from."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class AudioModel(BaseModel):
    """A model in Open WebUI's format."""

    id: str
    name: str


class AudioModelList(BaseModel):
    """All models in Open WebUI's format."""

    models: list[AudioModel]


class ProgressEntry(BaseModel):
    """The progress of a download or a load in bytes. `seconds_left` is null until the pace is known."""

    done: int
    total: int
    seconds_left: float | None = None


class KernelsEntry(BaseModel):
    """How many GPU kernels are compiled for a checkpoint that is being loaded, and how many it needs."""

    done: int
    total: int


class ModelEntry(BaseModel):
    """A checkpoint and its state: on the hub, on disk or in memory. `kernels` is null where none are compiled."""

    id: str
    name: str
    variant: str
    size: str
    state: Literal["missing", "downloading", "on disk", "loading", "ready", "failed"]
    progress: ProgressEntry | None = None
    kernels: KernelsEntry | None = None
    error: dict[str, str | None] | None = None
    memory_bytes: int
    disk_bytes: int
    users: int
    last_used: float | None = None
    weights: str | None = None
    """How its weights are stored in memory: int8, int4, or the type of their numbers; null if it is not ready."""

    speed: float | None = None
    """How fast it speaks on this CPU, in times real time; null if that was not measured, and on a GPU."""


class ServerEntry(BaseModel):
    """A vLLM server and what it serves."""

    url: str
    up: bool
    error: str | None
    """Why it is not up."""

    models: list[str]
    """Ids of the checkpoints that it serves; empty until it was reached once."""

    active: int
    """Number of this server's requests that it is working on."""


class ModelsAnswer(BaseModel):
    """All checkpoints, the device they are loaded on (null before there is an engine), and the vLLM servers."""

    backend: BackendName
    device: str | None
    device_memory_bytes: int | None
    """What all checkpoints together may take of the device's memory now."""

    models: list[ModelEntry]
    """Empty if only vLLM servers speak."""

    servers: list[ServerEntry]


class ModelBody(Fields):
    """A checkpoint: its id, or its variant and size."""

    model: str | None = Field(None, max_length=200, description="An id from the list, such as qwen3-tts-0.6b-base.")
    variant: Kind | None = None
    size: Size | None = None


@resource.operation("GET", "/v1/models", "List the models", answers={200: {"application/json": OpenAIModelList}})
async def list_models(request: web.Request) -> web.StreamResponse:
    """Needs no API key, because Open WebUI sends none."""
    return web.json_response(text=OpenAIModelList(data=_openai_models(request)).model_dump_json(exclude_none=True))


@resource.operation(
    "GET", "/v1/models/{id}", "Get a model", answers={200: {"application/json": OpenAIModel}}, errors=(404,)
)
async def one_model(request: web.Request) -> web.StreamResponse:
    """OpenAI's names mean the default model."""
    name = request.match_info["id"]
    wish = find_model(name)
    known = {model.id: model for model in _openai_models(request)}
    loaded = _any_ready(request.app[SERVICES], wish)
    model = known.get(name.lower()) or OpenAIModel(id=name, variant=wish.kind, size=wish.size, loaded=loaded)
    model.voices = [*map(_speaker_voice, SPEAKERS)]
    for voice in request.app[SERVICES].store.voices.all():
        if voice.speaks:
            language = voice.manner.language.code if voice.manner.language else "auto"
            model.voices.append(ModelVoice(name=voice.name, language=language, gender=None))
    return web.json_response(text=model.model_dump_json(exclude_none=True))


@resource.operation(
    "GET", "/v1/audio/models", "List the models for Open WebUI", answers={200: {"application/json": AudioModelList}}
)
async def list_audio_models(request: web.Request) -> web.StreamResponse:
    """Needs no API key, because Open WebUI sends none."""
    models = [AudioModel(id=model.id, name=model.id) for model in _openai_models(request)]
    return web.json_response(text=AudioModelList(models=models).model_dump_json())


@resource.operation("GET", "/api/models", "List the checkpoints", answers={200: {"application/json": ModelsAnswer}})
async def list_checkpoints(request: web.Request) -> web.StreamResponse:
    """The checkpoints on disk and in memory, looked up at each request."""
    services = request.app[SERVICES]
    entries = [model_entry(status) for status in await services.models.survey()]
    hello, room = services.models.engine, await services.models.room()
    answer = ModelsAnswer(
        backend="native" if services.models.has_engine else "vllm",
        device=hello.selection.device if hello else None,
        device_memory_bytes=room.checkpoints if room else None,
        models=entries,
        servers=server_entries(services),
    )
    return web.json_response(text=answer.model_dump_json())


@resource.operation(
    "POST",
    "/api/models/load",
    "Load a checkpoint",
    body=ModelBody,
    answers={200: {"application/json": ModelEntry}},
    errors=(404, 503),
)
async def load(request: web.Request) -> web.StreamResponse:
    """Answers when the checkpoint is ready. If it is missing, starts its download and answers 503 with the progress."""
    return await _change(request, request.app[SERVICES].models.load)


@resource.operation(
    "POST",
    "/api/models/unload",
    "Unload a checkpoint",
    body=ModelBody,
    answers={200: {"application/json": ModelEntry}},
    errors=(404, 503),
)
async def unload(request: web.Request) -> web.StreamResponse:
    """Frees the checkpoint's memory. Answers 503 while the checkpoint is speaking."""
    return await _change(request, request.app[SERVICES].models.unload)


@resource.operation(
    "POST",
    "/api/models/download",
    "Download a checkpoint",
    body=ModelBody,
    answers={200: {"application/json": ModelEntry}},
    errors=(404, 501),
)
async def download(request: web.Request) -> web.StreamResponse:
    """Starts the download and answers at once; /api/models/events reports its progress."""
    return await _change(request, request.app[SERVICES].models.fetch)


@resource.operation(
    "POST",
    "/api/models/download/cancel",
    "Stop a download",
    body=ModelBody,
    answers={200: {"application/json": ModelEntry}},
    errors=(404,),
)
async def cancel_download(request: web.Request) -> web.StreamResponse:
    """Keeps what was fetched, and the next download continues from there. No request for speech starts it again."""
    return await _change(request, request.app[SERVICES].models.cancel_fetch)


@resource.operation(
    "POST",
    "/api/models/load/cancel",
    "Stop loading a checkpoint",
    body=ModelBody,
    answers={200: {"application/json": ModelEntry}},
    errors=(404,),
)
async def cancel_load(request: web.Request) -> web.StreamResponse:
    """Requests that wait for it are answered with 503. Whatever needs it next loads it again."""
    return await _change(request, request.app[SERVICES].models.cancel_load)


@resource.operation("GET", "/api/models/events", "Watch the checkpoints", answers={200: {EVENT_STREAM: None}})
async def events(request: web.Request) -> web.StreamResponse:
    """Sends a `status` event for each checkpoint, then one for every change: download, loading, ready, evicted."""
    models = request.app[SERVICES].models
    response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM} | STREAM_HEADERS)
    with models.watch() as happened:
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        for status in models.statuses():
            await send_event(response, _event_fields("status", status))
        while True:
            try:
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    event = await anext(happened, None)
            except TimeoutError:
                await response.write(b": still here\n\n")  # keeps proxies from closing a silent connection
                continue
            if event is None:
                return response
            await send_event(response, _event_fields(event.kind, event.status))


def model_entry(status: Status) -> ModelEntry:
    """Return the status of a checkpoint as JSON."""
    checkpoint, progress = status.checkpoint, status.progress
    return ModelEntry(
        id=model_id(checkpoint),
        name=checkpoint.name,
        variant=checkpoint.kind,
        size=checkpoint.size,
        state=status.state.value,
        progress=ProgressEntry(**asdict(progress)) if progress else None,
        kernels=KernelsEntry(**asdict(status.kernels)) if status.kernels else None,
        error=error_body(status.error)["error"] if status.error else None,
        memory_bytes=status.footprint,
        disk_bytes=status.disk,
        users=status.users,
        last_used=status.last_used,
        weights=status.weights,
        speed=status.speed,
    )


def server_entries(services: Services) -> list[ServerEntry]:
    """Return the status of all vLLM servers as JSON."""
    return [
        ServerEntry(
            url=server.url,
            up=server.up,
            error=server.why,
            models=[model_id(checkpoint) for checkpoint in server.serves],
            active=server.active,
        )
        for server in (services.servers.statuses() if services.servers else [])
    ]


def _event_fields(kind: str, status: Status) -> dict[str, object]:
    return {"type": kind, "model": model_entry(status).model_dump()}


async def _change(request: web.Request, change: Callable[[Checkpoint], Awaitable[Status]]) -> web.StreamResponse:
    body = await parse_body(request, ModelBody, _SMALL_BODY)
    status = await change(_named(body, request.app[SERVICES].models.size))
    return web.json_response(text=model_entry(status).model_dump_json(), headers=ignored_headers(body))


def _named(body: ModelBody, default_size: Size) -> Checkpoint:
    """Return the checkpoint that a body names. Raises InvalidRequest and ModelNotFound."""
    wish = find_model(body.model)
    if wish.standby:
        raise InvalidRequest(
            "The standby voice is no checkpoint; send the id of a Qwen3-TTS checkpoint.", param="model"
        )
    kind, size = wish.kind or body.variant, wish.size or body.size
    if kind is None:
        raise InvalidRequest("No checkpoint is named; send model, or variant and size.", param="model")
    if (body.variant or kind, body.size or size) != (kind, size):
        raise InvalidRequest("model names another checkpoint than variant and size; send only one.", param="model")
    return Checkpoint(kind, size) if size else published(kind, default_size)


def _openai_models(request: web.Request) -> list[OpenAIModel]:
    services = request.app[SERVICES]
    ready = _ready(services)
    there = [status.checkpoint for status in services.models.statuses()]
    there += [checkpoint for checkpoint in PUBLISHED if checkpoint in _served(services) and checkpoint not in there]
    checkpoints = [OpenAIModel(id=model_id(one), variant=one.kind, size=one.size, loaded=one in ready) for one in there]
    standby = OpenAIModel(id=STANDBY, owned_by="wyoming-qwen3", loaded=services.standby.ready)
    loaded = standby.loaded if request.app[CONFIG].standby_only else _any_ready(services, ModelWish())
    default = [OpenAIModel(id=MODEL, loaded=loaded)]
    return [*default, *checkpoints, standby, *(OpenAIModel(id=name, loaded=loaded) for name in OPENAI_MODELS)]


def _speaker_voice(speaker: Speaker) -> ModelVoice:
    return ModelVoice(name=speaker.name, language=speaker.native.code, gender=speaker.gender)


def _any_ready(services: Services, wish: ModelWish) -> bool:
    """Return whether a checkpoint that fits the wish can speak at once."""
    return any(wish.kind in (None, one.kind) and wish.size in (None, one.size) for one in _ready(services))


def _ready(services: Services) -> set[Checkpoint]:
    """Return the checkpoints in memory on this machine and those on vLLM servers that are up."""
    here = {status.checkpoint for status in services.models.statuses() if status.state is State.READY}
    return here | {checkpoint for checkpoint, up in _served(services).items() if up}


def _served(services: Services) -> dict[Checkpoint, bool]:
    return services.servers.served() if services.servers else {}
