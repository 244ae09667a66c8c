"""Manages the checkpoints: has them downloaded, loaded and unloaded as requests, persons, time and failures want it.

Knows no protocol and no text. state.py holds the state of each checkpoint, files.py handles what is on disk, and
loading.py what is in memory.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path

from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint, Kind, Size, other_size, published
from wyoming_qwen3.core.errors import (
    EngineFailed,
    InvalidRequest,
    ModelDamaged,
    ModelFailed,
    NotSupported,
    OutOfMemory,
    SpeechError,
)
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.engine import wire
from wyoming_qwen3.models.worker import Worker

from .broadcast import Subscription
from .engine_device import EngineDevice
from .files import ModelFiles, RunDownload
from .gauging import SpeedGauge
from .loading import ModelLoader, check_idle
from .model_choice import choose_codec
from .policy import Policy
from .restart import restart_delay
from .state import CheckpointStates, Event, Model, State, Status
from .tasks import Tasks, active, stop

_LOGGER = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0
"""Seconds before a checkpoint that failed is tried again, unless a person asks for it."""

_RETRY_MEMORY_SECONDS = 300.0
"""The same for one that did not fit into memory: a try takes many seconds and evicts other checkpoints."""

_ASK_AGAIN_SECONDS = 60.0
"""Seconds between two looks at a GPU on which there was no room."""

_CALM_SECONDS = 120.0
"""An engine that lives this long is no longer affected by what killed the one before."""


class ModelManager:
    """Owns the engine process and what is loaded in it.

    Requests to speak use `want` and `use`. `load`, `unload`, `fetch` and `cancel_fetch` are for a person's requests,
    and raise ModelNotFound if no such checkpoint is published. `statuses`, `survey` and `watch` are for showing the
    checkpoints.
    """

    def __init__(self, policy: Policy, worker: Worker, download: RunDownload) -> None:
        self._policy = policy
        self._worker = worker
        self._device = EngineDevice(worker, policy.size, policy.memory_budget)
        self._states = CheckpointStates()
        self._files = ModelFiles(self._states, policy.models_dir, policy.revision, download)
        self._surveyed = False
        self._tasks = Tasks()
        self._gauge = SpeedGauge(self._states, worker, self._tasks)
        self._loader = ModelLoader(worker, self._device, self._states, self._files, self._gauge)
        self._recovering: asyncio.Task[None] | None = None
        """The task that reloads what was lost when the engine died."""

        self._deaths = 0
        self._last_death = -_CALM_SECONDS

    @property
    def size(self) -> Size:
        """Size of the checkpoints that speak, if their kind exists in it; 0.6B until `settled`."""
        return self._device.size

    @property
    def open_size(self) -> bool:
        """Whether nobody chose the size, so that the other one may speak while it is not on disk."""
        return self._policy.size is None

    @property
    def settled(self) -> bool:
        """Whether the size is known."""
        return self._device.settled

    async def settle(self) -> None:
        """Wait until the size is known. If it is not set, the engine process says which one suits this machine."""
        await self._device.settle()

    @property
    def has_engine(self) -> bool:
        """Whether this server has an engine; without one nothing is loaded or downloaded here."""
        return self._policy.engine

    @property
    def models_dir(self) -> Path:
        """The folder that checkpoints are downloaded to; it may not exist yet."""
        return self._policy.models_dir

    @property
    def surveyed(self) -> bool:
        """Whether the disk has been looked at; until then, nothing is known to be missing."""
        return self._surveyed

    @property
    def looked(self) -> bool:
        """Whether the size is known, and the disk has been looked at."""
        return self._surveyed and self.settled

    @property
    def engine(self) -> wire.Hello | None:
        """What the engine process reported about itself; None while it is not up."""
        return self._worker.hello

    @property
    def selection(self) -> Selection | None:
        """What the engine computes on, and why; None before it was first up."""
        return self._device.selection

    async def room(self) -> wire.Room | None:
        """Return the memory of the engine's device, as known a second later at most; None if the engine is not up."""
        with contextlib.suppress(EngineFailed):
            return await self._worker.measure(1.0) if self._worker.running else None
        return None

    def start(self, preload: Iterable[Kind]) -> None:
        """Look at what is on disk, and start to download and load the kinds in `preload`, before any request."""
        self._tasks.spawn(self._look_on_disk())
        if self._policy.engine:
            self._tasks.spawn(self.settle())
            self._tasks.spawn(self._ask_again())
        for kind in preload:
            self._tasks.spawn(self._preload(kind))
        if self._policy.idle_unload:
            self._tasks.spawn(self._unload_idle())

    async def want(self, checkpoint: Checkpoint) -> Model:
        """Note that a request would speak with a checkpoint; return it in its current state, on disk and in memory.

        If it is missing, its download starts, unless the policy forbids that or a person has stopped the download.
        """
        model = self._states.find(checkpoint)
        await self._look_again(model)
        lacking = model.state is State.MISSING or (isinstance(model.error, ModelDamaged) and model.error.mendable)
        if lacking or model.state is State.DOWNLOADING:
            model.wanted = True
        if lacking and self._policy.download and not model.declined:
            self._begin_fetch(model)
        return model

    async def find_on_disk(self, checkpoint: Checkpoint) -> Model | None:
        """Return a checkpoint that can replace another; None if it is not at least on disk. It is never downloaded."""
        model = self._states.find(checkpoint)
        await self._look_again(model)
        return model if model.available else None

    async def on_disk(self, kind: Kind) -> bool:
        """Return whether a checkpoint of this kind is at least on disk, in any size."""
        return any([await self.find_on_disk(checkpoint) for checkpoint in PUBLISHED if checkpoint.kind == kind])

    async def at_hand(self, checkpoint: Checkpoint) -> bool:
        """Return whether it is in memory, or on disk with enough memory left to load it beside what is loaded.

        Nothing is downloaded or unloaded for that, but the engine process is started if it has to tell its memory.
        """
        model = self._states.find(checkpoint)
        await self._look_again(model)
        if model.state is not State.ON_DISK:
            return model.available
        with contextlib.suppress(EngineFailed, OSError):
            need = await self._device.need(checkpoint, self._files.path(model))
            budget = await self._device.budget(patient=False)
            return sum(other.footprint for other in self._states.models) + need <= budget
        return False

    def load_soon(self, checkpoint: Checkpoint) -> None:
        """Start to load it if it is on disk: another backend speaks now, and it should be ready for the next request.

        Do nothing while `engine_died` reloads what was lost, and until the size is known.
        """
        model = self._states.find(checkpoint)
        if self.settled and model.state is State.ON_DISK and not active(self._recovering):
            self._load(model)

    async def relieve(self, checkpoint: Checkpoint, *, give_up: bool) -> None:
        """Note that memory ran out while the checkpoint spoke, and unload all idle checkpoints.

        With `give_up`, mark it as failed, if it was idle and so unloaded, too.
        """
        await asyncio.shield(self._tasks.spawn(self._loader.relieve(self._states.find(checkpoint), give_up=give_up)))

    @contextlib.asynccontextmanager
    async def use(self, checkpoint: Checkpoint) -> AsyncIterator[Worker]:
        """Wait until the checkpoint is loaded, and yield the engine. It stays loaded within the context.

        Raises Unavailable if it is not on disk or can't be loaded, and NotSupported without an engine.
        """
        self._require_engine()
        model = await self.want(checkpoint)
        model.users += 1
        self._gauge.stop()
        try:
            if model.state in (State.ON_DISK, State.LOADING):
                await self._load_through(model)
            if model.state is not State.READY:
                raise model.explain()
            yield self._worker
        finally:
            model.users -= 1
            if model.state is State.READY:
                model.last_used = time.monotonic()
            self._states.changed.set()
            self._gauge.resume()

    @contextlib.asynccontextmanager
    async def use_codec(self) -> AsyncIterator[tuple[Worker, Checkpoint]]:
        """Yield the engine and a loaded checkpoint, for the speech tokenizer that all checkpoints share.

        Prefers a checkpoint that is in memory already. Raises what `use` raises.
        """
        self._require_engine()
        if not self._states.in_state(State.READY, State.LOADING):
            await self._look_on_disk()
        checkpoint = choose_codec(self._states.models, published("custom_voice", self.size))
        async with self.use(checkpoint) as worker:
            yield worker, checkpoint

    def statuses(self) -> list[Status]:
        """Return the last known status of each published checkpoint without a look on disk; none without an engine."""
        return self._states.statuses() if self._policy.engine else []

    async def survey(self) -> list[Status]:
        """Look on disk and return the status of each published checkpoint. No download starts."""
        await self._look_on_disk()
        return self.statuses()

    def watch(self) -> contextlib.AbstractContextManager[Subscription[Event]]:
        """Return a context with an iterator over what happens to the checkpoints. Call `statuses` after entering it.

        The iterator ends when the manager is closed, or when the listener does not keep up.
        """
        return self._states.watch()

    async def load(self, checkpoint: Checkpoint) -> Status:
        """Load it at a person's request, and wait until it is ready. One that has failed is tried again at once.

        Raises Unavailable if it can't be loaded or is not on disk; its download then starts, if the policy allows that.
        """
        self._require_engine()
        model = self._states.find(checkpoint)
        model.declined = False
        if model.state is State.FAILED:
            await self._files.look([model])
        await self._hurry_fetch(model)
        async with self.use(checkpoint):
            pass
        return model.status()

    async def unload(self, checkpoint: Checkpoint) -> Status:
        """Unload it from memory, and end the engine process if that then holds nothing.

        Raises ModelInUse while it is in use or being loaded, and InvalidRequest if it is not loaded.
        """
        model = self._states.find(checkpoint)
        check_idle(model)
        await asyncio.shield(self._tasks.spawn(self._loader.unload_asked(model)))  # goes on if the caller leaves
        return model.status()

    async def fetch(self, checkpoint: Checkpoint) -> Status:
        """Start to download it at a person's request, even if requests to speak may not. This does not load it.

        One that is on disk or being downloaded stays as it is. One that could not be loaded is checked against the
        hub's checksums and repaired, and a download that waits for its next try is tried at once. Raises NotSupported
        if the server is offline or has no engine.
        """
        self._require_engine()
        model = self._states.find(checkpoint)
        if model.state is State.MISSING:
            await self._files.look([model])
        if model.state in (State.MISSING, State.FAILED):
            if self._policy.offline:
                raise NotSupported(
                    f"{checkpoint.name} can't be downloaded: this server works offline (--local-files-only)."
                )
            model.declined = False
            await self._hurry_fetch(model)
            self._begin_fetch(model)
        return model.status()

    async def cancel_fetch(self, checkpoint: Checkpoint) -> Status:
        """Stop its download, and keep what is fetched. Only `fetch` and `load` start it again, not a request to speak.

        Raises InvalidRequest if it is not being downloaded.
        """
        model = self._states.find(checkpoint)
        if model.state not in (State.DOWNLOADING, State.MISSING) or not active(model.fetching):
            raise InvalidRequest(f"{checkpoint.name} is not being downloaded.", param="model")
        model.declined, model.wanted = True, False
        self._states.change(model, "missing", State.MISSING)
        await stop(model.fetching)
        return model.status()

    async def cancel_load(self, checkpoint: Checkpoint) -> Status:
        """Stop loading it; it stays on disk, and whatever needs it next loads it again.

        Requests that wait for it get an error. Raises InvalidRequest if it is not being loaded.
        """
        model = self._states.find(checkpoint)
        if model.state is not State.LOADING or not active(model.loading):
            raise InvalidRequest(f"{checkpoint.name} is not being loaded.", param="model")
        model.stopped = True
        self._states.change(model, "evicted", State.ON_DISK)
        _LOGGER.info("%s is not loaded, because a person stopped that", checkpoint.name)
        await stop(model.loading)
        async with self._loader.lock:
            await self._loader.drop(model)
        return model.status()

    def engine_died(self) -> None:
        """Note that the engine died, and reload what was loaded, first what is in use or was last used.

        The worker calls this. The first time this happens at once; if engines keep dying, after growing delays.
        """
        now = time.monotonic()
        self._deaths = self._deaths + 1 if now - self._last_death < _CALM_SECONDS else 1
        self._last_death = now
        lost = self._states.in_state(State.READY)
        lost.sort(key=lambda model: (model.users > 0, model.last_used), reverse=True)
        for model in lost:
            self._states.change(model, "lost", State.ON_DISK)
        if lost:
            self._recovering = self._tasks.spawn(self._recover(lost, restart_delay(self._deaths)))

    async def close(self) -> None:
        """Stop all tasks and the engine process."""
        self._states.close()
        await self._tasks.close()
        await self._worker.stop()

    def _require_engine(self) -> None:
        if not self._policy.engine:
            raise NotSupported("This server has no engine of its own (--backend vllm); its vLLM servers can't do this.")

    async def _preload(self, kind: Kind) -> None:
        await self.settle()
        model = await self.want(published(kind, self.size))
        if self.open_size and not model.available and (other := other_size(model.checkpoint)):
            model = await self.find_on_disk(other) or model
        if model.state is State.ON_DISK:
            await self._load_through(model)
        elif model.state is State.MISSING and not self._policy.download:
            _LOGGER.warning("%s", model.explain())

    async def _recover(self, models: list[Model], delay: float) -> None:
        await asyncio.sleep(delay)
        for model in models:
            if model.state is State.ON_DISK:
                await self._load_through(model)

    async def _ask_again(self) -> None:
        while True:
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
            with contextlib.suppress(SpeechError, OSError):
                await self.move_up()

    async def move_up(self) -> None:
        """Load again what is loaded in a new process if that would choose a better device, and if nothing speaks."""
        async with self._loader.lock:
            if not await self._device.better():
                return
            ready = self._states.in_state(State.READY)
            if any(model.users for model in ready):
                return
            for model in ready:
                await self._loader.unload(model, "because there is room on a GPU now")
            await self._loader.stop_if_empty()
            suiting = self._states.find(published("custom_voice", (await self._device.start()).selection.size))
        await self._look_on_disk()
        if suiting.available:
            self._device.adopt()
        for model in ready:
            own = self._states.find(published(model.checkpoint.kind, self.size))
            chosen = own if own.state is State.ON_DISK else model
            if chosen.state is State.ON_DISK:
                await self._load_through(chosen)

    async def _unload_idle(self) -> None:
        limit = self._policy.idle_unload
        while True:
            await asyncio.sleep(min(limit / 4, 30.0))
            async with self._loader.lock:
                for model in self._states.in_state(State.READY):
                    if not model.users and time.monotonic() - model.last_used > limit:
                        await self._loader.unload(model, f"after {limit:.0f} s without use")
                await self._loader.stop_if_empty()

    async def _look_again(self, model: Model) -> None:
        """Look on disk for a checkpoint that was missing or damaged, or that failed long enough ago."""
        rest = _RETRY_MEMORY_SECONDS if isinstance(model.error, OutOfMemory) else _RETRY_SECONDS
        rested = model.state is State.FAILED and time.monotonic() - model.failed > rest
        if model.state is State.MISSING or rested or isinstance(model.error, ModelDamaged):
            await self._files.look([model])

    async def _look_on_disk(self) -> None:
        failed = [model for model in self._states.in_state(State.FAILED) if isinstance(model.error, ModelDamaged)]
        await self._files.look([*self._states.in_state(State.MISSING, State.ON_DISK), *failed])
        self._surveyed = True

    def _begin_fetch(self, model: Model) -> None:
        if model.state in (State.MISSING, State.FAILED) and not active(model.fetching):
            self._states.change(model, "download", State.DOWNLOADING)
            model.fetching = self._spawn_for(model, self._fetch(model))

    async def _hurry_fetch(self, model: Model) -> None:
        """Restart a download at once if it waits for its next try or is being stopped."""
        if model.state is State.MISSING and active(model.fetching):
            await stop(model.fetching)
            self._begin_fetch(model)

    async def _fetch(self, model: Model) -> None:
        if await self._files.fetch(model) and model.wanted:
            self._load(model)

    async def _load_through(self, model: Model) -> None:
        """Load it, and wait until that has ended: its state then says how, also if a person stopped it."""
        await asyncio.wait([self._load(model)])

    def _load(self, model: Model) -> "asyncio.Task[None]":
        if model.loading is None or model.loading.done():
            model.wanted = model.stopped = False
            self._states.change(model, "loading", State.LOADING)
            self._gauge.stop()
            model.loading = self._spawn_for(model, self._loader.load(model))
        return model.loading

    def _spawn_for(self, model: Model, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Run work for a model as a task. Any error marks it as failed, so that no intermediate state is left."""
        fault = f"{model.checkpoint.name} can't be used because of an error in the server; see its log."
        return self._tasks.spawn(work, lambda: self._states.fail(model, ModelFailed(fault)))
