"""GET /health and /metrics: answered from memory, at once, whatever else goes on."""

from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from wyoming_qwen3 import __version__
from wyoming_qwen3.checkpoints import published
from wyoming_qwen3.metrics import CONTENT_TYPE
from wyoming_qwen3.model_state import State

from .keys import CONFIG, SERVICES, Services
from .models import ModelEntry, model_entry
from .operation import Resource

resource = Resource("Server")


class Health(BaseModel):
    """How the server is. `ok` speaks with Qwen3; `loading` soon will; `degraded` can't, and `reason` says why."""

    status: Literal["ok", "loading", "degraded"]
    reason: str | None = None
    backend: Literal["native"] = "native"
    standby: bool
    """Whether the standby voice can speak."""

    models: list[ModelEntry]
    active: int
    queue: int
    version: str


@resource.operation(
    "GET",
    "/health",
    "How the server is",
    answers={200: {"application/json": Health}, 503: {"application/json": Health}},
)
async def health(request: web.Request) -> web.StreamResponse:
    """200 while it can speak, with Qwen3 or with the standby voice; 503 while it can't. Needs no API key."""
    services = request.app[SERVICES]
    told = _health(services, standby_only=request.app[CONFIG].standby_only)
    speaks = told.standby or told.status == "ok"
    return web.json_response(text=told.model_dump_json(), status=200 if speaks else 503)


@resource.operation("GET", "/metrics", "Metrics for Prometheus", answers={200: {"text/plain": None}})
async def metrics(request: web.Request) -> web.StreamResponse:
    """Requests, times to the first sound, speeds, queue, models and memory."""
    return web.Response(body=request.app[SERVICES].metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _health(services: Services, *, standby_only: bool) -> Health:
    statuses = services.models.statuses()
    main = published("custom_voice", services.models.size)
    state = next((status for status in statuses if status.checkpoint == main), None)
    status: Literal["ok", "loading", "degraded"] = "loading"
    reason = None
    if standby_only or (state and state.state is State.READY):
        status = "ok"
    elif state and state.error:
        status, reason = "degraded", str(state.error)
    return Health(
        status=status,
        reason=reason,
        standby=services.standby.ready,
        models=[model_entry(status) for status in statuses],
        active=services.admission.active,
        queue=services.admission.waiting,
        version=__version__,
    )
