"""Which checkpoint speaks a request, and the life of checkpoints: downloaded, loaded, counted, evicted.

Knows no protocol and no text.
"""

import asyncio
import contextlib
import enum
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path

from .checkpoints import Checkpoint, Size, published
from .engine import weights
from .errors import (
    DownloadFailed,
    EngineFailed,
    InstructionsNotSupported,
    ModelFailed,
    ModelLoading,
    ModelMissing,
    SpeechError,
)
from .request import Description, SpeechRequest
from .voices import Speaker
from .worker import Worker

_LOGGER = logging.getLogger(__name__)

_RELOAD_SECONDS = 30.0
"""How long a checkpoint that could not be loaded is left alone."""

_PUBLISHED_WEIGHT_BYTES = 2
"""Checkpoints are published in bfloat16; the estimate of what they take is a little high for what is not."""

_CALM_SECONDS = 120.0
"""An engine that lives that long has got over what killed the one before."""


def choose_model(request: SpeechRequest, size: Size) -> Checkpoint:
    """The checkpoint for what is asked: a named speaker, a description, or a voice to clone.

    VoiceDesign exists in 1.7B only, whatever the size. Raises InstructionsNotSupported.
    """
    if isinstance(request.voice, Speaker):
        chosen = published("custom_voice", size)
    elif isinstance(request.voice, Description):
        chosen = published("voice_design", size)
    else:
        chosen = published("base", size)
    if request.instruct and not chosen.follows_instructions:
        raise InstructionsNotSupported(
            f"{chosen.name} does not follow instructions; use the 1.7B model and a named speaker, or none."
        )
    return chosen


class State(enum.Enum):
    """Where a checkpoint is on its way into memory."""

    MISSING = "missing"
    DOWNLOADING = "downloading"
    ON_DISK = "on disk"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass
class Model:
    """One checkpoint's state, as the manager keeps it and others may read it."""

    checkpoint: Checkpoint
    state: State
    progress: weights.Progress | None = None
    """While downloading."""

    error: SpeechError | None = None
    """Why it is missing or failed."""

    footprint: int = 0
    """Bytes in memory, when ready."""

    users: int = 0
    last_used: float = 0.0
    fetching: "asyncio.Task[None] | None" = None
    loading: "asyncio.Task[None] | None" = None

    def explain(self) -> SpeechError:
        """Why it can't speak now, for whoever asked it to."""
        name = self.checkpoint.name
        match self.state:
            case State.DOWNLOADING if self.progress and self.progress.total:
                share = 100 * self.progress.done / self.progress.total
                gigabytes = self.progress.total / 1e9
                return ModelLoading(f"{name} is being downloaded: {share:.0f} % of {gigabytes:.1f} GB so far.")
            case State.DOWNLOADING:
                return ModelLoading(f"{name} is about to be downloaded.")
            case State.FAILED | State.MISSING if isinstance(self.error, DownloadFailed):
                return DownloadFailed(f"{name} is missing: {self.error}")
            case State.FAILED if self.error:
                return self.error
            case State.MISSING:
                return ModelMissing(f"{name} is not in the models folder.")
            case _:
                return ModelLoading(f"{name} is being loaded.")


@dataclass(frozen=True)
class Policy:
    """What the manager may do and keep."""

    models_dir: Path
    size: Size
    download: bool = True
    revision: str = "main"
    idle_unload: float = 0.0
    """Seconds after its last use that a checkpoint is dropped; 0 keeps it."""

    memory_budget: int | None = None
    """Bytes of checkpoints in memory at once. None leaves it to what the engine finds free."""


Download = Callable[[list[str], Callable[[int, int], None]], Awaitable[None]]


def choose_evictions(models: Iterable[Model], need: int, budget: int) -> list[Model]:
    """The idle checkpoints to drop, longest unused first, so that `need` bytes more stay within the budget.

    All idle ones, where even that is not enough.
    """
    models = list(models)
    surplus = sum(model.footprint for model in models) + need - budget
    chosen = []
    for model in sorted(models, key=lambda model: model.last_used):
        if surplus <= 0:
            break
        if model.state is State.READY and not model.users:
            chosen.append(model)
            surplus -= model.footprint
    return chosen


def restart_delay(deaths: int) -> float:
    """Seconds to wait before an engine that has died so many times in a row is started again."""
    return 0.0 if deaths <= 1 else min(2.0 ** (deaths - 1), 60.0)


class ModelManager:
    """Owns the engine process and what is loaded in it."""

    def __init__(self, policy: Policy, worker: Worker, download: Download) -> None:
        self._policy = policy
        self._worker = worker
        self._download = download
        self._models: dict[Checkpoint, Model] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loading = asyncio.Lock()
        self._released = asyncio.Event()
        self._deaths = 0
        self._last_death = -_CALM_SECONDS

    @property
    def size(self) -> Size:
        """The size that is spoken with, where a kind exists in it."""
        return self._policy.size

    def start(self, preload: Iterable[Checkpoint]) -> None:
        """Begin to fetch and load what should be ready before anybody asks."""
        for checkpoint in preload:
            self._spawn(self._preload(checkpoint))
        if self._policy.idle_unload:
            self._spawn(self._unload_idle())

    async def look(self, checkpoint: Checkpoint) -> Model:
        """The checkpoint's state as it is now on disk and in memory; a missing one begins to be downloaded."""
        model = self._models.setdefault(checkpoint, Model(checkpoint, State.MISSING))
        if model.state is State.FAILED and time.monotonic() - model.last_used > _RELOAD_SECONDS:
            model.state = State.MISSING
        if model.state is State.MISSING:
            complete = await asyncio.to_thread(weights.is_complete, self._folder(model))
            if complete and model.state is State.MISSING:  # nobody else has found it meanwhile
                model.state, model.error = State.ON_DISK, None
        if model.state is State.MISSING and self._policy.download and not _active(model.fetching):
            model.fetching = self._spawn(self._fetch(model))
        return model

    @contextlib.asynccontextmanager
    async def use(self, checkpoint: Checkpoint) -> AsyncIterator[Worker]:
        """The engine with the checkpoint loaded, which stays so until the caller leaves.

        Waits while it is loaded. Raises Unavailable where it is not on disk or can't be loaded.
        """
        model = await self.look(checkpoint)
        model.users += 1
        try:
            if model.state in (State.ON_DISK, State.LOADING):
                await asyncio.shield(self._load(model))
            if model.state is not State.READY:
                raise model.explain()
            yield self._worker
        finally:
            model.users -= 1
            model.last_used = time.monotonic()
            self._released.set()

    def engine_died(self) -> None:
        """Told by the worker. What was loaded is loaded again, at once the first time and ever later after that."""
        now = time.monotonic()
        self._deaths = self._deaths + 1 if now - self._last_death < _CALM_SECONDS else 1
        self._last_death = now
        lost = [model for model in self._models.values() if model.state is State.READY]
        for model in lost:
            model.state, model.footprint = State.ON_DISK, 0
        if lost:
            self._spawn(self._recover(lost, restart_delay(self._deaths)))

    async def close(self) -> None:
        """Stop everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._worker.stop()

    async def _preload(self, checkpoint: Checkpoint) -> None:
        model = await self.look(checkpoint)
        if model.state is State.ON_DISK:
            await self._load(model)
        elif model.state is State.MISSING and not self._policy.download:
            _LOGGER.warning("%s", model.explain())

    async def _recover(self, models: list[Model], delay: float) -> None:
        await asyncio.sleep(delay)
        for model in models:
            if model.state is State.ON_DISK:
                await self._load(model)

    async def _fetch(self, model: Model) -> None:
        """Download until it is whole or can't be; then load it."""
        checkpoint = model.checkpoint
        for attempt in itertools.count():
            model.state, model.error, model.progress = State.DOWNLOADING, None, None
            log_progress = _ProgressLog(checkpoint.name)

            def report(done: int, total: int, log_progress: _ProgressLog = log_progress) -> None:
                model.progress = weights.Progress(done, total)
                log_progress(done, total)

            try:
                await self._download(self._download_arguments(checkpoint), report)
                break
            except DownloadFailed as error:
                model.state, model.error = (State.MISSING if error.transient else State.FAILED), error
                delay = weights.retry_delay(attempt + 1)
                level = logging.DEBUG if error.transient and attempt else logging.WARNING
                _LOGGER.log(level, "%s%s", error, f" Next try in {delay:.0f} s." if error.transient else "")
                if not error.transient:
                    model.last_used = time.monotonic()
                    return
            await asyncio.sleep(delay)
            if model.state is not State.MISSING:
                return  # somebody put it there by hand meanwhile
        _LOGGER.info("%s is downloaded", checkpoint.name)
        model.state, model.progress = State.ON_DISK, None
        await self._load(model)

    def _download_arguments(self, checkpoint: Checkpoint) -> list[str]:
        return [
            *("--models-dir", str(self._policy.models_dir)),
            *("--kind", checkpoint.kind, "--size", checkpoint.size),
            *("--revision", self._policy.revision),
        ]

    def _load(self, model: Model) -> "asyncio.Task[None]":
        if not _active(model.loading):
            model.state = State.LOADING
            model.loading = self._spawn(self._load_now(model))
        assert model.loading is not None
        return model.loading

    async def _load_now(self, model: Model) -> None:
        """Make room and load; what goes wrong is kept in the model's state."""
        name, started = model.checkpoint.name, time.monotonic()
        try:
            async with self._loading:
                await self._make_room(model)
                model.footprint = await self._worker.load(model.checkpoint, self._folder(model))
        except SpeechError as error:
            model.last_used = time.monotonic()
            model.state = State.FAILED
            model.error = ModelFailed(str(error)) if isinstance(error, EngineFailed) else error
            _LOGGER.error("%s can't be used: %s", name, error)  # noqa: TRY400  the engine has logged the traceback
            return
        model.state, model.error, model.last_used = State.READY, None, time.monotonic()
        seconds, gigabytes = time.monotonic() - started, model.footprint / 1e9
        _LOGGER.info("%s is ready: loaded in %.1f s, %.2f GB", name, seconds, gigabytes)

    async def _make_room(self, model: Model) -> None:
        """Evict idle checkpoints, and wait for busy ones, until this one fits.

        Raises ModelFailed where it would not fit alone.
        """
        hello = await self._worker.start()
        stored = await asyncio.to_thread(weights.footprint, self._folder(model))
        need = stored * hello.weight_bytes // _PUBLISHED_WEIGHT_BYTES
        budget = self._policy.memory_budget or hello.memory
        if need > budget:
            raise ModelFailed(
                f"{model.checkpoint.name} needs {need / 1e9:.1f} GB, but checkpoints may take {budget / 1e9:.1f} GB "
                f"{'by the memory budget' if self._policy.memory_budget else 'of what is free'}."
            )
        while True:
            for idle in choose_evictions(self._models.values(), need, budget):
                await self._unload(idle, "to make room")
            loaded = [other for other in self._models.values() if other.state is State.READY]
            if sum(other.footprint for other in loaded) + need <= budget:
                return
            self._released.clear()
            await self._released.wait()

    async def _unload(self, model: Model, why: str) -> None:
        model.state = State.ON_DISK
        await self._worker.unload(model.checkpoint)
        model.footprint = 0
        _LOGGER.info("%s was unloaded %s", model.checkpoint.name, why)

    async def _unload_idle(self) -> None:
        limit = self._policy.idle_unload
        while True:
            await asyncio.sleep(min(limit / 4, 30.0))
            async with self._loading:
                for model in list(self._models.values()):
                    if model.state is State.READY and not model.users and time.monotonic() - model.last_used > limit:
                        await self._unload(model, f"after {limit:.0f} s without use")
                if self._worker.running and not any(model.footprint for model in self._models.values()):
                    await self._worker.stop()

    def _folder(self, model: Model) -> Path:
        return weights.folder(self._policy.models_dir, model.checkpoint)

    def _spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOGGER.error("A model task failed", exc_info=error)


def _active(task: "asyncio.Task[None] | None") -> bool:
    return task is not None and not task.done()


class _ProgressLog:
    """A line for every tenth of a download."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        share = done / total if total else 0.0
        if share >= self._next:
            _LOGGER.info("Downloading %s: %.0f %% of %.1f MB", self._name, 100 * share, total / 1e6)
            self._next = share + 0.1
