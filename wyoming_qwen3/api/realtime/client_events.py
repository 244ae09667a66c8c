"""The events that clients of OpenAI's Realtime API send.

Settings are also read from the flat fields of the API's beta (`voice`, `output_audio_format`, ...), which some clients
still send.

https://platform.openai.com/docs/api-reference/realtime-client-events
"""

import secrets
from typing import Annotated, Literal

from pydantic import Field

from wyoming_qwen3.api.speech_request import VoiceId
from wyoming_qwen3.api.validation import Fields
from wyoming_qwen3.core.errors import InvalidRequest

from .formats import RealtimeFormat


class EventRefused(InvalidRequest):
    """An event that can't be carried out, for a reason that OpenAI's API has a code for."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


def fresh_id(kind: str) -> str:
    """Return a new random id with a prefix, such as "event_5f0c…"."""
    return f"{kind}_{secrets.token_hex(12)}"


class ClientEvent(Fields):
    """The fields that all events have."""

    type: str = ""
    event_id: str | None = Field(default=None, max_length=512)


class FormatFields(Fields):
    """An audio format."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: int | None = None


_VoiceField = Annotated[str, Field(min_length=1, max_length=200)] | VoiceId
_SpeedField = Annotated[float, Field(ge=0.25, le=4.0)]
_Modalities = Annotated[list[Literal["text", "audio"]], Field(max_length=2)]


class OutputFields(Fields):
    """Settings of the speech."""

    voice: _VoiceField | None = None
    speed: _SpeedField | None = None
    format: FormatFields | None = None


class AudioFields(Fields):
    """Settings of audio; those of audio input have no effect here."""

    output: OutputFields | None = None


class SettingsFields(Fields):
    """Settings of a session or a response. Fields that are left out stay as they are."""

    model: str | None = Field(default=None, max_length=200)
    instructions: str | None = None
    output_modalities: _Modalities | None = None
    audio: AudioFields | None = None
    # Fields of the beta:
    modalities: _Modalities | None = None
    voice: _VoiceField | None = None
    speed: _SpeedField | None = None
    output_audio_format: RealtimeFormat | None = None


class SessionFields(SettingsFields):
    """A session. Sessions of the type "transcription" are refused."""

    type: Literal["realtime"] = "realtime"


class SessionUpdate(ClientEvent):
    """session.update."""

    session: SessionFields


class Part(Fields):
    """A part of a message. Audio and images are refused, because they can't be spoken."""

    type: Literal["input_text", "text", "output_text"]
    text: str


class Message(Fields):
    """An item of the conversation."""

    type: Literal["message"] = "message"
    id: str | None = Field(default=None, min_length=1, max_length=64)
    role: Literal["user", "assistant", "system"]
    content: list[Part] = Field(min_length=1, max_length=100)


class ItemReference(Fields):
    """A reference to an item of the conversation."""

    type: Literal["item_reference"]
    id: str


class ItemCreate(ClientEvent):
    """conversation.item.create."""

    item: Message
    previous_item_id: str | None = None


class ItemEvent(ClientEvent):
    """conversation.item.delete and .retrieve."""

    item_id: str


class ItemTruncate(ItemEvent):
    """conversation.item.truncate: how much of the answer the client has played."""

    content_index: Literal[0]
    audio_end_ms: int = Field(ge=0)


class ResponseFields(SettingsFields):
    """Settings of one response that differ from the session's, and its input."""

    conversation: Literal["auto", "none"] | None = None
    input: list[Annotated[Message | ItemReference, Field(discriminator="type")]] | None = None
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
        ]
        | None
    ) = None


class ResponseCreate(ClientEvent):
    """response.create."""

    response: ResponseFields | None = None


class ResponseCancel(ClientEvent):
    """response.cancel."""

    response_id: str | None = None
