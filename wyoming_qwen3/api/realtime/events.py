"""What clients of OpenAI's Realtime API send, and the settings that it comes to.

Both dialects are taken, whichever the client is answered in. Knows no socket and makes no speech.

https://platform.openai.com/docs/api-reference/realtime-client-events
"""

import secrets
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from wyoming_qwen3.api.speech_request import MODEL, SpeechFields, VoiceId
from wyoming_qwen3.api.validation import Fields
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import SAMPLE_RATE

Format = Literal["pcm16", "g711_ulaw", "g711_alaw"]
"""How the beta names the formats of audio."""

GENERAL_FORMATS: dict[Format, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": SAMPLE_RATE},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
"""How the general dialect tells them."""

_FORMATS: dict[str, Format] = {told["type"]: name for name, told in GENERAL_FORMATS.items()}

_OPENAI_MODELS = ("gpt-realtime", "gpt-4o-realtime", "gpt-4o-mini-realtime", "gpt-audio")
"""How the names of OpenAI's Realtime models begin."""


class EventRefused(InvalidRequest):
    """A fault that OpenAI has a code of its own for."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


def fresh_id(kind: str) -> str:
    """A new id that says what it is of: "event_5f0c…"."""
    return f"{kind}_{secrets.token_hex(12)}"


# What clients send.


class ClientEvent(Fields):
    """What all events have."""

    type: str = ""
    event_id: str | None = Field(default=None, max_length=512)


class FormatFields(Fields):
    """A format of audio, as the general dialect has it."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: int | None = None


_Voice = Annotated[str, Field(min_length=1, max_length=200)] | VoiceId
_Speed = Annotated[float, Field(ge=0.25, le=4.0)]
_Modalities = Annotated[list[Literal["text", "audio"]], Field(max_length=2)]


class OutputFields(Fields):
    """How speech is to sound, as the general dialect has it."""

    voice: _Voice | None = None
    speed: _Speed | None = None
    format: FormatFields | None = None


class AudioFields(Fields):
    """Audio in both directions, of which there is one here."""

    output: OutputFields | None = None


class SettingsFields(Fields):
    """What a session has, and a response may have otherwise. What is left out stays as it is."""

    model: str | None = Field(default=None, max_length=200)
    instructions: str | None = Field(default=None, max_length=2000)
    output_modalities: _Modalities | None = None
    audio: AudioFields | None = None
    # In the beta:
    modalities: _Modalities | None = None
    voice: _Voice | None = None
    speed: _Speed | None = None
    output_audio_format: Format | None = None


class SessionFields(SettingsFields):
    """A session; transcription is another type."""

    type: Literal["realtime"] = "realtime"


class SessionUpdate(ClientEvent):
    """session.update."""

    session: SessionFields


class Part(Fields):
    """A part of a message. Sound and pictures can't be spoken."""

    type: Literal["input_text", "text", "output_text"]
    text: str


class Message(Fields):
    """An item of the conversation."""

    type: Literal["message"] = "message"
    id: str | None = Field(default=None, min_length=1, max_length=64)
    role: Literal["user", "assistant", "system"]
    content: list[Part] = Field(min_length=1, max_length=100)


class ItemReference(Fields):
    """An item that the conversation has already."""

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
    """conversation.item.truncate: the client played no more than this."""

    content_index: Literal[0]
    audio_end_ms: int = Field(ge=0)


class ResponseFields(SettingsFields):
    """What is different about one response."""

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


# What they come to.


@dataclass(frozen=True)
class SessionSettings:
    """How a session or a response speaks."""

    voice: str
    model: str = MODEL
    instructions: str = ""
    speed: float = 1.0
    format: Format = "pcm16"

    def updated(self, fields: SettingsFields) -> "SessionSettings":
        """With what these fields change. Raises InvalidRequest for what can't be had."""
        modalities = fields.output_modalities if fields.modalities is None else fields.modalities
        if modalities is not None and "audio" not in modalities:
            raise InvalidRequest(
                "This server answers with audio only; ask for audio among the modalities.",
                param="output_modalities" if fields.modalities is None else "modalities",
            )
        output = (fields.audio and fields.audio.output) or OutputFields()
        wanted: dict[str, Any] = {
            "voice": _voice_name(output.voice or fields.voice),
            "model": fields.model,
            "instructions": fields.instructions,
            "speed": output.speed or fields.speed,
            "format": _format(output.format) if output.format else fields.output_audio_format,
        }
        return replace(self, **{name: value for name, value in wanted.items() if value is not None})

    def speech_fields(self) -> SpeechFields:
        """The same as a request for speech."""
        model = MODEL if self.model.startswith(_OPENAI_MODELS) else self.model
        fields: dict[str, Any] = {"model": model, "voice": self.voice, "instructions": self.instructions}
        fields |= {} if self.speed == 1.0 else {"speed": self.speed}  # else it would replace a kept voice's own
        return SpeechFields.model_validate(fields)


def _voice_name(voice: str | VoiceId | None) -> str | None:
    return voice.id if isinstance(voice, VoiceId) else voice


def _format(fields: FormatFields) -> Format:
    only = SAMPLE_RATE if fields.type == "audio/pcm" else 8_000
    if fields.rate not in (None, only):
        raise InvalidRequest(
            f"{fields.type} comes at a rate of {only} only, but asked for is {fields.rate}.", param="format.rate"
        )
    return _FORMATS[fields.type]
