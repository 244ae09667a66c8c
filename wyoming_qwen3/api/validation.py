"""Validates requests with pydantic models, and reports errors as one sentence for each field.

A body may have 25 MB, so the size of a report is bounded: a list in a model needs `fail_fast=True`, else each wrong
item of millions is an error of its own.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import RANGES, WHOLE_RANGES

from .body import read_json

_Parsed = TypeVar("_Parsed", bound=BaseModel)

_SMALL = 64 * 1024
"""Maximum size in bytes of JSON that is parsed on the event loop, which takes less than a millisecond."""

_MAX_VALUES = 200_000
"""Maximum number of values in a body: three times what the longest list of tokens has."""

_SLICE = 256 * 1024

_MAX_TOLD = 5
"""Maximum number of sentences in one error."""

_MAX_NAMES = 100
"""Maximum number of ignored fields that are looked at."""

_MAX_SHOWN = 60
"""Maximum number of characters of a client's value or name that are shown."""

_HEADER_LENGTH = 500


def in_range(name: str, **more: Any) -> Any:
    """Return pydantic's field for a number of `Sampling`, with the range that all surfaces have for it."""
    low, high = (RANGES | WHOLE_RANGES)[name]
    return Field(None, ge=low, le=high, **more)


class Fields(BaseModel):
    """A request's fields. Unknown ones are accepted, and named in the answer's X-Ignored-Fields."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Query(BaseModel):
    """A request's query parameters."""

    model_config = ConfigDict(extra="ignore")


async def parse_body(request: web.Request, model: type[_Parsed], limit: int) -> _Parsed:
    """Return the JSON body, which may have at most `limit` bytes. Raises InvalidRequest, TooLarge and HttpError."""
    data = await read_json(request, limit)
    if len(data) <= _SMALL:
        return parse_json(data, model)
    return await asyncio.to_thread(_parse_large, data, model)


def parse_query(request: web.Request, model: type[_Parsed]) -> _Parsed:
    """Return the query parameters. Raises InvalidRequest."""
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise _invalid(error) from None


def parse_json(data: str | bytes, model: type[_Parsed]) -> _Parsed:
    """Return the JSON object of a body or a WebSocket message. Raises InvalidRequest."""
    try:
        return _validated(data, model)
    except ValidationError as error:
        raise _invalid(error) from None


def _validated(data: str | bytes, model: type[_Parsed]) -> _Parsed:
    """Return JSON as the model, repaired if it needs to be. Raises ValidationError."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "json_invalid" or (repaired := repaired_json(data)) == data:
            raise
    return model.model_validate_json(repaired)


def repaired_json(data: str | bytes) -> str | bytes:
    """Return JSON without a byte order mark, and without escaped halves of characters that lack their other half.

    Programs write both: a byte order mark on Windows, and halves where a text was cut between them.
    """
    if isinstance(data, bytes):
        return _HALVES_OF_BYTES.sub(lambda found: b"" if found[1] else found[0], data.removeprefix(b"\xef\xbb\xbf"))
    return _HALVES.sub(lambda found: "" if found[1] else found[0], data.removeprefix("\ufeff"))


_ESCAPES = r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
"""Any escape in JSON; group 1 is a half of a character without the other."""

_HALVES = re.compile(_ESCAPES)
_HALVES_OF_BYTES = re.compile(_ESCAPES.encode())


def parse_leniently(data: str, model: type[_Parsed], part: str, optional: type[BaseModel]) -> tuple[_Parsed, list[str]]:
    """Return a JSON object without those fields that can't be accepted, and a sentence about each of them.

    Only fields of `optional` that are in the object `part` can be left out. Raises InvalidRequest for any other error.
    """
    try:
        return _validated(data, model), []
    except ValidationError as error:
        places = [detail["loc"] for detail in error.errors(include_url=False, include_context=False)]
        refused = _invalid(error)
    fields = {place[1] for place in places if len(place) > 1 and place[0] == part} & optional.model_fields.keys()
    if any(place[:1] != (part,) or place[1:2] == () or place[1] not in fields for place in places):
        raise refused
    given = from_json(repaired_json(data))
    for place in places:
        _leave_out(given, place)
    parsed, _ = parse_leniently(to_json(given).decode(), model, part, optional)  # what lacks a field goes in turn
    return parsed, [str(refused)]


def _leave_out(given: object, place: Iterable[int | str]) -> None:
    """Remove the innermost field at a place of an error from a JSON object; the place may end in names of types."""
    found: tuple[dict[str, object], str] | None = None
    for name in place:
        if isinstance(given, dict) and name in given:
            found = given, str(name)
            given = given[name]
        elif isinstance(given, list) and isinstance(name, int):
            given = given[name] if name < len(given) else None
        else:
            break
    if found:
        found[0].pop(found[1], None)


def ignored_headers(*models: BaseModel) -> dict[str, str]:
    """Return a header that names the unknown fields, or none. Their names may hold any characters."""
    given = itertools.chain.from_iterable(model.model_extra or () for model in models)
    names = sorted({name[:_MAX_SHOWN] for name in itertools.islice(given, _MAX_NAMES)})
    listed = header_text(", ".join(names))
    return {"X-Ignored-Fields": listed[:_HEADER_LENGTH]} if names else {}


def header_text(text: str) -> str:
    """Return any text as a header's value: ASCII, with other characters escaped as in JSON."""
    return json.dumps(text)[1:-1]


def _parse_large(data: bytes, model: type[_Parsed]) -> _Parsed:
    """Raise TooLarge for more values than any request needs: parsing them would block the interpreter for seconds.

    Commas are counted, those in texts too.
    """
    values = 0
    for start in range(0, len(data), _SLICE):
        values += data.count(b",", start, start + _SLICE)
        if values > _MAX_VALUES:
            raise TooLarge(f"The body has more than {_MAX_VALUES:,} values.")
    return parse_json(data, model)


def _invalid(error: ValidationError) -> InvalidRequest:
    found: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=False):
        found.setdefault(_name(detail["loc"]), _sentence(detail))
    # In a union, an error within the branch that nearly fits says more than the errors of the other branches.
    told = {name: found[name] for name in found if not any(other.startswith(f"{name}.") for other in found)}
    return InvalidRequest(" ".join(list(told.values())[:_MAX_TOLD]), param=next(iter(told)) or None)


def _sentence(detail: ErrorDetails) -> str:
    name, kind, message = _name(detail["loc"]), detail["type"], detail["msg"]
    if kind == "missing":
        return f"{name} is missing."
    if kind == "json_invalid":
        return f"That is not valid JSON: {message.removeprefix('Invalid JSON: ')}."
    if kind == "model_type" and not name:
        return "A JSON object is expected."
    if rule := _RULE.match(message):
        return f"{name} {rule[1]}, but is {_shown(detail['input'])}."
    return f"{name}: {message}."


_RULE = re.compile(r"\w+ (should .*?)( after validation)?(, (unable|got|not) .*)?$", re.DOTALL)
"""The common form of pydantic's messages: "Input should be a valid number, unable to parse string …"."""


def _name(location: Iterable[int | str]) -> str:
    """Return the path of a field, without what pydantic adds for the branches of a union."""
    parts = [part for part in location if not isinstance(part, str) or part.isidentifier()]
    return ".".join(str(part) for part in parts if not (isinstance(part, str) and (part[0].isupper() or part == "str")))


def _shown(value: object) -> str:
    """Return a client's value as short JSON."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        value = value[:_MAX_SHOWN] + "…"
    return json.dumps(value, ensure_ascii=False)
