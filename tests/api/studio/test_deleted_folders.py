"""Folders that somebody deletes, or that can't be written, while the server runs: each request says so or goes on."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from tests.api.voices.forms import form
from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS

TEXT = "The front door is open."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The server's stores."""
    return tmp_path / "data" / "store"


@pytest.fixture
def server(start_server: StartServer, folder: Path) -> Server:
    options = ("--standby", "only", "--no-download", "--local-files-only", "--data-dir", str(folder.parent))
    return start_server(*options)


@pytest.fixture
async def http(server: Server) -> AsyncIterator[ClientSession]:
    async with ClientSession(server.url, timeout=ClientTimeout(HANG_SECONDS)) as session:
        yield session


async def asked(http: ClientSession, method: str, path: str, **more: Any) -> tuple[int, Any]:
    async with http.request(method, path, **more) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else await response.read()


async def speak(http: ClientSession) -> tuple[str, bytes]:
    body = {"input": TEXT, "response_format": "wav", "save": True}
    async with http.post("/v1/audio/speech", json=body) as response:
        assert response.status == 200
        return response.headers["X-History-Id"], await response.read()


async def test_what_is_deleted_is_made_anew(server: Server, http: ClientSession, folder: Path) -> None:
    before, sound = await speak(http)
    assert (await asked(http, "GET", f"/api/history/{before}"))[0] == 200
    made = {"name": "Anna", "voice": "Ryan", "speed": 0.9}
    assert (await asked(http, "POST", "/api/profiles", json=made))[0] == 201
    _, clip = await asked(http, "POST", "/api/clips", data=form(("file", sound)))
    shutil.rmtree(folder)
    assert (await asked(http, "GET", "/api/history"))[1]["total"] == 0
    assert (await asked(http, "GET", f"/api/history/{before}"))[0] == 404
    assert (await asked(http, "GET", clip["url"]))[0] == 404
    status, answer = await asked(http, "PUT", "/api/profiles/Anna", json={"name": "Annie"})
    assert (status, answer["error"]["message"]) == (
        507,
        "The files of the voice 'Anna' were deleted; delete the voice and make it again.",
    )
    after, _ = await speak(http)
    assert (await asked(http, "GET", f"/api/history/{after}/audio"))[0] == 200
    assert (await asked(http, "POST", "/api/clips", data=form(("file", sound))))[0] == 201
    assert (await asked(http, "POST", "/api/profiles", json={**made, "name": "Berta"}))[0] == 201
    assert (await asked(http, "PUT", "/api/voices/default", json={"voice": "Berta"}))[0] == 200
    assert (await asked(http, "PUT", "/api/voices/aliases", json={"aliases": {"nova": "Berta"}}))[0] == 200
    assert (await asked(http, "DELETE", "/api/profiles/Anna"))[0] == 200
    log = server.log
    for name in ("history/history.sqlite3", "history/audio", "clips", "voices"):
        assert f"{folder / name} was deleted while the server was running; " in log
    assert "Traceback" not in log


async def test_speech_that_can_not_be_stored_says_why(server: Server, http: ClientSession, folder: Path) -> None:
    """By its ID, and among the warnings of speech that ends after the disk has failed."""
    shutil.rmtree(folder / "history" / "audio")
    (folder / "history" / "audio").touch()
    lost, sound = await speak(http)
    assert sound[:4] == b"RIFF"
    why = "This speech is not kept in the history: The server could not use its disk: File exists."
    for path in (f"/api/history/{lost}", f"/api/history/{lost}/audio"):
        status, answer = await asked(http, "GET", path)
        assert (status, answer["error"]["code"], answer["error"]["message"]) == (507, "storage_failed", why)
    whole = {"input": f"{TEXT} " * 20, "save": True, "stream": False}
    async with http.post("/v1/audio/speech", json=whole) as response:
        assert response.status == 200
        assert response.headers["X-Warning"].endswith(why)
