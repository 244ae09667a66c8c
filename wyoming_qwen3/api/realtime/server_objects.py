"""How a session and a response appear in the server's events.

https://platform.openai.com/docs/api-reference/realtime-server-events
"""

from typing import Any

from .formats import FORMATS
from .session_settings import SessionSettings


def session_object(session_id: str, settings: SessionSettings) -> dict[str, Any]:
    """Return a session's settings. Those that can be sent but have no effect have the value for "none"."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": settings.model,
        "output_modalities": ["audio"],
        "instructions": settings.instructions,
        "audio": {
            "input": {
                "format": FORMATS["pcm16"],
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": None,
            },
            "output": _output(settings) | {"speed": settings.speed},
        },
        "tools": [],
        "tool_choice": "none",
        "max_output_tokens": "inf",
    }


def response_settings(settings: SessionSettings) -> dict[str, Any]:
    """Return the settings of a response."""
    return {"output_modalities": ["audio"], "audio": {"output": _output(settings)}}


def _output(settings: SessionSettings) -> dict[str, Any]:
    return {"format": FORMATS[settings.format], "voice": settings.voice}
