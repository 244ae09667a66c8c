"""/api/profiles/import and /export: kept voices as archives, to back up, share and bring to other servers.

Archives are packed and unpacked on threads. store/voices/archive.py defines what they contain.
"""

import asyncio
import io
import itertools
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote

from aiohttp import web
from pydantic import Field

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.body import ONE_FILE, read_form
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech_response import EVENT_STREAM
from wyoming_qwen3.api.tasks import TaskAnswer, stream_progress, wants_events
from wyoming_qwen3.api.validation import Query, parse_query
from wyoming_qwen3.audio.reference import combine
from wyoming_qwen3.core.checkpoints import SIZES
from wyoming_qwen3.core.speakers import MAX_VOICE_NAME_CHARACTERS
from wyoming_qwen3.store.voices import archive
from wyoming_qwen3.store.voices.archive_members import MAX_BYTES
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import KeptVoice

from .kept import check_unbound, not_at_path
from .profile import Profile, answer_profile, describe

resource = Resource("Profiles")

_FORM_BYTES = 64 << 10
"""Maximum size in bytes of what surrounds the archive in the form."""


class ImportQuery(Query):
    """What to do if the name is taken, and whether to trust the archive's clone prompts."""

    on_conflict: Literal["rename", "replace", "fail"] = "fail"
    use_prompts: bool = Field(False, description="Use the archive's clone prompts instead of reading its clips.")


@resource.operation(
    "POST",
    "/api/profiles/import",
    "Import an archive",
    form=ONE_FILE,
    query=ImportQuery,
    answers={201: {"application/json": Profile, EVENT_STREAM: None}, 202: {"application/json": TaskAnswer}},
    errors=(507,),
)
async def import_profile(request: web.Request) -> web.StreamResponse:
    """The archive of a preset becomes a preset, that of a profile a profile.

    If the name is taken, `rename` appends a number, `replace` replaces the voice of that name, whatever its type, and
    `fail` answers an error. With `Accept: text/event-stream` or `Prefer: respond-async` the progress is reported, once
    the archive is uploaded.
    """
    query = parse_query(request, ImportQuery)
    services = request.app[SERVICES]
    form = await read_form(request, MAX_BYTES + _FORM_BYTES, ONE_FILE)
    data = form.files["file"][0]
    if not wants_events(request):
        return await answer_profile(request, await _import(data, query, services.store.voices), status=201)

    async def work(tell: Callable[[str], None]) -> Mapping[str, object]:
        tell("saving")
        profile = await describe(services, await _import(data, query, services.store.voices))
        return {"type": "profile.imported", "profile": profile.model_dump()}

    return await stream_progress(request, services.models, (), work, kind="import.progress", headers={})


async def _import(data: bytes, query: ImportQuery, voices: VoiceStore) -> KeptVoice:
    """Make a voice of an archive. Raises InvalidRequest, TooLarge and StorageFailed."""
    packed = await asyncio.to_thread(_unpacked, data)
    name, old = packed.name, voices.find(packed.name)
    if old and query.on_conflict == "replace":
        check_unbound(old)
    if old and query.on_conflict == "rename":
        name = _free_name(name, voices)
    voice = await voices.create(
        name,
        packed.type,
        packed.manner,
        packed.recordings,
        design=packed.design,
        overwrite=query.on_conflict == "replace",
        former_names=packed.former_names,
    )
    if query.use_prompts:
        for size, prompt in packed.prompts.items():
            await voices.keep_prompt(voice.id, voice.revision, size, prompt)
    return voice


@resource.operation(
    "GET",
    "/api/profiles/{id}/export",
    "Export a voice",
    answers={200: {archive.MEDIA_TYPE: None}},
    errors=(404, 413, 507),
)
async def export_profile(request: web.Request) -> web.StreamResponse:
    """The archive of a profile or a preset: its clips, settings and clone prompts."""
    voices = request.app[SERVICES].store.voices
    with not_at_path():
        voice = voices.get(request.match_info["id"])
    recordings = await voices.recordings(voice.id)
    prompts = {size: await voices.prompt(voice.id, voice.revision, size) for size in SIZES}
    kept = {size: prompt for size, prompt in prompts.items() if prompt is not None}
    data = await asyncio.to_thread(archive.pack, voice, recordings, kept)
    name = quote(f"{voice.name}.zip", safe="")
    disposition = f"attachment; filename=\"voice.zip\"; filename*=UTF-8''{name}"  # RFC 6266, appendix D
    # A file object is sent in parts. Bytes would be sent at once, which takes tens of milliseconds.
    return web.Response(
        body=io.BytesIO(data), content_type=archive.MEDIA_TYPE, headers={"Content-Disposition": disposition}
    )


def _unpacked(data: bytes) -> archive.VoiceArchive:
    """Return the content of an archive whose clips can be cloned. Raises InvalidRequest and TooLarge."""
    packed = archive.unpack(data)
    if packed.recordings:
        combine(packed.recordings)
    return packed


def _free_name(name: str, voices: VoiceStore) -> str:
    """Return the name with the first number appended that no voice has."""
    endings = (f" {number}" for number in itertools.count(2))
    names = (name[: MAX_VOICE_NAME_CHARACTERS - len(ending)] + ending for ending in endings)
    return next(free for free in names if voices.find(free) is None)
