"""How a Realtime session or response is spoken, and how the fields of an event change that.

Clients are written for a language model, so each field stands alone: what this server can't do with one of them is a
warning, and the others are applied.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from wyoming_qwen3.api.model_names import MODEL
from wyoming_qwen3.api.speech_request import SpeechFields, VoiceId
from wyoming_qwen3.core.request import SAMPLE_RATE

from .client_events import FormatFields, OutputFields, SettingsFields
from .formats import FORMAT_NAMES, RealtimeFormat

_OPENAI_MODELS = ("gpt-", "tts-")
"""Prefixes of the names of OpenAI's models."""

_MAX_STYLE = 200
"""Maximum number of characters of instructions that are a style. Longer ones are a language model's system prompt."""

_MARKED = re.compile(r"^[\s#*-]*(?:\w+ ){0,2}(?:style|tone)\W*:\s*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_PROMPT = re.compile(r"\s*you(?:'re|\u2019re| are)\b", re.IGNORECASE)


@dataclass(frozen=True)
class SessionSettings:
    """How a session or a response is spoken."""

    voice: str
    model: str = MODEL
    instructions: str = ""
    speed: float = 1.0
    format: RealtimeFormat = "pcm16"

    def updated(self, fields: SettingsFields) -> tuple["SessionSettings", list[str]]:
        """Return the settings as changed by these fields, and a warning for each field that has no effect."""
        output = (fields.audio and fields.audio.output) or OutputFields()
        audio_format, warnings = fields.output_audio_format, _modality_warnings(fields)
        if output.format:
            audio_format = FORMAT_NAMES[output.format.type]
            warnings += _rate_warnings(output.format)
        if fields.instructions and not style_of(fields.instructions):
            warnings.append(
                "The instructions are taken as a system prompt, not as a way to speak: those have at most "
                f"{_MAX_STYLE} characters, or follow Style: on a line."
            )
        wanted: dict[str, Any] = {
            "voice": _voice_name(output.voice or fields.voice),
            "model": fields.model,
            "instructions": fields.instructions,
            "speed": output.speed or fields.speed,
            "format": audio_format,
        }
        return replace(self, **{name: value for name, value in wanted.items() if value is not None}), warnings

    def speech_fields(self) -> SpeechFields:
        """Return the same settings as the fields of a speech request."""
        model = None if self.model.startswith(_OPENAI_MODELS) else self.model
        fields: dict[str, Any] = {"model": model, "voice": self.voice, "instructions": style_of(self.instructions)}
        fields |= {} if self.speed == 1.0 else {"speed": self.speed}  # else it would replace a kept voice's own
        return SpeechFields.model_validate(fields)


def style_of(instructions: str) -> str:
    """Return the part of a session's instructions that says how to speak; "" if there is none.

    That is what follows "Style:" or "Tone:" on a line; without such a line all of it, if it is short and does not
    begin with "You are", as system prompts do.
    """
    if marked := _MARKED.findall(instructions):
        return " ".join(line.strip() for line in marked)
    text = instructions.strip()
    return "" if len(text) > _MAX_STYLE or _PROMPT.match(text) else text


def _modality_warnings(fields: SettingsFields) -> list[str]:
    modalities: Sequence[str] | None = fields.output_modalities if fields.modalities is None else fields.modalities
    if modalities is None or "audio" in modalities:
        return []
    return ["This server answers with audio and its transcript, whatever the modalities are."]


def _rate_warnings(fields: FormatFields) -> list[str]:
    rate = SAMPLE_RATE if fields.type == "audio/pcm" else 8_000
    if fields.rate in (None, rate):
        return []
    return [f"{fields.type} has a rate of {rate} Hz only, and not of {fields.rate} Hz."]


def _voice_name(voice: str | VoiceId | None) -> str | None:
    return voice.id if isinstance(voice, VoiceId) else voice
