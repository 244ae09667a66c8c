"""What applies to all utterances, and where one comes from."""

from dataclasses import dataclass

from wyoming_qwen3.core.request import StartMode, TextStreaming

from .playback_buffer import MAX_HOLD_SECONDS
from .text_feed import TEXT_TIMEOUT_SECONDS


@dataclass(frozen=True)
class Options:
    """Settings for all utterances, whichever surface they come from."""

    text_streaming: TextStreaming = "sentence"
    sentence_pause: float = 0.2
    """Seconds of silence between two pieces."""

    start: StartMode = "auto"
    """When the first audio is sent."""

    max_hold: float = MAX_HOLD_SECONDS
    """Longest time that audio is held back, in seconds."""

    text_timeout: float = TEXT_TIMEOUT_SECONDS
    """Longest wait for more text, in seconds."""

    save: bool = False
    """Whether speech is kept in the history if the request leaves `save` open."""


@dataclass(frozen=True)
class Caller:
    """Where an utterance comes from.

    `source` is the surface. `client` identifies one of its clients; None if they are not told apart. `background` means
    that the utterance gives way to those that somebody listens to.
    """

    source: str
    client: str | None
    background: bool
