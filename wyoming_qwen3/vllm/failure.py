"""Classifies failures of one request to one server, which decides whether another server may be tried."""

import enum
import json

from wyoming_qwen3.core.errors import (
    BackendUnavailable,
    EngineFailed,
    InvalidRequest,
    QueueFull,
    RunawaySpeech,
    SpeechError,
)

_MAX_TOLD = 300
"""Most characters of a server's own message that are passed on."""

_RUNAWAY = "did not emit codec EOS"
"""Part of vLLM-Omni's message for speech that was cut at its token limit."""

_GENERATION_FAILED = "Speech generation failed"
"""Start of vLLM-Omni's message for an internal error, which it answers with 400."""


class Blame(enum.Enum):
    """The kind of failure."""

    AWAY = "away"
    """The server can't be reached, or does not accept this client."""

    BUSY = "busy"
    """It accepts no more requests at the moment."""

    BROKEN = "broken"
    """It failed, stalled or broke off."""

    REQUEST = "request"
    """It refuses the request, as any other server would."""


class ServerFailure(Exception):
    """One request to one server failed; `error` is for the client if no other server can speak it."""

    def __init__(self, blame: Blame, error: SpeechError) -> None:
        super().__init__(str(error))
        self.blame = blame
        self.error = error


def away(name: str, why: str) -> ServerFailure:
    """Return the failure of a server that can't be used. `why` completes "The vLLM server X ..."."""
    return ServerFailure(Blame.AWAY, BackendUnavailable(f"The vLLM server {name} {why}."))


def broken(name: str, why: str) -> ServerFailure:
    """Return the failure of a server that failed during a request. `why` completes "The vLLM server X ..."."""
    error = RunawaySpeech if _RUNAWAY in why else EngineFailed
    return ServerFailure(Blame.BROKEN, error(f"The vLLM server {name} {why}."))


def refusal(name: str, status: int, body: str) -> ServerFailure:
    """Return the failure for an error response with this HTTP status and body."""
    told = _message(body)
    match status:
        case 400 | 413 | 422 if _GENERATION_FAILED not in told:
            return ServerFailure(Blame.REQUEST, InvalidRequest(f"The vLLM server {name} refused this request: {told}"))
        case 401 | 403:
            return away(name, "does not accept the API key (--vllm-api-key)")
        case 404 | 405:
            return away(name, f"no longer serves what it reported ({told})")
        case 429:
            return ServerFailure(
                Blame.BUSY,
                QueueFull(f"The vLLM server {name} accepts no more requests at the moment; try again later."),
            )
        case 502 | 503 | 504:
            return ServerFailure(
                Blame.BUSY, BackendUnavailable(f"The vLLM server {name} is not ready ({status}: {told}).")
            )
    return broken(name, f"failed ({status}: {told})")


def _message(body: str) -> str:
    """Return the message in an error body: {"error": {"message"}}, {"error": "..."}, or any text."""
    try:
        error = json.loads(body)["error"]
        told = error["message"] if isinstance(error, dict) else error
    except (ValueError, TypeError, KeyError):
        told = body
    text = " ".join(str(told).split())
    return text if len(text) <= _MAX_TOLD else f"{text[:_MAX_TOLD]}…"
