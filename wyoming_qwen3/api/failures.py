"""The line in the log for a request that was answered with an error."""

from aiohttp import web

from wyoming_qwen3.core.errors import SpeechError

from . import access
from .app_keys import SERVICES
from .errors import status_for


def log_failure(request: web.Request, error: SpeechError, source: str = "http") -> None:
    """Log what the client of a request is answered with, in whatever way, and what was being spoken."""
    status = status_for(error).status
    request.app[SERVICES].request_log.log_error(
        source,
        error,
        theirs=status < 500,
        status=status,
        method=request.method,
        route=route_of(request),
        client=request.remote,
        request=access.request_id(request),
    )


def route_of(request: web.Request) -> str:
    """Return the route's pattern instead of its path, since there are few patterns and any number of paths."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"
