"""The HTTP application: all resources, with access checks, error answers and request counts around them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.speech.voice_design import VoicePreviews

from . import access, batch, health, machine, models, openapi, pages, speech, tasks, tokenizer
from .app_keys import CONFIG, SERVICES, Config
from .body import PARSER_OPTIONS
from .errors import HttpError, error_body, error_headers, status_for
from .failures import log_failure, route_of
from .operation import Handler
from .realtime import connection as realtime
from .speech_response import cut_on_failure
from .stream import connection as stream
from .studio import clips, compose, conversation, dictionary, effects, history, history_selection, sources
from .voices import archives, presets, profiles, voice_choice, voices

_LOGGER = logging.getLogger(__name__)
_PROTOCOL_LOGGER = logging.getLogger(f"{__name__}.protocol")
"""aiohttp's logger for requests that do not reach a route."""

RESOURCES = (
    speech.resource,
    batch.resource,
    conversation.resource,
    compose.resource,
    effects.resource,
    dictionary.resource,
    voices.resource,
    voice_choice.resource,
    presets.resource,
    profiles.resource,
    archives.resource,
    history_selection.resource,
    history.resource,
    clips.resource,
    models.resource,
    machine.resource,
    tokenizer.resource,
    tasks.resource,
    health.resource,
)

SOFTWARE = "wyoming-qwen3"
"""Value of the Server header, which would otherwise name the versions of libraries."""

_STARTED = web.RequestKey("started", web.StreamResponse)

_GOODBYE_SECONDS = 0.5
"""Seconds that a running answer may take to end when the server stops."""


def make_app(services: Services, config: Config) -> web.Application:
    """Return an application with all routes that uses these services."""
    app = web.Application(middlewares=[_answer_errors], handler_args=PARSER_OPTIONS)
    app[SERVICES] = services
    app[CONFIG] = config
    app[presets.PREVIEWS] = VoicePreviews(services.store.clips)
    app[sources.SOUND_WORK] = sources.SoundWorkLimiter()
    app.on_response_prepare.append(_start)
    tasks.install(app)
    access.install(app, config.access)
    for resource in RESOURCES:
        resource.add_to(app)
    stream.add_to(app)
    realtime.add_to(app)
    openapi.add_to(app, RESOURCES)
    pages.add_to(app)
    return app


@contextlib.asynccontextmanager
async def serving(app: web.Application, host: str, *ports: int) -> AsyncIterator[None]:
    """Serve on these ports while the context lasts. Raises SpeechError if a port can't be opened."""
    _PROTOCOL_LOGGER.addFilter(_is_ours)
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, logger=_PROTOCOL_LOGGER, shutdown_timeout=_GOODBYE_SECONDS
    )
    await runner.setup()
    if (server := runner.server) is not None:
        app[SERVICES].slow_clients.add("http", lambda: [connection.transport for connection in server.connections])
    try:
        for port in ports:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                where = host_and_port(host, port)
                raise SpeechError(f"Can't serve HTTP at {where}: {error.strerror or error}.") from error
        yield
    finally:
        await runner.cleanup()


def host_and_port(host: str, port: int) -> str:
    """Join a host and a port as in a URL: an IPv6 address is put in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_ours(record: logging.LogRecord) -> bool:
    """Return False for log records about clients that do not speak HTTP: anybody could fill the log with those."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


async def _start(request: web.Request, response: web.StreamResponse) -> None:
    """Set the Server header, and remember that the answer has started."""
    response.headers["Server"] = SOFTWARE
    request[_STARTED] = response


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what the handler raised into a JSON answer, and count the answer.

    An answer that has started can't be replaced by an error. Its connection is cut, so that no client takes it for
    complete.
    """
    try:
        response = await handler(request)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:
        if _STARTED in request:
            with cut_on_failure(request):
                raise
            return request[_STARTED]
        response = _answer(request, _translated(request, error))
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    request.app[SERVICES].metrics.answered(request.method, route_of(request), response.status)
    return response


def _answer(request: web.Request, error: SpeechError) -> web.Response:
    log_failure(request, error)
    return web.json_response(error_body(error), status=status_for(error).status, headers=error_headers(error))


_NEAREST = "speech is at POST /v1/audio/speech, and /docs lists all that there is."


def _translated(request: web.Request, error: Exception) -> SpeechError:
    """Return what was raised as a SpeechError."""
    match error:
        case SpeechError():
            return error
        case web.HTTPNotFound():
            return HttpError(404, "not_found", f"There is nothing at {request.path}; {_NEAREST}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return HttpError(405, "method_not_allowed", f"{request.path} takes {allowed}, not {request.method}.")
        case web.HTTPException():
            return HttpError(error.status, "http_error", f"{error.reason}.")
    _LOGGER.error("%s %s failed", request.method, request.path, exc_info=error)
    return SpeechError("The server failed on this request; its log says why.")
