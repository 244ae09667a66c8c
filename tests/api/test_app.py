"""What all routes have in common, in this process and without an engine."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError, web
from prometheus_client.parser import text_string_to_metric_families

from tests.api.quiet import Client, quiet_app, serving
from tests.ports import free_port
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api import app
from wyoming_qwen3.core.errors import EngineFailed, SpeechError


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    routes = quiet_app(tmp_path)
    routes.router.add_get("/broken", _broken)
    routes.router.add_get("/cut/{error}", _cut)
    async with serving(routes) as client:
        yield client


async def _broken(_: web.Request) -> web.StreamResponse:
    raise RuntimeError("/secret/path")


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"some of it")
    raise RuntimeError if request.match_info["error"] == "unexpected" else EngineFailed("The engine died.")


async def test_every_answer_names_itself_and_no_library(client: Client) -> None:
    for path in ("/health", "/nowhere", "/broken", "/docs.js"):
        async with client.get(path) as response:
            assert response.headers["Server"] == "wyoming-qwen3"
            assert len(response.headers["X-Request-Id"]) == 32
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unknown_path_is_told_in_our_shape(client: Client) -> None:
    async with client.get("/v1/nowhere") as response:
        assert response.status == 404
        assert await response.json() == {
            "error": {
                "message": "There is nothing at /v1/nowhere; speech is at POST /v1/audio/speech, and /docs lists all "
                "that there is.",
                "type": "invalid_request_error",
                "param": None,
                "code": "not_found",
            }
        }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/health", "GET, HEAD"),
        ("PUT", "/v1/audio/speech", "GET, HEAD, POST"),
        ("HEAD", "/api/models/load", "POST"),
        ("OPTIONS", "/v1/audio/voices", "GET, HEAD, POST"),
    ],
)
async def test_another_method_is_told_which_are_taken(client: Client, method: str, path: str, allowed: str) -> None:
    async with client.request(method, path) as response:
        assert response.status == 405
        assert response.headers["Allow"] == allowed
        if method != "HEAD":
            error = (await response.json())["error"]
            assert error["code"] == "method_not_allowed"
            assert error["message"] == f"{path} takes {allowed}, not {method}."


async def test_head_answers_as_get_does_without_a_body(client: Client) -> None:
    assert client.app
    routes = [route for route in client.app.router.routes() if route.method == "HEAD" and route.resource]
    paths = {route.resource.canonical.replace("{id}", "qwen3-tts") for route in routes if route.resource}
    for path in sorted(paths - {"/broken", "/cut/{error}"}):
        async with client.head(path) as head, client.get(path) as got:
            assert head.status == got.status
            assert head.content_type == got.content_type
            assert await head.read() == b""


async def test_a_fault_of_ours_is_an_answer_that_says_nothing_of_it(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async with client.get("/broken") as response:
        assert response.status == 500
        assert response.headers["X-Should-Retry"] == "false"
        assert (await response.json())["error"] == {
            "message": "The server failed on this request; its log says why.",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        }
    assert "/secret/path" in caplog.text


@pytest.mark.parametrize("error", ["expected", "unexpected"])
async def test_an_answer_that_has_begun_is_cut_and_not_followed_by_another(client: Client, error: str) -> None:
    async with client.get(f"/cut/{error}") as response:
        assert response.status == 200
        with pytest.raises(ClientPayloadError):
            await response.read()


async def test_answers_are_counted_by_route_and_status(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    for path in ("/v1/models/qwen3-tts", "/v1/models/qwen3-tts-0.6b", "/v1/models/nobody", "/nowhere", "/broken"):
        (await client.get(path)).close()
    async with client.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        counted = {
            (sample.labels["route"], sample.labels["status"]): sample.value
            for family in families
            for sample in family.samples
            if sample.name == "tts_http_answers_total"
        }
    assert counted == {
        ("/v1/models/{id}", "200"): 2,
        ("/v1/models/{id}", "404"): 1,
        ("unknown", "404"): 1,
        ("/broken", "500"): 1,
    }


@pytest.mark.parametrize("sent", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
async def test_what_is_no_http_does_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    port = free_port()
    async with app.serving(quiet_app(tmp_path), "127.0.0.1", port), asyncio.timeout(HANG_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent + b"\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
        writer.close()
    assert not caplog.records


async def test_an_address_that_is_taken_is_said(tmp_path: Path) -> None:
    port = free_port()
    async with app.serving(quiet_app(tmp_path), "127.0.0.1", port):
        with pytest.raises(SpeechError, match=f"Can't serve HTTP at 127.0.0.1:{port}: "):
            async with app.serving(quiet_app(tmp_path), "127.0.0.1", port):
                pass
