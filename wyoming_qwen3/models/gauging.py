"""Has the speed of loaded checkpoints measured on a CPU while nothing is spoken, and tells it in the log.

Knows when there is time for it; does NOT know how it is measured, or which weights follow from it.
"""

import asyncio
import logging

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.cpu_speed import say_speed, say_what_to_do
from wyoming_qwen3.core.errors import SpeechError

from .state import CheckpointStates, Model, State
from .tasks import Tasks, active
from .worker import Worker

_LOGGER = logging.getLogger(__name__)

_QUIET_SECONDS = 1.0
"""Seconds without use after which a measurement begins."""

_AGAIN_SECONDS = 20.0
"""Seconds after a measurement that was stopped, or disturbed by other programs."""


class SpeedGauge:
    """Measures each loaded checkpoint once, between `resume` and `stop`; nothing waits for it."""

    def __init__(self, states: CheckpointStates, worker: Worker, tasks: Tasks) -> None:
        self._states = states
        self._worker = worker
        self._tasks = tasks
        self._running: asyncio.Task[None] | None = None
        self._failed: set[Model] = set()
        self._told: set[tuple[Size, str]] = set()

    def stop(self) -> None:
        """Stop measuring, since the engine is wanted."""
        if self._running and active(self._running):
            self._running.cancel()

    def resume(self) -> None:
        """Measure soon what was not measured yet."""
        if self._unmeasured() and not (self._running and active(self._running) and not self._running.cancelling()):
            self._running = self._tasks.spawn(self._run())

    def tell(self, model: Model) -> None:
        """Log how fast a checkpoint speaks, if that is known, and what to do if it is too slow; each once."""
        loaded = model.loaded
        size = model.checkpoint.size
        if loaded is None or loaded.speed is None or (size, loaded.weights) in self._told:
            return
        self._told.add((size, loaded.weights))
        _LOGGER.info("%s", say_speed(size, loaded.weights, loaded.speed))
        if advice := say_what_to_do(loaded.speed):
            _LOGGER.warning("%s", advice)

    def _unmeasured(self) -> Model | None:
        hello = self._worker.hello
        if hello is None or hello.selection.device != "cpu":
            return None
        ready = self._states.in_state(State.READY)
        unknown = (model for model in ready if model.loaded and model.loaded.speed is None)
        return next((model for model in unknown if model not in self._failed), None)

    async def _run(self) -> None:
        await asyncio.sleep(_QUIET_SECONDS)
        while (model := self._unmeasured()) and self._idle():
            try:
                found = await self._worker.gauge(model.checkpoint)
            except SpeechError as error:
                _LOGGER.warning("The speed of %s is not known: %s", model.checkpoint.name, error)
                self._failed.add(model)
                continue
            if found is None:
                await asyncio.sleep(_AGAIN_SECONDS)
            elif model.state is State.READY:
                self._states.change(model, "measured", State.READY, loaded=found)
                self.tell(model)

    def _idle(self) -> bool:
        return not any(model.users or model.state is State.LOADING for model in self._states.models)
