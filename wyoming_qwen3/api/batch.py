"""POST /v1/audio/speech/batch: many texts in one request, with vLLM-Omni's fields."""

import asyncio
import base64
import contextlib
import io
import secrets
import zipfile
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from wyoming_qwen3.audio.encode import MEDIA_TYPES
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.speech.batch import BatchSpeech, BatchText, speak_all

from .app_keys import CONFIG, SERVICES, Config
from .errors import error_body
from .failures import log_failure
from .operation import Resource
from .speech import MAX_BYTES, usage
from .speech_request import SpeechFields, check_text, describe, spoken_warnings, understand
from .speech_response import STREAM_HEADERS, cut_on_failure, with_warnings
from .validation import Query, ignored_headers, parse_body, parse_query

resource = Resource("Speech")

MAX_ITEMS = 32


class BatchItem(SpeechFields):
    """A text, and the fields in which it differs from the batch."""

    input: str = Field(description="The text to speak.")
    custom_id: str | None = Field(None, max_length=200, description="Returned with the result.")


_Items = Annotated[list[BatchItem], Field(min_length=1, max_length=MAX_ITEMS)]


class BatchBody(SpeechFields):
    """Texts, and the fields that apply to each item that does not set them itself."""

    items: _Items | None = None
    requests: _Items | None = Field(None, description="The same as items.")


class BatchQuery(Query):
    """The format of the answer."""

    format: Literal["json", "zip"] = "json"


class BatchResult(BaseModel):
    """The result of one item."""

    index: int
    custom_id: str | None = None
    status: Literal["success", "error"]
    audio_data: Annotated[str | None, Field(description="The audio in base64.")] = None
    media_type: str | None = None
    duration_ms: int | None = None
    usage: dict[str, int] | None = None
    file: Annotated[str | None, Field(description="Name of the audio file in the zip archive.")] = None
    error: dict[str, str | None] | None = None
    warnings: Annotated[list[str] | None, Field(description="Sentences on what could be better.")] = None


class BatchAnswer(BaseModel):
    """The results of all items, in their order."""

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
)
async def speak_batch(request: web.Request) -> web.StreamResponse:
    """Speaks up to 32 texts side by side. An item that fails has its error in its result; the others go on."""
    query = parse_query(request, BatchQuery)
    body = await parse_body(request, BatchBody, MAX_BYTES)
    wishes = _wishes(body)
    services = request.app[SERVICES]
    items = await _understand(wishes, request.app[CONFIG])
    warnings = dict.fromkeys(warning for item in items if item.request for warning in describe(item.request).warnings)
    headers = with_warnings(ignored_headers(body, *wishes), tuple(warnings))
    at_once = max(services.admission.max_active // 2, 1)  # the other half is left to requests for a single text
    async with contextlib.aclosing(speak_all(services.synthesizer, items, at_once)) as results:
        if query.format == "zip":
            return await _answer_zip(wishes, items, _logged(request, results), headers)
        return await _answer_json(request, wishes, items, _logged(request, results), headers)


async def _logged(request: web.Request, results: AsyncIterator[BatchSpeech]) -> AsyncIterator[BatchSpeech]:
    async for result in results:
        if result.error:
            log_failure(request, result.error, "batch")
        yield result


def _wishes(body: BatchBody) -> list[BatchItem]:
    """Return the items, each with the fields that all of them share. Raises InvalidRequest."""
    given = [items for items in (body.items, body.requests) if items is not None]
    if len(given) != 1:
        raise InvalidRequest(
            f"Send items or requests: a list of 1 to {MAX_ITEMS} objects, each with an input.", param="items"
        )
    shared = {name: getattr(body, name) for name in body.model_fields_set if name in SpeechFields.model_fields}
    own = [{name: getattr(item, name) for name in item.model_fields_set} for item in given[0]]
    return [BatchItem.model_construct(**(shared | fields)) for fields in own]


async def _understand(wishes: Iterable[BatchItem], config: Config) -> list[BatchText]:
    """Return each item's request for speech, or its error.

    Items that differ only in their text are understood once, because a clip can be large.
    """
    known: list[tuple[BatchItem, SpeechRequest | SpeechError]] = []
    items = []
    for wish in wishes:
        manner = wish.model_copy(update={"input": "", "custom_id": None})
        meaning = next((meaning for other, meaning in known if other == manner), None)
        if meaning is None:
            meaning = await _meaning(manner, config)
            known.append((manner, meaning))
        items.append(_item(wish, meaning, config))
    return items


async def _meaning(manner: BatchItem, config: Config) -> SpeechRequest | SpeechError:
    try:
        return await understand(manner, config)
    except SpeechError as error:
        return error


def _item(wish: BatchItem, meaning: SpeechRequest | SpeechError, config: Config) -> BatchText:
    try:
        text = check_text(wish.input, config.max_input)
    except SpeechError as error:
        meaning, text = error, ""
    if isinstance(meaning, SpeechError):
        return BatchText(None, text, wish.response_format, meaning)
    return BatchText(meaning, text, wish.response_format)


async def _answer_json(
    request: web.Request,
    wishes: list[BatchItem],
    items: list[BatchText],
    results: AsyncIterator[BatchSpeech],
    headers: dict[str, str],
) -> web.StreamResponse:
    """Send the results one by one, so that the base64 of all audio is never in memory at once."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"} | STREAM_HEADERS | headers)
    with cut_on_failure(request):
        await response.prepare(request)
        await response.write(f'{{"id": "{_new_id()}", "results": ['.encode())
        failed = 0
        for index, (wish, item) in enumerate(zip(wishes, items, strict=True)):
            result = await anext(results)
            failed += result.error is not None
            told = await asyncio.to_thread(_with_audio, _result_entry(index, wish, item, result), result.audio)
            await response.write((b", " if index else b"") + told)
        end = f'], "total": {len(wishes)}, "succeeded": {len(wishes) - failed}, "failed": {failed}}}'
        await response.write(end.encode())
        await response.write_eof()
    return response


def _with_audio(told: BatchResult, audio: bytes) -> bytes:
    if told.status == "success":
        told.audio_data = base64.b64encode(audio).decode()
    return told.model_dump_json(exclude_none=True).encode()


async def _answer_zip(
    wishes: list[BatchItem], items: list[BatchText], results: AsyncIterator[BatchSpeech], headers: dict[str, str]
) -> web.StreamResponse:
    """Answer with a file for each item, and manifest.json, which is the JSON answer without the audio."""
    manifest, files = [], {}
    for index, (wish, item) in enumerate(zip(wishes, items, strict=True)):
        result = await anext(results)
        manifest.append(told := _result_entry(index, wish, item, result))
        if not result.error:
            told.file = f"{index + 1:02}.{wish.response_format}"
            files[told.file] = result.audio
    failed = len(wishes) - len(files)
    answer = BatchAnswer(id=_new_id(), results=manifest, total=len(wishes), succeeded=len(files), failed=failed)
    files["manifest.json"] = answer.model_dump_json(exclude_none=True, indent=2).encode()
    more = {"Content-Type": "application/zip", "Content-Disposition": 'attachment; filename="speech.zip"'}
    return web.Response(body=await asyncio.to_thread(_zip, files), headers=more | headers)


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # stored: audio is compressed already or meant not to be
        for name in list(files):
            archive.writestr(name, files.pop(name))  # freed once it is packed: it may be hundreds of megabytes
    return packed.getvalue()


def _new_id() -> str:
    return f"batch_{secrets.token_hex(12)}"


def _result_entry(index: int, wish: BatchItem, item: BatchText, result: BatchSpeech) -> BatchResult:
    """Return a result as JSON, without its audio."""
    if result.error:
        error = error_body(result.error)["error"]
        return BatchResult(index=index, custom_id=wish.custom_id, status="error", error=error)
    return BatchResult(
        index=index,
        custom_id=wish.custom_id,
        status="success",
        media_type=MEDIA_TYPES[wish.response_format],
        duration_ms=round(1000 * result.report.audio),
        usage=usage(result.report),
        warnings=spoken_warnings(item.request, result.report) or None if item.request else None,
    )
