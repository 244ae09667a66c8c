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
class Rule:
    """How a class of errors is answered."""

    status: int
    retry_after: int | None = None
    """Seconds after which a retry makes sense; None if it does not."""


_RULES: dict[type[errors.SpeechError], Rule] = {
    errors.VoiceNotFound: Rule(400),  # by a 404, LiteLLM takes the whole server out of service
    errors.ModelNotFound: Rule(404),
    errors.NotFound: Rule(404),
    errors.TooLarge: Rule(413),
    errors.TextTimeout: Rule(408),
    errors.NotSupported: Rule(501),
    errors.InvalidRequest: Rule(400),
    errors.QueueFull: Rule(429, retry_after=2),
    errors.ModelInUse: Rule(503, retry_after=2),
    errors.ModelLoading: Rule(503, retry_after=10),
    errors.ModelMissing: Rule(503),
    errors.ModelFailed: Rule(503, retry_after=30),
    errors.OutOfMemory: Rule(503, retry_after=30),
    errors.BackendUnavailable: Rule(503, retry_after=5),
    errors.DownloadFailed: Rule(503),
    errors.Unavailable: Rule(503, retry_after=2),
    errors.EngineFailed: Rule(500, retry_after=2),
    errors.RunawaySpeech: Rule(500),
    errors.StorageFailed: Rule(507),
    errors.SpeechError: Rule(500),
}

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def rule_for(error: errors.SpeechError) -> Rule:
    """Return the rule of the nearest class that the table names."""
    if isinstance(error, HttpError):
        return Rule(error.status)
    return next(_RULES[kind] for kind in type(error).__mro__ if kind in _RULES)


def error_type(status: int) -> str:
    """Return OpenAI's `type` for a status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def error_body(error: errors.SpeechError) -> dict[str, Any]:
    """Return an error as JSON, as all answers, events and batch results contain it."""
    kind = error_type(rule_for(error).status)
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}


def error_headers(error: errors.SpeechError) -> dict[str, str]:
    """Return the headers that tell a client whether and when to retry."""
    rule = rule_for(error)
    if rule.retry_after is not None:
        return {"Retry-After": str(rule.retry_after)}
    return {"X-Should-Retry": "false"} if rule.status >= 500 else {}
