"""What the engine process computes on, as it says itself: asked at its start, and again when it matters."""

import asyncio
import logging
import time
from pathlib import Path

from wyoming_qwen3.core.checkpoints import Checkpoint, Size
from wyoming_qwen3.core.errors import EngineFailed, ModelFailed, OutOfMemory
from wyoming_qwen3.core.hardware import Selection, gpu_needs
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.checkpoint import on_disk

from .worker import Worker

_LOGGER = logging.getLogger(__name__)

_PUBLISHED_WEIGHT_BYTES = 2
"""Checkpoints are published in bfloat16. For tensors that are not, the estimated size in memory is a little high."""

_FRESH_SECONDS = 60.0
"""For so long after its start, an engine process that found no room on a GPU is not replaced by another one."""

_PATIENCE_SECONDS = 1.0
"""Seconds for which a request waits for a measurement; loads are measured before anything else is done."""


class EngineDevice:
    """The device of a worker's engine process, the size of checkpoints that suits it, and its memory."""

    def __init__(self, worker: Worker, size: Size | None, memory_budget: int | None) -> None:
        """`size` is None for the one that the process chooses; `memory_budget` in bytes is None for what is free."""
        self._worker = worker
        self._fixed, self._memory_budget = size, memory_budget
        self._hello: wire.Hello | None = None
        self._detected_size: Size | None = None
        self._started = 0.0

    @property
    def settled(self) -> bool:
        """Whether the size is known."""
        return bool(self._fixed or self._detected_size)

    @property
    def size(self) -> Size:
        """Size of the checkpoints that speak; 0.6B until it is known."""
        return self._fixed or self._detected_size or "0.6B"

    @property
    def selection(self) -> Selection | None:
        """What the last engine process chose, and why; None before the first one."""
        return self._hello.selection if self._hello else None

    async def start(self) -> wire.Hello:
        """Start the process if it is not up, and note what it chose. Raises EngineFailed.

        The first process decides on the size; `adopt` takes that of a later one.
        """
        hello = await self._worker.start()
        if self._hello is None:
            self._detected_size = hello.selection.size
        if hello is not self._hello:
            self._hello, self._started = hello, time.monotonic()
        return hello

    def adopt(self) -> None:
        """Take the size that the present process chose."""
        if self._hello:
            self._detected_size = self._hello.selection.size

    async def settle(self) -> None:
        """Wait until the size is known, for which the process must start; 0.6B if it can't."""
        if self.settled:
            return
        try:
            await self.start()
        except (EngineFailed, OSError) as error:
            _LOGGER.warning("The engine process can't say which size suits this machine, so 0.6B is used: %s", error)
            self._detected_size = "0.6B"

    async def need(self, checkpoint: Checkpoint, path: Path) -> int:
        """Return the bytes that a checkpoint on disk will take. Raises EngineFailed and ModelMissing."""
        hello = await self.start()
        stored = await asyncio.to_thread(on_disk.footprint, path)
        need = stored * hello.weight_bytes // _PUBLISHED_WEIGHT_BYTES
        selection = hello.selection
        return (
            need
            if selection.device == "cpu"
            else min(need, gpu_needs(checkpoint.size, selection.dtype, selection.quantize))
        )

    async def budget(self, *, patient: bool) -> int:
        """Return the bytes that all checkpoints together may take now. Raises EngineFailed.

        Unless `patient`, it may be what was measured before, while the process is busy with a job.
        """
        if self._memory_budget:
            return self._memory_budget
        return (await self._worker.measure(None if patient else _PATIENCE_SECONDS)).checkpoints

    def too_large(self, checkpoint: Checkpoint, need: int, budget: int) -> ModelFailed | OutOfMemory:
        """Return the error that a checkpoint would not fit even alone. Free memory may be more at another time."""
        if self._memory_budget:
            return ModelFailed(_too_large(checkpoint, need, budget, "by the memory budget"))
        return OutOfMemory(_too_large(checkpoint, need, budget, "of the free memory"))

    async def stop_if_poor(self) -> None:
        """End the process, which holds nothing, if it found no room on a GPU, so that the next one looks anew."""
        old = time.monotonic() - self._started > _FRESH_SECONDS
        if self._worker.running and self._hello and self._hello.selection.again and old:
            await self._worker.stop()

    async def better(self) -> bool:
        """Return whether a new process would compute on another device, or with a larger size."""
        if not (self._worker.running and self._hello and self._hello.selection.again):
            return False
        return (await self._worker.measure()).better


def _too_large(checkpoint: Checkpoint, need: int, budget: int, limit: str) -> str:
    return f"{checkpoint.name} needs {need / 1e9:.1f} GB, but checkpoints may take {budget / 1e9:.1f} GB {limit}."
