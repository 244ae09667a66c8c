"""What became of an utterance, and the line about it in the log."""

from dataclasses import dataclass

from wyoming_qwen3.core.request import Description, SpeechRequest
from wyoming_qwen3.core.speakers import Speaker

_VERBS = {"whole": "Spoke", "cut": "Spoke the beginning", "stopped": "Stopped"}


@dataclass
class Report:
    """What one utterance was."""

    model: str = "none"
    """Name of the checkpoint that spoke, or "standby"."""

    characters: int = 0
    text_tokens: int = 0
    """Tokens of the text, as the checkpoint cuts it."""

    frames: int = 0
    """Codec frames made."""

    first_audio: float = 0.0
    """Seconds from the first text to the first audio."""

    audio: float = 0.0
    """Seconds of audio."""

    wall: float = 0.0
    """Seconds from the first text to the last audio."""

    outcome: str = "stopped"
    """whole, cut at the length that was asked for, stopped before its end, or the code of the error that ended it."""


def voice_label(request: SpeechRequest) -> str:
    """What a person calls the voice of a request: its name, or what kind of a nameless one it is."""
    if request.voice_name:
        return request.voice_name
    if isinstance(request.voice, Speaker):
        return request.voice.name
    return "design" if isinstance(request.voice, Description) else "clone"


def log_line(source: str, request: SpeechRequest, report: Report) -> str:
    """One line for a person, with what a machine may want as key=value."""
    voice = voice_label(request).replace(" ", "_").lower()
    language = request.language.code if request.language else "auto"
    speed = report.audio / report.wall if report.wall else 0.0
    return (
        f"{_VERBS.get(report.outcome) or f'Failed ({report.outcome})'} source={source} voice={voice} "
        f"language={language} model={report.model} characters={report.characters} "
        f"first_audio={report.first_audio:.3f}s audio={report.audio:.2f}s speed={speed:.2f}x"
    )
