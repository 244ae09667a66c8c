"""The manager's bookkeeping and its races, with an engine and downloads that do what a test says, when it says so."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint
from wyoming_qwen3.core.errors import (
    DownloadFailed,
    EngineFailed,
    InvalidRequest,
    ModelDamaged,
    ModelFailed,
    ModelInUse,
    ModelLoading,
    ModelMissing,
    ModelNotFound,
    NotSupported,
    OutOfMemory,
    SpeechError,
    TransientDownloadFailed,
)
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.checkpoint import on_disk
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.models.policy import Policy
from wyoming_qwen3.models.state import EventKind, KernelProgress, State, Status
from wyoming_qwen3.models.worker import Worker

CUSTOM = Checkpoint("custom_voice", "0.6B")
DESIGN = Checkpoint("voice_design", "1.7B")
BASE = Checkpoint("base", "0.6B")
FOOTPRINT = 2000


class Engine(Worker):
    """An engine without a process. It loads and unloads when its gates are open, and fails when told to."""

    def __init__(self) -> None:
        super().__init__("native")
        self.up = False
        self.selection = Selection("cpu", "0.6B", "float32", "There is no GPU.")
        self.room = wire.Room(2 << 30, 1 << 30)
        self.done: list[tuple[str, Checkpoint]] = []
        self.paths: list[Path] = []
        self.load_gate, self.unload_gate = asyncio.Event(), asyncio.Event()
        self.load_gate.set()
        self.unload_gate.set()
        self.failure: SpeechError | None = None
        self.dies_after_load = False
        self.report: wire.OnProgress = wire.ignore_progress

    @property
    def running(self) -> bool:
        return self.up

    async def start(self) -> wire.Hello:
        self.up = True
        return wire.Hello(self.selection, self.room, 2, batch_invariant=False)

    async def measure(self, patience: float | None = None) -> wire.Room:  # noqa: ARG002
        return self.room

    async def load(
        self, checkpoint: Checkpoint, path: Path, report: wire.OnProgress = wire.ignore_progress
    ) -> wire.Loaded:
        self.up = True
        self.report = report
        self.done.append(("load", checkpoint))
        self.paths.append(path)
        await self.load_gate.wait()
        if self.failure:
            raise self.failure
        if self.dies_after_load:
            self.die()
        return wire.Loaded(FOOTPRINT, "float32")

    async def unload(self, checkpoint: Checkpoint) -> None:
        self.done.append(("unload", checkpoint))
        await self.unload_gate.wait()

    async def stop(self) -> None:
        self.up = False

    def die(self) -> None:
        self.up = False
        self.on_death()


class Downloads:
    """Download processes that go on until a test ends them. `laid` is where a whole one puts its checkpoint."""

    def __init__(self, laid: Path) -> None:
        self.laid = laid
        self.running = 0
        self.begun: list[Checkpoint] = []
        self.report: Callable[[int, int], None]
        self.stopping = asyncio.Event()
        self.stopping.set()
        self._over: asyncio.Future[None] | None = None

    async def __call__(self, job: wire.Download, report: Callable[[int, int], None]) -> None:
        assert not self.running
        self.running += 1
        self.begun.append(job.checkpoint)
        self.report = report
        self._over = asyncio.get_running_loop().create_future()
        try:
            await self._over
        finally:
            await self.stopping.wait()
            self.running -= 1

    def have_begun(self, times: int) -> bool:
        return len(self.begun) == times

    def end(self, error: Exception | None = None) -> None:
        assert self._over is not None
        if error:
            self._over.set_exception(error)
        else:
            lay(self.laid, self.begun[-1])
            self._over.set_result(None)


def lay(models_dir: Path, checkpoint: Checkpoint) -> Path:
    """The smallest folder that counts as a whole checkpoint, of FOOTPRINT bytes of tensors."""
    folder = on_disk.folder(models_dir, checkpoint)
    header = b'{"t":{"data_offsets":[0,%d]}}' % (FOOTPRINT // 2)
    tensors = len(header).to_bytes(8, "little") + header + bytes(FOOTPRINT // 2)
    for name in on_disk.missing_files(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(tensors if name.endswith(".safetensors") else b"{}")
    return folder


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(tmp_path)


MakeManager = Callable[..., ModelManager]


@pytest.fixture
async def make_manager(tmp_path: Path, engine: Engine, downloads: Downloads) -> AsyncIterator[MakeManager]:
    managers: list[ModelManager] = []

    def make(*on_disk: Checkpoint, **policy: object) -> ModelManager:
        for checkpoint in on_disk:
            lay(tmp_path, checkpoint)
        options = {"models_dir": tmp_path, "size": "0.6B"} | policy
        manager = ModelManager(Policy(**options), engine, downloads)  # type: ignore[arg-type]
        engine.on_death = manager.engine_died
        managers.append(manager)
        return manager

    yield make
    for manager in managers:
        await manager.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


def status_of(manager: ModelManager, checkpoint: Checkpoint) -> Status:
    return next(status for status in manager.statuses() if status.checkpoint == checkpoint)


def state_of(manager: ModelManager, checkpoint: Checkpoint) -> State:
    return status_of(manager, checkpoint).state


async def all_loaded(make_manager: MakeManager, *checkpoints: Checkpoint) -> ModelManager:
    """A manager that has loaded these checkpoints, in this order."""
    manager = make_manager(*checkpoints)
    for checkpoint in checkpoints:
        await manager.load(checkpoint)
    return manager


async def one_of_two_unloaded(engine: Engine) -> tuple[Checkpoint, Checkpoint]:
    """Wait until CUSTOM or BASE, which were loaded, is being unloaded, and return that and the other."""
    await until(lambda: engine.done[2:])
    _, first = engine.done[2]
    return first, BASE if first == CUSTOM else CUSTOM


async def use_for_a_moment(manager: ModelManager, checkpoint: Checkpoint) -> None:
    async with manager.use(checkpoint):
        pass


@contextmanager
def noting(manager: ModelManager) -> Iterator[list[EventKind]]:
    """The kinds of all events until the manager is closed."""
    kinds: list[EventKind] = []

    async def listen() -> None:
        async for event in events:
            kinds.append(event.kind)  # noqa: PERF401  they are read meanwhile

    with manager.watch() as events:
        task = asyncio.ensure_future(listen())
        try:
            yield kinds
        finally:
            task.cancel()


# What is shown.


async def test_statuses_are_memorys_and_a_survey_looks_on_disk_but_fetches_nothing(
    make_manager: MakeManager, downloads: Downloads, tmp_path: Path
) -> None:
    manager = make_manager(CUSTOM)
    assert [status.checkpoint for status in manager.statuses()] == list(PUBLISHED)
    assert {status.state for status in manager.statuses()} == {State.MISSING}
    found = {status.checkpoint: status for status in await manager.survey()}
    assert found[CUSTOM].state is State.ON_DISK
    assert found[CUSTOM].disk > FOOTPRINT
    assert found[CUSTOM].last_used is None
    assert found[BASE].state is State.MISSING
    shutil.rmtree(on_disk.folder(tmp_path, CUSTOM))
    await manager.survey()
    assert state_of(manager, CUSTOM) is State.MISSING
    assert downloads.begun == []


async def test_what_is_on_disk_is_known_soon_after_the_start(make_manager: MakeManager) -> None:
    manager = make_manager(CUSTOM, BASE)
    manager.start(["custom_voice"])
    await until(lambda: state_of(manager, CUSTOM) is State.READY and state_of(manager, BASE) is State.ON_DISK)


async def test_every_change_is_told_in_order(make_manager: MakeManager, downloads: Downloads) -> None:
    manager = make_manager(CUSTOM)
    with noting(manager) as kinds:
        await manager.load(CUSTOM)
        await manager.unload(CUSTOM)
        await manager.fetch(DESIGN)
        await until(lambda: downloads.running)
        downloads.report(1, 2)
        downloads.end()
        await until(lambda: state_of(manager, DESIGN) is State.ON_DISK)
        await until(lambda: len(kinds) == 7)
        assert kinds == ["found", "loading", "ready", "evicted", "download", "download", "downloaded"]


async def test_a_watcher_is_ended_with_the_manager(make_manager: MakeManager) -> None:
    manager = make_manager(CUSTOM)
    with manager.watch() as events:
        await manager.survey()
        await manager.close()
        assert [event.kind async for event in events] == ["found"]


async def test_a_checkpoint_that_was_never_published_is_not_found(make_manager: MakeManager) -> None:
    manager = make_manager()
    unpublished = Checkpoint("voice_design", "0.6B")
    for asked in (manager.want, manager.load, manager.unload, manager.fetch, manager.cancel_fetch):
        with pytest.raises(ModelNotFound):
            await asked(unpublished)


# Loading and unloading.


async def test_a_load_says_when_it_is_ready(make_manager: MakeManager) -> None:
    status = await make_manager(CUSTOM).load(CUSTOM)
    assert (status.state, status.footprint, status.users) == (State.READY, FOOTPRINT, 0)
    assert status.last_used is not None


async def test_who_asks_for_a_missing_one_is_told_of_its_download_and_it_is_loaded_after_that(
    make_manager: MakeManager, downloads: Downloads, engine: Engine
) -> None:
    manager = make_manager()
    for ask in (manager.load(CUSTOM), use_for_a_moment(manager, CUSTOM)):
        with pytest.raises(ModelLoading, match="about to be downloaded"):
            await ask
    await until(lambda: downloads.running)
    downloads.report(500_000_000, 2_000_000_000)
    with pytest.raises(ModelLoading, match=r"25 % of 2\.0 GB"):
        await use_for_a_moment(manager, CUSTOM)
    downloads.end()
    await until(lambda: state_of(manager, CUSTOM) is State.READY)
    assert downloads.begun == [CUSTOM]


async def test_a_missing_one_is_only_said_to_be_so_where_nothing_is_downloaded_by_itself(
    make_manager: MakeManager, downloads: Downloads
) -> None:
    manager = make_manager(download=False)
    with pytest.raises(ModelMissing, match="models/download"):
        await manager.load(CUSTOM)
    assert downloads.begun == []


async def test_a_failed_load_is_left_alone_by_requests_and_tried_again_at_once_by_a_person(
    make_manager: MakeManager, engine: Engine
) -> None:
    """However often requests ask meanwhile, the half minute counts from the failure."""
    manager = make_manager(CUSTOM)
    engine.failure = ModelFailed("It is damaged.")
    for _ in range(3):
        with pytest.raises(ModelFailed, match="damaged"):
            await use_for_a_moment(manager, CUSTOM)
    assert engine.done == [("load", CUSTOM)]
    model = await manager.want(CUSTOM)
    failed = model.failed
    with pytest.raises(ModelFailed, match="damaged"):
        await use_for_a_moment(manager, CUSTOM)
    assert model.failed == failed
    with pytest.raises(ModelFailed, match="damaged"):
        await manager.load(CUSTOM)
    engine.failure = None
    assert (await manager.load(CUSTOM)).state is State.READY
    assert len(engine.done) == 3


async def test_a_failed_load_is_tried_again_by_a_request_after_half_a_minute(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = make_manager(CUSTOM)
    engine.failure = ModelFailed("It is damaged.")
    with pytest.raises(ModelFailed):
        await use_for_a_moment(manager, CUSTOM)
    engine.failure = None
    (await manager.want(CUSTOM)).failed -= 31
    await use_for_a_moment(manager, CUSTOM)


async def test_one_that_left_the_disk_since_it_was_seen_is_missing_and_not_broken(
    make_manager: MakeManager, downloads: Downloads, tmp_path: Path
) -> None:
    manager = make_manager(CUSTOM)
    await manager.survey()
    shutil.rmtree(on_disk.folder(tmp_path, CUSTOM))
    with pytest.raises(ModelMissing):
        await use_for_a_moment(manager, CUSTOM)
    with pytest.raises(ModelLoading, match="about to be downloaded"):
        await use_for_a_moment(manager, CUSTOM)


async def test_a_folder_that_cant_be_read_is_said(make_manager: MakeManager, tmp_path: Path) -> None:
    manager = make_manager(CUSTOM)
    file = on_disk.folder(tmp_path, CUSTOM) / "model.safetensors"
    file.unlink()
    file.symlink_to("/proc/self/mem")  # its first bytes are nobody's memory
    with pytest.raises(ModelFailed, match="CustomVoice can't be read: Input/output error"):
        await use_for_a_moment(manager, CUSTOM)
    assert {status.state for status in await manager.survey()} == {State.FAILED, State.MISSING}


async def test_what_is_not_idle_is_not_unloaded(make_manager: MakeManager, engine: Engine) -> None:
    manager = make_manager(CUSTOM)
    with pytest.raises(InvalidRequest, match="is not loaded"):
        await manager.unload(CUSTOM)
    engine.load_gate.clear()
    loading = asyncio.create_task(manager.load(CUSTOM))
    await until(lambda: engine.done)
    with pytest.raises(ModelInUse, match="is being loaded"):
        await manager.unload(CUSTOM)
    engine.load_gate.set()
    await loading
    async with manager.use(CUSTOM):
        with pytest.raises(ModelInUse, match="is in use"):
            await manager.unload(CUSTOM)
    await manager.unload(CUSTOM)


async def test_the_compiled_kernels_are_counted_while_a_gpu_loads(make_manager: MakeManager, engine: Engine) -> None:
    engine.selection = ON_GPU
    manager = make_manager(CUSTOM)
    engine.load_gate.clear()
    loading = asyncio.create_task(manager.load(CUSTOM))
    await until(lambda: engine.done)
    engine.report(12, 31)
    assert status_of(manager, CUSTOM).kernels == KernelProgress(12, 31)
    engine.load_gate.set()
    assert (await loading).kernels is None


async def test_a_load_is_stopped_and_begun_again_at_the_next_request(make_manager: MakeManager, engine: Engine) -> None:
    """Who waits for it is told; the process, which holds nothing else, is ended."""
    manager = make_manager(CUSTOM)
    with pytest.raises(InvalidRequest, match="is not being loaded"):
        await manager.cancel_load(CUSTOM)
    engine.load_gate.clear()
    waiting = asyncio.create_task(use_for_a_moment(manager, CUSTOM))
    await until(lambda: engine.done)
    engine.report(3, 4)
    (told,) = [status.progress for status in manager.statuses() if status.state is State.LOADING]
    assert told
    assert (told.done, told.total) == (3, 4)
    assert (await manager.cancel_load(CUSTOM)).state is State.ON_DISK
    with pytest.raises(ModelLoading, match="a person stopped that"):
        await waiting
    assert not engine.running
    engine.load_gate.set()
    await use_for_a_moment(manager, CUSTOM)


async def test_a_load_that_is_stopped_before_it_has_begun_is_begun_again_at_the_next_request(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(CUSTOM)
    await manager.survey()
    waiting = asyncio.create_task(manager._load_through(await manager.want(CUSTOM)))
    stopping = asyncio.create_task(manager.cancel_load(CUSTOM))  # its turn comes before that of the load
    await asyncio.gather(waiting, stopping)
    assert state_of(manager, CUSTOM) is State.ON_DISK
    await use_for_a_moment(manager, CUSTOM)


async def test_a_stopped_load_keeps_no_other_from_being_loaded_again_after_a_death(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = await all_loaded(make_manager, BASE, CUSTOM)
    engine.load_gate.clear()
    engine.die()
    await until(lambda: state_of(manager, CUSTOM) is State.LOADING)
    stopping = asyncio.create_task(manager.cancel_load(CUSTOM))
    await until(lambda: state_of(manager, CUSTOM) is State.ON_DISK)
    engine.load_gate.set()
    await stopping
    await until(lambda: state_of(manager, BASE) is State.READY)
    assert state_of(manager, CUSTOM) is State.ON_DISK


async def test_the_engine_is_ended_with_its_last_checkpoint(make_manager: MakeManager, engine: Engine) -> None:
    manager = await all_loaded(make_manager, CUSTOM, BASE)
    await manager.unload(CUSTOM)
    assert engine.up
    await manager.unload(BASE)
    assert not engine.up


async def test_one_that_is_wanted_while_it_is_unloaded_is_loaded_again(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = await all_loaded(make_manager, CUSTOM)
    engine.unload_gate.clear()
    unloading = asyncio.create_task(manager.unload(CUSTOM))
    await until(lambda: ("unload", CUSTOM) in engine.done)
    using = asyncio.create_task(use_for_a_moment(manager, CUSTOM))
    await until(lambda: state_of(manager, CUSTOM) is State.LOADING)
    engine.unload_gate.set()
    await asyncio.gather(unloading, using)
    assert engine.done == [("load", CUSTOM), ("unload", CUSTOM), ("load", CUSTOM)]
    assert status_of(manager, CUSTOM).footprint == FOOTPRINT


async def test_one_that_is_taken_into_use_before_its_turn_to_be_unloaded_stays(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = make_manager(CUSTOM, BASE)
    await manager.load(CUSTOM)
    engine.load_gate.clear()
    loading = asyncio.create_task(manager.load(BASE))
    await until(lambda: ("load", BASE) in engine.done)
    unloading = asyncio.create_task(manager.unload(CUSTOM))
    await asyncio.sleep(0)
    async with manager.use(CUSTOM):
        engine.load_gate.set()
        await loading
        with pytest.raises(ModelInUse):
            await unloading
    assert state_of(manager, CUSTOM) is State.READY


async def test_one_that_is_taken_into_use_while_others_are_unloaded_for_memory_stays(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = await all_loaded(make_manager, CUSTOM, BASE)
    engine.unload_gate.clear()
    relieving = asyncio.create_task(manager.relieve(DESIGN, give_up=False))
    first, second = await one_of_two_unloaded(engine)
    async with manager.use(second):
        engine.unload_gate.set()
        await relieving
        assert (state_of(manager, first), state_of(manager, second)) == (State.ON_DISK, State.READY)
    assert engine.done[2:] == [("unload", first)]


async def test_who_leaves_while_it_is_unloaded_leaves_no_answer_of_the_engine_to_the_next_load(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = await all_loaded(make_manager, CUSTOM)
    engine.unload_gate.clear()
    unloading = asyncio.create_task(manager.unload(CUSTOM))
    await until(lambda: ("unload", CUSTOM) in engine.done)
    unloading.cancel()
    loading = asyncio.create_task(manager.load(CUSTOM))
    await asyncio.sleep(0.01)
    assert engine.done[-1] == ("unload", CUSTOM)
    engine.unload_gate.set()
    assert (await loading).state is State.READY


async def test_who_leaves_while_it_is_loaded_stops_neither_the_load_nor_the_others(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = make_manager(CUSTOM)
    engine.load_gate.clear()
    leaving, staying = (asyncio.create_task(manager.load(CUSTOM)) for _ in range(2))
    await until(lambda: engine.done and status_of(manager, CUSTOM).users == 2)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert status_of(manager, CUSTOM).users == 1
    engine.load_gate.set()
    assert (await staying).state is State.READY


# The engine dies.


async def test_an_engine_that_dies_right_after_a_load_leaves_nothing_ready(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = make_manager(CUSTOM)
    engine.dies_after_load = True
    with pytest.raises(ModelFailed, match="stopped unexpectedly"):
        await manager.load(CUSTOM)
    assert (state_of(manager, CUSTOM), status_of(manager, CUSTOM).footprint) == (State.FAILED, 0)
    engine.dies_after_load = False
    assert (await manager.load(CUSTOM)).state is State.READY


async def test_what_an_engine_held_is_loaded_again_but_not_what_it_was_unloading(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = await all_loaded(make_manager, CUSTOM, BASE)
    engine.unload_gate.clear()
    unloading = asyncio.create_task(manager.unload(CUSTOM))
    await until(lambda: ("unload", CUSTOM) in engine.done)
    with noting(manager) as kinds:
        engine.die()
        assert state_of(manager, BASE) is State.ON_DISK
        engine.unload_gate.set()
        await unloading
        await until(lambda: state_of(manager, BASE) is State.READY)
        assert state_of(manager, CUSTOM) is State.ON_DISK
        await until(lambda: kinds == ["lost", "loading", "ready"])


async def test_what_was_last_used_is_loaded_first_after_a_death(make_manager: MakeManager, engine: Engine) -> None:
    manager = make_manager(CUSTOM, DESIGN, BASE)
    for checkpoint in (DESIGN, BASE, CUSTOM):
        await use_for_a_moment(manager, checkpoint)
    engine.done.clear()
    async with manager.use(BASE):
        engine.die()
        await until(lambda: state_of(manager, DESIGN) is State.READY)
    assert engine.done == [("load", BASE), ("load", CUSTOM), ("load", DESIGN)]


async def test_the_death_of_an_engine_makes_room(make_manager: MakeManager, engine: Engine) -> None:
    """What waited for a busy checkpoint to go is loaded, though the busy one's user has not noticed yet."""
    manager = make_manager(CUSTOM, BASE, memory_budget=FOOTPRINT)
    async with manager.use(CUSTOM):
        waiting = asyncio.create_task(manager.load(BASE))
        await until(lambda: state_of(manager, BASE) is State.LOADING)
        await asyncio.sleep(0.05)  # by then it waits for room
        engine.die()
        assert (await asyncio.wait_for(waiting, HANG_SECONDS)).state is State.READY


async def test_an_engine_that_cant_be_started_fails_the_load(make_manager: MakeManager, engine: Engine) -> None:
    manager = make_manager(CUSTOM)
    engine.failure = EngineFailed("The speech engine stopped unexpectedly.")
    with pytest.raises(ModelFailed, match="stopped unexpectedly"):
        await use_for_a_moment(manager, CUSTOM)


# Downloads.


async def test_a_person_may_download_where_requests_may_not(make_manager: MakeManager, downloads: Downloads) -> None:
    """It is one download however often it is asked for, and nothing is loaded that nobody speaks with."""
    manager = make_manager(download=False)
    for _ in range(2):
        assert (await manager.fetch(CUSTOM)).state is State.DOWNLOADING
    await until(lambda: downloads.running)
    downloads.end()
    await until(lambda: state_of(manager, CUSTOM) is State.ON_DISK)
    assert (await manager.fetch(CUSTOM)).state is State.ON_DISK
    assert downloads.begun == [CUSTOM]


async def test_a_persons_download_is_loaded_if_a_request_came_meanwhile(
    make_manager: MakeManager, downloads: Downloads
) -> None:
    manager = make_manager(download=False)
    await manager.fetch(CUSTOM)
    with pytest.raises(ModelLoading):
        await use_for_a_moment(manager, CUSTOM)
    await until(lambda: downloads.running)
    downloads.end()
    await until(lambda: state_of(manager, CUSTOM) is State.READY)


async def test_nobody_downloads_where_the_hub_is_never_asked(make_manager: MakeManager, downloads: Downloads) -> None:
    manager = make_manager(CUSTOM, download=False, offline=True)
    assert (await manager.fetch(CUSTOM)).state is State.ON_DISK
    with pytest.raises(NotSupported, match="works offline"):
        await manager.fetch(BASE)
    assert downloads.begun == []


async def test_a_stopped_download_is_begun_again_by_a_person_alone(
    make_manager: MakeManager, downloads: Downloads
) -> None:
    manager = make_manager()
    with pytest.raises(InvalidRequest, match="is not being downloaded"):
        await manager.cancel_fetch(CUSTOM)
    await manager.want(CUSTOM)
    await until(lambda: downloads.running)
    assert (await manager.cancel_fetch(CUSTOM)).state is State.MISSING
    assert not downloads.running
    with pytest.raises(ModelMissing, match="its download was stopped"):
        await use_for_a_moment(manager, CUSTOM)
    assert len(downloads.begun) == 1
    await manager.fetch(CUSTOM)
    await until(lambda: downloads.running)
    assert not (await manager.want(CUSTOM)).declined
    await manager.cancel_fetch(CUSTOM)
    with pytest.raises(ModelLoading):
        await manager.load(CUSTOM)
    await until(lambda: downloads.running)
    downloads.end()
    await until(lambda: state_of(manager, CUSTOM) is State.READY)


async def test_a_download_that_is_asked_for_while_it_is_being_stopped_begins_after_that(
    make_manager: MakeManager, downloads: Downloads
) -> None:
    manager = make_manager()
    await manager.fetch(CUSTOM)
    await until(lambda: downloads.running)
    downloads.stopping.clear()
    cancelling = asyncio.create_task(manager.cancel_fetch(CUSTOM))
    await asyncio.sleep(0)
    again = [asyncio.create_task(manager.fetch(CUSTOM)) for _ in range(2)]
    await asyncio.sleep(0.01)
    downloads.report(1, 2)  # it had sent that before it was told to stop
    assert state_of(manager, CUSTOM) is State.MISSING
    downloads.stopping.set()
    await asyncio.gather(cancelling, *again)
    await until(partial(downloads.have_begun, 2))
    assert state_of(manager, CUSTOM) is State.DOWNLOADING


async def test_a_download_that_waits_for_its_next_try_is_tried_at_once_when_a_person_asks(
    make_manager: MakeManager, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_disk, "retry_delay", lambda _: 3600.0)
    manager = make_manager()
    await manager.want(CUSTOM)
    for ask, tries in ((manager.fetch, 2), (manager.load, 3)):
        await until(lambda: downloads.running)
        downloads.end(TransientDownloadFailed("The hub is busy."))
        await until(lambda: state_of(manager, CUSTOM) is State.MISSING)
        with pytest.raises(ModelLoading, match=r"The hub is busy\. The server will try again"):
            await use_for_a_moment(manager, CUSTOM)
        await asyncio.gather(ask(CUSTOM), return_exceptions=True)
        await until(partial(downloads.have_begun, tries))
    assert (await manager.cancel_fetch(CUSTOM)).error is None


async def test_a_refused_download_is_left_alone_by_requests_and_tried_again_by_a_person(
    make_manager: MakeManager, downloads: Downloads
) -> None:
    manager = make_manager()
    await manager.want(CUSTOM)
    await until(lambda: downloads.running)
    downloads.end(DownloadFailed("There is no token."))
    await until(lambda: state_of(manager, CUSTOM) is State.FAILED)
    with pytest.raises(DownloadFailed, match="is missing: There is no token"):
        await use_for_a_moment(manager, CUSTOM)
    assert len(downloads.begun) == 1
    assert (await manager.fetch(CUSTOM)).state is State.DOWNLOADING
    await until(partial(downloads.have_begun, 2))


async def test_what_could_not_be_loaded_is_mended_by_a_download(
    make_manager: MakeManager, downloads: Downloads, engine: Engine
) -> None:
    manager = make_manager(CUSTOM)
    engine.failure = ModelFailed("It is damaged.")
    with pytest.raises(ModelFailed):
        await manager.load(CUSTOM)
    assert (await manager.fetch(CUSTOM)).state is State.DOWNLOADING
    await until(lambda: downloads.running)
    downloads.end()
    await until(lambda: state_of(manager, CUSTOM) is State.ON_DISK)


async def test_a_fault_of_ours_leaves_no_download_hanging(make_manager: MakeManager, downloads: Downloads) -> None:
    manager = make_manager()
    await manager.want(CUSTOM)
    await until(lambda: downloads.running)
    downloads.end(RuntimeError("out of processes"))
    await until(lambda: state_of(manager, CUSTOM) is State.FAILED)
    with pytest.raises(ModelFailed, match="because of an error in the server"):
        await use_for_a_moment(manager, CUSTOM)


# The speech tokenizer.


async def test_the_codec_is_used_of_what_is_loaded(make_manager: MakeManager, engine: Engine) -> None:
    manager = make_manager(CUSTOM, BASE)
    async with manager.use(BASE), manager.use_codec() as (worker, checkpoint):
        assert (worker, checkpoint) == (engine, BASE)
        assert status_of(manager, BASE).users == 2
    assert engine.done == [("load", BASE)]


async def test_the_codec_is_loaded_with_what_is_on_disk(make_manager: MakeManager, downloads: Downloads) -> None:
    manager = make_manager(DESIGN, BASE)
    async with manager.use_codec() as (_, checkpoint):
        assert checkpoint == BASE
    assert downloads.begun == []


async def test_without_any_checkpoint_the_codec_brings_the_default_one(
    make_manager: MakeManager, downloads: Downloads
) -> None:
    manager = make_manager()
    with pytest.raises(ModelLoading, match=r"0\.6B-CustomVoice is about to be downloaded"):
        async with manager.use_codec():
            pass
    await until(lambda: downloads.begun == [CUSTOM])


# What is damaged.


def cut(folder: Path) -> str:
    """Cut the weights short, as a copy that was broken off, and say what is to be said of that."""
    file = folder / "model.safetensors"
    whole = file.stat().st_size
    os.truncate(file, whole - 1)
    return f"is damaged: model.safetensors is incomplete: it has {whole - 1:,} of {whole:,} bytes."


async def test_a_damaged_one_is_said_with_its_file_until_it_is_whole(
    make_manager: MakeManager, downloads: Downloads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in the log, always to who asks, and no longer as soon as its files were copied again."""
    manager = make_manager(CUSTOM, download=False)
    said = cut(on_disk.folder(tmp_path, CUSTOM))
    for _ in range(2):
        with pytest.raises(ModelDamaged, match=said) as caught:
            await use_for_a_moment(manager, CUSTOM)
        status = next(status for status in await manager.survey() if status.checkpoint == CUSTOM)
        assert (status.state, str(status.error)) == (State.FAILED, str(caught.value))
    assert "Copy it again, or download it" in str(caught.value)
    assert caught.value.code == "model_failed"
    assert str(tmp_path) not in str(caught.value)
    (logged,) = [record for record in caplog.records if "is damaged" in record.message]
    assert str(on_disk.folder(tmp_path, CUSTOM)) in logged.message
    assert downloads.begun == []
    lay(tmp_path, CUSTOM)
    await use_for_a_moment(manager, CUSTOM)


async def test_a_damaged_one_is_mended_by_a_download_and_said_where_that_fails(
    make_manager: MakeManager, downloads: Downloads, tmp_path: Path
) -> None:
    manager = make_manager(CUSTOM)
    said = cut(on_disk.folder(tmp_path, CUSTOM))
    with pytest.raises(ModelLoading, match="about to be downloaded"):
        await use_for_a_moment(manager, CUSTOM)
    await until(lambda: downloads.running)
    downloads.end(DownloadFailed("The hub is shut."))
    await until(lambda: state_of(manager, CUSTOM) is State.FAILED)
    with pytest.raises(DownloadFailed, match=f"^Qwen3-TTS-12Hz-0.6B-CustomVoice {said}.* The hub is shut.$"):
        await use_for_a_moment(manager, CUSTOM)
    await manager.fetch(CUSTOM)
    await until(lambda: downloads.running)
    downloads.end()
    await until(lambda: state_of(manager, CUSTOM) is State.READY)


@pytest.mark.parametrize("config", ['{"tts_model_type": "base"}', '{"tts_model_type": '])
async def test_what_a_person_may_have_written_is_overwritten_when_a_person_asks_alone(
    make_manager: MakeManager, downloads: Downloads, tmp_path: Path, config: str
) -> None:
    manager = make_manager(CUSTOM)
    (on_disk.folder(tmp_path, CUSTOM) / "config.json").write_text(config)
    for _ in range(2):
        with pytest.raises(ModelDamaged, match=r"config\.json (is|belongs to) "):
            await use_for_a_moment(manager, CUSTOM)
    assert downloads.begun == []
    await manager.fetch(CUSTOM)
    await until(lambda: downloads.have_begun(1))


async def test_a_git_lfs_pointer_is_said_with_what_to_do(make_manager: MakeManager, tmp_path: Path) -> None:
    manager = make_manager(CUSTOM, download=False)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (on_disk.folder(tmp_path, CUSTOM) / "model.safetensors").write_text(pointer)
    with pytest.raises(ModelDamaged, match=r"is a Git LFS pointer .* Run git lfs pull there, or download"):
        await use_for_a_moment(manager, CUSTOM)


async def test_a_download_that_did_not_end_is_not_called_absent(make_manager: MakeManager, tmp_path: Path) -> None:
    manager = make_manager(CUSTOM, download=False)
    folder = on_disk.folder(tmp_path, CUSTOM)
    (folder / "model.safetensors").unlink()
    (folder / ".download").mkdir()
    with pytest.raises(
        ModelMissing, match="is in the models folder only in part, because its download did not finish; download it"
    ):
        await use_for_a_moment(manager, CUSTOM)


@pytest.mark.parametrize("below", ["hub", "."])
async def test_a_hugging_face_cache_is_a_models_folder(
    make_manager: MakeManager, engine: Engine, downloads: Downloads, tmp_path: Path, below: str
) -> None:
    """What is fetched comes into a folder of our own, which is then taken; a cache is another program's."""
    repository = tmp_path / below / "models--Qwen--Qwen3-TTS-12Hz-0.6B-CustomVoice"
    laid = lay(tmp_path / "elsewhere", CUSTOM)
    snapshot = Path(shutil.copytree(laid, repository / "snapshots" / "c0ffee"))
    manager = make_manager()
    await manager.load(CUSTOM)
    assert (engine.paths, downloads.begun) == ([snapshot], [])
    assert status_of(manager, CUSTOM).disk > FOOTPRINT
    await manager.unload(CUSTOM)
    cut(snapshot)
    with pytest.raises(ModelDamaged, match="CustomVoice is damaged"):
        await use_for_a_moment(make_manager(download=False), CUSTOM)
    for error in (ModelDamaged, ModelLoading):  # seen when it is loaded, mended when it is asked for again
        with pytest.raises(error):
            await use_for_a_moment(manager, CUSTOM)
    await until(lambda: downloads.running)
    downloads.end()
    await until(lambda: state_of(manager, CUSTOM) is State.READY)
    assert engine.paths[1:] == [on_disk.folder(tmp_path, CUSTOM)]


ON_GPU = Selection("cuda:0", "1.7B", "bfloat16", "Speech runs on a GPU.")
FULL = Selection("cpu", "0.6B", "float32", "The GPU is full, so speech runs on the CPU.", again=True)
LARGE = Checkpoint("custom_voice", "1.7B")


async def test_the_engine_says_which_size_speaks(make_manager: MakeManager, engine: Engine) -> None:
    manager = make_manager(CUSTOM, LARGE, size=None)
    assert (manager.size, manager.settled, manager.looked, manager.selection) == ("0.6B", False, False, None)
    engine.selection = ON_GPU
    manager.start(["custom_voice"])
    await until(lambda: state_of(manager, LARGE) is State.READY and manager.looked)
    assert (manager.size, manager.selection) == ("1.7B", ON_GPU)
    assert state_of(manager, CUSTOM) is State.ON_DISK


async def test_a_size_that_is_asked_for_stays(make_manager: MakeManager, engine: Engine) -> None:
    manager = make_manager(size="0.6B")
    engine.selection = ON_GPU
    await manager.settle()
    assert not engine.up
    await engine.start()
    assert manager.size == "0.6B"


async def test_an_engine_that_can_not_start_leaves_the_small_size(
    make_manager: MakeManager, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> wire.Hello:
        raise EngineFailed("The speech engine stopped unexpectedly.")

    manager = make_manager(size=None)
    monkeypatch.setattr(engine, "start", fail)
    await manager.settle()
    assert (manager.size, manager.settled) == ("0.6B", True)


async def test_memory_that_is_full_now_is_measured_again(make_manager: MakeManager, engine: Engine) -> None:
    """Too little is an error of memory, for which something smaller is tried; the next try finds what is free then."""
    manager = make_manager(CUSTOM)
    engine.room = wire.Room(0, 10)
    with pytest.raises(OutOfMemory, match="of the free memory"):
        await manager.load(CUSTOM)
    assert not engine.up  # so that the next process chooses anew
    engine.room = wire.Room(2 << 30, 1 << 30)
    assert (await manager.load(CUSTOM)).state is State.READY


@pytest.mark.parametrize("users", [0, 1])
async def test_a_gpu_that_was_full_is_used_once_it_has_room_and_nothing_speaks(
    make_manager: MakeManager, engine: Engine, users: int
) -> None:
    manager = make_manager(CUSTOM, LARGE, size=None)
    engine.selection = FULL
    await manager.settle()
    await manager.load(CUSTOM)
    await manager.move_up()
    assert state_of(manager, CUSTOM) is State.READY  # it is still full
    engine.room, engine.selection = wire.Room(2 << 30, 1 << 30, better=True), ON_GPU
    async with manager.use(CUSTOM) if users else contextlib.nullcontext():
        await manager.move_up()
    assert (manager.size, state_of(manager, CUSTOM)) == (("0.6B", State.READY) if users else ("1.7B", State.ON_DISK))
    assert (state_of(manager, LARGE) is State.READY) is (not users)


async def test_one_that_is_taken_into_use_while_the_gpu_is_looked_at_stays(
    make_manager: MakeManager, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make_manager(CUSTOM, LARGE, size=None)
    engine.selection = FULL
    await manager.settle()
    await manager.load(CUSTOM)
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def measure(*_: object) -> wire.Room:
        looked.set()
        await go_on.wait()
        return wire.Room(2 << 30, 1 << 30, better=True)

    monkeypatch.setattr(engine, "measure", measure)
    moving = asyncio.create_task(manager.move_up())
    await looked.wait()
    async with manager.use(CUSTOM):
        go_on.set()
        await moving
        assert (engine.up, state_of(manager, CUSTOM)) == (True, State.READY)
    assert engine.done == [("load", CUSTOM)]


async def test_one_that_is_taken_into_use_while_another_is_unloaded_for_the_gpu_is_not_loaded_twice(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = make_manager(CUSTOM, BASE, size=None)
    engine.selection = FULL
    await manager.settle()
    await manager.load(CUSTOM)
    await manager.load(BASE)
    engine.room = wire.Room(2 << 30, 1 << 30, better=True)
    engine.unload_gate.clear()
    moving = asyncio.create_task(manager.move_up())
    first, second = await one_of_two_unloaded(engine)
    async with manager.use(second):
        engine.unload_gate.set()
        await moving
    assert engine.done[2:] == [("unload", first), ("load", first)]


async def test_what_is_only_there_in_the_small_size_is_loaded_again_on_the_gpu(
    make_manager: MakeManager, engine: Engine
) -> None:
    manager = make_manager(CUSTOM, size=None, download=False)
    engine.selection = FULL
    await manager.settle()
    await manager.load(CUSTOM)
    engine.room, engine.selection = wire.Room(2 << 30, 1 << 30, better=True), ON_GPU
    await manager.move_up()
    assert state_of(manager, CUSTOM) is State.READY
    assert engine.done == [("load", CUSTOM), ("unload", CUSTOM), ("load", CUSTOM)]
    assert (manager.size, manager.selection) == ("0.6B", ON_GPU)


async def test_a_later_process_does_not_change_the_size(make_manager: MakeManager, engine: Engine) -> None:
    """What was downloaded for it would be of no use."""
    manager = make_manager(LARGE, size=None)
    engine.selection = ON_GPU
    await manager.settle()
    await engine.stop()
    engine.selection = FULL
    await manager.load(LARGE)
    assert (manager.size, manager.selection) == ("1.7B", FULL)
