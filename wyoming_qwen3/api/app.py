"""The HTTP application: resources, and around them who may ask, what went wrong and how it is counted."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from wyoming_qwen3.errors import SpeechError

from . import access, batch, health, models, openapi, speech, speech_stream, tokenizer, voices
from .body import PARSER_OPTIONS
from .errors import HttpError, error_body, error_headers, rule_for
from .keys import CONFIG, SERVICES, Config, Services
from .operation import Handler

_LOGGER = logging.getLogger(__name__)

RESOURCES = (
    speech.resource,
    batch.resource,
    voices.resource,
    models.resource,
    tokenizer.resource,
    health.resource,
)

_GOODBYE_SECONDS = 1.0
"""How long an answer may take to end when the server stops."""


def make_app(services: Services, config: Config) -> web.Application:
    """All routes, over these services."""
    app = web.Application(middlewares=[_tell_errors], handler_args=PARSER_OPTIONS)
    app[SERVICES] = services
    app[CONFIG] = config
    access.install(app, config.access)
    for resource in RESOURCES:
        resource.add_to(app)
    speech_stream.add_to(app)
    openapi.add_to(app, RESOURCES)
    return app


@contextlib.asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve for as long as the context lasts. Raises SpeechError where the address can't be had."""
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_GOODBYE_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise SpeechError(f"Can't serve HTTP at {host}:{port}: {error.strerror or error}.") from error
        yield
    finally:
        await runner.cleanup()


@web.middleware
async def _tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what was raised into an answer, and count the answer."""
    try:
        response = await handler(request)
    except SpeechError as error:
        response = _answer(error)
    except web.HTTPException as error:
        response = _answer(_translated(request, error))
        response.headers.update({name: value for name, value in error.headers.items() if name == "Allow"})
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        _LOGGER.exception("%s %s failed", request.method, request.path)
        response = _answer(SpeechError("The server failed on this request; its log says why."))
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "unknown"
    request.app[SERVICES].metrics.answered(request.method, route, response.status)
    return response


def _answer(error: SpeechError) -> web.Response:
    rule = rule_for(error)
    if rule.status >= 500:
        _LOGGER.warning("Answered with error %s: %s", error.code, error)
    return web.json_response(error_body(error), status=rule.status, headers=error_headers(error))


def _translated(request: web.Request, error: web.HTTPException) -> HttpError:
    """What aiohttp itself refuses, in our words."""
    if error.status == 404:
        return HttpError(404, "not_found", f"There is nothing at {request.method} {request.path}.")
    if error.status == 405:
        allowed = error.headers.get("Allow", "another method")
        return HttpError(405, "method_not_allowed", f"{request.path} takes {allowed}, not {request.method}.")
    return HttpError(error.status, "http_error", f"{error.reason}.")
