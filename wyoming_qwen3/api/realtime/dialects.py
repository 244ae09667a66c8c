"""How a session, a response and our events are named and shaped in the two dialects of OpenAI's Realtime API.

https://platform.openai.com/docs/api-reference/realtime-server-events
"""

from collections.abc import Mapping
from typing import Any

from .events import GENERAL_FORMATS, SessionSettings


class Dialect:
    """The general one, which the openai SDK's `realtime` speaks."""

    written_type, spoken_type = "output_text", "output_audio"
    """Types of the content that an assistant's message has."""

    def name(self, event: str) -> str | None:
        """What an event is called here; None where there is no such event."""
        return event

    def session(self, session_id: str, settings: SessionSettings) -> dict[str, Any]:
        """A whole session. What a client might set beside these has no effect, and says so."""
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": settings.model,
            "output_modalities": ["audio"],
            "instructions": settings.instructions,
            "audio": {
                "input": {
                    "format": GENERAL_FORMATS["pcm16"],
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": None,
                },
                "output": self._output(settings) | {"speed": settings.speed},
            },
            "tools": [],
            "tool_choice": "none",
            "max_output_tokens": "inf",
        }

    def response(self, settings: SessionSettings) -> dict[str, Any]:
        """What a response tells of its settings."""
        return {"output_modalities": ["audio"], "audio": {"output": self._output(settings)}}

    def _output(self, settings: SessionSettings) -> dict[str, Any]:
        return {"format": GENERAL_FORMATS[settings.format], "voice": settings.voice}


class BetaDialect(Dialect):
    """The one before it, which the SDK's `beta.realtime` speaks."""

    written_type, spoken_type = "text", "audio"

    _NAMES: Mapping[str, str | None] = {
        "conversation.item.added": "conversation.item.created",
        "conversation.item.done": None,
        "response.output_audio.delta": "response.audio.delta",
        "response.output_audio.done": "response.audio.done",
        "response.output_audio_transcript.delta": "response.audio_transcript.delta",
        "response.output_audio_transcript.done": "response.audio_transcript.done",
    }

    def name(self, event: str) -> str | None:
        """What an event is called here; None where there is no such event."""
        return self._NAMES.get(event, event)

    def session(self, session_id: str, settings: SessionSettings) -> dict[str, Any]:
        """A whole session."""
        return self.response(settings) | {
            "object": "realtime.session",
            "id": session_id,
            "model": settings.model,
            "instructions": settings.instructions,
            "speed": settings.speed,
            "input_audio_format": "pcm16",
            "input_audio_transcription": None,
            "input_audio_noise_reduction": None,
            "turn_detection": None,
            "tools": [],
            "tool_choice": "none",
            "max_response_output_tokens": "inf",
        }

    def response(self, settings: SessionSettings) -> dict[str, Any]:
        """What a response tells of its settings."""
        return {
            "modalities": ["audio", "text"],
            "voice": settings.voice,
            "output_audio_format": settings.format,
        }
