"""What the routes of presets, profiles and OpenAI's voices share: find, describe, change and play a kept voice."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.errors import HttpError
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
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.store.voices.former_names import MAX_FORMER_NAMES
from wyoming_qwen3.store.voices.voice import KeptVoice, Manner, VoiceClip, VoiceType

FormerNames = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MAX_FORMER_NAMES, fail_fast=True)]


class MannerFields(Fields):
    """How a kept voice speaks. In a change, fields that are left out stay as they are."""

    description: str | None = Field(None, max_length=2000, description="A description of the voice.")
    language: str | None = Field(
        None, max_length=100, description="The language it speaks unless a request names another, or Auto."
    )
    voice: str | None = Field(None, max_length=200, description="The built-in speaker to speak as.")
    instructions: str | None = Field(None, max_length=2000, description="How that speaker should speak.")
    speed: float | None = Field(None, ge=0.25, le=4.0, description="Above 1 is faster; the pitch stays the same.")
    effects: Effects | None = Field(None, description="Effects on the sound, in order.")


class FormerNamesFields(Fields):
    """The former names that a voice keeps."""

    former_names: FormerNames | None = Field(
        None, description="Former names to keep, of those that it has; it is still found by them. null keeps none."
    )

    @property
    def kept_names(self) -> list[str] | None:
        """The former names to keep; None if the request does not say."""
        return (self.former_names or []) if "former_names" in self.model_fields_set else None


class DeletedAnswer(BaseModel):
    """The resource was deleted."""

    id: str
    deleted: Literal[True] = True


VoiceStatus = Literal["ready", "pending", "empty"]
"""`ready` speaks at once, `pending` reads its clips when it first speaks, `empty` has neither a clip nor a speaker."""


class KeptEntry(BaseModel):
    """What every kept voice has. `language` is Auto if the model is to recognize it from the text."""

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
    status: VoiceStatus
    former_names: list[str]
    """Names that it had before. It is still found by each that no other voice has now."""


async def entry_fields(services: Services, voices: Sequence[KeptVoice]) -> list[dict[str, Any]]:
    """Return the values of a KeptEntry for each voice, and its `effects`."""
    prompted = await services.store.voices.prompted(voices, services.models.size)
    return [_entry_fields(voice, prompted) for voice in voices]


def language_name(language: Language | None) -> str:
    """Return a language's name as in all answers; Auto for None."""
    return language.label if language else "Auto"


def find_kept(request: web.Request, voice_type: VoiceType) -> KeptVoice:
    """Return the voice of that type whose id or name is `{id}` in the path. Raises HttpError 404 voice_not_found."""
    with not_at_path():
        voice = request.app[SERVICES].store.voices.get(request.match_info["id"])
        if voice.type != voice_type:
            raise VoiceNotFound(f"{voice.name!r} is a {voice.type}, not a {voice_type}.")
    return voice


@contextlib.contextmanager
def not_at_path() -> Iterator[None]:
    """Answer an unknown voice with 404, because the path names it; in a body it is a wrong request, 400."""
    try:
        yield
    except VoiceNotFound as error:
        raise HttpError(404, error.code, str(error), param="id") from None


def check_unbound(voice: KeptVoice) -> None:
    """Raise InvalidRequest for a voice that follows an entry of the voices folder."""
    if voice.folder is not None:
        raise InvalidRequest(
            f"This voice is made from the folder {voice.folder}; change or remove that instead.", param="id"
        )


async def delete_kept(request: web.Request, voice_type: VoiceType) -> web.Response:
    """Delete the voice that `find_kept` returns. Raises VoiceNotFound, and InvalidRequest as `check_unbound` does."""
    voice = find_kept(request, voice_type)
    check_unbound(voice)
    await request.app[SERVICES].store.voices.delete(voice.id)
    return web.json_response(text=DeletedAnswer(id=voice.id).model_dump_json())


def change_manner(manner: Manner, fields: MannerFields, size: Size) -> Manner:
    """Return the manner with the values of `fields`; null stands for a new voice's value.

    `size` is the server's. Raises VoiceNotFound, LanguageNotSupported, InvalidRequest, and InstructionsNotSupported if
    the speaker's checkpoint in that size can't follow instructions.
    """
    given = {name: getattr(fields, name) for name in MannerFields.model_fields if name in fields.model_fields_set}
    changed = {name: _clean(name, value) for name, value in given.items() if name != "voice"}
    if "voice" in given:
        changed |= _speaker(given["voice"], named=changed.get("language"))
    merged = Manner(**(vars(manner) | changed))
    check_installed(merged.effects)
    if merged.speaker and merged.instructions:
        choose_model(SpeechRequest(merged.speaker, instruct=merged.instructions, strict=True), size)
    return merged


def preview_url(voice: KeptVoice) -> str | None:
    """Return the path at which its first sample can be heard, None if it has no sample.

    The path starts at the server's root, wherever a proxy puts that.
    """
    if not voice.samples:
        return None
    return sample_url(voice, voice.samples[0])


def sample_url(voice: KeptVoice, sample: VoiceClip) -> str:
    """Return the path at which one of its clips can be heard."""
    if voice.type == "preset":
        return f"/api/voice-presets/{voice.id}/audio"
    return f"/api/profiles/{voice.id}/samples/{sample.id}/audio"


async def serve_sample(request: web.Request, voice: KeptVoice, sample_id: str) -> web.StreamResponse:
    """Answer with the WAV file of a sample, or the part of it that Range asks for.

    Raises NotFound and StorageFailed.
    """
    path = await asyncio.to_thread(request.app[SERVICES].store.voices.sample_path, voice.id, sample_id)
    name = quote(f"{voice.name}.wav", safe="", errors="replace")
    headers = {"Content-Type": MEDIA_TYPES["wav"], "Content-Disposition": f"inline; filename*=UTF-8''{name}"}
    return web.FileResponse(path, headers=headers)


def _entry_fields(voice: KeptVoice, prompted: Collection[str]) -> dict[str, Any]:
    manner = voice.manner
    ready = manner.speaker or voice.id in prompted
    status: VoiceStatus = "ready" if ready else "pending" if voice.samples else "empty"
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
    """Return the value of a field as a Manner stores it."""
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
    """Return the speaker, and the language if the name contains one, as in "ryan-de"."""
    if not (name or "").strip():
        return {"speaker": None}
    speaker, language = find_voice(name or "")
    if language and named not in (None, language):
        raise InvalidRequest(
            f"The voice {name} speaks {language_name(language)}; leave language out, or send {speaker.id}.",
            param="language",
        )
    return {"speaker": speaker} | ({"language": language} if language else {})
