"""/api/history for many entries at once: deletes and exports a selection, and the picture of each entry's sound."""

import asyncio
import json
import re
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.validation import Fields, ignored_headers, parse_body, parse_query
from wyoming_qwen3.api.validation import Query as QueryModel
from wyoming_qwen3.core.errors import TooLarge
from wyoming_qwen3.store.files import storing
from wyoming_qwen3.store.history.peaks import read_peaks

from .entries import HistoryEntry, entry_model
from .history import RemovedAnswer, history_of, removed_answer

resource = Resource("History")

_MAX_ENTRIES = 200
_MAX_BYTES = 1 << 30
"""Maximum size in bytes of the audio in an archive."""

_IN_MEMORY = 8 << 20
"""Bytes of an archive beyond which it is written to the disk while it is sent."""

_SMALL_BODY = 64 * 1024
_ZIP = "application/zip"


class SelectionBody(Fields):
    """The entries."""

    ids: list[Annotated[str, Field(max_length=64)]] = Field(min_length=1, max_length=_MAX_ENTRIES, fail_fast=True)


class PeaksQuery(QueryModel):
    """In how many parts the sound is divided."""

    count: int = Field(200, ge=1, le=2000)


class PeaksAnswer(BaseModel):
    """The largest amplitude of each part, from 0 to 1."""

    peaks: list[float]


@resource.operation(
    "POST",
    "/api/history/delete",
    "Delete a selection",
    body=SelectionBody,
    answers={200: {"application/json": RemovedAnswer}},
    errors=(404, 507),
)
async def delete_selection(request: web.Request) -> web.StreamResponse:
    """Deletes up to 200 entries with their audio, also favorites. Ids of entries that are gone are ignored."""
    body = await parse_body(request, SelectionBody, _SMALL_BODY)
    return removed_answer(await history_of(request).delete_all(body.ids), ignored_headers(body))


@resource.operation(
    "POST",
    "/api/history/export",
    "Export a selection",
    body=SelectionBody,
    answers={200: {_ZIP: None}},
    errors=(404, 413, 507),
)
async def export_selection(request: web.Request) -> web.StreamResponse:
    """A zip archive with the FLAC file of each entry, and all that is known about them in history.json."""
    body = await parse_body(request, SelectionBody, _SMALL_BODY)
    history = history_of(request)
    entries = [entry_model(await history.get(one)) for one in dict.fromkeys(body.ids)]
    if (size := sum(entry.bytes for entry in entries)) > _MAX_BYTES:
        raise TooLarge(
            f"The audio of these entries has {size / 1e9:.1f} GB; at most {_MAX_BYTES / 1e9:.1f} GB are exported.",
            param="ids",
        )
    paths = [history.audio_path(entry.id) for entry in entries]
    archive = await asyncio.to_thread(_packed, entries, paths)
    headers = ignored_headers(body) | {"Content-Disposition": 'attachment; filename="history.zip"'}
    return web.Response(body=archive, content_type=_ZIP, headers=headers)


@resource.operation(
    "GET",
    "/api/history/{id}/peaks",
    "Get the picture of a sound",
    query=PeaksQuery,
    answers={200: {"application/json": PeaksAnswer}},
    errors=(404, 507),
)
async def entry_peaks(request: web.Request) -> web.StreamResponse:
    """The loudness of an entry over its time, to draw it without fetching its audio."""
    query = parse_query(request, PeaksQuery)
    path = history_of(request).audio_path(request.match_info["id"])
    answer = PeaksAnswer(peaks=await asyncio.to_thread(read_peaks, path, query.count))
    return web.json_response(text=answer.model_dump_json(), headers={"Cache-Control": "private, max-age=86400"})


def _packed(entries: Sequence[HistoryEntry], paths: Sequence[Path]) -> IO[bytes]:
    """Return an archive of the entries. Audio that is missing is left out. Raises StorageFailed."""
    with storing():
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  the response closes it
        names = [f"{number:03} {_words(entry.text)}.flac" for number, entry in enumerate(entries, 1)]
        told = [
            entry.model_dump(mode="json") | {"file": name if path.is_file() else None}
            for name, entry, path in zip(names, entries, paths, strict=True)
        ]
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("history.json", json.dumps(told, ensure_ascii=False, indent=2))
            for name, path in zip(names, paths, strict=True):
                if path.is_file():
                    archive.write(path, name)
        file.seek(0)
    return file


def _words(text: str) -> str:
    """Return the beginning of a text as a part of a file's name, on any system."""
    return " ".join(re.findall(r"\w+", text[:200]))[:60].strip() or "speech"
