"""/api/history: search, play, speak again and delete what was spoken."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech import with_session
from wyoming_qwen3.api.speech_request import voice_headers
from wyoming_qwen3.api.speech_response import private_file, stream_audio
from wyoming_qwen3.api.validation import Fields, ignored_headers, parse_body, parse_query
from wyoming_qwen3.api.validation import Query as QueryModel
from wyoming_qwen3.api.voices.kept import DeletedAnswer
from wyoming_qwen3.audio import pcm
from wyoming_qwen3.audio.decode import read_clip
from wyoming_qwen3.audio.encode import MEDIA_TYPES, AudioFormat, encode
from wyoming_qwen3.audio.streaming import in_thread
from wyoming_qwen3.core.errors import InvalidRequest, NotFound, StorageFailed, TooLarge
from wyoming_qwen3.core.request import SpeechRequest, new_seed
from wyoming_qwen3.speech import replay
from wyoming_qwen3.store.history.store import History, Limits, Removed, StoredGeneration
from wyoming_qwen3.text.pieces import Segment

from .entries import HistoryEntry, HistoryPage, HistoryQuery, entry_model, page_json, read_query, read_time
from .sources import MAX_SECONDS, SOUND_WORK

resource = Resource("History")

_SMALL_BODY = 64 * 1024

_Parsed = TypeVar("_Parsed", bound=BaseModel)


class HistoryLimits(BaseModel):
    """How much is kept besides the favorites; null sets no limit."""

    days: float | None
    entries: int | None
    bytes: int | None


class HistoryStats(BaseModel):
    """The size of the history and its limits."""

    entries: int
    favorites: int
    bytes: int
    limits: HistoryLimits


class RemovedAnswer(BaseModel):
    """The number of deleted entries and the size of their audio."""

    deleted: int
    bytes: int


class AudioQuery(QueryModel):
    """The format of the audio."""

    format: AudioFormat = "flac"


class DeleteQuery(QueryModel):
    """What to delete; exactly one of the two is required."""

    before: str = Field("", description="Delete everything before this time, given as in `from`.")
    all: bool = False


class RegenerateQuery(QueryModel):
    """Whether to draw a new seed."""

    new_seed: bool = False


class FavoriteBody(Fields):
    """Whether cleaning up spares the entry."""

    favorite: bool


class CleanupBody(Fields):
    """How much to keep besides the favorites. Without any of these, the server's limits apply."""

    days: float | None = Field(None, ge=0, le=36_500)
    entries: int | None = Field(None, ge=0, le=10_000_000)
    bytes: int | None = Field(None, ge=0, le=2**62)


class RegenerateBody(Fields):
    """What to change."""

    response_format: AudioFormat | None = Field(None, description="mp3 by default.")
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    save: bool | None = Field(None, description="Whether to keep the new speech, too; by default as the server is set.")


@resource.operation(
    "GET",
    "/api/history",
    "Search the history",
    query=HistoryQuery,
    answers={200: {"application/json": HistoryPage}},
    errors=(507,),
)
async def list_history(request: web.Request) -> web.StreamResponse:
    """Newest first, unless `sort` and `order` say otherwise."""
    wanted = read_query(parse_query(request, HistoryQuery))
    page = await history_of(request).search(wanted)
    return web.json_response(text=await asyncio.to_thread(page_json, page, wanted))


@resource.operation(
    "DELETE",
    "/api/history",
    "Delete old entries, or all",
    query=DeleteQuery,
    answers={200: {"application/json": RemovedAnswer}},
    errors=(507,),
)
async def delete_history(request: web.Request) -> web.StreamResponse:
    """Deletes favorites, too. Requires `?before=` with a time, or `?all=true`."""
    query = parse_query(request, DeleteQuery)
    if bool(query.before) == query.all:
        raise InvalidRequest(
            "Send either before=TIME to delete older entries, or all=true to delete everything.", param="before"
        )
    before = math.inf if query.all else read_time(query.before, "before")
    return removed_answer(await history_of(request).delete_before(before))


@resource.operation(
    "POST",
    "/api/history/cleanup",
    "Clean up the history",
    body=CleanupBody,
    body_required=False,
    answers={200: {"application/json": RemovedAnswer}},
    errors=(507,),
)
async def clean_up(request: web.Request) -> web.StreamResponse:
    """Deletes the oldest entries beyond these limits, but no favorites. The body is optional."""
    body = await _parse_optional(request, CleanupBody)
    limits = Limits(body.days, body.entries, body.bytes)
    removed = await history_of(request).clean_up(None if limits == Limits() else limits)
    return removed_answer(removed, ignored_headers(body))


@resource.operation(
    "GET",
    "/api/history/stats",
    "Get the history's size",
    answers={200: {"application/json": HistoryStats}},
    errors=(507,),
)
async def history_stats(request: web.Request) -> web.StreamResponse:
    """Counted at each request."""
    history = history_of(request)
    stats = HistoryStats(**asdict(await history.usage()), limits=HistoryLimits(**asdict(history.limits)))
    return web.json_response(text=stats.model_dump_json())


@resource.operation(
    "GET",
    "/api/history/{id}",
    "Get an entry",
    answers={200: {"application/json": HistoryEntry}},
    errors=(404, 507),
)
async def one_entry(request: web.Request) -> web.StreamResponse:
    """`id` is from the header X-History-Id. The entry exists as soon as the answer with the audio has ended.

    If it could not be written, such as to a full disk, the error says so.
    """
    return _entry_response(await history_of(request).get(request.match_info["id"]))


@resource.operation(
    "PATCH",
    "/api/history/{id}",
    "Mark an entry as a favorite",
    body=FavoriteBody,
    answers={200: {"application/json": HistoryEntry}},
    errors=(404, 507),
)
async def mark_entry(request: web.Request) -> web.StreamResponse:
    """Cleaning up deletes no favorites."""
    body = await parse_body(request, FavoriteBody, _SMALL_BODY)
    entry = await history_of(request).set_favorite(request.match_info["id"], body.favorite)
    return _entry_response(entry, ignored_headers(body))


@resource.operation(
    "DELETE",
    "/api/history/{id}",
    "Delete an entry",
    answers={200: {"application/json": DeletedAnswer}},
    errors=(404, 507),
)
async def delete_entry(request: web.Request) -> web.StreamResponse:
    """Deletes its audio, too."""
    entry_id = request.match_info["id"]
    await history_of(request).delete(entry_id)
    return web.json_response(text=DeletedAnswer(id=entry_id).model_dump_json())


@resource.operation(
    "GET",
    "/api/history/{id}/audio",
    "Hear an entry",
    query=AudioQuery,
    answers={200: dict.fromkeys(MEDIA_TYPES.values()), 206: {MEDIA_TYPES["flac"]: None}, 304: {}, 416: {}},
    errors=(404, 413, 429, 507),
)
async def entry_audio(request: web.Request) -> web.StreamResponse:
    """The file as it is kept, or the part that Range asks for; or all of it in another format, up to ten minutes."""
    query = parse_query(request, AudioQuery)
    history = history_of(request)
    entry = await history.get(request.match_info["id"])
    path = history.audio_path(entry.id)
    headers = private_file(MEDIA_TYPES[query.format], f"{entry.id}.{query.format}")
    if not await asyncio.to_thread(path.is_file):
        raise NotFound("The audio of this entry is missing on the server's disk; it can be generated again.")
    if query.format == "flac":
        return web.FileResponse(path, headers=headers)
    if entry.duration > MAX_SECONDS:
        raise TooLarge(
            f"This entry is too long to convert: at most {MAX_SECONDS:g} seconds are accepted. Fetch it as flac.",
            param="format",
        )
    async with request.app[SOUND_WORK].place():
        converted = await in_thread(partial(_convert, path, query.format))
    return web.Response(body=converted, headers=headers)


@resource.operation(
    "POST",
    "/api/history/{id}/regenerate",
    "Speak an entry again",
    body=RegenerateBody,
    body_required=False,
    query=RegenerateQuery,
    answers={200: dict.fromkeys(MEDIA_TYPES.values())},
    errors=(404, 429, 500, 501, 503, 507),
)
async def regenerate(request: web.Request) -> web.StreamResponse:
    """The same text, voice, seed and effects give the same audio, sent while it is generated. The body is optional.

    A kept voice speaks as it is now. An entry of a checkpoint is spoken by one of its size, never by the standby voice.
    An entry of the standby voice that stood in for Qwen3 is spoken as the server would speak it now. An entry whose
    voice was deleted, or whose clip came with its request, can't be spoken again.
    """
    query = parse_query(request, RegenerateQuery)
    body = await _parse_optional(request, RegenerateBody)
    services = request.app[SERVICES]
    entry = await history_of(request).get(request.match_info["id"])
    wanted, segments = replay.from_json(entry.params, services.store.voices, _seed(query, body))
    wanted = replace(wanted, save=body.save)
    if entry.model != "standby":
        wanted = replace(wanted, standby="off")
    return await _speak(request, entry.text, wanted, segments, body)


def history_of(request: web.Request) -> History:
    """Return the history. Raises StorageFailed if it can't be used."""
    history = request.app[SERVICES].store.history
    if history is None:
        raise StorageFailed("The history can't be used; the server's log says why.")
    return history


async def _parse_optional(request: web.Request, model: type[_Parsed]) -> _Parsed:
    """Return the JSON body, or its defaults if there is none. Raises as parse_body does."""
    return await parse_body(request, model, _SMALL_BODY) if request.body_exists else model()


def _entry_response(entry: StoredGeneration, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(text=entry_model(entry).model_dump_json(), headers=headers)


def removed_answer(removed: Removed, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with what was deleted."""
    answer = RemovedAnswer(deleted=removed.entries, bytes=removed.bytes)
    return web.json_response(text=answer.model_dump_json(), headers=headers)


def _convert(path: Path, audio_format: AudioFormat) -> bytes:
    """Convert a kept file to another format, sample for sample. Raises StorageFailed if it can't be read."""
    try:
        clip = read_clip(path.read_bytes(), max_seconds=MAX_SECONDS + 1, param="id")
    except (OSError, InvalidRequest) as error:
        raise StorageFailed("The audio of this entry can't be read.") from error
    samples = clip.samples * (pcm.LIBRARY_SCALE / pcm.SCALE)  # so that it is quantized to the samples of the file
    return encode(samples, audio_format)


def _seed(query: RegenerateQuery, body: RegenerateBody) -> int | None:
    """Return the seed that replaces the entry's own, None to keep that. Raises InvalidRequest."""
    if not query.new_seed:
        return body.seed
    if body.seed is not None:
        raise InvalidRequest("new_seed draws a new seed; send either new_seed or seed.", param="seed")
    return new_seed()


async def _speak(
    request: web.Request, text: str, wanted: SpeechRequest, segments: Sequence[Segment] | None, body: RegenerateBody
) -> web.StreamResponse:
    headers = voice_headers(wanted) | ignored_headers(body)
    async with request.app[SERVICES].synthesizer.open(wanted, "regenerate", segments, client=request.remote) as session:
        session.add_text(text)
        session.end_text()
        return await stream_audio(
            request, session, body.response_format or "mp3", lambda: with_session(headers, session)
        )
