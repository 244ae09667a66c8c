"""What can go wrong with one request to one server, and whether another one may be asked instead."""

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
"""Characters of a server's own words that are passed on."""

_RUNAWAY = "did not emit codec EOS"
"""In the words of vLLM-Omni for speech that was cut at its token budget."""

_GENERATION_FAILED = "Speech generation failed"
"""How vLLM-Omni begins what is its own fault, though it answers 400."""


class Blame(enum.Enum):
    """Whose fault it is."""

    AWAY = "away"
    """The server can't be reached, or won't have us."""

    BUSY = "busy"
    """It takes no more at the moment."""

    BROKEN = "broken"
    """It failed, stalled or broke off."""

    REQUEST = "request"
    """What was asked is refused, here and by any other."""


class Fault(Exception):
    """One request to one server has failed; `error` is what the client hears if nobody else speaks it."""

    def __init__(self, blame: Blame, error: SpeechError) -> None:
        super().__init__(str(error))
        self.blame = blame
        self.error = error


def away(name: str, why: str) -> Fault:
    """The server can't be reached."""
    return Fault(Blame.AWAY, BackendUnavailable(f"The vLLM server {name} {why}."))


def broken(name: str, why: str) -> Fault:
    """The server did not keep to what it began."""
    error = RunawaySpeech if _RUNAWAY in why else EngineFailed
    return Fault(Blame.BROKEN, error(f"The vLLM server {name} {why}."))


def refusal(name: str, status: int, body: str) -> Fault:
    """The fault that an answer with an error's HTTP status tells of. `body` is what came with it."""
    told = _message(body)
    match status:
        case 400 | 413 | 422 if _GENERATION_FAILED not in told:
            return Fault(Blame.REQUEST, InvalidRequest(f"The vLLM server {name} refused this request: {told}"))
        case 401 | 403:
            return away(name, "does not accept the API key (--vllm-api-key)")
        case 404 | 405:
            return away(name, f"does not speak what it was found to serve ({told})")
        case 429:
            return Fault(Blame.BUSY, QueueFull(f"The vLLM server {name} takes no more at the moment; ask again later."))
        case 502 | 503 | 504:
            return Fault(Blame.BUSY, BackendUnavailable(f"The vLLM server {name} is not ready ({status}: {told})."))
    return broken(name, f"failed ({status}: {told})")


def _message(body: str) -> str:
    """What an error's body says: {"error": {"message"}}, {"error": "..."}, or any text."""
    try:
        error = json.loads(body)["error"]
        told = error["message"] if isinstance(error, dict) else error
    except (ValueError, TypeError, KeyError):
        told = body
    text = " ".join(str(told).split())
    return text if len(text) <= _MAX_TOLD else f"{text[:_MAX_TOLD]}…"
