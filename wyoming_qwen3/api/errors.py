"""The one table from errors to HTTP, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.

The openai SDK retries after 408, 409, 429 and every 5xx, unless the answer says `x-should-retry: false`. An error that
a retry would only repeat says so; one that may pass says in Retry-After when to retry.
"""

from dataclasses import dataclass
from typing import Any

from wyoming_qwen3.core import errors


class HttpError(errors.SpeechError):
    """An error that only HTTP has; whoever raises it gives its status and code."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class ErrorStatus:
    """How a class of errors is answered."""

    status: int
    retry_after: int | None = None
    """Seconds after which a retry makes sense; None if it does not."""


_ERROR_STATUSES: dict[type[errors.SpeechError], ErrorStatus] = {
    errors.VoiceNotFound: ErrorStatus(400),  # by a 404, LiteLLM takes the whole server out of service
    errors.ModelNotFound: ErrorStatus(404),
    errors.NotFound: ErrorStatus(404),
    errors.TooLarge: ErrorStatus(413),
    errors.TextTimeout: ErrorStatus(408),
    errors.NotSupported: ErrorStatus(501),
    errors.InvalidRequest: ErrorStatus(400),
    errors.QueueFull: ErrorStatus(429, retry_after=2),
    errors.ModelInUse: ErrorStatus(503, retry_after=2),
    errors.ModelLoading: ErrorStatus(503, retry_after=10),
    errors.ModelMissing: ErrorStatus(503),
    errors.ModelFailed: ErrorStatus(503, retry_after=30),
    errors.OutOfMemory: ErrorStatus(503, retry_after=30),
    errors.BackendUnavailable: ErrorStatus(503, retry_after=5),
    errors.DownloadFailed: ErrorStatus(503),
    errors.Unavailable: ErrorStatus(503, retry_after=2),
    errors.EngineFailed: ErrorStatus(500, retry_after=2),
    errors.RunawaySpeech: ErrorStatus(500),
    errors.StorageFailed: ErrorStatus(507),
    errors.SpeechError: ErrorStatus(500),
}

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def status_for(error: errors.SpeechError) -> ErrorStatus:
    """Return the rule of the nearest class that the table names."""
    if isinstance(error, HttpError):
        return ErrorStatus(error.status)
    return next(_ERROR_STATUSES[kind] for kind in type(error).__mro__ if kind in _ERROR_STATUSES)


def error_type(status: int) -> str:
    """Return OpenAI's `type` for a status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def error_body(error: errors.SpeechError) -> dict[str, Any]:
    """Return an error as JSON, as all answers, events and batch results contain it."""
    kind = error_type(status_for(error).status)
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}


def error_headers(error: errors.SpeechError) -> dict[str, str]:
    """Return the headers that tell a client whether and when to retry."""
    answer = status_for(error)
    if answer.retry_after is not None:
        return {"Retry-After": str(answer.retry_after)}
    return {"X-Should-Retry": "false"} if answer.status >= 500 else {}
