"""What the speech stream's client and server say: their messages, and what is wrong with them."""

import asyncio
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field

from wyoming_qwen3.api.speech_request import SpeechFields, describe
from wyoming_qwen3.api.validation import parse_json
from wyoming_qwen3.audio.encode import AudioFormat
from wyoming_qwen3.core.checkpoints import KIND_NAMES
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, SpeechRequest, kind_for

_MAX_TEXT = 128 * 1024
"""Characters of a message that is no config."""

_MAX_NAMES = 50
"""Ignored fields that are told."""

_Task = Literal["CustomVoice", "VoiceDesign", "Base"]
_Model = TypeVar("_Model", bound=BaseModel)


class SessionConfig(SpeechFields):
    """How the utterances that follow are spoken."""

    type: Literal["session.config"]
    response_format: AudioFormat = "wav"
    task_type: _Task | None = Field(None, description="What the other fields must mean.")
    stream_audio: bool | None = Field(None, description="false sends one frame with the whole file.")
    split_granularity: Literal["none", "sentence", "clause"] | None = None


class StreamMessage(BaseModel):
    """Any message of a client."""

    type: Literal["session.config", "input.text", "input.done", "session.close"]


class InputText(BaseModel):
    """More text."""

    text: str


async def parse_any(data: str, model: type[_Model]) -> _Model:
    """A message of any size. Raises InvalidRequest."""
    if len(data) <= _MAX_TEXT:
        return parse_json(data, model)
    return await asyncio.to_thread(parse_json, data, model)


def parse_text(data: str) -> str:
    """The text of an input.text. Raises InvalidRequest, TooLarge."""
    if len(data) > _MAX_TEXT:
        raise TooLarge(f"The message is larger than the {_MAX_TEXT:,} characters that are taken here.")
    return parse_json(data, InputText).text


def check_task(config: SessionConfig, request: SpeechRequest) -> None:
    """Raise InvalidRequest where the fields mean another task than the one that is named."""
    meant = KIND_NAMES[kind_for(request.voice)]
    if config.task_type not in {None, meant}:
        raise InvalidRequest(f"task_type is {config.task_type}, but the other fields mean {meant}.", param="task_type")


def configured(config: SessionConfig, request: SpeechRequest) -> dict[str, Any]:
    """The answer to a config: what was understood, and the fields that were not."""
    told = describe(request)
    return {
        "type": "session.configured",
        "voice": told.voice,
        "language": told.language,
        "format": config.response_format,
        "sample_rate": SAMPLE_RATE,
        "ignored_fields": [name[:100] for name in sorted(config.model_extra or {})[:_MAX_NAMES]],
        **({"warning": " ".join(told.warnings), "warnings": list(told.warnings)} if told.warnings else {}),
    }
