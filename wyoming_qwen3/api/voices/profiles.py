"""/api/profiles: kept voices made of clips to clone, or of a built-in speaker and how it speaks."""

import asyncio
from dataclasses import asdict, replace
from typing import Annotated, Literal

from aiohttp import web
from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import from_json

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.body import read_form
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech_request import Effects
from wyoming_qwen3.api.validation import ignored_headers, parse_body, parse_json
from wyoming_qwen3.audio.reference import try_recording
from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.store.voices.voice import Manner

from .kept import (
    DeletedAnswer,
    FormerNamesFields,
    MannerFields,
    change_manner,
    check_unbound,
    delete_kept,
    find_kept,
    serve_sample,
)
from .profile import Profile, answer_profile, describe_all
from .uploads import (
    CLIP,
    CLIPS,
    MAX_BYTES,
    MAX_CLIPS,
    ClipFields,
    UploadedClip,
    decode,
    fields_json,
    read_one,
    to_recording,
    to_recordings,
    uploaded_clip,
    uploaded_clips,
)

resource = Resource("Profiles")

_JSON_BYTES = 256 << 10


def _from_text(given: object) -> object:
    """Parse JSON in a form's field. Anything else is returned as it is, for validation to refuse."""
    try:
        return from_json(given) if isinstance(given, str) else given
    except ValueError:
        return given


_EFFECTS_NAMES = AliasChoices("default_effects", "effects")
_EffectsText = Annotated[
    Effects | None,
    BeforeValidator(_from_text),
    WithJsonSchema({"type": ["string", "null"], "contentMediaType": "application/json"}),
]


class ProfileFields(MannerFields):
    """The fields of a profile."""

    effects: Effects | None = Field(
        None,
        validation_alias=_EFFECTS_NAMES,
        description="Effects on the sound unless a request has its own, in order; /api/effects lists them.",
    )
    consent: str | None = Field(None, max_length=2000, description="Who agreed to be cloned, in your own words.")


class NewProfile(ProfileFields):
    """A profile without clips. A form can add clips in `samples` and their texts in `ref_texts`."""

    name: str = Field(max_length=200)


class NewProfileForm(NewProfile):
    """A profile as a form; `default_effects` is a list as JSON."""

    effects: _EffectsText = Field(None, validation_alias=_EFFECTS_NAMES, description="The list of effects as JSON.")
    ref_texts: list[Annotated[str, Field(max_length=2000)]] = Field(
        [],
        max_length=MAX_CLIPS,
        fail_fast=True,
        description="The text spoken in each clip, as repeated fields or as one JSON list.",
    )
    x_vector_only_mode: bool = Field(False, description="Clone only the timbre of the clips, without ref_texts.")


class ProfileChange(ProfileFields, FormerNamesFields):
    """The fields to change; null stands for a new profile's value."""

    name: str = Field("", max_length=200)


class Finding(BaseModel):
    """An error or a warning about a clip."""

    severity: Literal["error", "warning"]
    code: str
    message: str


class Problem(BaseModel):
    """Why an entry of the voices folder is not, or not yet, a voice."""

    entry: str
    message: str


class ProfileList(BaseModel):
    """All profiles, ordered by name, and the problems in the voices folder."""

    profiles: list[Profile]
    problems: list[Problem]


class UsedPart(BaseModel):
    """The part of a long recording that is used."""

    start_ms: int
    end_ms: int


class Checked(BaseModel):
    """The result of checking a clip. A clip with an error is refused.

    `part` is what is used of a recording of more than 30 seconds, else null; the findings are about that part.
    """

    duration_ms: int
    part: UsedPart | None
    findings: list[Finding]
    usable: bool


_PROFILE = {"application/json": Profile}


@resource.operation(
    "POST",
    "/api/profiles",
    "Make a profile",
    body=NewProfile,
    form=CLIPS,
    fields=NewProfileForm,
    answers={201: _PROFILE},
    errors=(404, 501, 507),
)
async def create_profile(request: web.Request) -> web.StreamResponse:
    """Made of up to 16 clips of at least 1 second and up to 10 MiB each, or of a built-in speaker.

    A clip of more than 30 seconds is cut to its best part. Without its text, only a clip's timbre is cloned. `warnings`
    tell of both.
    """
    services = request.app[SERVICES]
    fields, sent = await _read_new(request)
    manner = _manner(Manner(), fields, services.models.size)
    recordings = await asyncio.to_thread(to_recordings, sent)
    voice = await services.store.voices.create(fields.name, "profile", manner, [clip for clip, _ in recordings])
    told = [findings for _, findings in recordings]
    return await answer_profile(request, voice, status=201, headers=ignored_headers(fields), told=told)


@resource.operation("GET", "/api/profiles", "List the profiles", answers={200: {"application/json": ProfileList}})
async def list_profiles(request: web.Request) -> web.StreamResponse:
    """Includes the problems in the voices folder."""
    services = request.app[SERVICES]
    store = services.store
    profiles = await describe_all(services, [voice for voice in store.voices.all() if voice.type == "profile"])
    problems = [
        Problem(entry=one.entry, message=one.message)
        for one in (store.watched_folder.problems if store.watched_folder else ())
    ]
    return web.json_response(text=ProfileList(profiles=profiles, problems=problems).model_dump_json())


@resource.operation(
    "POST",
    "/api/profiles/check",
    "Check a clip",
    form=CLIP,
    fields=ClipFields,
    answers={200: {"application/json": Checked}},
)
async def check_clip(request: web.Request) -> web.StreamResponse:
    """Reports what is wrong with a clip of up to five minutes and what is used of it, and keeps nothing."""
    data, fields = await read_one(request)
    clip = await asyncio.to_thread(decode, data)
    tried = await asyncio.to_thread(try_recording, clip.samples, clip.sample_rate, fields.ref_text or None)
    part = tried.part
    checked = Checked(
        duration_ms=round(1000 * clip.seconds),
        part=UsedPart(start_ms=round(1000 * part.start), end_ms=round(1000 * part.end)) if part else None,
        findings=[Finding(**asdict(finding)) for finding in tried.findings],
        usable=all(finding.severity != "error" for finding in tried.findings),
    )
    return web.json_response(text=checked.model_dump_json(), headers=ignored_headers(fields))


@resource.operation("GET", "/api/profiles/{id}", "Get a profile", answers={200: _PROFILE}, errors=(404,))
async def get_profile(request: web.Request) -> web.StreamResponse:
    """`id` is the profile's id or its name, here and below."""
    return await answer_profile(request, find_kept(request, "profile"))


@resource.operation(
    "PUT",
    "/api/profiles/{id}",
    "Change a profile",
    body=ProfileChange,
    answers={200: _PROFILE},
    errors=(404, 501, 507),
)
async def change_profile(request: web.Request) -> web.StreamResponse:
    """Fields that are left out stay as they are; null stands for a new profile's value."""
    services = request.app[SERVICES]
    fields = await parse_body(request, ProfileChange, _JSON_BYTES)
    voice = find_kept(request, "profile")
    manner = _manner(voice.manner, fields, services.models.size)
    name = fields.name if "name" in fields.model_fields_set else None
    changed = await services.store.voices.change(voice.id, name=name, manner=manner, former_names=fields.kept_names)
    return await answer_profile(request, changed, headers=ignored_headers(fields))


@resource.operation(
    "DELETE",
    "/api/profiles/{id}",
    "Delete a profile",
    answers={200: {"application/json": DeletedAnswer}},
    errors=(404, 507),
)
async def delete_profile(request: web.Request) -> web.StreamResponse:
    """Deletes its clips, too. A profile that follows an entry of the voices folder can only be deleted there."""
    return await delete_kept(request, "profile")


@resource.operation(
    "POST",
    "/api/profiles/{id}/samples",
    "Add a clip",
    form=CLIP,
    fields=ClipFields,
    answers={201: _PROFILE},
    errors=(404, 507),
)
async def add_sample(request: web.Request) -> web.StreamResponse:
    """As for a new profile. The profile's next speech is cloned from it, too."""
    voice = find_kept(request, "profile")
    check_unbound(voice)
    data, fields = await read_one(request)
    recording, findings = await asyncio.to_thread(to_recording, uploaded_clip(data, fields))
    changed = await request.app[SERVICES].store.voices.add_samples(voice.id, [recording])
    return await answer_profile(request, changed, status=201, headers=ignored_headers(fields), told=[findings])


@resource.operation(
    "DELETE", "/api/profiles/{id}/samples/{sample}", "Remove a clip", answers={200: _PROFILE}, errors=(404, 507)
)
async def remove_sample(request: web.Request) -> web.StreamResponse:
    """A profile without clips is allowed, but can't speak."""
    voice = find_kept(request, "profile")
    check_unbound(voice)
    changed = await request.app[SERVICES].store.voices.remove_sample(voice.id, request.match_info["sample"])
    return await answer_profile(request, changed)


@resource.operation(
    "GET",
    "/api/profiles/{id}/samples/{sample}/audio",
    "Hear a clip",
    answers={200: {"audio/wav": None}, 206: {"audio/wav": None}},
    errors=(404, 507),
)
async def get_sample_audio(request: web.Request) -> web.StreamResponse:
    """A WAV file, or the part of it that Range asks for."""
    return await serve_sample(request, find_kept(request, "profile"), request.match_info["sample"])


async def _read_new(request: web.Request) -> tuple[NewProfile, list[UploadedClip]]:
    """Return the fields of a new profile and its clips, from JSON or a form."""
    if not request.content_type.startswith("multipart/"):
        return await parse_body(request, NewProfile, _JSON_BYTES), []
    form = await read_form(request, MAX_BYTES, CLIPS)
    fields = parse_json(fields_json(form, CLIPS), NewProfileForm)
    files = form.files.get("samples", [])
    return fields, uploaded_clips(files, fields.ref_texts, timbre=fields.x_vector_only_mode)


def _manner(manner: Manner, fields: ProfileFields, size: Size) -> Manner:
    """Return the manner with the values of `fields`. Raises what `change_manner` raises."""
    changed = change_manner(manner, fields, size)
    if "consent" in fields.model_fields_set:
        return replace(changed, consent=(fields.consent or "").strip())
    return changed
