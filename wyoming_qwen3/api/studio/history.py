"""/api/history: what was spoken, found, heard, spoken again, and forgotten.

Knows neither where it lies nor who put it there.
"""

import asyncio
import math
import secrets
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech import session_headers
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
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.speech import replay
from wyoming_qwen3.store.history.store import History, Limits, Removed, StoredGeneration
from wyoming_qwen3.text.pieces import Segment

from .entries import HistoryEntry, HistoryPage, HistoryQuery, entry_model, page_json, read_query, read_time
from .sources import MAX_SECONDS, SOUND_WORK

resource = Resource("History")

_SMALL_BODY = 64 * 1024

_Model = TypeVar("_Model", bound=BaseModel)


class HistoryLimits(BaseModel):
    """How much is kept besides the favorites; null is without limit."""

    days: float | None
    entries: int | None
    bytes: int | None


class HistoryStats(BaseModel):
    """How much there is, and may be."""

    entries: int
    favorites: int
    bytes: int
    limits: HistoryLimits


class RemovedAnswer(BaseModel):
    """How many entries are gone, and what their audio took."""

    deleted: int
    bytes: int


class AudioQuery(QueryModel):
    """The format to hear it in."""

    format: AudioFormat = "flac"


class DeleteQuery(QueryModel):
    """What to delete; one of both must be said."""

    before: str = Field("", description="The time, as in `from`, before which everything is deleted.")
    all: bool = False


class RegenerateQuery(QueryModel):
    """Whether it is to sound different."""

    new_seed: bool = False


class FavoriteBody(Fields):
    """Whether it stays whatever is cleaned up."""

    favorite: bool


class CleanupBody(Fields):
    """How much to keep besides the favorites. With none of these it is as much as the server is set to keep."""

    days: float | None = Field(None, ge=0, le=36_500)
    entries: int | None = Field(None, ge=0, le=10_000_000)
    bytes: int | None = Field(None, ge=0, le=2**62)


class RegenerateBody(Fields):
    """What is to be different."""

    response_format: AudioFormat | None = Field(None, description="mp3 if left out.")
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    save: bool | None = Field(None, description="Whether it is kept too; as the server is set if left out.")


@resource.operation(
    "GET",
    "/api/history",
    "Search the history",
    query=HistoryQuery,
    answers={200: {"application/json": HistoryPage}},
    errors=(507,),
)
async def list_history(request: web.Request) -> web.StreamResponse:
    """The newest first unless `sort` and `order` say otherwise."""
    wanted = read_query(parse_query(request, HistoryQuery))
    page = await _history(request).search(wanted)
    return web.json_response(text=await asyncio.to_thread(page_json, page, wanted))


@resource.operation(
    "DELETE",
    "/api/history",
    "Forget what is old, or everything",
    query=DeleteQuery,
    answers={200: {"application/json": RemovedAnswer}},
    errors=(507,),
)
async def delete_history(request: web.Request) -> web.StreamResponse:
    """Favorites too. `?before=` a time, or `?all=true`."""
    query = parse_query(request, DeleteQuery)
    if bool(query.before) == query.all:
        raise InvalidRequest(
            "Say what to delete: before=TIME for all that is older, or all=true for everything.", param="before"
        )
    before = math.inf if query.all else read_time(query.before, "before")
    return _removed(await _history(request).delete_before(before))


@resource.operation(
    "POST",
    "/api/history/cleanup",
    "Clean up",
    body=CleanupBody,
    body_required=False,
    answers={200: {"application/json": RemovedAnswer}},
    errors=(507,),
)
async def clean_up(request: web.Request) -> web.StreamResponse:
    """Deletes the oldest beyond these limits, and no favorites. The body may be left out."""
    body = await _parse_optional(request, CleanupBody)
    limits = Limits(body.days, body.entries, body.bytes)
    removed = await _history(request).clean_up(None if limits == Limits() else limits)
    return _removed(removed, ignored_headers(body))


@resource.operation(
    "GET",
    "/api/history/stats",
    "How much there is",
    answers={200: {"application/json": HistoryStats}},
    errors=(507,),
)
async def history_stats(request: web.Request) -> web.StreamResponse:
    """Counted now."""
    history = _history(request)
    stats = HistoryStats(**asdict(await history.usage()), limits=HistoryLimits(**asdict(history.limits)))
    return web.json_response(text=stats.model_dump_json())


@resource.operation(
    "GET",
    "/api/history/{id}",
    "One entry",
    answers={200: {"application/json": HistoryEntry}},
    errors=(404, 507),
)
async def one_entry(request: web.Request) -> web.StreamResponse:
    """By the id that X-History-Id told. It is there as soon as the answer with the audio has ended."""
    return _entry_response(await _history(request).get(request.match_info["id"]))


@resource.operation(
    "PATCH",
    "/api/history/{id}",
    "Mark an entry",
    body=FavoriteBody,
    answers={200: {"application/json": HistoryEntry}},
    errors=(404, 507),
)
async def mark_entry(request: web.Request) -> web.StreamResponse:
    """A favorite is not cleaned up."""
    body = await parse_body(request, FavoriteBody, _SMALL_BODY)
    entry = await _history(request).set_favorite(request.match_info["id"], body.favorite)
    return _entry_response(entry, ignored_headers(body))


@resource.operation(
    "DELETE",
    "/api/history/{id}",
    "Forget an entry",
    answers={200: {"application/json": DeletedAnswer}},
    errors=(404, 507),
)
async def delete_entry(request: web.Request) -> web.StreamResponse:
    """With its audio."""
    entry_id = request.match_info["id"]
    await _history(request).delete(entry_id)
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
    """As it is kept, or the part of it that Range asks for; or, up to ten minutes of it, whole in another format."""
    query = parse_query(request, AudioQuery)
    history = _history(request)
    entry = await history.get(request.match_info["id"])
    path = history.audio_path(entry.id)
    headers = private_file(MEDIA_TYPES[query.format], f"{entry.id}.{query.format}")
    if not await asyncio.to_thread(path.is_file):
        raise NotFound("The audio of this entry is missing on the server's disk; it can be generated again.")
    if query.format == "flac":
        return web.FileResponse(path, headers=headers)
    if entry.duration > MAX_SECONDS:
        raise TooLarge(
            f"This entry is longer than the {MAX_SECONDS:g} seconds that are converted; fetch it as flac.",
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
    """The same text, voice, seed and effects give the same audio, sent while it is generated; the body may be left out.

    A kept voice speaks as it is now. What a checkpoint said is said by one of its size, never by the standby voice;
    what that said while Qwen3 could not speak is said as the server would say it now. An entry of a voice that has been
    deleted, or of a clip that came with its request, can't be spoken again.
    """
    query = parse_query(request, RegenerateQuery)
    body = await _parse_optional(request, RegenerateBody)
    services = request.app[SERVICES]
    entry = await _history(request).get(request.match_info["id"])
    wanted, segments = replay.from_json(entry.params, services.store.voices, _seed(query, body))
    wanted = replace(wanted, save=body.save)
    if entry.model != "standby":
        wanted = replace(wanted, standby="off")
    return await _speak(request, entry.text, wanted, segments, body)


def _history(request: web.Request) -> History:
    """Raises StorageFailed where it can't be used."""
    history = request.app[SERVICES].store.history
    if history is None:
        raise StorageFailed("The history can't be used, as the server's log tells.")
    return history


async def _parse_optional(request: web.Request, model: type[_Model]) -> _Model:
    """The JSON body, or what it is by default where there is none. Raises as parse_body does."""
    return await parse_body(request, model, _SMALL_BODY) if request.body_exists else model()


def _entry_response(entry: StoredGeneration, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(text=entry_model(entry).model_dump_json(), headers=headers)


def _removed(removed: Removed, headers: dict[str, str] | None = None) -> web.Response:
    answer = RemovedAnswer(deleted=removed.entries, bytes=removed.bytes)
    return web.json_response(text=answer.model_dump_json(), headers=headers)


def _convert(path: Path, audio_format: AudioFormat) -> bytes:
    """A kept file in another format, sample for sample. Raises StorageFailed where it can't be read."""
    try:
        clip = read_clip(path.read_bytes(), max_seconds=MAX_SECONDS + 1, param="id")
    except (OSError, InvalidRequest) as error:
        raise StorageFailed("The audio of this entry can't be read.") from error
    samples = clip.samples * (pcm.LIBRARY_SCALE / pcm.SCALE)  # so that it is quantized to the samples of the file
    return encode(samples, audio_format)


def _seed(query: RegenerateQuery, body: RegenerateBody) -> int | None:
    """The seed to take instead of the entry's own. Raises InvalidRequest."""
    if not query.new_seed:
        return body.seed
    if body.seed is not None:
        raise InvalidRequest("new_seed draws a seed; send it or seed, not both.", param="seed")
    return secrets.randbits(48)


async def _speak(
    request: web.Request, text: str, wanted: SpeechRequest, segments: Sequence[Segment] | None, body: RegenerateBody
) -> web.StreamResponse:
    headers = voice_headers(wanted) | ignored_headers(body)
    async with request.app[SERVICES].synthesizer.open(wanted, "regenerate", segments, client=request.remote) as session:
        session.feed(text)
        session.finish()
        return await stream_audio(
            request, session, body.response_format or "mp3", lambda: headers | session_headers(session)
        )
