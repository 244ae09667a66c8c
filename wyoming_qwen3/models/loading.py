"""Loads and unloads checkpoints in the engine process, one at a time, within the memory that there is.

Knows memory, eviction and what a failure means; does NOT know who wants a checkpoint, or when one is downloaded.
"""

import asyncio
import logging
import time
from functools import partial

from wyoming_qwen3.core.errors import (
    EngineFailed,
    InvalidRequest,
    ModelFailed,
    ModelInUse,
    ModelMissing,
    OutOfMemory,
    SpeechError,
)
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.checkpoint.on_disk import Progress

from .engine_device import EngineDevice
from .eviction import choose_evictions
from .files import ModelFiles
from .gauging import SpeedGauge
from .pace import Pace
from .state import CheckpointStates, Model, State
from .worker import Worker

_LOGGER = logging.getLogger(__name__)

_PACE_SECONDS = 1.0
"""Seconds of a load after which its pace is worth telling."""


class ModelLoader:
    """Changes what is loaded, and the state of each checkpoint with it."""

    def __init__(
        self, worker: Worker, device: EngineDevice, states: CheckpointStates, files: ModelFiles, gauge: SpeedGauge
    ) -> None:
        self.lock = asyncio.Lock()
        """Held while checkpoints are loaded or unloaded."""

        self._worker = worker
        self._device = device
        self._states = states
        self._files = files
        self._gauge = gauge

    async def load(self, model: Model) -> None:
        """Make room and load the checkpoint. A failure is recorded as its state, and not raised."""
        name, started = model.checkpoint.name, time.monotonic()
        try:
            async with self.lock:
                if not self._states.in_state(State.READY):
                    await self._device.stop_if_poor()
                try:
                    await self._make_room(model)
                    loaded = await self._load_or_make_room(model)
                except OutOfMemory:
                    await self.stop_if_empty()  # the next process may choose another device
                    raise
                if not self._worker.running:  # it died between its answer and here
                    raise EngineFailed("The speech engine stopped unexpectedly.")
        except ModelMissing:  # it was there when somebody looked
            self._states.change(model, "missing", State.MISSING)
            await self._files.look([model])
        except (SpeechError, OSError) as error:
            failure = _load_failure(name, error)
            self._states.fail(model, failure)
            _LOGGER.error("%s can't be used: %s", name, failure)  # noqa: TRY400  the engine has logged the traceback
        else:
            model.last_used = time.monotonic()
            self._states.change(model, "ready", State.READY, loaded=loaded)
            took, size = model.last_used - started, loaded.footprint / 1e9
            _LOGGER.info("%s is ready: loaded in %.1f s, %s, %.2f GB", name, took, loaded.weights, size)
            self._gauge.tell(model)
            self._gauge.resume()

    async def unload_asked(self, model: Model) -> None:
        """Unload a checkpoint at a person's request. Raises ModelInUse, and InvalidRequest if it is not loaded."""
        async with self.lock:
            check_idle(model)
            await self.unload(model, "as asked")
            await self.stop_if_empty()

    async def relieve(self, model: Model, *, give_up: bool) -> None:
        """Unload what is idle after memory ran out; with `give_up`, mark the checkpoint as too large."""
        async with self.lock:
            await self.unload_all_idle()
            if give_up and model.state is State.ON_DISK:
                name = model.checkpoint.name
                self._states.fail(model, OutOfMemory(f"{name} is too large: memory ran out while it spoke."))

    async def unload_all_idle(self) -> bool:
        """Unload all idle checkpoints, and return whether there were any. The lock must be held."""
        idle = [model for model in self._states.in_state(State.READY) if not model.users]
        for model in idle:
            await self.unload(model, "because memory has run out")
        await self.stop_if_empty()
        return bool(idle)

    async def _load_or_make_room(self, model: Model) -> wire.Loaded:
        """Load the checkpoint.

        If memory runs out, unload all idle checkpoints and try once more.
        """
        path, report = self._files.path(model), self._reporting(model)
        try:
            return await self._worker.load(model.checkpoint, path, report)
        except OutOfMemory:
            if not await self.unload_all_idle():
                raise
            return await self._worker.load(model.checkpoint, path, report)

    def _reporting(self, model: Model) -> wire.OnProgress:
        """Return what notes how far a load is: in bytes for a CPU, in compiled kernels for a GPU."""
        if self._device.selection and self._device.selection.device != "cpu":
            return partial(self._states.note_kernels, model)
        pace = Pace(_PACE_SECONDS)

        def report(done: int, total: int) -> None:
            if model.state is State.LOADING:  # a load that is being stopped may still report
                progress = Progress(done, total, pace.seconds_left(done, total, time.monotonic()))
                self._states.change(model, "loading", State.LOADING, progress=progress)

        return report

    async def _make_room(self, model: Model) -> None:
        """Evict idle checkpoints, and wait for busy ones, until this one fits.

        Raises ModelFailed or OutOfMemory if it would not fit even alone.
        """
        need = await self._device.need(model.checkpoint, self._files.path(model))
        budget = await self._device.budget(patient=True)
        if need > budget:
            raise self._device.too_large(model.checkpoint, need, budget)
        while True:
            for idle in choose_evictions(self._states.models, need, budget):
                await self.unload(idle, "to make room")
            if sum(other.footprint for other in self._states.models) + need <= budget:
                return
            self._states.changed.clear()
            await self._states.changed.wait()

    async def unload(self, model: Model, why: str) -> None:
        """Unload a checkpoint, unless it is in use by now; `why` is for the log. The lock must be held."""
        if model.state is not State.READY or model.users:  # since it was chosen, another one may have been unloaded
            return
        self._gauge.stop()
        self._states.change(model, "evicted", State.ON_DISK)  # first, so that no request starts to speak with it
        await self._worker.unload(model.checkpoint)
        _LOGGER.info("%s was unloaded %s", model.checkpoint.name, why)

    async def drop(self, model: Model) -> None:
        """Free what the engine holds of a checkpoint whose load was stopped: it may have been complete there already.

        The lock must be held.
        """
        await self.stop_if_empty()
        if self._worker.running and model.state is not State.READY:
            await self._worker.unload(model.checkpoint)

    async def stop_if_empty(self) -> None:
        """End the engine process if it holds nothing: only that gives all of its memory back. The lock must be held."""
        if self._worker.running and not self._states.in_state(State.READY):
            await self._worker.stop()


def check_idle(model: Model) -> None:
    """Raise ModelInUse if a checkpoint is loaded now or in use, and InvalidRequest if it is not loaded."""
    if model.state is State.LOADING or (model.state is State.READY and model.users):
        doing = "is being loaded" if model.state is State.LOADING else "is in use"
        raise ModelInUse(f"{model.checkpoint.name} {doing} and can't be unloaded now.", param="model")
    if model.state is not State.READY:
        raise InvalidRequest(f"{model.checkpoint.name} is not loaded.", param="model")


def _load_failure(name: str, error: SpeechError | OSError) -> SpeechError:
    """Return the error that the caller gets for a failed load: engine and disk errors become ModelFailed."""
    if isinstance(error, OSError):
        return ModelFailed(f"{name} can't be read: {error.strerror}.")
    return ModelFailed(str(error)) if isinstance(error, EngineFailed) else error
