"""POST /v1/audio/speech/batch: many texts in one request, as vLLM-Omni has it."""

import asyncio
import base64
import contextlib
import json
import secrets
import tempfile
import zipfile
from collections.abc import AsyncIterator
from typing import IO, Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.audio.encode import MEDIA_TYPES
from wyoming_qwen3.batch import Item, Result, speak_all
from wyoming_qwen3.errors import InvalidRequest, SpeechError

from .answer import STREAM_HEADERS
from .errors import error_body
from .intent import SpeechFields, check_text, understand
from .keys import CONFIG, SERVICES, Config
from .operation import Resource
from .parse import Query, ignored_headers, parse_body, parse_query
from .speech import MOST_BYTES, usage

resource = Resource("Speech")

MOST_ITEMS = 32

_IN_MEMORY = 16 * 1024 * 1024
"""Bytes of a zip archive before it goes to a temporary file."""

_PIECE = 256 * 1024


class BatchItem(SpeechFields):
    """A text and what is different about it."""

    input: str = Field(description="The text to speak.")
    custom_id: str | None = Field(None, max_length=200, description="Given back with the result.")


_Items = Annotated[list[BatchItem], Field(min_length=1, max_length=MOST_ITEMS)]


class BatchBody(SpeechFields):
    """Texts, and how all of them are spoken unless they say otherwise."""

    items: _Items | None = None
    requests: _Items | None = Field(None, description="The same as items.")


class BatchQuery(Query):
    """How the results are packed."""

    format: Literal["json", "zip"] = "json"


class BatchResult(BaseModel):
    """What became of one item."""

    index: int
    custom_id: str | None = None
    status: Literal["success", "error"]
    audio_data: Annotated[str | None, Field(description="base64")] = None
    media_type: str | None = None
    duration_ms: int | None = None
    usage: dict[str, int] | None = None
    error: dict[str, str | None] | None = None


class BatchAnswer(BaseModel):
    """What became of all items, in their order."""

    id: str
    results: list[BatchResult]
    total: int
    succeeded: int
    failed: int


@resource.operation(
    "POST",
    "/v1/audio/speech/batch",
    "Speak many texts",
    body=BatchBody,
    query=BatchQuery,
    answers={200: {"application/json": BatchAnswer, "application/zip": None}},
    errors=(404, 429, 500, 501, 503),
)
async def speak_batch(request: web.Request) -> web.StreamResponse:
    """Up to 32 texts are spoken side by side; one that fails does not hold up the others."""
    query = parse_query(request, BatchQuery)
    body = await parse_body(request, BatchBody, MOST_BYTES)
    wishes = _wishes(body)
    services, config = request.app[SERVICES], request.app[CONFIG]
    items = [await _understand(wish, config) for wish in wishes]
    headers = ignored_headers(body, *wishes)
    results = speak_all(services.synthesizer, items, at_once=max(services.admission.most_active // 2, 1))
    async with contextlib.aclosing(results):
        told = _tell(wishes, results)
        if query.format == "zip":
            return await _answer_zip(request, wishes, told, headers)
        return await _answer_json(request, told, headers)


def _wishes(body: BatchBody) -> list[BatchItem]:
    """The items with what all of them share. Raises InvalidRequest."""
    if (body.items is None) == (body.requests is None):
        raise InvalidRequest("items is missing: a list of 1 to 32 objects with an input each.", param="items")
    shared = {name: getattr(body, name) for name in body.model_fields_set if name in SpeechFields.model_fields}
    own = [{name: getattr(item, name) for name in item.model_fields_set} for item in body.items or body.requests or []]
    return [BatchItem.model_construct(**(shared | fields)) for fields in own]


async def _understand(wish: BatchItem, config: Config) -> Item:
    try:
        text = check_text(wish.input, config.max_input)
        return Item(await understand(wish, config), text, wish.response_format)
    except SpeechError as error:
        return Item(None, wish.input, wish.response_format, error)


async def _tell(wishes: list[BatchItem], results: AsyncIterator[Result]) -> AsyncIterator[tuple[BatchResult, bytes]]:
    """Each result in words, and its audio."""
    index = 0
    async for result in results:
        wish = wishes[index]
        told = BatchResult(index=index, custom_id=wish.custom_id, status="success")
        if result.error:
            told.status, told.error = "error", error_body(result.error)["error"]
        else:
            told.media_type = MEDIA_TYPES[wish.response_format]
            told.duration_ms, told.usage = round(1000 * result.report.audio), usage(result.report)
        yield told, result.audio
        index += 1


async def _answer_json(
    request: web.Request, told: AsyncIterator[tuple[BatchResult, bytes]], headers: dict[str, str]
) -> web.StreamResponse:
    """Sent item by item: all of it may be far more than should be held in memory."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"} | STREAM_HEADERS | headers)
    await response.prepare(request)
    await response.write(f'{{"id": "batch_{secrets.token_hex(12)}", "results": ['.encode())
    count, failed = 0, 0
    async for result, audio in told:
        failed += result.status == "error"
        await response.write(b", " if count else b"")
        await response.write(await asyncio.to_thread(_dump, result, audio))
        count += 1
    await response.write(f'], "total": {count}, "succeeded": {count - failed}, "failed": {failed}}}'.encode())
    await response.write_eof()
    return response


def _dump(result: BatchResult, audio: bytes) -> bytes:
    if result.status == "success":
        result.audio_data = base64.b64encode(audio).decode()
    return result.model_dump_json(exclude_none=True).encode()


async def _answer_zip(
    request: web.Request,
    wishes: list[BatchItem],
    told: AsyncIterator[tuple[BatchResult, bytes]],
    headers: dict[str, str],
) -> web.StreamResponse:
    """A file for each item, and manifest.json."""
    manifest: list[dict[str, Any]] = []
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        with zipfile.ZipFile(file, "w") as archive:
            async for result, audio in told:
                entry = result.model_dump(exclude_none=True)
                if result.status == "success":
                    entry["file"] = f"{result.index + 1:02}.{wishes[result.index].response_format}"
                    await asyncio.to_thread(archive.writestr, entry["file"], audio)
                manifest.append(entry)
            archive.writestr("manifest.json", json.dumps({"results": manifest}, indent=2, ensure_ascii=False))
        return await _send_file(request, file, {"Content-Type": "application/zip"} | headers)


async def _send_file(request: web.Request, file: IO[bytes], headers: dict[str, str]) -> web.StreamResponse:
    disposition = {"Content-Disposition": 'attachment; filename="speech.zip"', "Content-Length": str(file.tell())}
    response = web.StreamResponse(headers=headers | disposition)
    await response.prepare(request)
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, _PIECE):
        await response.write(piece)
    await response.write_eof()
    return response
