"""Whether the server is well, as Docker, the Supervisor and Prometheus ask: while it loads, speaks, and is hurt."""

import asyncio
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession

from tests.api.quiet import quiet_app, serving
from tests.conftest import CUSTOM_VOICE, Server, StartServer
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.health import Health, Level, judge, tell_speed
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.core.request import FRAME_SAMPLES
from wyoming_qwen3.models.state import State, Status

MISSING = f"{CUSTOM_VOICE.name} is not in the models folder."


@pytest.mark.parametrize("standby", [False, True])
@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        (State.READY, None, ("ok", None, True)),
        (State.ON_DISK, None, ("ok", None, True)),
        (State.LOADING, None, ("loading", None, True)),
        (State.DOWNLOADING, None, ("loading", None, False)),
        (State.MISSING, None, ("degraded", MISSING, False)),
        (State.MISSING, ModelFailed("No network."), ("degraded", "No network.", False)),
        (State.FAILED, ModelFailed("It is damaged."), ("degraded", "It is damaged.", False)),
    ],
)
def test_what_is_well(
    state: State, error: ModelFailed | None, expected: tuple[Level, str | None, bool], standby: bool
) -> None:
    """The last of what is expected is whether it speaks without the standby voice."""
    level, reason, alone = expected
    main = Status(CUSTOM_VOICE, state, None, None, error, 0, 0, 0, None)
    assert judge(main, standby=standby) == (level, reason, alone or standby)


@pytest.mark.parametrize(("standby", "level"), [(True, "ok"), (False, "loading")])
def test_where_there_is_only_the_standby_voice_no_checkpoint_counts(standby: bool, level: Level) -> None:
    assert judge(None, standby=standby) == (level, None, standby)


@pytest.mark.parametrize(("speed", "more"), [(1.55, ""), (0.76, " Speech that is slower")])
def test_the_speed_is_told_with_what_to_do_about_it(speed: float, more: str) -> None:
    """That of the size that speaks, if it is known."""
    other = Status(Checkpoint("base", "1.7B"), State.READY, None, None, None, 0, 0, 0, None, "int8", 0.4)
    main = Status(CUSTOM_VOICE, State.READY, None, None, None, 0, 0, 0, None, "int4", speed)
    told = tell_speed([other, main], CUSTOM_VOICE.size)
    assert told is not None
    assert told.startswith(f"This machine speaks {CUSTOM_VOICE.size} in int4 at {speed:.2g} times real time.{more}")
    assert ("docs/scaling.md" in told) == bool(more)
    assert "0.4 times" in str(tell_speed([other, replace(main, speed=None)], CUSTOM_VOICE.size))
    assert tell_speed([replace(main, speed=None)], CUSTOM_VOICE.size) is None


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--device", "cpu", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0")


async def health(http: ClientSession) -> tuple[int, dict[str, Any]]:
    async with http.get("/health") as response:
        told: dict[str, Any] = await response.json()
        Health.model_validate(told, strict=True)
        return response.status, told


def state(told: dict[str, Any]) -> str:
    """That of the checkpoint that speaks."""
    return next(str(model["state"]) for model in told["models"] if model["name"] == CUSTOM_VOICE.name)


async def wait_for_state(http: ClientSession, wanted: str) -> list[tuple[int, str, str]]:
    """What was told until then: HTTP status, the server's and the checkpoint's."""
    said: list[tuple[int, str, str]] = []
    async with asyncio.timeout(HANG_SECONDS):
        while not said or said[-1][2] != wanted:
            status, told = await health(http)
            said.append((status, told["status"], state(told)))
            await asyncio.sleep(0.01)
    return said


async def metrics(http: ClientSession) -> dict[str, float]:
    """Samples by name and labels, as they are written."""
    async with http.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = (await response.text()).splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


async def test_loading_is_told_and_then_ready(http: ClientSession) -> None:
    """From the first answer on a request would be spoken, if a little later."""
    said = await wait_for_state(http, "ready")
    assert {one for one in said if one[2] == "loading"} == {(200, "loading", "loading")}
    assert said[-1] == (200, "ok", "ready")
    _, told = await health(http)
    assert (told["backend"], told["standby"], told["reason"], told["active"], told["queue"]) == (
        *("native", False, None),
        *(0, 0),
    )
    assert len(told["models"]) == 5


async def test_an_engine_that_is_killed_is_told_and_comes_back(server: Server, http: ClientSession) -> None:
    await wait_for_state(http, "ready")
    (engine,) = server.children("engine.host.process")
    assert (await metrics(http))['tts_engine_resident_bytes{engine="native"}'] == pytest.approx(
        psutil.Process(engine).memory_info().rss, rel=0.2
    )
    os.kill(engine, signal.SIGKILL)
    await wait_for_state(http, "loading")
    said = await wait_for_state(http, "ready")
    assert {status for status, _, _ in said} == {200}
    assert server.children("engine.host.process") != [engine]


async def test_what_is_spoken_is_counted_by_how_it_ended(http: ClientSession) -> None:
    await wait_for_state(http, "ready")
    body = {"input": "It is late.", "response_format": "pcm", "stream": False}
    async with http.post("/v1/audio/speech", json=body) as response:
        seconds = len(await response.read()) / 48_000
    async with http.post("/v1/audio/speech", json=body | {"max_new_tokens": 2}) as response:
        assert len(await response.read()) == 2 * 2 * FRAME_SAMPLES
    told = await metrics(http)
    model = f'{{model="{CUSTOM_VOICE.name}"'
    assert told[f'tts_requests_total{model},outcome="whole",source="speech"}}'] == 1
    assert told[f'tts_requests_total{model},outcome="cut",source="speech"}}'] == 1
    assert seconds <= told[f"tts_audio_seconds_total{model}}}"] < seconds + 0.2
    assert told[f"tts_first_audio_seconds_count{model}}}"] >= 1
    assert told[f"tts_generation_speed_count{model}}}"] >= 1
    assert told["tts_models_loaded"] == 1
    assert told["tts_model_bytes"] > 0
    assert (told["tts_queue_active"], told["tts_queue_waiting"]) == (0, 0)
    assert told['tts_engine_resident_bytes{engine="standby"}'] == 0


async def test_what_is_being_spoken_is_told(http: ClientSession) -> None:
    await wait_for_state(http, "ready")
    async with http.post("/v1/audio/speech", json={"input": "The front door is open. " * 150}) as speech:
        await speech.content.readany()
        assert (await metrics(http))["tts_queue_active"] == 1
        assert (await health(http))[1]["active"] == 1


async def test_without_a_model_and_a_standby_voice_it_is_not_well(tmp_path: Path) -> None:
    """But nothing is said to be missing before the folder was looked at."""
    app = quiet_app(tmp_path)
    async with serving(app) as client:
        async with client.get("/health") as response:
            assert (response.status, (await response.json())["status"]) == (200, "loading")
        await app[SERVICES].models.survey()
        async with client.get("/health") as response:
            assert response.status == 503
            told = await response.json()
    assert (told["status"], told["reason"]) == ("degraded", MISSING)


async def test_what_the_machine_can_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    async with serving(quiet_app(tmp_path / "not" / "yet")) as client, client.get("/api/machine") as response:
        told = await response.json()
    assert (told["size"], told["processors"] >= 1, told["memory_free_bytes"] > 0) == ("0.6B", True, True)
    assert (told["host"], told["hub"], told["speeds"]) == (socket.gethostname(), "hub.example", [])
    assert told["disk_free_bytes"] > 0
    assert [(use["size"], use["device"]) for use in told["uses"]] == [
        ("1.7B", "cuda"),
        ("0.6B", "cuda"),
        ("0.6B", "cpu"),
    ]
    assert [use["possible"] for use in told["uses"][:2]] == [False, False]
    assert (told["device"], told["device_reason"], told["gpu_free_bytes"]) == (None, None, None)


async def test_what_the_engine_computes_on_is_told_with_the_reason(http: ClientSession) -> None:
    """On every surface the same sentence, once the engine is up."""
    await wait_for_state(http, "ready")
    _, told = await health(http)
    async with http.get("/api/machine") as response:
        machine = await response.json()
    assert told["device"] == machine["device"] == "cpu"
    assert told["device_reason"] == machine["device_reason"] == "Speech runs on the CPU, as --device cpu says."
    assert machine["gpu_free_bytes"] is None


async def test_the_standby_voice_alone_is_well(start_server: StartServer) -> None:
    server = start_server("--standby", "only", "--model", "0.6B")
    async with ClientSession(server.url) as http, asyncio.timeout(HANG_SECONDS):
        while (told := await health(http))[0] != 200:
            assert told[1]["status"] == "loading"
            await asyncio.sleep(0.02)
        assert (told[1]["status"], told[1]["standby"]) == ("ok", True)
        for name, loaded in {"qwen3-tts": True, "standby": True, "qwen3-tts-0.6b-customvoice": False}.items():
            async with http.get(f"/v1/models/{name}") as response:
                assert (await response.json())["loaded"] is loaded
