"""Speeds are measured while nothing is spoken: with a real engine process, and with one that answers when told to."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import until
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.engine import wire
from wyoming_qwen3.models import gauging
from wyoming_qwen3.models.gauging import SpeedGauge
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.models.policy import Policy
from wyoming_qwen3.models.state import CheckpointStates, Model, State
from wyoming_qwen3.models.tasks import Tasks
from wyoming_qwen3.models.worker import Worker, download

CUSTOM, BASE = Checkpoint("custom_voice", "0.6B"), Checkpoint("base", "0.6B")
UNKNOWN = wire.Loaded(9, "int8")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauging, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(gauging, "_AGAIN_SECONDS", 0.0)


class Measuring(Worker):
    """A worker whose measurements end when the test puts their results down."""

    def __init__(self, device: str) -> None:
        super().__init__("native")
        selection = Selection(device, "0.6B", "float32", "So it is.")
        self.told = wire.Hello(selection, wire.Room(1, 1), 1, batch_invariant=True)
        self.asked: list[Checkpoint] = []
        self.results: asyncio.Queue[wire.Loaded | EngineFailed | None] = asyncio.Queue()

    @property
    def hello(self) -> wire.Hello | None:
        return self.told

    async def gauge(self, checkpoint: Checkpoint) -> wire.Loaded | None:
        self.asked.append(checkpoint)
        result = await self.results.get()
        if isinstance(result, EngineFailed):
            raise result
        return result


@dataclass
class House:
    """A gauge with two loaded checkpoints."""

    worker: Measuring
    states: CheckpointStates = field(default_factory=CheckpointStates)
    tasks: Tasks = field(default_factory=Tasks)

    def __post_init__(self) -> None:
        self.gauge = SpeedGauge(self.states, self.worker, self.tasks)
        for checkpoint in (CUSTOM, BASE):
            self.states.change(self.states.find(checkpoint), "ready", State.READY, loaded=UNKNOWN)

    def model(self, checkpoint: Checkpoint = CUSTOM) -> Model:
        return self.states.find(checkpoint)


@pytest.fixture
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    house = House(Measuring(getattr(request, "param", "cpu")))
    yield house
    await house.tasks.close()


async def test_each_checkpoint_is_measured_once_and_told(house: House, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        house.gauge.resume()
        house.gauge.resume()
        for speed in (0.8, 0.9):
            house.worker.results.put_nowait(wire.Loaded(5, "int4", speed))
        await until(lambda: all(house.model(one).status().speed for one in (CUSTOM, BASE)))
        house.gauge.resume()
        await asyncio.sleep(0)
    assert sorted(one.kind for one in house.worker.asked) == ["base", "custom_voice"]
    assert house.model().footprint == 5
    told = [record.getMessage() for record in caplog.records]
    assert [line.count("real time.") for line in told] == [1, 0]  # one sentence, and once what to do
    assert "docs/gpu.md" in told[1]


async def test_a_measurement_that_was_stopped_is_repeated(house: House) -> None:
    house.gauge.resume()
    for result in (None, None, wire.Loaded(5, "int4", 1.0)):
        house.worker.results.put_nowait(result)
    await until(lambda: len(house.worker.asked) == 4)
    assert len(set(house.worker.asked[:3])) == 1


async def test_nothing_is_measured_while_the_engine_is_wanted(house: House) -> None:
    house.gauge.resume()
    await until(lambda: house.worker.asked)
    house.gauge.stop()
    house.model().users += 1
    house.gauge.resume()
    await asyncio.sleep(0.01)
    assert len(house.worker.asked) == 1
    house.model().users -= 1
    house.gauge.resume()
    await until(lambda: len(house.worker.asked) == 2)


async def test_an_error_ends_it_for_this_checkpoint(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.gauge.resume()
    for _ in range(2):
        house.worker.results.put_nowait(EngineFailed("Speech always ends."))
    await until(lambda: len(caplog.records) == 2)
    house.gauge.resume()
    await asyncio.sleep(0.01)
    assert len(house.worker.asked) == 2


@pytest.mark.parametrize("house", ["cuda:0"], indirect=True)
async def test_a_gpu_is_left_alone(house: House) -> None:
    house.gauge.resume()
    await asyncio.sleep(0.01)
    assert house.worker.asked == []


async def test_a_loaded_checkpoint_gets_a_speed(models_dir: Path) -> None:
    worker = Worker("native", ["--device", "cpu", "--threads", "1", "--log-level", "WARNING"])
    manager = ModelManager(Policy(models_dir, "0.6B", download=False), worker, download)

    def speed() -> float | None:
        return next(status.speed for status in manager.statuses() if status.checkpoint == CUSTOM)

    try:
        assert (await manager.load(CUSTOM)).state is State.READY
        await until(speed)
    finally:
        await manager.close()
