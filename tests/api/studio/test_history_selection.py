"""Many entries of the history at once: deleted, exported, and drawn without their audio."""

import io
import json
import zipfile
from collections.abc import AsyncIterator

import numpy as np
import pytest
import soundfile
from aiohttp import ClientSession, ClientTimeout

from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.request import SAMPLE_RATE

HISTORY = "/api/history"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
TEXTS = ("Is anyone there?", "../The kettle: it is warm!", "The kettle is warm.")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    return start_shared_server("--standby", "only", "--no-download", "--local-files-only")


@pytest.fixture
async def http(server: Server) -> AsyncIterator[ClientSession]:
    """A client of a server that has spoken all texts."""
    async with ClientSession(server.url, timeout=ClientTimeout(HANG_SECONDS)) as session:
        async with session.delete(f"{HISTORY}?all=true") as response:
            assert response.status == 200
        for text in TEXTS:
            async with session.post("/v1/audio/speech", json={"input": text, "save": True}) as response:
                assert await response.read()
        yield session


async def entries(http: ClientSession) -> list[dict[str, object]]:
    """All entries, the oldest first."""
    async with http.get(f"{HISTORY}?order=asc") as response:
        items: list[dict[str, object]] = (await response.json())["items"]
        return items


async def test_a_selection_is_deleted_and_what_is_gone_is_ignored(http: ClientSession) -> None:
    first, second, third = await entries(http)
    body = {"ids": [first["id"], third["id"], third["id"], UNKNOWN]}
    for deleted in (2, 0):
        async with http.post(f"{HISTORY}/delete", json=body) as response:
            assert (response.status, (await response.json())["deleted"]) == (200, deleted)
    assert [entry["id"] for entry in await entries(http)] == [second["id"]]


async def test_a_selection_is_exported_with_what_is_known_about_it(http: ClientSession) -> None:
    known = (await entries(http))[:2]
    async with http.post(f"{HISTORY}/export", json={"ids": [entry["id"] for entry in known]}) as response:
        assert (response.status, response.content_type) == (200, "application/zip")
        archive = zipfile.ZipFile(io.BytesIO(await response.read()))
    told = json.loads(archive.read("history.json"))
    assert [{name: entry[name] for name in known[0]} for entry in told] == known
    assert [entry["file"] for entry in told] == ["001 Is anyone there.flac", "002 The kettle it is warm.flac"]
    for entry in told:
        async with http.get(entry["audio_url"]) as response:
            assert archive.read(entry["file"]) == await response.read()


async def test_a_sound_is_drawn_as_loud_as_it_is(http: ClientSession) -> None:
    entry = (await entries(http))[0]
    async with http.get(str(entry["audio_url"])) as response:
        samples, rate = soundfile.read(io.BytesIO(await response.read()))
    assert rate == SAMPLE_RATE
    async with http.get(f"{HISTORY}/{entry['id']}/peaks?count=50") as response:
        peaks = (await response.json())["peaks"]
    size = -(-samples.size // 50)
    expected = [np.abs(samples[at : at + size]).max() for at in range(0, samples.size, size)]
    assert peaks == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("delete", {"ids": []}, 400),
        ("delete", {"ids": [UNKNOWN] * 201}, 400),
        ("delete", {"ids": ["../../etc/passwd"]}, 404),
        ("export", {"ids": [UNKNOWN]}, 404),
    ],
)
async def test_what_is_no_selection_is_refused(http: ClientSession, path: str, body: object, status: int) -> None:
    async with http.post(f"{HISTORY}/{path}", json=body) as response:
        assert response.status == status
    assert len(await entries(http)) == len(TEXTS)


@pytest.mark.parametrize("entry_id", [UNKNOWN, "..%2F..%2Fetc"])
async def test_what_is_not_there_has_no_picture(http: ClientSession, entry_id: str) -> None:
    async with http.get(f"{HISTORY}/{entry_id}/peaks") as response:
        assert response.status == 404
