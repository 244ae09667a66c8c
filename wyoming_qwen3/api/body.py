"""The body of a request, in memory: JSON or a form with one file, within limits. Knows nothing of what it says.

Nothing is read past its limit, and nothing that is sent makes more of itself: compressed bodies are refused, as what
they inflate to is not known before.
"""

import asyncio
import io
from collections.abc import Coroutine
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar, cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from wyoming_qwen3.errors import InvalidRequest, TooLarge

from .errors import HttpError

PARSER_OPTIONS = MappingProxyType({"auto_decompress": False})
"""For `web.Application(handler_args=...)`: else aiohttp inflates a body before anyone can refuse it."""

STALL = 30.0
"""Seconds that a body may pause."""

MAX_FIELDS = 32
MAX_FIELD = 64 << 10
"""Bytes of a text field."""

_PIECE = 64 << 10
_MAX_LINES = 500
"""More than the headers of the largest form that is taken have; empty lines would keep the event loop busy."""

# What aiohttp's reader raises for a form that is none, found by feeding it garbage; it warns of some, which may raise.
_MALFORMED = (ValueError, RuntimeError, RuntimeWarning, HttpProcessingError)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Upload:
    """A form: its file and its text fields by name."""

    data: bytes
    fields: dict[str, str]


async def read_json(request: web.Request, limit: int, *, stall: float = STALL) -> bytes:
    """The body of an application/json request, at most `limit` bytes of it.

    Raises HttpError 415 for another type, an encoding or a charset but UTF-8, 408 for a body that pauses for `stall`
    seconds; TooLarge; InvalidRequest for one that is empty or ends early.
    """
    _require_type(request, "application/json")
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise _unsupported("JSON must be sent in UTF-8.")
    intake = _Intake(request, limit, stall)
    body = io.BytesIO()
    while piece := await intake.read(_PIECE):
        body.write(piece)
    if not body.tell():
        raise InvalidRequest("The body is empty, but must be a JSON object.")
    return body.getvalue()


async def read_upload(request: web.Request, limit: int, field: str = "file", *, stall: float = STALL) -> Upload:
    """The file called `field` and the text fields of a multipart/form-data request of at most `limit` bytes.

    Raises as read_json does, and InvalidRequest for what is no such form: garbage, no file or two, a name twice,
    more than MAX_FIELDS fields, and text that is longer than MAX_FIELD bytes or not UTF-8.
    """
    _require_type(request, "multipart/form-data")
    intake = _Intake(request, limit, stall)
    try:
        form = await _read_form(MultipartReader(request.headers, cast("StreamReader", intake)), field)
    except _MALFORMED as error:
        raise InvalidRequest("The body is not well-formed multipart/form-data.") from error
    if field not in form:
        raise InvalidRequest(f"The form lacks the file {field!r}.", param=field)
    data = form.pop(field)
    return Upload(data, {name: _text(name, value) for name, value in form.items()})


class _Intake:
    """A request's body as aiohttp's multipart reader reads it: counted, and patient only for so long."""

    def __init__(self, request: web.Request, limit: int, stall: float) -> None:
        self._request = request
        self._content = request.content
        self._limit = limit
        self._stall = stall
        self._lines = 0
        self._check_size(request.content_length or 0)

    async def read(self, size: int) -> bytes:
        return await self._wait(self._content.read(size))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        self._lines += 1
        if self._lines > _MAX_LINES:
            raise ValueError("too many lines")
        return await self._wait(self._content.readline(max_line_length=max_line_length))

    def unread_data(self, data: bytes) -> None:
        self._content.unread_data(data)

    def at_eof(self) -> bool:
        return self._content.at_eof()

    async def _wait(self, reading: Coroutine[None, None, _T]) -> _T:
        try:
            async with asyncio.timeout(self._stall):
                result = await reading
        except TimeoutError as error:
            message = f"The body did not go on for {self._stall:g} seconds."
            raise HttpError(408, "request_timeout", message) from error
        except (ConnectionError, web.RequestPayloadError, HttpProcessingError) as error:
            raise InvalidRequest("The body ended early or is malformed.") from error
        self._check_size(self._content.total_bytes)
        return result

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise TooLarge(f"The body is larger than the {self._limit:,} bytes that are taken here.")


async def _read_form(reader: MultipartReader, field: str) -> dict[str, bytes]:
    """All parts by name, of which the one called `field` alone may be long."""
    form: dict[str, bytes] = {}
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or not part.name:
            raise InvalidRequest("Each part of the form must be a field with a name.")
        if part.headers.get("Content-Transfer-Encoding", "binary").lower() not in {"binary", "8bit", "7bit"}:
            raise InvalidRequest("The parts of the form must be sent without a transfer encoding.", param=part.name)
        if part.name != field and part.filename:
            raise InvalidRequest(f"The file must be called {field!r}, not {part.name!r}.", param=field)
        if part.name in form:
            raise InvalidRequest(f"The form has {part.name!r} twice.", param=part.name)
        if len(form) > MAX_FIELDS:
            raise InvalidRequest(f"The form has more than {MAX_FIELDS} fields.")
        form[part.name] = await _read_part(part, None if part.name == field else MAX_FIELD)
    return form


async def _read_part(part: BodyPartReader, limit: int | None) -> bytes:
    data = io.BytesIO()
    while not part.at_eof():
        data.write(await part.read_chunk(_PIECE))
        if limit is not None and data.tell() > limit:
            raise InvalidRequest(f"The field {part.name!r} is longer than {limit:,} bytes.", param=part.name)
    return data.getvalue()


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The field {name!r} is not UTF-8.", param=name) from error


def _require_type(request: web.Request, wanted: str) -> None:
    if request.content_type != wanted:
        raise _unsupported(f"Content-Type must be {wanted}.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _unsupported("The body must be sent without Content-Encoding.")


def _unsupported(message: str) -> HttpError:
    return HttpError(415, "unsupported_media_type", message)
