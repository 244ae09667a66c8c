"""What the standby voice left in Home Assistant's cache is cleared when Qwen3 can speak: once, late, or by a person."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.conftest import CUSTOM_VOICE, Server, StartServer, synthesize
from tests.parts import make_services, stop
from tests.supervisor import TOKEN, SupervisorApi, supervisor_api
from tests.vllm.conftest import serving, speaking
from tests.waiting import until
from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint
from wyoming_qwen3.core.errors import ModelFailed, OutOfMemory, SpeechError
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.models.state import State, Status
from wyoming_qwen3.ops.supervisor import Supervisor
from wyoming_qwen3.speech.backend_selector import speakers_ready
from wyoming_qwen3.speech.report import Report
from wyoming_qwen3.speech.session import Synthesizer
from wyoming_qwen3.speech.tts_cache import NOTE, Timing, TtsCache, retry_pause

STANDBY = Report(model="standby", outcome="whole")
QUICK = Timing(look=0.005, settle=0.0, retry_pause=lambda _: 0.01)


class Watched:
    """A cache that is looked after, and whether Qwen3 can speak."""

    def __init__(self, file: Path, supervisor: Supervisor | None, timing: Timing = QUICK) -> None:
        self.ready = False
        self.looks = 0
        self.cache = TtsCache(file, self._can_speak, supervisor, timing)

    def _can_speak(self) -> bool:
        self.looks += 1
        return self.ready

    async def look(self) -> None:
        """Until it was looked twice at whether Qwen3 can speak."""
        looks = self.looks + 2
        await until(lambda: self.looks >= looks)

    async def rest(self) -> None:
        """Until nothing is left to do."""
        await until(lambda: not self.cache._stale.is_set() and not self.cache._writing.locked())
        await asyncio.sleep(0.02)  # whatever came after that would be too much


@contextlib.asynccontextmanager
async def watched(
    folder: Path, supervisor: SupervisorApi | None, timing: Timing = QUICK, token: str = TOKEN
) -> AsyncIterator[Watched]:
    caller = Supervisor(supervisor.url, token, timeout_seconds=0.3) if supervisor else None
    one = Watched(folder / "tts-cache", caller, timing)
    running = asyncio.create_task(one.cache.run())
    await asyncio.sleep(0)
    try:
        yield one
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def api() -> AsyncIterator[SupervisorApi]:
    async with supervisor_api() as api:
        yield api


# When


async def test_the_cache_is_cleared_once_for_each_time_that_the_standby_voice_stood_in(
    tmp_path: Path, api: SupervisorApi
) -> None:
    async with watched(tmp_path, api) as one:
        for times in (1, 2):
            one.ready = False
            for _ in range(3):
                one.cache.spoke("wyoming", STANDBY)
            await one.look()
            assert api.cleared == times - 1
            one.ready = True
            await one.rest()
            assert (api.cleared, api.statuses) == (times, [200] * times)
            assert one.cache.note is None


@pytest.mark.parametrize(
    ("source", "report"),
    [
        ("speech", STANDBY),
        ("wyoming", Report(model="standby", outcome="stopped")),
        ("wyoming", Report(model="standby", outcome="engine_failed")),
        ("wyoming", Report(model=CUSTOM_VOICE.name, outcome="whole")),
        ("wyoming", Report(model="none", outcome="whole")),
    ],
    ids=["over HTTP", "broken off", "failed", "Qwen3", "nothing speakable"],
)
async def test_what_is_no_whole_text_of_the_standby_voice_is_not_kept_by_home_assistant(
    tmp_path: Path, api: SupervisorApi, source: str, report: Report
) -> None:
    async with watched(tmp_path, api) as one:
        one.ready = True
        one.cache.spoke(source, report)
        await one.rest()
    assert (api.statuses, list(tmp_path.iterdir())) == ([], [])


async def test_speech_that_ends_after_qwen3_became_ready_is_cleared_too(tmp_path: Path, api: SupervisorApi) -> None:
    """Also where the cache is just being cleared: that may have come too early for it."""
    async with watched(tmp_path, api) as one:
        one.ready = True
        one.cache.spoke("wyoming", STANDBY)
        await one.rest()
        assert api.cleared == 1
        api.hold.clear()
        one.cache.spoke("wyoming", STANDBY)
        await until(lambda: api.cleared == 2)
        one.cache.spoke("wyoming", STANDBY)
        api.hold.set()
        await until(lambda: api.cleared == 3)
        await one.rest()
    assert api.cleared == 3


async def test_home_assistant_has_time_to_store_the_speech(tmp_path: Path, api: SupervisorApi) -> None:
    async with watched(tmp_path, api, Timing(look=0.005, settle=1000.0)) as one:
        one.ready = True
        one.cache.spoke("wyoming", STANDBY)
        await asyncio.sleep(0.05)
        assert api.cleared == 0
        one.cache._last_speech -= 1000.0
        await one.rest()
    assert api.cleared == 1


# What can be in the way


async def test_a_home_assistant_that_restarts_is_waited_for(tmp_path: Path, api: SupervisorApi) -> None:
    """It is away, then refuses connections, does not answer, does not have the action yet; then it does it."""
    async with watched(tmp_path, api) as one:
        api.core, one.ready = "away", True
        one.cache.spoke("wyoming", STANDBY)
        await until(lambda: api.statuses.count(502) >= 2)
        await api.stop()
        await asyncio.sleep(0.05)
        api.core = "starting"
        await api.start()
        await until(lambda: api.statuses.count(400) >= 2)
        api.hold.clear()
        api.core = "running"
        await until(lambda: api.cleared == 2)  # the first call was given up, since it was not answered
        api.hold.set()
        await one.rest()
        assert one.cache.note is None
    assert api.statuses[-1] == 200
    assert (tmp_path / "tts-cache").read_bytes() == b"clean\n"


@pytest.mark.parametrize("why", ["token", "permission"])
async def test_an_app_that_may_not_ask_says_so_once(
    tmp_path: Path, api: SupervisorApi, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    api.permitted = why != "permission"
    async with watched(tmp_path, api, token="wrong" if why == "token" else TOKEN) as one:
        one.ready = True
        one.cache.spoke("wyoming", STANDBY)
        await one.rest()
        assert one.cache.note == NOTE
    assert (api.statuses, api.cleared) == ([401], 0)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    why = "the Supervisor does not let this app do it (HTTP 401)"
    assert line == f"Home Assistant's speech cache was not cleared: {why}. {NOTE}"


async def test_it_gives_up_with_one_line_and_tries_again_after_the_next_time(
    tmp_path: Path, api: SupervisorApi, caplog: pytest.LogCaptureFixture
) -> None:
    await api.stop()
    timing = Timing(look=0.005, settle=0.0, retry_pause=lambda failures: 0.01 if failures < 4 else None)
    async with watched(tmp_path, api, timing) as one:
        one.ready = True
        one.cache.spoke("wyoming", STANDBY)
        await one.rest()
        assert one.cache.note == NOTE
        (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert "the Supervisor can't be reached (Connection refused)" in line
        assert line.endswith(NOTE)
        await api.start()
        one.cache.spoke("wyoming", STANDBY)
        await one.rest()
        assert api.cleared == 1
        assert not one.cache.note


def test_pauses_between_calls_grow_and_end_after_half_an_hour() -> None:
    pauses = [retry_pause(failures) for failures in range(1, 13)]
    waits = [pause for pause in pauses if pause is not None]
    assert pauses[-1] is None
    assert waits == sorted(waits)
    assert (waits[0], waits[-1], len(waits)) == (5, 300, 11)
    assert 1500 < sum(waits) < 2400


# Over a restart


async def test_a_restart_forgets_nothing_and_invents_nothing(tmp_path: Path, api: SupervisorApi) -> None:
    async with watched(tmp_path, api) as one:
        one.cache.spoke("wyoming", STANDBY)
        await one.look()
    async with watched(tmp_path, api) as one:
        await one.look()
        assert api.cleared == 0
        one.ready = True
        await one.rest()
        assert api.cleared == 1
    async with watched(tmp_path, api) as one:
        one.ready = True
        await asyncio.sleep(0.05)
        assert (api.cleared, one.looks) == (1, 0)


async def test_what_an_app_gave_up_is_tried_again_after_a_restart(tmp_path: Path, api: SupervisorApi) -> None:
    api.permitted = False
    for permitted in (False, True):
        async with watched(tmp_path, api) as one:
            api.permitted, one.ready = permitted, True
            if not permitted:
                one.cache.spoke("wyoming", STANDBY)
            await until(lambda: api.statuses[-1:] == [200 if permitted else 401])  # noqa: B023
            await one.rest()
            assert (one.cache.note is None) == permitted
    assert api.cleared == 1


@pytest.mark.parametrize("damage", [b"", b"cle", b"\0" * 6, b"nonsense" * 1000, b"CLEAN\n"])
async def test_a_damaged_file_costs_one_clearing_too_many(tmp_path: Path, api: SupervisorApi, damage: bytes) -> None:
    (tmp_path / "tts-cache").write_bytes(damage)
    for times in (1, 1):
        async with watched(tmp_path, api) as one:
            one.ready = True
            await until(lambda: api.cleared == times)  # noqa: B023
            await until(lambda: (tmp_path / "tts-cache").read_bytes().startswith(b"clean\n"))
            await one.rest()
    assert api.cleared == 1


@pytest.mark.parametrize("place", ["a folder", "nowhere"])
async def test_a_file_that_can_not_be_used_costs_what_a_restart_would_know(
    tmp_path: Path, api: SupervisorApi, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    folder = tmp_path / "missing" if place == "nowhere" else tmp_path
    if place == "a folder":
        (tmp_path / "tts-cache").mkdir()
    async with watched(folder, api) as one:
        one.ready = True
        one.cache.spoke("wyoming", STANDBY)
        await one.rest()
    assert api.cleared == 1
    assert "could not be stored: The server could not use its disk" in caplog.text


# Without a Supervisor


async def test_elsewhere_the_log_says_once_what_to_do_and_the_note_stays_until_it_is_dismissed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path, None) as one:
        one.cache.spoke("wyoming", STANDBY)
        await one.look()
        assert (one.cache.note, caplog.text) == (None, "")
        one.ready = True
        await one.rest()
        assert (one.cache.note, caplog.text.count(NOTE)) == (NOTE, 1)
    async with watched(tmp_path, None) as one:
        one.ready = True
        await until(lambda: one.cache.note)
        await one.rest()
        await one.cache.dismiss()
        assert one.cache.note is None
    async with watched(tmp_path, None) as one:
        one.ready = True
        await asyncio.sleep(0.05)
        assert (one.cache.note, caplog.text.count(NOTE)) == (None, 1)
        one.cache.spoke("wyoming", STANDBY)
        await one.rest()
        assert (one.cache.note, caplog.text.count(NOTE)) == (NOTE, 2)


async def test_a_note_that_is_dismissed_takes_nothing_along_that_came_later(tmp_path: Path) -> None:
    async with watched(tmp_path, None) as one:
        one.ready = True
        one.cache.spoke("wyoming", STANDBY)
        await one.rest()
        one.ready = False
        one.cache.spoke("wyoming", STANDBY)
        await one.look()
        await one.cache.dismiss()
        assert one.cache.note is None
    assert (tmp_path / "tts-cache").read_bytes() == b"stale\n"


# Whether Qwen3 can speak


def status(checkpoint: Checkpoint, states: dict[str, tuple[State, SpeechError | None]]) -> Status:
    state, error = (
        states.get(checkpoint.size, (State.MISSING, None))
        if checkpoint.kind == "custom_voice"
        else (
            State.READY,
            None,
        )
    )
    return Status(checkpoint, state, None, None, error, 0, 0, 0, None)


@pytest.mark.parametrize(
    ("large", "small", "speaks"),
    [
        ((State.READY, None), (State.MISSING, None), True),
        ((State.ON_DISK, None), (State.READY, None), False),
        ((State.LOADING, None), (State.READY, None), False),
        ((State.FAILED, OutOfMemory("Too large.")), (State.READY, None), True),
        ((State.FAILED, OutOfMemory("Too large.")), (State.ON_DISK, None), False),
        ((State.FAILED, ModelFailed("Damaged.")), (State.READY, None), False),
    ],
)
def test_qwen3_speaks_when_what_would_speak_is_in_memory(
    large: tuple[State, SpeechError | None], small: tuple[State, SpeechError | None], speaks: bool
) -> None:
    states = {"1.7B": large, "0.6B": small}
    assert speakers_ready([status(one, states) for one in PUBLISHED], "1.7B", open_size=False) is speaks


@pytest.mark.parametrize(("large", "small"), [(State.READY, State.MISSING), (State.DOWNLOADING, State.READY)])
def test_qwen3_speaks_in_the_other_size_where_nobody_chose_one(large: State, small: State) -> None:
    states: dict[str, tuple[State, SpeechError | None]] = {"1.7B": (large, None), "0.6B": (small, None)}
    assert speakers_ready([status(one, states) for one in PUBLISHED], "1.7B", open_size=True)


async def test_the_standby_voice_stands_in_for_a_vllm_server_until_that_is_up_again(
    tmp_path: Path, api: SupervisorApi
) -> None:
    """What the real voice spoke meanwhile is cleared then, and what the server itself spoke is no reason to."""
    named = serving()
    async with speaking(tmp_path, named, standby="auto") as services, watched(tmp_path, api) as one:
        engines = services.synthesizer.backends
        services.synthesizer.on_spoken = one.cache.spoke
        assert engines.qwen3_speaks()
        await speak(services.synthesizer)
        await one.rest()
        assert api.statuses == []
        await named.stop()
        await speak(services.synthesizer)
        await until(lambda: not engines.qwen3_speaks())
        await one.look()
        assert api.statuses == []
        await named.start()
        await until(engines.qwen3_speaks)
        one.ready = True
        await one.rest()
    assert (api.cleared, api.statuses) == (1, [200])


async def test_a_vllm_server_of_another_kind_does_not_speak_for_named_speakers(tmp_path: Path) -> None:
    async with speaking(tmp_path, serving("base"), standby="auto") as services:
        assert not services.synthesizer.backends.qwen3_speaks()


async def test_where_there_is_the_standby_voice_alone_qwen3_never_speaks(tmp_path: Path) -> None:
    services = make_services(tmp_path, "--standby", "only")
    assert not services.synthesizer.backends.qwen3_speaks()
    await stop(services)


async def speak(synthesizer: Synthesizer) -> None:
    async with synthesizer.open(SpeechRequest(SPEAKERS[0]), "wyoming") as session:
        session.add_text("Hello.")
        session.end_text()
        async for _ in session:
            pass


# The program

SENTENCE = "The front door is open."


def bare(models_dir: Path, data: Path) -> tuple[str, ...]:
    """Options of a server that has a checkpoint and does not load it by itself."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--preload", "none", "--local-files-only")
    return (*options, "--data-dir", str(data))


async def load(server: Server) -> None:
    body = {"model": CUSTOM_VOICE.name}
    async with ClientSession(server.url) as http, http.post("/api/models/load", json=body) as response:
        assert response.status == 200, await response.text()


async def health(server: Server) -> dict[str, Any]:
    async with ClientSession(server.url) as http, http.get("/health") as response:
        told: dict[str, Any] = await response.json()
    return told


async def test_the_app_clears_the_cache_when_qwen3_is_loaded_after_the_standby_voice_spoke(
    start_server: StartServer, models_dir: Path, tmp_path: Path, api: SupervisorApi
) -> None:
    """Also where it was restarted in between; and the token is not handed on to the engine processes."""
    variables = {"SUPERVISOR_TOKEN": TOKEN, "SUPERVISOR_API": api.url}
    server = start_server(*bare(models_dir, tmp_path / "data"), **variables)
    assert (await synthesize(server.uri, SENTENCE, "ryan-en")).types[-1] == "audio-stop"
    await server.wait_for("Spoke source=wyoming .* model=standby")
    marker = tmp_path / "data/store/tts-cache"
    await until(marker.exists)
    assert await asyncio.to_thread(server.stop) == 0
    assert api.statuses == []
    server = start_server(*bare(models_dir, tmp_path / "data"), **variables)
    await load(server)
    await until(lambda: api.cleared == 1)
    await server.wait_for("Cleared Home Assistant's speech cache")
    await until(lambda: marker.read_bytes() == b"clean\n")
    assert (await health(server))["notes"] == []
    (engine,) = server.children("native")
    assert TOKEN.encode() not in Path(f"/proc/{engine}/environ").read_bytes()
    assert TOKEN not in server.log


@pytest.mark.parametrize("where", ["elsewhere", "switched off"])
async def test_where_nobody_clears_the_cache_log_and_health_say_what_to_do(
    start_server: StartServer, models_dir: Path, tmp_path: Path, api: SupervisorApi, where: str
) -> None:
    app = {"SUPERVISOR_TOKEN": TOKEN, "SUPERVISOR_API": api.url, "TTS_QWEN3_CLEAR_CACHE": "false"}
    server = start_server(*bare(models_dir, tmp_path / "data"), **(app if where == "switched off" else {}))
    await synthesize(server.uri, SENTENCE)
    assert (await health(server))["notes"] == []
    await load(server)
    await server.wait_for(r"tts\.clear_cache")
    assert (await health(server))["notes"] == [{"id": "tts-cache", "message": NOTE}]
    async with ClientSession(server.url) as http:
        for status in (200, 404):
            async with http.delete("/api/notes/tts-cache") as response:
                assert response.status == status
    assert (await health(server))["notes"] == []
    assert server.log.count("tts.clear_cache") == 1
    assert api.statuses == []
