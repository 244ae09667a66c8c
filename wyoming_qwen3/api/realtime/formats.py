"""Audio formats of the Realtime API."""

from typing import Any, Literal

from wyoming_qwen3.core.request import SAMPLE_RATE

RealtimeFormat = Literal["pcm16", "g711_ulaw", "g711_alaw"]
"""Audio formats by the beta's names, which combine type and rate."""

FORMATS: dict[RealtimeFormat, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": SAMPLE_RATE},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
"""The same formats as JSON of the current API."""

FORMAT_NAMES: dict[str, RealtimeFormat] = {told["type"]: name for name, told in FORMATS.items()}
