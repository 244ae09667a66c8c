"""The messages of the speech stream, and their validation."""

import asyncio
import json
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field

from wyoming_qwen3.api.speech_request import SpeechFields, describe
from wyoming_qwen3.api.validation import parse_json
from wyoming_qwen3.audio.encode import AudioFormat
from wyoming_qwen3.core.checkpoints import KIND_NAMES
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, SpeechRequest, kind_for

_MAX_TEXT = 128 * 1024
"""Maximum number of characters of a message other than session.config."""

_MAX_NAMES = 50
"""Maximum number of ignored fields that are reported."""

_Task = Literal["CustomVoice", "VoiceDesign", "Base"]
_Parsed = TypeVar("_Parsed", bound=BaseModel)


class SessionConfig(SpeechFields):
    """How the following utterances are spoken."""

    type: Literal["session.config"]
    response_format: AudioFormat = "wav"
    task_type: _Task | None = Field(None, description="The kind of checkpoint that the other fields must ask for.")
    stream_audio: bool | None = Field(None, description="false sends the whole file in one frame.")
    split_granularity: Literal["none", "sentence", "clause"] | None = None


class StreamMessage(BaseModel):
    """Any message of a client."""

    type: Literal["session.config", "input.text", "input.done", "session.close"]


class InputText(BaseModel):
    """More text."""

    text: str


async def parse_any(data: str, model: type[_Parsed]) -> _Parsed:
    """Return a message of any size as `model`. Raises InvalidRequest."""
    if len(data) <= _MAX_TEXT:
        return parse_json(data, model)
    return await asyncio.to_thread(parse_json, data, model)


def parse_text(data: str) -> str:
    """Return the text of an input.text, which may end or begin with half a character. Raises InvalidRequest, TooLarge.

    The message before or after it has the other half.
    """
    if len(data) > _MAX_TEXT:
        raise TooLarge(f"The message is longer than the allowed {_MAX_TEXT:,} characters.")
    text = parse_json(data, InputText).text
    if "\\ud" in data.lower():  # the model's parser drops halves, Python's keeps them
        text = json.loads(data.removeprefix("\ufeff"))["text"]
    return text


def check_task(config: SessionConfig, request: SpeechRequest) -> None:
    """Raise InvalidRequest if the fields ask for another task than `task_type`."""
    meant = KIND_NAMES[kind_for(request.voice)]
    if config.task_type not in {None, meant}:
        raise InvalidRequest(
            f"task_type is {config.task_type}, but the other fields ask for {meant}.", param="task_type"
        )


def configured(config: SessionConfig, request: SpeechRequest) -> dict[str, Any]:
    """Return the answer to a config: what was understood, and the fields that were ignored."""
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
