"""GET /openapi.json, generated from the operations and their models."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from wyoming_qwen3 import __version__

from .body import FormShape
from .operation import Content, Handler, Operation, Resource

_COMMON_ERRORS = (400, 401, 403)
_BODY_ERRORS = (408, 413, 415)


class ErrorDetail(BaseModel):
    """An error in OpenAI's format."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    """The body of every error answer."""

    error: ErrorDetail


def add_to(app: web.Application, described: Iterable[Resource]) -> None:
    """Serve the document for these resources."""
    app.router.add_get("/openapi.json", _serve(described))


def describe(described: Iterable[Resource]) -> dict[str, Any]:
    """Return the OpenAPI document of these resources: https://spec.openapis.org/oas/v3.1.0 ."""
    described = list(described)
    operations = [(operation, resource.tag) for resource in described for operation in resource.operations]
    schemas, components = _schemas([ErrorAnswer, *_models(operation for operation, _ in operations)])
    paths: dict[str, dict[str, Any]] = {}
    for operation, tag in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, tag, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "wyoming-qwen3", "version": __version__, "description": "Speech by Qwen3-TTS."},
        "tags": [{"name": name} for name in dict.fromkeys(resource.tag for resource in described)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _models(operations: Iterable[Operation]) -> list[type[BaseModel]]:
    """Return all models that the document names. Query parameters are written out at their operations."""
    found: dict[type[BaseModel], None] = {}
    for operation in operations:
        answered = [model for content in operation.answers.values() for model in content.values()]
        found |= dict.fromkeys(model for model in (operation.body, operation.fields, *answered) if model)
    return list(found)


def _schemas(models: list[type[BaseModel]]) -> tuple[dict[type[BaseModel], dict[str, Any]], dict[str, Any]]:
    """Return a reference for each model, and the components that the references lead to."""
    wanted = [(model, "validation") for model in models]
    found, document = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {model: found[model, "validation"] for model in models}, document.get("$defs", {})


def _described(operation: Operation, tag: str, schemas: Mapping[type[BaseModel], Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": operation.summary,
        "description": operation.handler.__doc__ or "",
        "tags": [tag],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {
            **{str(status): _answer(status, content, schemas) for status, content in operation.answers.items()},
            **{str(status): _error(status, schemas) for status in _errors(operation)},
        },
    }
    content: dict[str, Any] = {}
    if operation.body:
        content["application/json"] = {"schema": schemas[operation.body]}
    if operation.form:
        content["multipart/form-data"] = {"schema": _form(operation.form, operation.fields, schemas)}
    if content:
        described["requestBody"] = {"required": operation.body_required, "content": content}
    return described


def _form(shape: FormShape, fields: type[BaseModel] | None, schemas: Mapping[type[BaseModel], Any]) -> dict[str, Any]:
    """Return the schema of a form: its files, and the text fields of a model."""
    properties = {
        name: _FILE if most == 1 else {"type": "array", "items": _FILE, "maxItems": most}
        for name, most in shape.files.items()
    }
    files = {"type": "object", "properties": properties, "required": list(shape.required)}
    return {"allOf": [files, schemas[fields]]} if fields else files


_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", operation.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    properties = operation.query.model_json_schema()["properties"] if operation.query else {}
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _answer(status: int, content: Content, schemas: Mapping[type[BaseModel], Any]) -> dict[str, Any]:
    told = {media_type: {"schema": schemas[model]} if model else {} for media_type, model in content.items()}
    return {"description": HTTPStatus(status).phrase, "content": told}


def _errors(operation: Operation) -> list[int]:
    common = (*_COMMON_ERRORS, *(_BODY_ERRORS if operation.body or operation.form else ()))
    return sorted({*common, *operation.errors} - set(operation.answers))


def _error(status: int, schemas: Mapping[type[BaseModel], Any]) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": schemas[ErrorAnswer]}},
    }


def _serve(described: Iterable[Resource]) -> Handler:
    """Return a handler that makes the document at the first request, on a thread because that takes some 50 ms."""
    document: bytes | None = None

    async def serve(_: web.Request) -> web.StreamResponse:
        nonlocal document
        if document is None:
            document = await asyncio.to_thread(lambda: json.dumps(describe(described)).encode())
        return web.Response(body=document, content_type="application/json")

    return serve
