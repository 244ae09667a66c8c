"""What the routes of presets, profiles and OpenAI's voices share: a kept voice found, shown, changed and heard.

Knows neither how a voice is made nor where it lies.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.api.app_keys import SERVICES, Services
from wyoming_qwen3.api.speech_request import Effects
from wyoming_qwen3.api.validation import Fields
from wyoming_qwen3.audio.chain import check_installed
from wyoming_qwen3.audio.encode import MEDIA_TYPES
from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest, VoiceNotFound
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speakers import Language, find_language, find_voice
from wyoming_qwen3.models.model_choice import choose_model
from wyoming_qwen3.store.voices.former_names import MAX_FORMER_NAMES
from wyoming_qwen3.store.voices.voice import KeptVoice, Manner, Sample, VoiceType

FormerNames = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MAX_FORMER_NAMES, fail_fast=True)]


class MannerFields(Fields):
    """How a kept voice speaks; of one that is changed, what is left out stays as it is."""

    description: str | None = Field(None, max_length=2000, description="What it is like, in words.")
    language: str | None = Field(
        None, max_length=100, description="What it speaks unless another is asked for, or Auto."
    )
    voice: str | None = Field(None, max_length=200, description="The built-in speaker that it is.")
    instructions: str | None = Field(None, max_length=2000, description="How that speaker speaks.")
    speed: float | None = Field(None, ge=0.25, le=4.0, description="Above 1 is faster; the pitch stays.")
    effects: Effects | None = Field(None, description="What is done to the sound, in order.")


class FormerNamesFields(Fields):
    """Which old names a voice keeps."""

    former_names: FormerNames | None = Field(
        None, description="The old names that it is still found by, of those that it has; null for none of them."
    )

    @property
    def kept_names(self) -> list[str] | None:
        """The old names to keep; None where nothing is said of them."""
        return (self.former_names or []) if "former_names" in self.model_fields_set else None


class DeletedAnswer(BaseModel):
    """It is gone."""

    id: str
    deleted: Literal[True] = True


Status = Literal["ready", "pending", "empty"]
"""Speaks at once; once its clips have been read, when it first speaks; or not before it has a clip or a speaker."""


class KeptEntry(BaseModel):
    """What is told of every kept voice; a language is Auto where the model is to tell it by the text."""

    id: str
    name: str
    type: VoiceType
    description: str
    language: str
    voice: str | None
    instructions: str | None
    speed: float
    created_at: int
    """Seconds since 1970."""

    updated_at: int
    status: Status
    former_names: list[str]
    """Those it had before, by which it is still found where no voice has them now."""


async def entry_fields(services: Services, voices: Sequence[KeptVoice]) -> list[dict[str, Any]]:
    """The values of a KeptEntry for each voice, and its `effects`."""
    prompted = await services.store.voices.prompted(voices, services.models.size)
    return [_entry_fields(voice, prompted) for voice in voices]


def language_name(language: Language | None) -> str:
    """As every list of ours calls it."""
    return language.name.title() if language else "Auto"


def find_kept(request: web.Request, voice_type: VoiceType) -> KeptVoice:
    """The voice of that type which `{id}` in the path names, by its id or name. Raises VoiceNotFound."""
    asked = request.match_info["id"]
    voice = request.app[SERVICES].store.voices.get(asked)
    if voice.type != voice_type:
        raise VoiceNotFound(f"{voice.name!r} is a {voice.type}, not a {voice_type}.", param="id")
    return voice


def check_unbound(voice: KeptVoice) -> None:
    """Raise InvalidRequest for a voice that is made of an entry of the voices folder."""
    if voice.folder is not None:
        raise InvalidRequest(f"It is made of the folder {voice.folder}; remove or change that instead.", param="id")


async def delete_kept(request: web.Request, voice_type: VoiceType) -> web.Response:
    """Delete the voice of that type which `{id}` in the path names. Raises VoiceNotFound, and as `check_unbound`."""
    voice = find_kept(request, voice_type)
    check_unbound(voice)
    await request.app[SERVICES].store.voices.delete(voice.id)
    return web.json_response(text=DeletedAnswer(id=voice.id).model_dump_json())


def change_manner(manner: Manner, fields: MannerFields, size: Size) -> Manner:
    """The manner with what `fields` gives; null is what a new voice has.

    `size` is the server's. Raises VoiceNotFound, LanguageNotSupported, InvalidRequest, and InstructionsNotSupported
    where the speaker's checkpoint in that size follows none.
    """
    given = {name: getattr(fields, name) for name in MannerFields.model_fields if name in fields.model_fields_set}
    changed = {name: _clean(name, value) for name, value in given.items() if name != "voice"}
    if "voice" in given:
        changed |= _speaker(given["voice"], named=changed.get("language"))
    merged = Manner(**(vars(manner) | changed))
    check_installed(merged.effects)
    if merged.speaker and merged.instructions:
        choose_model(SpeechRequest(merged.speaker, instruct=merged.instructions), size)
    return merged


def preview_url(voice: KeptVoice) -> str | None:
    """Where its first sample can be heard, if it has one; below the server's root, wherever a proxy puts that."""
    if not voice.samples:
        return None
    return sample_url(voice, voice.samples[0])


def sample_url(voice: KeptVoice, sample: Sample) -> str:
    """Where one of its clips can be heard."""
    if voice.type == "preset":
        return f"/api/voice-presets/{voice.id}/audio"
    return f"/api/profiles/{voice.id}/samples/{sample.id}/audio"


async def serve_sample(request: web.Request, voice: KeptVoice, sample_id: str) -> web.StreamResponse:
    """The WAV file of a sample, or the part of it that Range asks for. Raises NotFound, StorageFailed."""
    path = await asyncio.to_thread(request.app[SERVICES].store.voices.sample_path, voice.id, sample_id)
    name = quote(f"{voice.name}.wav", safe="", errors="replace")
    headers = {"Content-Type": MEDIA_TYPES["wav"], "Content-Disposition": f"inline; filename*=UTF-8''{name}"}
    return web.FileResponse(path, headers=headers)


def _entry_fields(voice: KeptVoice, prompted: Collection[str]) -> dict[str, Any]:
    manner = voice.manner
    ready = manner.speaker or voice.id in prompted
    status: Status = "ready" if ready else "pending" if voice.samples else "empty"
    return {
        "id": voice.id,
        "name": voice.name,
        "type": voice.type,
        "description": manner.description,
        "language": language_name(manner.language),
        "voice": manner.speaker.name if manner.speaker else None,
        "instructions": manner.instructions,
        "speed": manner.speed,
        "effects": [effect.to_json() for effect in manner.effects],
        "created_at": int(voice.created_at),
        "updated_at": int(voice.updated_at),
        "status": status,
        "former_names": list(voice.former_names),
    }


def _clean(name: str, value: Any) -> Any:
    """A field of a Manner as it is kept."""
    match name:
        case "language":
            return find_language(value) if value else None
        case "speed":
            return value or 1.0
        case "effects":
            return read_effects(value or [])
        case "instructions":
            return (value or "").strip() or None
    return (value or "").strip()


def _speaker(name: str | None, named: Language | None) -> dict[str, Any]:
    """The speaker, and the language where its name holds one as in "ryan-de"."""
    if not (name or "").strip():
        return {"speaker": None}
    speaker, language = find_voice(name or "")
    if language and named not in (None, language):
        raise InvalidRequest(
            f"The voice {name} speaks {language_name(language)}; leave language out, or send {speaker.id}.",
            param="language",
        )
    return {"speaker": speaker} | ({"language": language} if language else {})
