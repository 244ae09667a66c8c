"""The checkpoints over HTTP: listed for programs, and looked after by a person, with a real engine and a real hub."""

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, StreamReader
from openai import AsyncOpenAI, NotFoundError

from tests.api.quiet import quiet_app, serving
from tests.conftest import Server, StartServer
from tests.hub import Hub
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.engine.checkpoint import on_disk
from wyoming_qwen3.models.broadcast import Subscription

CUSTOM, STYLED, BASE = (
    Checkpoint("custom_voice", "0.6B"),
    Checkpoint("custom_voice", "1.7B"),
    Checkpoint("base", "0.6B"),
)
CUSTOM_ID, STYLED_ID, BASE_ID = "qwen3-tts-0.6b-customvoice", "qwen3-tts-1.7b-customvoice", "qwen3-tts-0.6b-base"
DESIGN_ID = "qwen3-tts-1.7b-voicedesign"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Hub]:
    """Has the small Base alone."""
    root = tmp_path_factory.mktemp("hub")
    (root / "Qwen").mkdir()
    (root / "Qwen" / BASE.name).symlink_to(models_dir / BASE.name)
    with Hub(root) as hub:
        yield hub


@pytest.fixture(scope="module")
def server(
    start_shared_server: StartServer, tmp_path_factory: pytest.TempPathFactory, models_dir: Path, hub: Hub
) -> Server:
    """Has both CustomVoice, of which one fits into memory at a time, and downloads what a person asks for."""
    folder = tmp_path_factory.mktemp("own")
    for checkpoint in (CUSTOM, STYLED):
        (folder / checkpoint.name).symlink_to(models_dir / checkpoint.name)
    one = 2 * max(on_disk.footprint(models_dir / checkpoint.name) for checkpoint in (CUSTOM, STYLED, BASE)) + 1000
    options = ("--models-dir", str(folder), "--model", "0.6B", "--standby", "off", "--temperature", "0")
    more = ("--preload", "none", "--no-download", "--memory-budget", str(one), "--quantize", "none")
    return start_shared_server(*options, *more, HF_ENDPOINT=hub.url)


async def change(http: ClientSession, what: str, **body: object) -> tuple[int, Any]:
    async with http.post(f"/api/models/{what}", json=body) as response:
        return response.status, await response.json()


async def states(http: ClientSession) -> dict[str, str]:
    async with http.get("/api/models") as response:
        return {model["id"]: model["state"] for model in (await response.json())["models"]}


class Events:
    """What /api/models/events told of changes."""

    def __init__(self, lines: StreamReader) -> None:
        self._lines = lines

    async def until(self, kind: str, model_id: str) -> list[tuple[str, Any]]:
        """All events up to the first of that kind for that model."""
        told: list[tuple[str, Any]] = []
        while not told or (told[-1][0], told[-1][1]["id"]) != (kind, model_id):
            told.append(await self._next())
        return told

    async def _next(self) -> tuple[str, Any]:
        async with asyncio.timeout(HANG_SECONDS):
            name, data, end = [(await self._lines.readline()).decode() for _ in range(3)]
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}\n"
        assert end == "\n"
        return event["type"], event["model"]


@contextlib.asynccontextmanager
async def watching(http: ClientSession) -> AsyncIterator[Events]:
    """Events from now on, after the status of all five."""
    async with http.get("/api/models/events") as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-cache"
        events = Events(response.content)
        statuses = [await events._next() for _ in range(5)]
        assert {kind for kind, _ in statuses} == {"status"}
        yield events


def kinds(told: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(kind, model["id"]) for kind, model in told]


async def test_what_is_where_is_told_without_loading_it(server: Server, http: ClientSession) -> None:
    async with http.get("/api/models") as response:
        told = await response.json()
    assert (told["device"], told["device_memory_bytes"]) == (None, None)
    assert {model["id"]: model["state"] for model in told["models"]} == {
        STYLED_ID: "on disk",
        DESIGN_ID: "missing",
        "qwen3-tts-1.7b-base": "missing",
        CUSTOM_ID: "on disk",
        BASE_ID: "missing",
    }
    assert all((model["disk_bytes"] > 0) == (model["state"] == "on disk") for model in told["models"])
    assert server.children("engine.host.process") == []


async def test_loading_is_told_and_shows_everywhere(http: ClientSession) -> None:
    async with watching(http) as events:
        status, entry = await change(http, "load", model=CUSTOM_ID)
        told = await events.until("ready", CUSTOM_ID)
    assert status == 200
    assert (entry["id"], entry["name"], entry["state"]) == (CUSTOM_ID, CUSTOM.name, "ready")
    assert (entry["variant"], entry["size"]) == ("custom_voice", "0.6B")
    assert entry["memory_bytes"] > 0
    assert entry["last_used"] > 1.7e9
    assert kinds(told) == [("loading", CUSTOM_ID), ("ready", CUSTOM_ID)]
    async with http.get("/api/models") as response:
        assert (await response.json())["device"] == "cpu"
    async with http.get("/v1/models") as response:
        loaded = {model["id"]: model["loaded"] for model in (await response.json())["data"]}
    assert [name for name in loaded if loaded[name]] == ["qwen3-tts", CUSTOM_ID, "tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
    for name, is_loaded in {"tts-1": True, "qwen3-tts-0.6b": True, "qwen3-tts-1.7b": False, STYLED_ID: False}.items():
        async with http.get(f"/v1/models/{name}") as response:
            told = await response.json()
            assert told["loaded"] is is_loaded
            assert {"name": "Ryan", "language": "en", "gender": "male"} in told["voices"]


async def test_what_speaks_is_not_unloaded(http: ClientSession) -> None:
    async with http.post("/v1/audio/speech", json={"input": "The front door is open. " * 150}) as speech:
        await speech.content.readany()
        async with http.post("/api/models/unload", json={"model": CUSTOM_ID}) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert (await response.json())["error"]["code"] == "model_in_use"
        async with http.get("/api/models") as response:
            users = {model["id"]: model["users"] for model in (await response.json())["models"]}
        assert users[CUSTOM_ID] == 1


async def test_another_checkpoint_takes_the_room_of_the_first(http: ClientSession) -> None:
    async with watching(http) as events:
        status, entry = await change(http, "load", variant="custom_voice", size="1.7B")
        told = await events.until("ready", STYLED_ID)
    assert (status, entry["state"]) == (200, "ready")
    assert kinds(told) == [("loading", STYLED_ID), ("evicted", CUSTOM_ID), ("ready", STYLED_ID)]
    assert (await states(http))[CUSTOM_ID] == "on disk"


async def test_unloading_the_last_ends_the_engine(server: Server, http: ClientSession) -> None:
    async with watching(http) as events:
        status, entry = await change(http, "unload", model=STYLED_ID)
        assert kinds(await events.until("evicted", STYLED_ID)) == [("evicted", STYLED_ID)]
    assert (status, entry["state"], entry["memory_bytes"]) == (200, "on disk", 0)
    assert server.children("engine.host.process") == []
    status, answer = await change(http, "unload", model=STYLED_ID)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


async def test_loading_downloads_nothing_where_nothing_is_downloaded_by_itself(http: ClientSession, hub: Hub) -> None:
    status, answer = await change(http, "load", model=BASE_ID)
    assert (status, answer["error"]["code"]) == (503, "model_missing")
    assert hub.requests == []


async def test_a_download_is_told_in_bytes_and_can_be_stopped(http: ClientSession, hub: Hub) -> None:
    hub.faults.bytes_per_second = 500_000
    hub.faults.held = {"model.safetensors"}
    async with watching(http) as events:
        status, entry = await change(http, "download", model=BASE_ID)
        assert (status, entry["state"], entry["progress"]) == (200, "downloading", None)
        assert (await change(http, "download", model=BASE_ID))[0] == 200  # no harm in asking twice
        while not (progress := (await events.until("download", BASE_ID))[-1][1]["progress"]):
            pass
        total = sum(path.stat().st_size for path in hub.files(f"Qwen/{BASE.name}").values())
        assert 0 <= progress["done"] < progress["total"] <= total
        status, entry = await change(http, "download/cancel", model=BASE_ID)
        assert (status, entry["state"]) == (200, "missing")
        await events.until("missing", BASE_ID)
        assert (await change(http, "download/cancel", model=BASE_ID))[0] == 400
        hub.faults.bytes_per_second = None
        hub.faults.held.clear()
        assert (await change(http, "download", model=BASE_ID))[0] == 200
        told = await events.until("downloaded", BASE_ID)
    assert told[-1][1]["state"] == "on disk"
    assert (await change(http, "load", model=BASE_ID))[1]["state"] == "ready"


async def test_a_hub_without_it_is_told_as_a_failure(http: ClientSession) -> None:
    async with watching(http) as events:
        assert (await change(http, "download", model=DESIGN_ID))[0] == 200
        failed = (await events.until("failed", DESIGN_ID))[-1][1]
    assert (failed["state"], failed["error"]["code"]) == ("failed", "download_failed")
    status, answer = await change(http, "load", model=DESIGN_ID)
    assert (status, answer["error"]["code"]) == (503, "model_missing")


@pytest.mark.parametrize("what", ["load", "unload", "download", "download/cancel"])
@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "model"),
        ({"model": "qwen3-tts"}, 400, "model"),
        ({"model": "standby"}, 400, "model"),
        ({"model": BASE_ID, "variant": "custom_voice"}, 400, "model"),
        ({"model": BASE_ID, "size": "1.7B"}, 400, "model"),
        ({"variant": "large"}, 400, "variant"),
        ({"variant": "base", "size": "7B"}, 400, "size"),
        ({"model": "whisper-1"}, 404, "model"),
        ({"variant": "voice_design", "size": "0.6B"}, 404, "model"),
    ],
)
async def test_one_checkpoint_must_be_named(
    http: ClientSession, what: str, body: dict[str, Any], status: int, param: str
) -> None:
    answered, answer = await change(http, what, **body)
    assert (answered, answer["error"]["param"]) == (status, param)


async def test_an_offline_server_downloads_nothing(start_server: StartServer, tmp_path: Path) -> None:
    options = ("--models-dir", str(tmp_path), "--model", "0.6B", "--standby", "off", "--local-files-only")
    async with (
        ClientSession(start_server(*options).url) as http,
        http.post("/api/models/download", json={"model": CUSTOM_ID}) as response,
    ):
        assert response.status == 501
        assert (await response.json())["error"]["code"] == "not_supported"


async def test_a_listener_that_leaves_leaves_nothing_behind(tmp_path: Path) -> None:
    async with serving(quiet_app(tmp_path)) as client:
        before = len(asyncio.all_tasks())
        listening = [await client.get("/api/models/events") for _ in range(5)]
        assert len(asyncio.all_tasks()) > before
        for response in listening:
            response.close()
        async with asyncio.timeout(HANG_SECONDS):
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.01)
        gc.collect()
        assert not [one for one in gc.get_objects() if type(one) is Subscription]


@pytest.fixture
async def openai(tmp_path: Path) -> AsyncIterator[AsyncOpenAI]:
    async with serving(quiet_app(tmp_path)) as client:
        yield AsyncOpenAI(api_key="none", base_url=str(client.make_url("/v1")))


async def test_the_openai_sdk_finds_the_models(openai: AsyncOpenAI) -> None:
    listed = [model async for model in openai.models.list()]
    assert {CUSTOM_ID, STYLED_ID, BASE_ID, DESIGN_ID, "qwen3-tts", "standby"} < {model.id for model in listed}
    assert {(model.object, model.owned_by) for model in listed} == {("model", "qwen"), ("model", "wyoming-qwen3")}
    for name in (*(model.id for model in listed), "tts-1", "gpt-4o-mini-tts", f"Qwen/{BASE.name}"):
        assert (await openai.models.retrieve(name)).id == name


@pytest.mark.parametrize("name", ["whisper-1", "qwen3-tts-0.6b-voicedesign"])
async def test_the_openai_sdk_hears_that_there_is_no_such_model(openai: AsyncOpenAI, name: str) -> None:
    with pytest.raises(NotFoundError) as missing:
        await openai.models.retrieve(name)
    assert missing.value.code == "model_not_found"


async def test_open_webui_finds_ids(tmp_path: Path) -> None:
    async with serving(quiet_app(tmp_path)) as client, client.get("/v1/audio/models") as response:
        models = (await response.json())["models"]
    assert [model["id"] for model in models][:2] == ["qwen3-tts", STYLED_ID]
    assert all(model["name"] for model in models)
