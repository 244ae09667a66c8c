"""Requests -> pydantic models, and what is wrong with them in one sentence a field."""

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from wyoming_qwen3.errors import InvalidRequest

from .body import read_json

_Model = TypeVar("_Model", bound=BaseModel)

_SMALL = 64 * 1024
"""Bytes of JSON that take the event loop less than a millisecond."""

_MOST_TOLD = 5


class Fields(BaseModel):
    """A request's fields. Unknown ones are accepted, and named in the answer's X-Ignored-Fields."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Query(BaseModel):
    """A request's query parameters."""

    model_config = ConfigDict(extra="ignore")


async def parse_body(request: web.Request, model: type[_Model], limit: int) -> _Model:
    """The JSON body, of at most `limit` bytes. Raises InvalidRequest, TooLarge or HttpError."""
    data = await read_json(request, limit)
    try:
        if len(data) <= _SMALL:
            return model.model_validate_json(data)
        return await asyncio.to_thread(model.model_validate_json, data)
    except ValidationError as error:
        raise _invalid(error) from None


def parse_query(request: web.Request, model: type[_Model]) -> _Model:
    """The query parameters. Raises InvalidRequest."""
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise _invalid(error) from None


def parse_json(data: str | bytes, model: type[_Model]) -> _Model:
    """A message of a socket. Raises InvalidRequest."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise _invalid(error) from None


def ignored_headers(*models: BaseModel) -> dict[str, str]:
    """Header that names the fields nobody looked at."""
    names = sorted({name for model in models for name in model.model_extra or {}})
    listed = ", ".join(name.encode("ascii", "backslashreplace").decode() for name in names)
    visible = "".join(letter if letter.isprintable() else "?" for letter in listed)
    return {"X-Ignored-Fields": visible[:500]} if names else {}


def _invalid(error: ValidationError) -> InvalidRequest:
    found: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=False):
        found.setdefault(_name(detail["loc"]), _sentence(detail))
    names = list(found)
    return InvalidRequest(" ".join(list(found.values())[:_MOST_TOLD]), param=names[0] or None)


def _sentence(detail: ErrorDetails) -> str:
    name, message = _name(detail["loc"]), detail["msg"].removesuffix(".")
    if detail["type"] == "missing":
        return f"{name} is missing."
    if detail["type"] == "json_invalid":
        return f"The body is not valid JSON: {message.removeprefix('Invalid JSON: ')}."
    if not name:
        return f"The body must be a JSON object: {message[0].lower()}{message[1:]}."
    return f"{name}: {message[0].lower()}{message[1:]}, but is {_shown(detail['input'])}."


def _name(location: Iterable[int | str]) -> str:
    """Path of a field; what pydantic adds for the branches of a union is left out."""
    parts = [part for part in location if not isinstance(part, str) or part.isidentifier()]
    return ".".join(str(part) for part in parts if not (isinstance(part, str) and (part[0].isupper() or part == "str")))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
