"""GET /health and /metrics, answered from memory at any time, without waiting for anything."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from aiohttp import web
from pydantic import BaseModel

from wyoming_qwen3 import __version__
from wyoming_qwen3.core.checkpoints import Size, other_size, published
from wyoming_qwen3.core.cpu_speed import say_speed, say_what_to_do
from wyoming_qwen3.core.errors import NotFound
from wyoming_qwen3.core.request import BackendName
from wyoming_qwen3.models.state import State, Status
from wyoming_qwen3.ops.metrics import CONTENT_TYPE
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.vllm.server import ServerStatus

from .app_keys import CONFIG, SERVICES
from .models import ModelEntry, ServerEntry, model_entry, server_entries
from .operation import Resource

resource = Resource("Server")

Level = Literal["ok", "loading", "degraded"]


class Note(BaseModel):
    """A sentence about something that a person should do; its id is used to dismiss it."""

    id: str
    message: str


class NoteDismissed(BaseModel):
    """The note was dismissed."""

    id: str
    dismissed: Literal[True] = True


class Health(BaseModel):
    """The state of the server. `ok`: Qwen3 can speak; `loading`: it soon will; `degraded`: it can't, see `reason`.

    A checkpoint on disk counts as `ok`: it is loaded when a request needs it.
    """

    status: Level
    reason: str | None = None
    backend: BackendName
    standby: bool
    """Whether the standby voice can speak."""

    device: str | None
    """What the engine on this machine computes on, such as cpu or cuda:0; null until it has been up."""

    device_reason: str | None
    """Why it computes there, and if there is no GPU it can use, why not, in a sentence."""

    speed: str | None
    """How fast the loaded checkpoint speaks on this CPU, and what to do if it is too slow, in sentences; null if that
    is not known, and on a GPU."""

    models: list[ModelEntry]
    """Checkpoints of the engine on this machine; empty if only vLLM servers speak."""

    servers: list[ServerEntry]
    """vLLM servers."""

    faults: list[str]
    """What else is wrong, in sentences: stored data that was unusable or started anew, lines of the dictionary, unknown
    voices in requests."""

    notes: list[Note]
    """Sentences about what a person should do; each can be dismissed."""

    active: int
    queue: int
    version: str
    options: Mapping[str, str | int | float | bool | None] | None = None
    """The server's options by name, if the request may use the server; of an API key only whether there is one."""


@resource.operation(
    "GET",
    "/health",
    "Get the server's state",
    answers={200: {"application/json": Health}, 503: {"application/json": Health}},
)
async def health(request: web.Request) -> web.StreamResponse:
    """Answers 200 if a request can be spoken, perhaps after some loading, and 503 if not. Needs no API key."""
    services, config = request.app[SERVICES], request.app[CONFIG]
    verdict, selection = _verdict(services, standby_only=config.standby_only), services.models.selection
    statuses = services.models.statuses()
    told = Health(
        status=verdict.level,
        reason=verdict.reason,
        backend="native" if services.models.has_engine else "vllm",
        standby=services.standby.ready,
        device=selection.device if selection else None,
        device_reason=selection.why if selection else None,
        speed=tell_speed(statuses, services.models.size),
        models=[model_entry(status) for status in statuses],
        servers=server_entries(services),
        faults=[*services.store.faults, *services.store.dictionary.faults(), *config.resolver.faults()],
        notes=_notes(services),
        active=services.admission.active,
        queue=services.admission.waiting,
        version=__version__,
        options=config.options if config.access.passes(request) else None,
    )
    return web.json_response(text=told.model_dump_json(), status=200 if verdict.speaks else 503)


@resource.operation(
    "DELETE", "/api/notes/{id}", "Dismiss a note", answers={200: {"application/json": NoteDismissed}}, errors=(404,)
)
async def dismiss_note(request: web.Request) -> web.StreamResponse:
    """Dismisses a note of /health, because it is done or not wanted. The note disappears for everybody."""
    services, note_id = request.app[SERVICES], request.match_info["id"]
    if services.tts_cache is None or note_id not in {note.id for note in _notes(services)}:
        raise NotFound("There is no note with this id; it may have been dismissed.", param="id")
    await services.tts_cache.dismiss()
    return web.json_response(text=NoteDismissed(id=note_id).model_dump_json())


@resource.operation("GET", "/metrics", "Metrics for Prometheus", answers={200: {"text/plain": None}})
async def metrics(request: web.Request) -> web.StreamResponse:
    """Requests, time to the first sound, speed, queue, models and memory."""
    return web.Response(body=request.app[SERVICES].metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _notes(services: Services) -> list[Note]:
    message = services.tts_cache.note if services.tts_cache else None
    return [Note(id="tts-cache", message=message)] if message else []


def tell_speed(statuses: Sequence[Status], size: Size) -> str | None:
    """Return sentences on the speed of a checkpoint of this size, or else of another one; None if none is known."""
    known = [status for status in statuses if status.speed is not None]
    main = next((status for status in known if status.checkpoint.size == size), known[0] if known else None)
    if main is None or main.speed is None or main.weights is None:
        return None
    told = say_speed(main.checkpoint.size, main.weights, main.speed)
    advice = say_what_to_do(main.speed)
    return f"{told} {advice}" if advice else told


class Verdict(NamedTuple):
    """The state that /health reports."""

    level: Level
    reason: str | None
    speaks: bool


def _verdict(services: Services, *, standby_only: bool) -> Verdict:
    standby = services.standby.ready
    if standby_only:
        return judge(None, standby=standby)
    remote = judge_servers(services.servers.statuses(), standby=standby) if services.servers else None
    if remote and not services.models.has_engine:
        return remote
    found = {status.checkpoint: status for status in services.models.statuses()}
    main = found[published("custom_voice", services.models.size)]
    other = other_size(main.checkpoint)
    if services.models.open_size and not main.state.available and other and found[other].state.available:
        main = found[other]
    native = judge(main if services.models.looked else replace(main, state=State.LOADING), standby=standby)
    return remote if remote and remote.level == "ok" and native.level != "ok" else native


def judge_servers(servers: Sequence[ServerStatus], *, standby: bool) -> Verdict:
    """Judge the state by the vLLM servers: ok if one with named speakers is up, or any if none has them."""
    named = [one for one in servers if any(checkpoint.kind == "custom_voice" for checkpoint in one.serves)]
    if any(one.up for one in named or servers):
        return Verdict("ok", None, True)
    why = " ".join(one.why for one in servers if one.why)
    return Verdict("degraded" if why else "loading", why or None, standby)


def judge(main: Status | None, *, standby: bool) -> Verdict:
    """Judge the state by the main checkpoint. `standby` says whether the standby voice can speak.

    `main` is None if the standby voice is the only voice.
    """
    if main is None:
        return Verdict("ok" if standby else "loading", None, standby)
    match main.state:
        case State.READY | State.ON_DISK:
            return Verdict("ok", None, True)
        case State.LOADING:
            return Verdict("loading", None, True)
        case State.DOWNLOADING:
            return Verdict("loading", None, standby)
    reason = str(main.error) if main.error else f"{main.checkpoint.name} is not in the models folder."
    return Verdict("degraded", reason, standby)
