"""Which checkpoint speaks a request, and the life of checkpoints: downloaded, loaded, counted, evicted.

Knows no protocol and no text. What is known of each checkpoint is in state.py, what lies on disk is for
files.py.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.core.checkpoints import Checkpoint, Size, published
from wyoming_qwen3.core.errors import (
    EngineFailed,
    InvalidRequest,
    ModelDamaged,
    ModelFailed,
    ModelInUse,
    ModelMissing,
    NotSupported,
    OutOfMemory,
    SpeechError,
)
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.checkpoint import on_disk
from wyoming_qwen3.models.worker import Worker

from .broadcast import Subscription
from .eviction import choose_evictions
from .files import Download, ModelFiles
from .model_choice import choose_codec
from .restart import restart_delay
from .state import Books, Event, Model, State, Status

_LOGGER = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0
"""How long a checkpoint that failed is left alone, unless a person asks for it."""

_RETRY_MEMORY_SECONDS = 300.0
"""The same for one that did not fit into memory: trying costs many seconds, and others their place."""

_PUBLISHED_WEIGHT_BYTES = 2
"""Checkpoints are published in bfloat16; the estimate of what they take is a little high for what is not."""

_CALM_SECONDS = 120.0
"""An engine that lives that long has got over what killed the one before."""


@dataclass(frozen=True)
class Policy:
    """What the manager may do and keep."""

    models_dir: Path
    size: Size
    download: bool = True
    """Whether what a request needs is downloaded by itself."""

    revision: str = "main"
    idle_unload: float = 0.0
    """Seconds after its last use that a checkpoint is dropped; 0 keeps it."""

    memory_budget: int | None = None
    """Bytes of checkpoints in memory at once. None leaves it to what the engine finds free."""

    offline: bool = False
    """Whether the hub is never asked, not even where a person wants it."""

    engine: bool = True
    """Whether there is an engine here; without one checkpoints are of no use."""


class ModelManager:
    """Owns the engine process and what is loaded in it.

    Requests speak through `look` and `use`. A person's wishes are `load`, `unload`, `fetch` and `cancel_fetch`, which
    raise ModelNotFound where no such checkpoint is published. Who shows the checkpoints has `statuses`, `survey` and
    `watch`.
    """

    def __init__(self, policy: Policy, worker: Worker, download: Download) -> None:
        self._policy = policy
        self._worker = worker
        self._books = Books()
        self._files = ModelFiles(self._books, policy.models_dir, policy.revision, download)
        self._looked = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._engine_lock = asyncio.Lock()
        """Held by who changes what is loaded."""

        self._recovering: asyncio.Task[None] | None = None
        """What loads again what was lost with the engine."""

        self._deaths = 0
        self._last_death = -_CALM_SECONDS

    @property
    def size(self) -> Size:
        """The size that is spoken with, where a kind exists in it."""
        return self._policy.size

    @property
    def has_engine(self) -> bool:
        """Whether it has an engine at all; without one nothing is loaded or downloaded here."""
        return self._policy.engine

    @property
    def looked(self) -> bool:
        """Whether it has seen yet what is on disk; until then all that is said to be missing may be there."""
        return self._looked

    @property
    def engine(self) -> wire.Hello | None:
        """What the engine process told of itself, while there is one."""
        return self._worker.hello

    def start(self, preload: Iterable[Checkpoint]) -> None:
        """Look at what is on disk, and begin to fetch and load what should be ready before anybody asks."""
        self._spawn(self._look_on_disk())
        for checkpoint in preload:
            self._spawn(self._preload(checkpoint))
        if self._policy.idle_unload:
            self._spawn(self._unload_idle())

    async def look(self, checkpoint: Checkpoint) -> Model:
        """The checkpoint's state as it is now on disk and in memory, for who would speak with it.

        A missing one begins to be downloaded, if the policy is so and no person has stopped its download.
        """
        model = self._books.find(checkpoint)
        await self._look_again(model)
        lacking = model.state is State.MISSING or (isinstance(model.error, ModelDamaged) and model.error.mendable)
        if lacking or model.state is State.DOWNLOADING:
            model.wanted = True
        if lacking and self._policy.download and not model.declined:
            self._begin_fetch(model)
        return model

    async def look_aside(self, checkpoint: Checkpoint) -> Model | None:
        """A checkpoint that would do instead, if it can speak; it is not downloaded for that."""
        model = self._books.find(checkpoint)
        await self._look_again(model)
        return model if model.available else None

    def load_soon(self, checkpoint: Checkpoint) -> None:
        """Begin to load it if it is on disk: something else speaks for it now, and it should be ready for the next.

        After the engine has died that waits, as `engine_died` says.
        """
        model = self._books.find(checkpoint)
        if model.state is State.ON_DISK and not _active(self._recovering):
            self._load(model)

    async def relieve(self, checkpoint: Checkpoint, *, give_up: bool) -> None:
        """Memory ran out while it spoke: drop what is idle. With `give_up` it has failed, if it was idle too."""
        await asyncio.shield(self._spawn(self._relieve(self._books.find(checkpoint), give_up=give_up)))

    @contextlib.asynccontextmanager
    async def use(self, checkpoint: Checkpoint) -> AsyncIterator[Worker]:
        """The engine with the checkpoint loaded, which stays so until the caller leaves.

        Waits while it is loaded. Raises Unavailable where it is not on disk or can't be loaded, NotSupported without an
        engine.
        """
        self._require_engine()
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
            if model.state is State.READY:
                model.last_used = time.monotonic()
            self._books.changed.set()

    @contextlib.asynccontextmanager
    async def use_codec(self) -> AsyncIterator[tuple[Worker, Checkpoint]]:
        """The engine with any checkpoint loaded, for the speech tokenizer that all of them share.

        Takes what is in memory before it loads another. Raises as `use` does.
        """
        self._require_engine()
        if not self._books.in_state(State.READY, State.LOADING):
            await self._look_on_disk()
        checkpoint = choose_codec(self._books.models, published("custom_voice", self._policy.size))
        async with self.use(checkpoint) as worker:
            yield worker, checkpoint

    def statuses(self) -> list[Status]:
        """All published checkpoints as far as is known, without looking anywhere; none without an engine."""
        return self._books.statuses() if self._policy.engine else []

    async def survey(self) -> list[Status]:
        """The same after a look on disk. It begins no download."""
        await self._look_on_disk()
        return self.statuses()

    def watch(self) -> contextlib.AbstractContextManager[Subscription[Event]]:
        """What happens to the checkpoints, from entering the context on: take `statuses` after that.

        The iterator ends when the manager is closed, or when the listener does not keep up.
        """
        return self._books.watch()

    async def load(self, checkpoint: Checkpoint) -> Status:
        """Load it, as a person asks for it, and wait until it is ready. What has failed is tried again at once.

        Raises Unavailable where it can't be loaded or is not on disk; it is downloaded then, if the policy is so.
        """
        self._require_engine()
        model = self._books.find(checkpoint)
        model.declined = False
        if model.state is State.FAILED:
            await self._files.look([model])
        await self._hurry_fetch(model)
        async with self.use(checkpoint):
            pass
        return model.status()

    async def unload(self, checkpoint: Checkpoint) -> Status:
        """Drop it from memory, and end an engine process that then holds nothing.

        Raises ModelInUse while it is in use or being loaded, and InvalidRequest where it is not loaded.
        """
        model = self._books.find(checkpoint)
        _check_idle(model)
        await asyncio.shield(self._spawn(self._unload_asked(model)))  # who asked may leave; the engine is heard out
        return model.status()

    async def fetch(self, checkpoint: Checkpoint) -> Status:
        """Begin to download it, as a person asks for it, whether or not requests may. It is not loaded for that.

        What is on disk or being downloaded stays as it is. What could not be loaded is checked by the hub's checksums
        and mended, and a download that waits for its next try is tried at once. Raises NotSupported where the hub is
        never asked, or there is no engine.
        """
        self._require_engine()
        model = self._books.find(checkpoint)
        if model.state is State.MISSING:
            await self._files.look([model])
        if model.state in (State.MISSING, State.FAILED):
            if self._policy.offline:
                raise NotSupported(f"{checkpoint.name} can't be downloaded: this server is set to ask no hub.")
            model.declined = False
            await self._hurry_fetch(model)
            self._begin_fetch(model)
        return model.status()

    async def cancel_fetch(self, checkpoint: Checkpoint) -> Status:
        """Stop its download, and keep what is fetched. Only `fetch` and `load` begin it again, not a request to speak.

        Raises InvalidRequest where it is not being downloaded.
        """
        model = self._books.find(checkpoint)
        if model.state not in (State.DOWNLOADING, State.MISSING) or not _active(model.fetching):
            raise InvalidRequest(f"{checkpoint.name} is not being downloaded.", param="model")
        model.declined, model.wanted = True, False
        self._books.change(model, "missing", State.MISSING)
        await _stop(model.fetching)
        return model.status()

    def engine_died(self) -> None:
        """Told by the worker. What was loaded is loaded again, at once the first time and ever later after that."""
        now = time.monotonic()
        self._deaths = self._deaths + 1 if now - self._last_death < _CALM_SECONDS else 1
        self._last_death = now
        lost = self._books.in_state(State.READY)
        for model in lost:
            self._books.change(model, "lost", State.ON_DISK)
        if lost:
            self._recovering = self._spawn(self._recover(lost, restart_delay(self._deaths)))

    async def close(self) -> None:
        """Stop everything."""
        self._books.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._worker.stop()

    def _require_engine(self) -> None:
        if not self._policy.engine:
            raise NotSupported("This server has no engine of its own (--backend vllm); its vLLM servers can't do this.")

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

    async def _unload_asked(self, model: Model) -> None:
        async with self._engine_lock:
            _check_idle(model)
            await self._unload(model, "as asked")
            await self._rest()

    async def _relieve(self, model: Model, *, give_up: bool) -> None:
        async with self._engine_lock:
            await self._unload_all_idle()
            if give_up and model.state is State.ON_DISK:
                name = model.checkpoint.name
                self._books.fail(model, OutOfMemory(f"{name} is too large: memory ran out while it spoke."))

    async def _unload_all_idle(self) -> bool:
        """Whether there was anything to drop."""
        idle = [model for model in self._books.in_state(State.READY) if not model.users]
        for model in idle:
            await self._unload(model, "because memory has run out")
        await self._rest()
        return bool(idle)

    async def _unload_idle(self) -> None:
        limit = self._policy.idle_unload
        while True:
            await asyncio.sleep(min(limit / 4, 30.0))
            async with self._engine_lock:
                for model in self._books.in_state(State.READY):
                    if not model.users and time.monotonic() - model.last_used > limit:
                        await self._unload(model, f"after {limit:.0f} s without use")
                await self._rest()

    async def _look_again(self, model: Model) -> None:
        """Look for one that was missing, or has failed and been left alone for long enough."""
        rest = _RETRY_MEMORY_SECONDS if isinstance(model.error, OutOfMemory) else _RETRY_SECONDS
        rested = model.state is State.FAILED and time.monotonic() - model.failed > rest
        if model.state is State.MISSING or rested or isinstance(model.error, ModelDamaged):
            await self._files.look([model])

    async def _look_on_disk(self) -> None:
        failed = [model for model in self._books.in_state(State.FAILED) if isinstance(model.error, ModelDamaged)]
        await self._files.look([*self._books.in_state(State.MISSING, State.ON_DISK), *failed])
        self._looked = True

    def _begin_fetch(self, model: Model) -> None:
        if model.state in (State.MISSING, State.FAILED) and not _active(model.fetching):
            self._books.change(model, "download", State.DOWNLOADING)
            model.fetching = self._spawn(self._fetch(model), model)

    async def _hurry_fetch(self, model: Model) -> None:
        """Begin a download again at once that waits for its next try, or is being stopped."""
        if model.state is State.MISSING and _active(model.fetching):
            await _stop(model.fetching)
            self._begin_fetch(model)

    async def _fetch(self, model: Model) -> None:
        if await self._files.fetch(model) and model.wanted:
            self._load(model)

    def _load(self, model: Model) -> "asyncio.Task[None]":
        if model.loading is None or model.loading.done():
            model.wanted = False
            self._books.change(model, "loading", State.LOADING)
            model.loading = self._spawn(self._load_now(model), model)
        return model.loading

    async def _load_now(self, model: Model) -> None:
        """Make room and load; what goes wrong is put down in the books."""
        name, started = model.checkpoint.name, time.monotonic()
        try:
            async with self._engine_lock:
                await self._make_room(model)
                footprint = await self._load_or_make_room(model)
                if not self._worker.running:  # it died between its answer and here
                    raise EngineFailed("The speech engine stopped unexpectedly.")
        except ModelMissing:  # it was there when somebody looked
            self._books.change(model, "missing", State.MISSING)
            await self._files.look([model])
        except (SpeechError, OSError) as error:
            failure = _load_failure(name, error)
            self._books.fail(model, failure)
            _LOGGER.error("%s can't be used: %s", name, failure)  # noqa: TRY400  the engine has logged the traceback
        else:
            model.last_used = time.monotonic()
            self._books.change(model, "ready", State.READY, footprint=footprint)
            _LOGGER.info("%s is ready: loaded in %.1f s, %.2f GB", name, model.last_used - started, footprint / 1e9)

    async def _load_or_make_room(self, model: Model) -> int:
        """Its footprint, when it is loaded; where memory runs out once more, with nothing idle beside it."""
        path = self._files.path(model)
        try:
            return await self._worker.load(model.checkpoint, path)
        except OutOfMemory:
            if not await self._unload_all_idle():
                raise
            return await self._worker.load(model.checkpoint, path)

    async def _make_room(self, model: Model) -> None:
        """Evict idle checkpoints, and wait for busy ones, until this one fits.

        Raises ModelFailed where it would not fit alone.
        """
        hello = await self._worker.start()
        stored = await asyncio.to_thread(on_disk.footprint, self._files.path(model))
        need = stored * hello.weight_bytes // _PUBLISHED_WEIGHT_BYTES
        budget = self._policy.memory_budget or hello.memory
        if need > budget:
            raise ModelFailed(
                f"{model.checkpoint.name} needs {need / 1e9:.1f} GB, but checkpoints may take {budget / 1e9:.1f} GB "
                f"{'by the memory budget' if self._policy.memory_budget else 'of what is free'}."
            )
        while True:
            for idle in choose_evictions(self._books.models, need, budget):
                await self._unload(idle, "to make room")
            if sum(other.footprint for other in self._books.models) + need <= budget:
                return
            self._books.changed.clear()
            await self._books.changed.wait()

    async def _unload(self, model: Model, why: str) -> None:
        self._books.change(model, "evicted", State.ON_DISK)  # first, so that nobody begins to speak with it
        await self._worker.unload(model.checkpoint)
        _LOGGER.info("%s was unloaded %s", model.checkpoint.name, why)

    async def _rest(self) -> None:
        """End an engine process that holds nothing: only that gives all of its memory back."""
        if self._worker.running and not self._books.in_state(State.READY):
            await self._worker.stop()

    def _spawn(self, work: Coroutine[None, None, None], model: Model | None = None) -> "asyncio.Task[None]":
        """Run it until it ends or the manager is closed. A SpeechError is for who waits for it; any other is logged.

        Where a model is given, it must not be left halfway: it has failed.
        """

        def done(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is None or (model is None and isinstance(error, SpeechError)):
                return
            _LOGGER.error("A model task failed", exc_info=error)
            if model:
                fault = f"{model.checkpoint.name} can't be used: the server failed, as its log tells."
                self._books.fail(model, ModelFailed(fault))

        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(done)
        return task


def _check_idle(model: Model) -> None:
    if model.state is State.LOADING or (model.state is State.READY and model.users):
        doing = "is being loaded" if model.state is State.LOADING else "is in use"
        raise ModelInUse(f"{model.checkpoint.name} {doing} and can't be unloaded now.", param="model")
    if model.state is not State.READY:
        raise InvalidRequest(f"{model.checkpoint.name} is not loaded.", param="model")


def _load_failure(name: str, error: SpeechError | OSError) -> SpeechError:
    """A load that fails is the model's fault to who asked, though it were the engine's or the disk's."""
    if isinstance(error, OSError):
        return ModelFailed(f"{name} can't be read: {error.strerror}.")
    return ModelFailed(str(error)) if isinstance(error, EngineFailed) else error


def _active(task: "asyncio.Task[None] | None") -> bool:
    return task is not None and not task.done()


async def _stop(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        if not task.cancelling():  # a second time would cut short how it ends its process
            task.cancel()
        await asyncio.wait([task])
