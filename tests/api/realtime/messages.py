"""The Realtime API's messages, as a client sends and reads them."""

import base64
from typing import Any

Event = dict[str, Any]


def message(text: str, role: str = "user", kind: str = "input_text", **more: object) -> Event:
    """An item for conversation.item.create."""
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **more}


def sound(events: list[Event]) -> bytes:
    """All sound in what a server said."""
    kinds = ("response.output_audio.delta", "response.audio.delta")
    return b"".join(base64.b64decode(event["delta"]) for event in events if event["type"] in kinds)
