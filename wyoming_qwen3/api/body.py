"""The body of a request, in memory: JSON or a form with files, within limits. Knows nothing of what it says.

Nothing is read past its limit, and nothing that is sent makes more of itself: compressed bodies are refused, as what
they inflate to is not known before.
"""

import asyncio
import io
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar, cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

from .errors import HttpError

PARSER_OPTIONS = MappingProxyType({"auto_decompress": False})
"""For `web.Application(handler_args=...)`: else aiohttp inflates a body before anyone can refuse it."""

STALL = 30.0
"""Seconds that a body may pause."""

MAX_FIELDS = 32
"""Text fields of a form, the same one each time it comes."""

MAX_FIELD = 64 << 10
"""Bytes of a text field."""

_PIECE = 64 << 10
_MAX_LINES = 500
"""More than the headers of the largest form that is taken have; empty lines would keep the event loop busy."""

# What aiohttp's reader raises for a form that is none, found by feeding it garbage; it warns of some, which may raise.
_MALFORMED = (ValueError, RuntimeError, RuntimeWarning, HttpProcessingError)

_T = TypeVar("_T")


@dataclass(frozen=True)
class FormShape:
    """What a form holds besides text fields that come once; a name may have [] behind it where it may come again."""

    files: Mapping[str, int]
    """How often each may come."""

    required: tuple[str, ...] = ()
    """Which of them must come."""

    repeated: Mapping[str, int] = field(default_factory=dict)
    """How often text fields may come that may come more than once."""

    file_bytes: int | None = None
    """Most of one file; None is as much as the body may have."""


ONE_FILE = FormShape({"file": 1}, ("file",))


@dataclass(frozen=True)
class Form:
    """The files and the text fields of a form by name, those of one name in the order in which they came."""

    files: dict[str, list[bytes]]
    fields: dict[str, list[str]]


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


async def read_form(request: web.Request, limit: int, shape: FormShape, *, stall: float = STALL) -> Form:
    """The files and the text fields of a multipart/form-data request of at most `limit` bytes.

    Raises as read_json does, TooLarge for a file that is, and InvalidRequest for what is no such form: garbage, a file
    that is missing or has another name, one name too often, more than MAX_FIELDS text fields, and text that is longer
    than MAX_FIELD bytes or not UTF-8. What the files are called is not looked at.
    """
    _require_type(request, "multipart/form-data")
    intake = _Intake(request, limit, stall)
    try:
        form = await _read_parts(MultipartReader(request.headers, cast("StreamReader", intake)), shape)
    except _MALFORMED as error:
        raise InvalidRequest("The body is not well-formed multipart/form-data.") from error
    for name in shape.required:
        if name not in form.files:
            raise InvalidRequest(f"The form lacks the file {name!r}.", param=name)
    return form


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


async def _read_parts(reader: MultipartReader, shape: FormShape) -> Form:
    """All parts, of which files alone may be long."""
    files: dict[str, list[bytes]] = {}
    fields: dict[str, list[str]] = {}
    texts = 0
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or not part.name:
            raise InvalidRequest("Each part of the form must be a field with a name.")
        name = _plain(part.name, shape)
        _check_part(part, name, shape, len(files.get(name, [])) + len(fields.get(name, [])))
        if name in shape.files:
            files.setdefault(name, []).append(await _read_file(part, name, shape.file_bytes))
            continue
        texts += 1
        if texts > MAX_FIELDS:
            raise InvalidRequest(f"The form has more than {MAX_FIELDS} fields.")
        fields.setdefault(name, []).append(await _read_text(part, name))
    return Form(files, fields)


def _plain(name: str, shape: FormShape) -> str:
    """A part's name without the brackets that some programs put behind one that may come again."""
    plain = name.removesuffix("[]")
    return plain if max(shape.files.get(plain, 1), shape.repeated.get(plain, 1)) > 1 else name


def _check_part(part: BodyPartReader, name: str, shape: FormShape, before: int) -> None:
    """Refuse a part for its headers, or as one too many after those `before` it."""
    if part.headers.get("Content-Transfer-Encoding", "binary").lower() not in {"binary", "8bit", "7bit"}:
        raise InvalidRequest("The parts of the form must be sent without a transfer encoding.", param=name)
    if part.filename and name not in shape.files:
        called = " or ".join(map(repr, shape.files))
        raise InvalidRequest(f"The file must be called {called}, not {name!r}.", param=next(iter(shape.files)))
    most = shape.files.get(name) or shape.repeated.get(name, 1)
    if before >= most:
        often = "twice" if most == 1 else f"more than {most} times"
        raise InvalidRequest(f"The form has {name!r} {often}.", param=name)


async def _read_file(part: BodyPartReader, name: str, limit: int | None) -> bytes:
    data = await _read_part(part, limit)
    if data is None:
        raise TooLarge(f"A file in {name!r} is larger than the {limit:,} bytes that are taken here.", param=name)
    return data


async def _read_text(part: BodyPartReader, name: str) -> str:
    data = await _read_part(part, MAX_FIELD)
    if data is None:
        raise InvalidRequest(f"The field {name!r} is longer than {MAX_FIELD:,} bytes.", param=name)
    return _text(name, data)


async def _read_part(part: BodyPartReader, limit: int | None) -> bytes | None:
    """All of a part, None if that is more than `limit` bytes."""
    data = io.BytesIO()
    while not part.at_eof():
        data.write(await part.read_chunk(_PIECE))
        if limit is not None and data.tell() > limit:
            return None
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
