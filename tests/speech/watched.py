"""A worker that remembers what was submitted to it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.parts import busy
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.request import Priority
from wyoming_qwen3.engine import wire
from wyoming_qwen3.models.worker import EngineRow, Worker
from wyoming_qwen3.speech.shared import Services


@dataclass
class Watched(Worker):
    """The real one, which remembers when rows were begun and what was alive then."""

    turns: list[Priority] = field(default_factory=list)
    unmade: list[int] = field(default_factory=list)
    """Rows that were being made, when one was begun, with it."""

    sounds: list[int] = field(default_factory=list)
    """Chunks that had come until then."""

    _chunks: int = 0

    def __post_init__(self) -> None:
        super().__init__("native", ["--device", "cpu", "--log-level", "WARNING"])

    def submit(self, *given: Any, **more: Any) -> EngineRow:
        row = super().submit(*given, **more)
        self.turns.append(more["priority"])
        self.unmade.append(len(self._rows))
        self.sounds.append(self._chunks)
        return row

    def forget(self) -> None:
        """What was before this test."""
        for record in (self.turns, self.unmade, self.sounds):
            record.clear()
        self._chunks = 0

    def _receive(self, message: wire.FromEngine) -> None:
        self._chunks += isinstance(message, wire.Audio)
        super()._receive(message)


async def settled(services: Services, worker: Worker) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while busy(worker) or services.admission.active:
            await asyncio.sleep(0.01)


def watched_worker(services: Services) -> Watched:
    """The engine's worker of services that were made with a watched one, which forgets what it has seen."""
    worker = services.models._worker
    assert isinstance(worker, Watched)
    worker.forget()
    return worker
