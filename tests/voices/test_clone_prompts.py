import asyncio
from pathlib import Path

import numpy as np
import pytest

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.ops.metrics import Metrics
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.voices.clone_prompts import ClonePrompts

SMALL, LARGE = Checkpoint("base", "0.6B"), Checkpoint("base", "1.7B")


class CountingWorker(Worker):
    """Extracts when it is let, and remembers of what."""

    def __init__(self) -> None:
        super().__init__("native")
        self.extracted: list[tuple[Checkpoint, Reference]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def clone(self, checkpoint: Checkpoint, reference: Reference) -> ClonePrompt:
        self.extracted.append((checkpoint, reference))
        await self.go.wait()
        if self.error:
            raise self.error
        return ClonePrompt(reference.samples[:4])


def clone_prompts() -> ClonePrompts:
    """Of a server that keeps no voices."""
    return ClonePrompts(VoiceStore(Path("nowhere")), Metrics())


def clip(value: float, *, text: str | None = None, rate: int = 24_000) -> Reference:
    return Reference(np.full(24_000, value, np.float32), rate, text)


async def test_a_clip_that_many_ask_for_at_once_is_extracted_once() -> None:
    prompts, worker = clone_prompts(), CountingWorker()
    found = await asyncio.gather(*(prompts.prompt(worker, SMALL, clip(0.5)) for _ in range(8)))
    assert len(worker.extracted) == 1
    assert all(prompt is found[0] for prompt in found)


async def test_whatever_is_different_is_extracted_of_its_own() -> None:
    prompts, worker = clone_prompts(), CountingWorker()
    for checkpoint, reference in [
        (SMALL, clip(0.5)),
        (SMALL, clip(0.25)),
        (SMALL, clip(0.5, text="")),
        (SMALL, clip(0.5, text="None")),
        (SMALL, clip(0.5, rate=16_000)),
        (LARGE, clip(0.5)),
    ]:
        await prompts.prompt(worker, checkpoint, reference)
        await prompts.prompt(worker, checkpoint, reference)
    assert len(worker.extracted) == 6


async def test_a_known_clip_does_not_wait_for_another_ones_extraction() -> None:
    prompts, worker = clone_prompts(), CountingWorker()
    known = await prompts.prompt(worker, SMALL, clip(0.5))
    worker.go.clear()
    waiting = asyncio.create_task(prompts.prompt(worker, SMALL, clip(0.25)))
    while len(worker.extracted) < 2:
        await asyncio.sleep(0)
    assert await prompts.prompt(worker, SMALL, clip(0.5)) is known
    assert not waiting.done()
    worker.go.set()
    await waiting


async def test_a_clip_whose_asker_leaves_or_fails_is_extracted_for_the_next() -> None:
    prompts, worker = clone_prompts(), CountingWorker()
    worker.go.clear()
    leaving = asyncio.create_task(prompts.prompt(worker, SMALL, clip(0.5)))
    while not worker.extracted:
        await asyncio.sleep(0)
    staying = asyncio.create_task(prompts.prompt(worker, SMALL, clip(0.5)))
    await asyncio.sleep(0)
    leaving.cancel()
    worker.go.set()
    assert await staying
    worker.error = InvalidRequest("That won't do.")
    with pytest.raises(InvalidRequest):
        await prompts.prompt(worker, SMALL, clip(0.25))
    worker.error = None
    assert await prompts.prompt(worker, SMALL, clip(0.25))
    assert len(worker.extracted) == 4


async def test_the_longest_unused_are_forgotten() -> None:
    prompts, worker = clone_prompts(), CountingWorker()
    for number in range(64):
        await prompts.prompt(worker, SMALL, clip(number / 100))
    await prompts.prompt(worker, SMALL, clip(0.0))  # used again
    await prompts.prompt(worker, SMALL, clip(0.99))
    await prompts.prompt(worker, SMALL, clip(0.0))
    assert len(worker.extracted) == 65
    await prompts.prompt(worker, SMALL, clip(0.01))
    assert len(worker.extracted) == 66
