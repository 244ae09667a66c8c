"""Requests -> pydantic models, and what is wrong with them in one sentence a field.

A body may have 25 MB, so what is told of it is bounded: a list in a model needs `fail_fast=True`, else each wrong item
of millions is an error of its own.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Iterable
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

from .body import read_json

_Model = TypeVar("_Model", bound=BaseModel)

_SMALL = 64 * 1024
"""Bytes of JSON that take the event loop less than a millisecond."""

_MAX_VALUES = 200_000
"""Three times what the longest list of tokens has."""

_SLICE = 256 * 1024

_MAX_TOLD = 5
"""Sentences in one error."""

_MAX_NAMES = 100
"""Ignored fields that are looked at."""

_MAX_SHOWN = 60
"""Characters of a value or a name that came from outside."""

_HEADER_LENGTH = 500


class Fields(BaseModel):
    """A request's fields. Unknown ones are accepted, and named in the answer's X-Ignored-Fields."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Query(BaseModel):
    """A request's query parameters."""

    model_config = ConfigDict(extra="ignore")


async def parse_body(request: web.Request, model: type[_Model], limit: int) -> _Model:
    """The JSON body, of at most `limit` bytes. Raises InvalidRequest, TooLarge or HttpError."""
    data = await read_json(request, limit)
    if len(data) <= _SMALL:
        return parse_json(data, model)
    return await asyncio.to_thread(_parse_large, data, model)


def parse_query(request: web.Request, model: type[_Model]) -> _Model:
    """The query parameters. Raises InvalidRequest."""
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise _invalid(error) from None


def parse_json(data: str | bytes, model: type[_Model]) -> _Model:
    """A JSON object in a body or in a message of a socket. Raises InvalidRequest."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise _invalid(error) from None


def ignored_headers(*models: BaseModel) -> dict[str, str]:
    """Header that names the fields nobody looked at, whatever is in their names."""
    given = itertools.chain.from_iterable(model.model_extra or () for model in models)
    names = sorted({name[:_MAX_SHOWN] for name in itertools.islice(given, _MAX_NAMES)})
    listed = header_text(", ".join(names))
    return {"X-Ignored-Fields": listed[:_HEADER_LENGTH]} if names else {}


def header_text(text: str) -> str:
    """Any text as a header's value: in ASCII, escaped as JSON does."""
    return json.dumps(text)[1:-1]


def _parse_large(data: bytes, model: type[_Model]) -> _Model:
    """Raises TooLarge for more values than any request needs: parsing them would hold the interpreter for seconds.

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
    # Of a union the branch that fits but for one field says more than those that don't fit at all.
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
"""What pydantic's messages have in common: "Input should be a valid number, unable to parse string …"."""


def _name(location: Iterable[int | str]) -> str:
    """Path of a field; what pydantic adds for the branches of a union is left out."""
    parts = [part for part in location if not isinstance(part, str) or part.isidentifier()]
    return ".".join(str(part) for part in parts if not (isinstance(part, str) and (part[0].isupper() or part == "str")))


def _shown(value: object) -> str:
    """A value from outside in JSON's spelling, in brief."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        value = value[:_MAX_SHOWN] + "…"
    return json.dumps(value, ensure_ascii=False)
