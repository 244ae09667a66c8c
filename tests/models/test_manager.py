"""The model manager with a real engine process and tiny checkpoints."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import pytest_asyncio

from tests.parts import busy
from tests.waiting import HANG_SECONDS, until
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import (
    EngineFailed,
    InvalidRequest,
    ModelFailed,
    ModelInUse,
    ModelLoading,
    ModelMissing,
    OutOfMemory,
    RunawaySpeech,
)
from wyoming_qwen3.core.request import Description, FloatArray, Reference, Sampling, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine.checkpoint import on_disk
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.models.policy import Policy
from wyoming_qwen3.models.state import State
from wyoming_qwen3.models.worker import Worker, download

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUSTOM = Checkpoint("custom_voice", "0.6B")
LARGE = Checkpoint("custom_voice", "1.7B")
DESIGN = Checkpoint("voice_design", "1.7B")
BASE = Checkpoint("base", "0.6B")
GREEDY = Sampling(temperature=0.0)

MakeManager = Callable[..., tuple[ModelManager, Worker]]


@pytest_asyncio.fixture(loop_scope="module")
async def make_manager(models_dir: Path) -> AsyncIterator[MakeManager]:
    """Managers with an engine of their own each."""
    async with managers_of(models_dir) as make:
        yield make


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(models_dir: Path) -> AsyncIterator[tuple[ModelManager, Worker]]:
    """One with an engine for all tests that leave it as it was."""
    async with managers_of(models_dir) as make:
        yield make()


@contextlib.asynccontextmanager
async def managers_of(models_dir: Path) -> AsyncIterator[MakeManager]:
    managers: list[ModelManager] = []

    def make(**policy: object) -> tuple[ModelManager, Worker]:
        worker = Worker("native", ["--device", "cpu", "--quantize", "none", "--log-level", "WARNING"])
        options = {"models_dir": models_dir, "size": "0.6B", "download": False} | policy
        manager = ModelManager(Policy(**options), worker, download)  # type: ignore[arg-type]
        worker.on_death = manager.engine_died
        managers.append(manager)
        return manager, worker

    yield make
    for manager in managers:
        await manager.close()


async def speak(worker: Worker, checkpoint: Checkpoint, voice: Voice, text: str = "The door.") -> FloatArray:
    with worker.submit(checkpoint, SpeechRequest(voice, sampling=GREEDY), text) as row:
        return np.concatenate([chunk async for chunk in row])


async def test_each_kind_of_voice_is_spoken_by_its_checkpoint(shared: tuple[ModelManager, Worker]) -> None:
    manager, worker = shared
    clip = Reference(np.sin(np.arange(48_000) / 30).astype(np.float32) * 0.3, 24_000, "A tone.")
    async with manager.use(CUSTOM):
        assert (await speak(worker, CUSTOM, SPEAKERS[5])).size > 0
    async with manager.use(DESIGN):
        assert (await speak(worker, DESIGN, Description("deep"))).size > 0
    async with manager.use(BASE):
        assert (await speak(worker, BASE, await worker.clone(BASE, clip))).size > 0
    ready = [status.checkpoint for status in manager.statuses() if status.state is State.READY]
    assert set(ready) == {CUSTOM, DESIGN, BASE}


async def test_a_small_budget_keeps_one_checkpoint_at_a_time(make_manager: MakeManager, models_dir: Path) -> None:
    one = 2 * max(on_disk.footprint(models_dir / checkpoint.name) for checkpoint in (CUSTOM, DESIGN)) + 1000
    manager, worker = make_manager(memory_budget=one)
    async with manager.use(CUSTOM):
        pass
    async with manager.use(DESIGN):
        assert (await manager.want(CUSTOM)).state is State.ON_DISK
        waiting = asyncio.create_task(use_for_a_moment(manager, CUSTOM))
        await asyncio.sleep(0.3)
        assert not waiting.done()  # the other is in use, and there is no room for both
        assert (await speak(worker, DESIGN, Description("deep"))).size > 0
    await asyncio.wait_for(waiting, HANG_SECONDS)
    assert (await manager.want(DESIGN)).state is State.ON_DISK


async def use_for_a_moment(manager: ModelManager, checkpoint: Checkpoint) -> None:
    async with manager.use(checkpoint):
        pass


async def test_a_checkpoint_larger_than_the_budget_is_refused(make_manager: MakeManager) -> None:
    manager, _ = make_manager(memory_budget=1000)
    with pytest.raises(ModelFailed, match="by the memory budget"):
        await use_for_a_moment(manager, CUSTOM)


async def test_a_missing_checkpoint_is_said(make_manager: MakeManager, tmp_path: Path) -> None:
    manager, _ = make_manager(models_dir=tmp_path)
    with pytest.raises(ModelMissing, match="not in the models folder"):
        await use_for_a_moment(manager, CUSTOM)


async def test_the_engine_dying_while_it_loads_fails_the_load_and_not_the_server(make_manager: MakeManager) -> None:
    """Killed before it is up, and with the checkpoint in hand, as it is when memory runs out."""
    manager, worker = make_manager()
    loading = asyncio.create_task(use_for_a_moment(manager, CUSTOM))
    while worker.pid is None:
        await asyncio.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises((OutOfMemory, ModelFailed), match=r"was killed|stopped unexpectedly"):
        await loading
    again = asyncio.create_task(manager.load(CUSTOM))
    async with asyncio.timeout(HANG_SECONDS):
        while not (worker._room and worker._child and worker._child.jobs):  # it has measured, and loads
            await asyncio.sleep(0.001)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(OutOfMemory, match="was killed"):
        await again
    assert (await manager.load(CUSTOM)).state is State.READY


async def test_a_checkpoint_is_loaded_and_unloaded_as_a_person_asks(make_manager: MakeManager) -> None:
    """The engine process goes with the last one, for only that gives all memory back, and comes again."""
    manager, worker = make_manager()
    assert (await manager.load(CUSTOM)).footprint > 0
    async with manager.use_codec() as (codec_worker, checkpoint):
        assert (codec_worker, checkpoint) == (worker, CUSTOM)
        with pytest.raises(ModelInUse):
            await manager.unload(CUSTOM)
    assert worker.pid is not None
    engine = psutil.Process(worker.pid)
    status = await manager.unload(CUSTOM)
    assert (status.state, status.footprint) == (State.ON_DISK, 0)
    assert not engine.is_running()
    async with manager.use(CUSTOM):
        assert (await speak(worker, CUSTOM, SPEAKERS[5])).size > 0


async def test_one_that_was_loaded_in_the_moment_in_which_its_load_was_stopped_is_in_memory_no_longer(
    shared: tuple[ModelManager, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, worker = shared
    load, loaded = worker.load, asyncio.Event()

    async def load_and_be_slow_to_say_so(*given: Any) -> None:
        await load(*given)
        loaded.set()
        await asyncio.Event().wait()

    await manager.load(CUSTOM)
    monkeypatch.setattr(worker, "load", load_and_be_slow_to_say_so)
    loading = asyncio.create_task(manager.load(LARGE))
    await loaded.wait()
    assert (await manager.cancel_load(LARGE)).state is State.ON_DISK
    with pytest.raises(ModelLoading, match="a person stopped that"):
        await loading
    with pytest.raises(EngineFailed, match="not loaded"):
        await speak(worker, LARGE, SPEAKERS[5])


async def test_the_engine_dying_while_it_speaks_is_loaded_again_by_itself(make_manager: MakeManager) -> None:
    """And two seconds later the second time."""
    manager, worker = make_manager()
    await manager.load(CUSTOM)
    pauses = []
    with manager.watch() as events:
        for _ in range(2):
            assert worker.pid is not None
            killed = time.monotonic()
            os.kill(worker.pid, signal.SIGKILL)
            assert (await asyncio.wait_for(anext(events), HANG_SECONDS)).kind == "lost"
            assert (await asyncio.wait_for(anext(events), HANG_SECONDS)).kind == "loading"
            pauses.append(time.monotonic() - killed)
            assert (await asyncio.wait_for(anext(events), HANG_SECONDS)).kind == "ready"
    assert pauses[1] >= 2


async def test_concurrent_users_share_one_load(make_manager: MakeManager) -> None:
    manager, worker = make_manager()
    await asyncio.gather(*(use_for_a_moment(manager, CUSTOM) for _ in range(5)))
    assert worker.running
    assert (await manager.want(CUSTOM)).users == 0


async def test_reaching_the_frame_limit_is_an_error_and_no_short_answer(shared: tuple[ModelManager, Worker]) -> None:
    manager, worker = shared
    async with manager.use(CUSTOM):
        request = SpeechRequest(SPEAKERS[5], sampling=Sampling(temperature=0.0, max_frames=2))
        with worker.submit(CUSTOM, request, "The front door is open.") as row, pytest.raises(RunawaySpeech):
            [chunk async for chunk in row]


async def test_a_closed_row_is_let_go_by_the_engine(shared: tuple[ModelManager, Worker]) -> None:
    manager, worker = shared
    async with manager.use(CUSTOM):
        with worker.submit(CUSTOM, SpeechRequest(SPEAKERS[5]), "The front door is open. " * 50) as row:
            await anext(row)
            assert busy(worker)
        await until(lambda: not busy(worker))


async def test_unloading_returns_memory(make_manager: MakeManager, models_dir: Path) -> None:
    """Loading and dropping a checkpoint many times does not make the engine grow."""
    manager, worker = make_manager(
        memory_budget=2 * max(on_disk.footprint(models_dir / checkpoint.name) for checkpoint in (CUSTOM, BASE)) + 1000
    )
    await use_for_a_moment(manager, CUSTOM)
    assert worker.pid is not None
    engine = psutil.Process(worker.pid)
    sizes = []
    for _ in range(6):
        await use_for_a_moment(manager, BASE)
        await use_for_a_moment(manager, CUSTOM)
        sizes.append(engine.memory_info().rss)
    assert sizes[-1] - sizes[1] < 8 << 20


async def test_live_text_that_stays_empty_ends_its_own_row_alone(shared: tuple[ModelManager, Worker]) -> None:
    manager, worker = shared
    async with manager.use(CUSTOM):
        engine = worker.pid
        with worker.submit(CUSTOM, SpeechRequest(SPEAKERS[5]), " ", live=True) as row:
            row.end_text()
            with pytest.raises(InvalidRequest, match="empty"):
                await anext(row)
        assert (await speak(worker, CUSTOM, SPEAKERS[5])).size > 0
        assert worker.pid == engine


async def test_live_text_is_spoken_while_it_comes(shared: tuple[ModelManager, Worker]) -> None:
    """A live row speaks before its text is complete, and in the end the same as with all of it beforehand."""
    manager, worker = shared
    request = SpeechRequest(SPEAKERS[5], sampling=GREEDY)
    words = "The front door is open and the light is on in the kitchen".split(" ")
    async with manager.use(CUSTOM):
        with worker.submit(CUSTOM, request, " ".join(words), live=True) as row:
            row.end_text()
            whole = np.concatenate([chunk async for chunk in row])
        with worker.submit(CUSTOM, request, "", live=True) as row:
            chunks = []
            for word in words[:8]:
                row.add_text(word + " ")
            chunks.append(await anext(row))
            row.add_text(" ".join(words[8:]))
            row.end_text()
            chunks += [chunk async for chunk in row]
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=1e-5)
