"""URLs as people paste them together, lists that other servers' clients ask for, and speech as a URL."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api.quiet import Client, quiet_app, serving
from tests.conftest import Server, StartServer
from tests.parts import make_cast, make_services
from wyoming_qwen3.api.access import Access
from wyoming_qwen3.api.app import make_app
from wyoming_qwen3.api.app_keys import Config

KEY = "s3cret"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(quiet_app(tmp_path)) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    [
        "/v1/audio/speech",
        "/v1/audio/speech/",
        "/audio/speech",
        "/v1//audio/speech",
        "/v1/v1/audio/speech",
        "/v1/v1//audio/speech//",
    ],
)
async def test_speech_is_where_a_base_url_leads(client: Client, path: str) -> None:
    """Every variant comes to the same error, of the same handler: there is no text."""
    async with client.post(path, json={"input": " "}) as answer:
        assert (answer.status, (await answer.json())["error"]["param"]) == (400, "input")


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/audio/voices/tts-1", "/audio/voices", "/v1/audio/voices/"])
async def test_voices_are_listed_where_clients_look(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        assert "Ryan" in [voice["name"] for voice in (await answer.json())["voices"]]


async def test_speaches_clients_find_a_bare_list(client: Client) -> None:
    async with client.get("/v1/audio/speech/voices", params={"model_id": "tts-1"}) as answer:
        assert {"model_id": "tts-1", "voice_id": "Ryan", "name": "Ryan"} in await answer.json()


async def test_the_voices_of_no_model_are_not_found(client: Client) -> None:
    async with client.get("/v1/audio/voices/kokoro") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/models", "/v1/v1/models", "/v1/models/"])
async def test_models_are_listed_there_too(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        assert {"qwen3-tts", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"} <= {
            one["id"] for one in (await answer.json())["data"]
        }


@pytest.mark.parametrize("path", ["/v1/audio/speach", "/api/audio/speech", "/v2/audio/speech"])
async def test_a_path_that_is_near_is_told_the_right_one(client: Client, path: str) -> None:
    async with client.post(path, json={"input": "Hi."}) as answer:
        assert answer.status == 404
        assert "POST /v1/audio/speech" in (await answer.json())["error"]["message"]


def keyed(folder: Path, **access: Any) -> Any:
    config = Config(make_cast(), access=Access(KEY, **access))
    return make_app(make_services(folder, "--standby", "off"), config)


@pytest.mark.parametrize(
    ("access", "query", "status"),
    [
        ({}, {}, 401),
        ({}, {"key": KEY}, 401),
        ({"key_in_url": True}, {"key": "wrong"}, 401),
        ({"key_in_url": True}, {}, 401),
        ({"key_in_url": True}, {"key": KEY}, 400),
    ],
)
async def test_a_key_is_in_a_url_only_where_the_server_is_set_so(
    tmp_path: Path, access: dict[str, Any], query: dict[str, str], status: int
) -> None:
    """400 is what a blank text is answered with, once the key is right."""
    async with serving(keyed(tmp_path, **access)) as client:
        async with client.get("/v1/audio/speech", params=query | {"input": " "}) as answer:
            assert answer.status == status
        async with client.get("/api/models", params={"key": KEY}) as answer:
            assert answer.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example.org"},
        {"Origin": "null"},
    ],
)
async def test_pages_of_other_origins_play_nothing(client: Client, headers: dict[str, str]) -> None:
    for method in ("GET", "HEAD"):
        async with client.request(method, "/v1/audio/speech", params={"input": "Hi."}, headers=headers) as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({}, "input"),
        ({"input": "x" * 5000}, "input"),
        ({"input": "Hi.", "speed": "fast"}, "speed"),
        ({"input": "Hi.", "response_format": "ogg"}, "response_format"),
        ({"input": "Hi.", "voice": "nobody"}, "voice"),
    ],
)
async def test_a_url_has_the_limits_of_a_body(client: Client, query: dict[str, str], param: str) -> None:
    async with client.get("/v1/audio/speech", params=query) as answer:
        assert (answer.status, (await answer.json())["error"]["param"]) == (400, param)


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    return start_shared_server("--standby", "only")


async def test_a_url_is_played(server: Server) -> None:
    async with aiohttp.ClientSession(server.url) as http:
        query = {"input": "The door is open.", "response_format": "wav", "model": "tts-1"}
        async with http.get("/v1/audio/speech", params=query) as answer:
            played = await answer.read()
            assert (answer.status, answer.content_type, answer.headers["X-Model-Used"]) == (200, "audio/wav", "standby")
        async with http.post("/v1/audio/speech", json=query) as answer:
            assert await answer.read() == played
        async with http.head("/v1/audio/speech", params=query) as answer:
            assert (answer.status, answer.content_type) == (200, "audio/wav")
