"""Reports the progress of long work as server-sent events."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeAlias

from aiohttp import web

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.models.state import Event

from .errors import error_body
from .models import model_entry
from .speech_response import EVENT_STREAM, STREAM_HEADERS, cut_on_failure, send_event

EventFields: TypeAlias = Mapping[str, Any]
"""The fields of an event, including `type`."""

Work: TypeAlias = Callable[[Callable[[str], None]], Awaitable[EventFields]]
"""Is called with a function to call at the start of each stage, and returns the last event."""

_HEARTBEAT_SECONDS = 15.0


def wants_events(request: web.Request) -> bool:
    """Return whether the client asks for server-sent events."""
    return any(EVENT_STREAM in value for value in request.headers.getall("Accept", []))


async def stream_progress(
    request: web.Request,
    models: ModelManager,
    checkpoints: Collection[Checkpoint],
    work: Work,
    *,
    kind: str,
    headers: dict[str, str],
) -> web.StreamResponse:
    """Send `kind` events for each stage and for changes of `checkpoints` meanwhile, then the work's last event.

    A SpeechError becomes an `error` event. The work is cancelled if the client leaves.
    """
    events: asyncio.Queue[EventFields | None] = asyncio.Queue()
    response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM} | STREAM_HEADERS | headers)

    def tell(stage: str) -> None:
        events.put_nowait({"type": kind, "stage": stage})

    async def watch() -> None:
        async for event in happened:
            if event.status.checkpoint in checkpoints:
                events.put_nowait({"type": kind, "stage": "loading", "model": _model_fields(event)})

    async def do() -> None:
        try:
            events.put_nowait(await work(tell))
        except SpeechError as error:
            events.put_nowait({"type": "error"} | error_body(error))
        finally:
            events.put_nowait(None)

    with models.watch() as happened, cut_on_failure(request):
        await response.prepare(request)
        doing, watching = asyncio.create_task(do()), asyncio.create_task(watch())
        try:
            await _send(response, events)
            await doing
        finally:
            doing.cancel()
            watching.cancel()
            await asyncio.gather(doing, watching, return_exceptions=True)
        await response.write_eof()
    return response


async def _send(response: web.StreamResponse, events: "asyncio.Queue[EventFields | None]") -> None:
    while True:
        try:
            async with asyncio.timeout(_HEARTBEAT_SECONDS):
                event = await events.get()
        except TimeoutError:
            await response.write(b": still here\n\n")  # keeps proxies from closing a silent connection
            continue
        if event is None:
            return
        await send_event(response, event)


def _model_fields(event: Event) -> EventFields:
    """Return the change, and the checkpoint's id, state, progress and error."""
    return {"event": event.kind} | model_entry(event.status).model_dump(include={"id", "state", "progress", "error"})
