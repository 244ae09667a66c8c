"""The outcome and figures of an utterance, and its line in the log."""

from dataclasses import dataclass, field

from wyoming_qwen3.core.request import Description, SpeechRequest
from wyoming_qwen3.core.speakers import Speaker

_VERBS = {"whole": "Spoke", "cut": "Spoke the beginning", "stopped": "Stopped"}

LOGGED_OUTCOMES = frozenset(_VERBS)
"""Outcomes of utterances that did not fail."""


@dataclass
class Report:
    """The outcome and figures of one utterance."""

    model: str = "none"
    """Name of the checkpoint that spoke, or "standby"."""

    characters: int = 0
    text_tokens: int = 0
    """Tokens of the text, by the checkpoint's tokenizer."""

    frames: int = 0
    """Number of codec frames generated."""

    first_audio: float = 0.0
    """Seconds from the first text to the first audio."""

    audio: float = 0.0
    """Seconds of audio."""

    wall: float = 0.0
    """Seconds from the first text to the last audio."""

    speed: float | None = None
    """Seconds of audio generated per second after the first chunk; None if that was not measured."""

    warnings: list[str] = field(default_factory=list)
    """A sentence for each part of the request that the backend left out, known when the first audio is there."""

    outcome: str = "stopped"
    """How it ended: "whole"; "cut" at the length that was asked for; "stopped" before its end; or an error's code."""


def voice_label(request: SpeechRequest) -> str:
    """Return the name of a request's voice for a person; "design" or "clone" if it has none."""
    if request.voice_name:
        return request.voice_name
    if isinstance(request.voice, Speaker):
        return request.voice.name
    return "design" if isinstance(request.voice, Description) else "clone"


def log_line(source: str, request: SpeechRequest, report: Report) -> str:
    """Return the log line of an utterance that did not fail."""
    return f"{_VERBS[report.outcome]} source={source} {key_values(request, report)}"


def key_values(request: SpeechRequest, report: Report) -> str:
    """Return what is known of an utterance as key=value pairs for the log.

    Values of speech that did not begin, and of a model that was not chosen, are left out.
    """
    facts = {"voice": voice_label(request).replace(" ", "_").lower()}
    facts["language"] = request.language.code if request.language else "auto"
    facts["model"] = "" if report.model == "none" else report.model
    facts["characters"] = str(report.characters or "")
    if report.audio:
        facts |= {"first_audio": f"{report.first_audio:.3f}s", "audio": f"{report.audio:.2f}s"}
    if report.speed:
        facts["realtime"] = f"{report.speed:.2f}x"
    return " ".join(f"{name}={value}" for name, value in facts.items() if value)
