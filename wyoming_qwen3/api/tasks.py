"""Long work that reports its progress, and that may go on without the client that asked for it.

A client that sends `Prefer: respond-async` (RFC 7240) gets the id of a task at once. It can follow the task at
/api/tasks/{id}, also after its connection was lost, and stop it.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal, TypeAlias

from aiohttp import web
from pydantic import BaseModel

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import NotFound, QueueFull, SpeechError
from wyoming_qwen3.models.broadcast import Subscription
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.models.state import Event

from .errors import error_body
from .failures import log_failure
from .models import model_entry
from .operation import Resource
from .speech_response import EVENT_STREAM, STREAM_HEADERS, cut_on_failure, send_event

_LOGGER = logging.getLogger(__name__)

resource = Resource("Server")

EventFields: TypeAlias = Mapping[str, Any]
"""The fields of an event, including `type`."""

Work: TypeAlias = Callable[[Callable[[str], None]], Awaitable[EventFields]]
"""Is called with a function to call at the start of each stage, and returns the last event."""

Watch: TypeAlias = Callable[[], AbstractContextManager[Subscription[Event]]]
"""Returns a context with an iterator over what happens to the checkpoints."""

_HEARTBEAT_SECONDS = 15.0
_KEPT_SECONDS = 3600.0
"""Seconds for which the end of a task can be fetched."""

_MAX_KEPT = 50
"""Maximum number of tasks, running or ended, that can be fetched."""


class TaskAnswer(BaseModel):
    """The id of a task."""

    task: str


class TaskStopped(BaseModel):
    """The task was stopped, or had ended before."""

    id: str
    stopped: Literal[True] = True


class LongTask:
    """A piece of work, its last event, and those who follow it.

    It sends `kind` events for each stage and for changes of `checkpoints`, then the work's last event. A SpeechError
    becomes an `error` event.
    """

    def __init__(
        self,
        watch: Watch,
        checkpoints: Collection[Checkpoint],
        work: Work,
        kind: str,
        log: Callable[[SpeechError], None],
    ) -> None:
        """`log` is called with the SpeechError that it ends with."""
        self.id = uuid.uuid4().hex
        self.ended: float | None = None
        """When it ended, by time.monotonic(); None while it runs."""

        self._kind = kind
        self._log = log
        self._run = partial(self._watched, watch, checkpoints, work)
        self._began = time.monotonic()
        self._last: EventFields | None = None
        self._followers: set[asyncio.Queue[EventFields | None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it, unless it is running."""
        self._task = self._task or asyncio.create_task(self._run())

    async def events(self) -> AsyncIterator[EventFields | None]:
        """Yield the last event so far and all that follow; None now and then while nothing happens.

        Starts it, unless it is running.
        """
        queue: asyncio.Queue[EventFields | None] = asyncio.Queue()
        self._followers.add(queue)
        self.start()
        try:
            if self._last is not None:
                yield self._last
            while self.ended is None or not queue.empty():
                try:
                    async with asyncio.timeout(_HEARTBEAT_SECONDS):
                        event = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                if event is not None:
                    yield event
        finally:
            self._followers.discard(queue)

    async def stop(self) -> None:
        """Stop it, and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watched(self, watch: Watch, checkpoints: Collection[Checkpoint], work: Work) -> None:
        with watch() as happened:

            async def listen() -> None:
                async for event in happened:
                    if event.status.checkpoint in checkpoints:
                        self._tell("loading", model=_model_fields(event))

            watching = asyncio.create_task(listen())
            try:
                self._last = await work(self._tell)
            except SpeechError as error:
                self._log(error)
                self._last = {"type": "error"} | error_body(error)
            except asyncio.CancelledError:
                self._last = {"type": "error"} | error_body(SpeechError("This was stopped before it was complete."))
                raise
            except Exception:
                _LOGGER.exception("A task of kind %s failed", self._kind)
                failure = SpeechError("The server failed on this request; its log says why.")
                self._last = {"type": "error"} | error_body(failure)
            finally:
                watching.cancel()
                self.ended = time.monotonic()
                self._publish(self._last)
                self._publish(None)

    def _tell(self, stage: str, **more: Any) -> None:
        elapsed = round(time.monotonic() - self._began, 3)
        self._last = {"type": self._kind, "stage": stage, "seconds": elapsed} | more
        self._publish(self._last)

    def _publish(self, event: EventFields | None) -> None:
        for follower in self._followers:
            follower.put_nowait(event)


class LongTasks:
    """The tasks that go on without their clients."""

    def __init__(self) -> None:
        self._tasks: dict[str, LongTask] = {}

    def add(self, task: LongTask) -> None:
        """Start a task, and keep it until an hour after its end."""
        self._tasks[task.id] = task
        task.start()

    def check_room(self) -> None:
        """Forget tasks that ended long ago. Raises QueueFull if too many run already."""
        now = time.monotonic()
        ended = sorted((task.ended, task.id) for task in self._tasks.values() if task.ended is not None)
        surplus = len(self._tasks) - _MAX_KEPT + 1
        for number, (at, task_id) in enumerate(ended):
            if number < surplus or now - at > _KEPT_SECONDS:
                del self._tasks[task_id]
        if len(self._tasks) >= _MAX_KEPT:
            raise QueueFull(f"{_MAX_KEPT} tasks are running; wait until one has ended.")

    def get(self, task_id: str) -> LongTask:
        """Return a task. Raises NotFound."""
        if task_id not in self._tasks:
            raise NotFound("There is no task with this id; it ended long ago, or the server was restarted.", param="id")
        return self._tasks[task_id]

    async def close(self) -> None:
        """Stop all."""
        for task in self._tasks.values():
            await task.stop()


TASKS = web.AppKey("tasks", LongTasks)


def wants_events(request: web.Request) -> bool:
    """Return whether the client asks for server-sent events, or for a task that reports them."""
    return _wants_task(request) or any(EVENT_STREAM in value for value in request.headers.getall("Accept", []))


async def stream_progress(
    request: web.Request,
    models: ModelManager,
    checkpoints: Collection[Checkpoint],
    work: Work,
    *,
    kind: str,
    headers: dict[str, str],
) -> web.StreamResponse:
    """Send the events of this work as a `LongTask` reports them; the work is stopped if the client leaves.

    A client that prefers it gets the id of the task instead, which then goes on by itself.
    """
    tasks = request.app[TASKS]
    if _wants_task(request):
        tasks.check_room()
        tasks.add(task := LongTask(models.watch, checkpoints, work, kind, partial(log_failure, request)))
        applied = {"Preference-Applied": "respond-async", "Location": f"/api/tasks/{task.id}"}
        return web.json_response(text=TaskAnswer(task=task.id).model_dump_json(), status=202, headers=headers | applied)
    task = LongTask(models.watch, checkpoints, work, kind, partial(log_failure, request))
    try:
        return await _send(request, task, headers)
    finally:
        await task.stop()


@resource.operation("GET", "/api/tasks/{id}", "Follow a task", answers={200: {EVENT_STREAM: None}}, errors=(404,))
async def follow(request: web.Request) -> web.StreamResponse:
    """Sends the task's last event and all that follow, up to its result or its error.

    A task is started by a request with `Prefer: respond-async` for work that reports its progress. Its result can be
    fetched for an hour.
    """
    return await _send(request, request.app[TASKS].get(request.match_info["id"]), {})


@resource.operation(
    "DELETE", "/api/tasks/{id}", "Stop a task", answers={200: {"application/json": TaskStopped}}, errors=(404,)
)
async def stop(request: web.Request) -> web.StreamResponse:
    """Answers when it has stopped. A task that has ended keeps its result."""
    task = request.app[TASKS].get(request.match_info["id"])
    await task.stop()
    return web.json_response(text=TaskStopped(id=task.id).model_dump_json())


def install(app: web.Application) -> None:
    """Give an application its tasks, which are stopped when it ends."""
    app[TASKS] = tasks = LongTasks()

    async def close(_: web.Application) -> None:
        await tasks.close()

    app.on_cleanup.append(close)


def _wants_task(request: web.Request) -> bool:
    return any("respond-async" in value for value in request.headers.getall("Prefer", []))


async def _send(request: web.Request, task: LongTask, headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM} | STREAM_HEADERS | headers)
    with cut_on_failure(request):
        await response.prepare(request)
        async for event in task.events():
            if event is None:
                await response.write(b": still here\n\n")  # keeps proxies from closing a silent connection
            else:
                await send_event(response, event)
        await response.write_eof()
    return response


def _model_fields(event: Event) -> EventFields:
    """Return the change, and the checkpoint's id, state, error and progress, or that of its kernels."""
    shown = {"id", "state", "progress", "kernels", "error"}
    return {"event": event.kind} | model_entry(event.status).model_dump(include=shown)
