"""The document that describes the API, and the page that shows it; in this process and without an engine."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.quiet import Client, quiet_app, serving
from wyoming_qwen3.api.access import is_open
from wyoming_qwen3.api.app import RESOURCES
from wyoming_qwen3.api.openapi import describe

PAGE = {"/openapi.json", "/", "/docs", "/docs.js", "/docs.css", "/app.css", "/icon.svg"}
SOCKETS = {"/v1/realtime", "/v1/audio/speech/stream"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(quiet_app(tmp_path)) as client:
        yield client


def references(part: Any) -> Iterator[str]:
    """All `$ref`s below a part of a document."""
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from references(one)


async def test_the_document_is_openapi_and_always_the_same(client: Client) -> None:
    async with client.get("/openapi.json") as response:
        assert response.content_type == "application/json"
        document = await response.json()
    assert document["openapi"] == "3.1.0"
    assert document == describe(RESOURCES)
    assert json.dumps(describe(RESOURCES)) == json.dumps(describe(RESOURCES))
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    assert schema.statistic.operations.total == sum(len(methods) for methods in document["paths"].values())


def test_every_reference_leads_to_a_schema_and_every_schema_is_referred_to() -> None:
    document = describe(RESOURCES)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) == known


def test_operations_have_names_of_their_own_and_say_what_they_do() -> None:
    operations = [one for methods in describe(RESOURCES)["paths"].values() for one in methods.values()]
    assert Counter(one["operationId"] for one in operations).most_common(1)[0][1] == 1
    assert all(one["summary"] and one["description"] for one in operations)


def forms() -> dict[str, Any]:
    """The schemas of all forms by operation."""
    operations = [one for methods in describe(RESOURCES)["paths"].values() for one in methods.values()]
    contents = {one["operationId"]: one["requestBody"]["content"] for one in operations if "requestBody" in one}
    kind = "multipart/form-data"
    return {name: content[kind]["schema"] for name, content in contents.items() if kind in content}


def test_a_form_with_one_file_names_it() -> None:
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    assert forms()["encode"] == {"type": "object", "properties": {"file": file}, "required": ["file"]}


def test_a_form_with_several_files_says_how_many_and_what_goes_with_them() -> None:
    """Effects are a list in JSON's body, and JSON in a form's field."""
    document = describe(RESOURCES)
    files, fields = forms()["create_profile"]["allOf"]
    samples = files["properties"]["samples"]
    assert (samples["type"], samples["maxItems"], files["required"]) == ("array", 16, [])
    named = document["components"]["schemas"][fields["$ref"].split("/")[-1]]["properties"]
    assert (named["ref_texts"]["type"], named["default_effects"]["type"][0]) == ("array", "string")
    body = document["paths"]["/api/profiles"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    plain = document["components"]["schemas"][body["$ref"].split("/")[-1]]["properties"]
    assert plain["default_effects"]["anyOf"][0]["type"] == "array"


def test_the_document_is_valid_openapi() -> None:
    document = json.loads(json.dumps(describe(RESOURCES)))
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_an_operation_that_takes_a_form_alone_tells_what_can_go_wrong_with_it() -> None:
    added = describe(RESOURCES)["paths"]["/api/profiles/{id}/samples"]["post"]
    assert list(added["requestBody"]["content"]) == ["multipart/form-data"]
    assert {"400", "404", "408", "413", "415"} <= set(added["responses"])


async def test_every_route_but_sockets_and_the_page_itself_is_described(client: Client) -> None:
    assert client.app
    served = {
        (route.method, route.resource.canonical)
        for route in client.app.router.routes()
        if route.resource and route.method != "HEAD"
    }
    also = {path for resource in RESOURCES for operation in resource.operations for path in operation.also}
    served = {one for one in served if one[1] not in also and not one[1].startswith("/{_base}")}
    paths = describe(RESOURCES)["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {
        one for one in served if one[1] not in PAGE | SOCKETS and not one[1].startswith(("/js/", "/lang/"))
    } == described


async def test_the_page_runs_nothing_but_its_own_files(client: Client) -> None:
    async with client.get("/docs") as response:
        assert response.content_type == "text/html"
        policy = response.headers["Content-Security-Policy"]
        page = await response.text()
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert set(links) == {"docs.js", "docs.css", "openapi.json"}  # relative: another server may be before this one
    for link in links:
        async with client.get(f"/{link}") as response:
            assert response.status == 200
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.content_type in {"text/javascript", "text/css", "application/json"}


def test_the_page_needs_no_key() -> None:
    assert all(is_open("GET", path) and not is_open("POST", path) for path in PAGE)
