"""Long work that goes on without its client: followed, found again, stopped, and forgotten."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api import tasks
from wyoming_qwen3.api.tasks import LongTask, LongTasks
from wyoming_qwen3.core.errors import NotFound, QueueFull
from wyoming_qwen3.models.state import CheckpointStates

ROUTE = "/v1/audio/conversation"
SCRIPT = "[Ryan] Is the door open?\n[Serena] It is.\n[Ryan] Thank you."
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0")


@pytest.fixture
async def http(server: Server) -> AsyncIterator[ClientSession]:
    async with ClientSession(server.url, timeout=ClientTimeout(HANG_SECONDS)) as session:
        yield session


async def begin(http: ClientSession, script: str = SCRIPT) -> str:
    """Start a conversation and hang up; the path of its task."""
    async with http.post(ROUTE, json={"script": script, "return": "json"}, headers=ASYNC) as response:
        assert (response.status, response.headers["Preference-Applied"]) == (202, "respond-async")
        path = response.headers["Location"]
        assert path == f"/api/tasks/{(await response.json())['task']}"
    return path


async def events(http: ClientSession, path: str) -> list[dict[str, Any]]:
    """All events of a task up to its end."""
    async with http.get(path) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        return [json.loads(line.removeprefix(b"data: ")) async for line in response.content if line[:5] == b"data:"]


async def test_work_goes_on_without_its_client_and_can_be_followed_by_many(http: ClientSession) -> None:
    path = await begin(http)
    first, second = await asyncio.gather(events(http, path), events(http, path))
    assert first[-1] == second[-1]
    assert first[-1]["type"] == "conversation.done"
    assert len(first[-1]["conversation"]["turns"]) == 3
    assert [event for event in first[:-1] if not (event["stage"] and event["seconds"] >= 0)] == []
    assert await events(http, path) == first[-1:]
    async with http.get(first[-1]["conversation"]["audio_url"]) as response:
        assert response.status == 200


async def test_work_is_stopped(server: Server, http: ClientSession) -> None:
    path = await begin(http, "\n".join([f"[Ryan] {'The front door is open. ' * 40}"] * 20))
    async with http.delete(path) as response:
        assert (response.status, (await response.json())["stopped"]) == (200, True)
    last = (await events(http, path))[-1]
    assert (last["type"], last["error"]["message"]) == ("error", "This was stopped before it was complete.")
    async with asyncio.timeout(HANG_SECONDS), http.get("/health") as response:
        assert (await response.json())["active"] == 0
    assert "A task of kind" not in server.log


async def test_what_is_wrong_beforehand_has_a_status_and_no_task(http: ClientSession) -> None:
    async with http.post(ROUTE, json={"script": "", "return": "json"}, headers=ASYNC) as response:
        assert response.status == 400
    for method in ("GET", "DELETE"):
        async with http.request(method, "/api/tasks/unknown") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")


# In this process, without an engine.


def made(work: tasks.Work) -> LongTask:
    return LongTask(CheckpointStates().watch, (), work, "test.progress", logging.getLogger().debug)


async def test_an_error_of_ours_is_the_last_event_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def work(_: object) -> dict[str, str]:
        raise ValueError("secret")

    (event,) = [event async for event in made(work).events()]
    assert event is not None
    assert event["error"]["message"] == "The server failed on this request; its log says why."
    assert "secret" in caplog.text


async def test_ended_tasks_are_forgotten_and_running_ones_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_MAX_KEPT", 2)
    going = asyncio.Event()

    async def work(_: object) -> dict[str, str]:
        await going.wait()
        return {"type": "done"}

    async def quick(_: object) -> dict[str, str]:
        return {"type": "done"}

    kept = LongTasks()
    for task in (ended := made(quick), made(work)):
        kept.check_room()
        kept.add(task)
    assert [event async for event in ended.events()] == [{"type": "done"}]
    kept.check_room()
    with pytest.raises(NotFound):
        kept.get(ended.id)
    kept.add(made(work))
    with pytest.raises(QueueFull):
        kept.check_room()
    await kept.close()
