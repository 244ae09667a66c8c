"""/api/clips: audio that is kept for a day, to be heard or composed."""

import asyncio
from datetime import UTC, datetime
from functools import partial

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.body import FormShape, read_form
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech import MAX_BYTES
from wyoming_qwen3.api.speech_response import private_file
from wyoming_qwen3.api.validation import Fields, ignored_headers, parse_body
from wyoming_qwen3.api.voices.kept import DeletedAnswer
from wyoming_qwen3.audio.containers import ACCEPTED, browsers_can_play
from wyoming_qwen3.audio.decode import parse_data_url, read_clip
from wyoming_qwen3.audio.encode import MEDIA_TYPES, encode
from wyoming_qwen3.audio.streaming import in_thread
from wyoming_qwen3.core.errors import NotFound
from wyoming_qwen3.core.request import SAMPLE_RATE
from wyoming_qwen3.store.clips import Clips, StoredClip

from .sources import MAX_SECONDS, SOUND_WORK

resource = Resource("Clips")

CLIP_TYPES: dict[str, str] = MEDIA_TYPES | {
    "m4a": "audio/mp4",
    "mp4": "audio/mp4",
    "ogg": "audio/ogg",
    "webm": "audio/webm",
}
"""Media types of clips by extension."""

_FORM_BYTES = MAX_BYTES + 64 * 1024
_FILE = FormShape({"file": 1}, ("file",), file_bytes=MAX_BYTES)


class ClipBody(Fields):
    """A clip. It can also be uploaded as multipart/form-data in `file`."""

    audio: str = Field(description=f"A data: URL with {ACCEPTED}.")


class ClipEntry(BaseModel):
    """A clip, and how long it is kept."""

    id: str
    url: str
    duration_ms: int
    bytes: int
    expires_at: datetime


@resource.operation(
    "POST",
    "/api/clips",
    "Keep a clip for a day",
    body=ClipBody,
    form=_FILE,
    answers={201: {"application/json": ClipEntry}},
    errors=(429, 507),
)
async def add_clip(request: web.Request) -> web.StreamResponse:
    """Accepts at most 10 minutes, and 25 MiB as a file or as JSON.

    The clip is kept as it was sent, or as FLAC if browsers could not play it.
    """
    if request.content_type.startswith("multipart/"):
        data, headers = (await read_form(request, _FORM_BYTES, _FILE)).files["file"][0], {}
    else:
        body = await parse_body(request, ClipBody, MAX_BYTES)
        data = await asyncio.to_thread(parse_data_url, body.audio, MAX_BYTES, "audio")
        headers = ignored_headers(body)
    async with request.app[SOUND_WORK].place():
        kept, seconds = await in_thread(partial(_playable, data))
    clips = request.app[SERVICES].store.clips
    entry = clip_entry(clips, await clips.add(kept, _extension(kept), seconds))
    return web.json_response(text=entry.model_dump_json(), status=201, headers=headers)


@resource.operation(
    "GET",
    "/api/clips/{id}",
    "Hear a clip",
    answers={200: dict.fromkeys(CLIP_TYPES.values()), 206: dict.fromkeys(CLIP_TYPES.values()), 304: {}, 416: {}},
    errors=(404,),
)
async def clip_audio(request: web.Request) -> web.StreamResponse:
    """The clip as it is kept, or the part of it that Range asks for."""
    clips, clip_id = request.app[SERVICES].store.clips, request.match_info["id"]
    clip, path = clips.get(clip_id), clips.path(clip_id)
    if not await asyncio.to_thread(path.is_file):
        raise NotFound("The audio of this clip is missing on the server's disk; send it again.")
    return web.FileResponse(path, headers=private_file(CLIP_TYPES[clip.extension], f"{clip.id}.{clip.extension}"))


@resource.operation(
    "DELETE",
    "/api/clips/{id}",
    "Delete a clip",
    answers={200: {"application/json": DeletedAnswer}},
    errors=(404, 507),
)
async def delete_clip(request: web.Request) -> web.StreamResponse:
    """Deletes a clip before its day is over."""
    clip_id = request.match_info["id"]
    await request.app[SERVICES].store.clips.delete(clip_id)
    return web.json_response(text=DeletedAnswer(id=clip_id).model_dump_json())


def clip_entry(clips: Clips, clip: StoredClip) -> ClipEntry:
    """Return a clip as JSON."""
    return ClipEntry(
        id=clip.id,
        url=f"/api/clips/{clip.id}",
        duration_ms=round(1000 * clip.seconds),
        bytes=clip.bytes,
        expires_at=datetime.fromtimestamp(clips.expires_at(clip), UTC),
    )


def _playable(data: bytes) -> tuple[bytes, float]:
    """Return an audio file that browsers can play, and its length in seconds.

    That is `data` itself if browsers can play it, else the same sound as FLAC. Raises TooLarge, and InvalidRequest if
    there is no sound in it.
    """
    if browsers_can_play(data):
        return data, read_clip(data, max_seconds=MAX_SECONDS, param="audio").seconds
    clip = read_clip(data, max_seconds=MAX_SECONDS, param="audio", sample_rate=SAMPLE_RATE)
    return encode(clip.samples, "flac"), clip.seconds


_BEGINNINGS = {
    b"RIFF": "wav",
    b"RF64": "wav",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"ID3": "mp3",
    b"\x1aE\xdf\xa3": "webm",
}


def _extension(data: bytes) -> str:
    """Return the extension of a file that `read_clip` accepts."""
    for beginning, extension in _BEGINNINGS.items():
        if data.startswith(beginning):
            return extension
    if data[4:8] == b"ftyp":
        return "m4a"
    return "aac" if data[1] & 0xF6 == 0xF0 else "mp3"  # the layer is 0 in ADTS, but not in MPEG audio
