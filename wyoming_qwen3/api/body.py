"""Reads a request's body into memory, within limits: JSON, or a form with files.

Nothing is read beyond its limit. Compressed bodies are refused, because their inflated size is not known beforehand.
"""

import asyncio
import codecs
import io
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar, cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

from .errors import HttpError

PARSER_OPTIONS = MappingProxyType({"auto_decompress": False})
"""For `web.Application(handler_args=...)`: without it, aiohttp inflates a body before it can be refused."""

STALL = 30.0
"""Seconds that a body may pause."""

MAX_FIELDS = 32
"""Maximum number of text fields in a form; a repeated field counts each time."""

MAX_FIELD = 64 << 10
"""Maximum size of a text field in bytes."""

_READ_BYTES = 64 << 10
_MAX_LINES = 500
"""Maximum number of lines in a form's headers, more than the largest accepted form has.

Without it, empty lines would keep the event loop busy.
"""

# What aiohttp's reader raises for a malformed form, found by feeding it garbage. Warnings are raised in some settings.
_MALFORMED = (ValueError, RuntimeError, RuntimeWarning, HttpProcessingError)

_T = TypeVar("_T")


@dataclass(frozen=True)
class FormShape:
    """The files and repeated text fields of a form. All other text fields may come once.

    The name of a field that may be repeated may end in [].
    """

    files: Mapping[str, int]
    """Maximum number of files by the name of their field."""

    required: tuple[str, ...] = ()
    """File fields that must be sent."""

    repeated: Mapping[str, int] = field(default_factory=dict)
    """Maximum number of values by the name of a text field that may be repeated."""

    file_bytes: int | None = None
    """Maximum size of one file in bytes; None sets no limit besides the body's."""


ONE_FILE = FormShape({"file": 1}, ("file",))


@dataclass(frozen=True)
class Form:
    """The files and text fields of a form by name. Those of one name are in the order in which they came."""

    files: dict[str, list[bytes]]
    fields: dict[str, list[str]]


async def read_json(request: web.Request, limit: int, *, stall: float = STALL) -> bytes:
    """Return the body of an application/json request of at most `limit` bytes.

    Raises HttpError 415 for another type, a content encoding or an unknown charset, and 408 for a body that
    pauses for `stall` seconds. Raises TooLarge, and InvalidRequest for a body that is empty or ends early.
    """
    _require_type(request, "application/json")
    charset = _charset(request)
    intake = _Intake(request, limit, stall)
    body = io.BytesIO()
    while piece := await intake.read(_READ_BYTES):
        body.write(piece)
    if not body.tell():
        raise InvalidRequest("The body is empty, but must be a JSON object.")
    return body.getvalue() if charset == "utf-8" else await asyncio.to_thread(_to_utf8, body.getvalue(), charset)


def _charset(request: web.Request) -> str:
    """Return the name of the body's charset. Raises HttpError 415 for one that JSON is not sent in."""
    name = (request.charset or "utf-8").lower()
    if not _CHARSETS.fullmatch(name):
        raise _unsupported("JSON must be sent in UTF-8, or in the charset that Content-Type names.")
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise _unsupported(f"The charset {name[:40]!r} is unknown; send JSON in UTF-8.") from None


_CHARSETS = re.compile(
    r"utf-?8|utf-?(?:16|32)(?:-?[lb]e)?|us-ascii|(?:iso-?8859|latin|windows|cp)[-_]?\d{1,4}(?:-\d{1,2})?"
    r"|gb2312|gbk|gb18030|big5|shift[-_]jis|euc-(?:jp|kr)"
)
"""Charsets of texts. Python knows more under this word, some of them no text at all."""


def _to_utf8(data: bytes, charset: str) -> bytes:
    try:
        return data.decode(charset).encode()
    except UnicodeError:
        raise InvalidRequest(f"The body is not {charset}, as its Content-Type says.") from None


async def read_form(request: web.Request, limit: int, shape: FormShape, *, stall: float = STALL) -> Form:
    """Return the files and text fields of a multipart/form-data request of at most `limit` bytes.

    Raises the errors of read_json, TooLarge for a file that is too large, and InvalidRequest for a malformed form, a
    file that is missing or has another field name, a name that comes too often, more than MAX_FIELDS text fields, and
    text that is longer than MAX_FIELD bytes or not UTF-8. File names are ignored.
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
    """A request's body with the methods that aiohttp's multipart reader uses. Limits its size and its pauses."""

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
            message = f"No data of the body came for {self._stall:g} seconds."
            raise HttpError(408, "request_timeout", message) from error
        except (ConnectionError, web.RequestPayloadError, HttpProcessingError) as error:
            raise InvalidRequest("The body ended early or is malformed.") from error
        self._check_size(self._content.total_bytes)
        return result

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise TooLarge(f"The body is larger than the allowed {_told(self._limit)}.")


def _told(size: int) -> str:
    """Return a size as a person reads it."""
    return f"{size:,} bytes" if size < 1_000_000 else f"{size / 1e6:.0f} MB"


async def _read_parts(reader: MultipartReader, shape: FormShape) -> Form:
    """Read all parts. Only files may be long."""
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
    """Return a part's name without the [] that some programs append to the name of a repeated field."""
    plain = name.removesuffix("[]")
    return plain if max(shape.files.get(plain, 1), shape.repeated.get(plain, 1)) > 1 else name


def _check_part(part: BodyPartReader, name: str, shape: FormShape, before: int) -> None:
    """Refuse a part with wrong headers, or one too many after the `before` parts of the same name."""
    if part.headers.get("Content-Transfer-Encoding", "binary").lower() not in {"binary", "8bit", "7bit"}:
        raise InvalidRequest("The parts of the form must be sent without a transfer encoding.", param=name)
    if part.filename and name not in shape.files:
        called = " or ".join(map(repr, shape.files))
        raise InvalidRequest(f"The file's field must be called {called}, not {name!r}.", param=next(iter(shape.files)))
    most = shape.files.get(name) or shape.repeated.get(name, 1)
    if before >= most:
        often = "twice" if most == 1 else f"more than {most} times"
        raise InvalidRequest(f"The form has {name!r} {often}.", param=name)


async def _read_file(part: BodyPartReader, name: str, limit: int | None) -> bytes:
    data = await _read_part(part, limit)
    if data is None:
        raise TooLarge(f"A file in {name!r} is larger than the allowed {_told(limit or 0)}.", param=name)
    return data


async def _read_text(part: BodyPartReader, name: str) -> str:
    data = await _read_part(part, MAX_FIELD)
    if data is None:
        raise InvalidRequest(f"The field {name!r} is longer than {MAX_FIELD:,} bytes.", param=name)
    return _text(name, data)


async def _read_part(part: BodyPartReader, limit: int | None) -> bytes | None:
    """Return the content of a part, or None if it has more than `limit` bytes."""
    data = io.BytesIO()
    while not part.at_eof():
        data.write(await part.read_chunk(_READ_BYTES))
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
