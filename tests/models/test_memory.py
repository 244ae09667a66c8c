"""Memory that runs out, for real: the engine process may not take more than it has, and one checkpoint is large."""

import json
import resource
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio
import torch
from safetensors.torch import load_file, save_file

from tests.parts import make_services, make_settings, stop
from tests.tiny import build_checkpoint
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import OutOfMemory
from wyoming_qwen3.core.request import Reference, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS, find_language
from wyoming_qwen3.models.manager import ModelManager
from wyoming_qwen3.models.state import State
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.ops.metrics import resident_bytes
from wyoming_qwen3.services import make_parts
from wyoming_qwen3.speech.report import Report
from wyoming_qwen3.speech.shared import Services

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = Checkpoint("custom_voice", "1.7B")
SMALL = Checkpoint("custom_voice", "0.6B")
BASE = Checkpoint("base", "0.6B")
EXTRA = 128 << 20
"""Bytes of the large checkpoint that serve no purpose."""

SLACK = 1 << 19
"""Bytes with which Python goes on, and a codec does not."""

REQUEST = SpeechRequest(SPEAKERS[5], sampling=Sampling(temperature=0.0), standby="off")


def enlarge(folder: Path) -> None:
    """Give its layers width that changes nothing, stored in half of what it takes in memory."""
    file, config = folder / "model.safetensors", json.loads((folder / "config.json").read_text())
    tensors = load_file(file)
    names = [name for name in tensors if name.startswith("talker.model.layers.") and ".mlp." in name]
    hidden = config["talker_config"]["hidden_size"]
    more = EXTRA // (4 * hidden * len(names))
    for name in names:
        wider = (0, more) if "down_proj" in name else (0, 0, 0, more)
        tensors[name] = torch.nn.functional.pad(tensors[name], wider).bfloat16()
    save_file(tensors, file, metadata={"format": "pt"})
    config["talker_config"]["intermediate_size"] += more
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("memory")
    for checkpoint in (LARGE, SMALL, BASE):
        build_checkpoint(root / checkpoint.name, checkpoint.kind, checkpoint.size)
    enlarge(root / LARGE.name)
    return root


@dataclass
class House:
    """The speaking middle, and its engine."""

    services: Services
    worker: Worker

    @property
    def models(self) -> ModelManager:
        return self.services.models

    def state(self, checkpoint: Checkpoint) -> State:
        return next(one.state for one in self.models.statuses() if one.checkpoint == checkpoint)

    def allow(self, more: int | None) -> None:
        """Let the engine process take so many bytes more than it has, or any number."""
        assert self.worker.pid is not None
        limit = resource.RLIM_INFINITY
        if more is not None:
            limit = psutil.Process(self.worker.pid).memory_info().vms + more
        resource.prlimit(self.worker.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

    async def begin_anew(self, checkpoint: Checkpoint) -> None:
        """A new engine process, which has nothing in memory but a checkpoint, and no room left over from speech."""
        for status in self.models.statuses():
            if status.state is State.READY:
                await self.models.unload(status.checkpoint)
        await self.models.load(checkpoint)

    async def speak(self, request: SpeechRequest = REQUEST) -> tuple[Report, int]:
        async with self.services.synthesizer.open(request, "test") as session:
            session.add_text("The front door is open, and the light is on in the kitchen.")
            session.end_text()
            size = sum([chunk.size async for chunk in session])
        return session.report, size


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(folder: Path) -> AsyncIterator[House]:
    """With a standby voice, that speaks where a request lets it, and an engine process that is up."""
    parts = make_parts(make_settings(folder, "--device", "cpu", "--quantize", "none"))
    house = House(make_services(folder, size="1.7B", parts=parts), parts.native)
    await house.models.load(BASE)
    yield house
    await stop(house.services)


async def test_what_does_not_fit_is_spoken_by_a_smaller_one_or_the_standby_voice_or_refused(house: House) -> None:
    async with house.models.use(BASE):
        pid = house.worker.pid
        house.allow(EXTRA // 2)
        for _ in range(2):
            report, size = await house.speak()
            assert (report.model, size > 0) == (SMALL.name, True)
        large = replace(REQUEST, size="1.7B", standby="auto")
        report, size = await house.speak(large)
        assert (report.model, size > 0) == ("standby", True)
        with pytest.raises(OutOfMemory, match=f"{LARGE.name} does not fit into the free memory"):
            await house.speak(replace(large, language=find_language("german")))
        assert house.worker.pid == pid


async def test_a_recording_for_which_memory_does_not_suffice_is_refused(house: House) -> None:
    clip = Reference(np.random.default_rng(3).normal(0, 0.1, 24_000 * 20).astype(np.float32), 24_000, "Noise.")
    async with house.models.use(BASE) as worker:
        house.allow(None)
        short = Reference(clip.samples[: 24_000 * 3], 24_000, "Noise.")
        await worker.clone(BASE, short)  # imports what reads clips, and leaves no room for a long one
        house.allow(1 << 20)
        with pytest.raises(OutOfMemory, match="while this recording was processed"):
            await worker.clone(BASE, clip)
        house.allow(None)
        assert (await worker.clone(BASE, clip)).codes is not None


async def test_what_does_not_fit_beside_idle_ones_takes_their_place(house: House) -> None:
    house.allow(EXTRA // 2)
    await house.models.load(LARGE)
    assert [house.state(checkpoint) for checkpoint in (LARGE, BASE)] == [State.READY, State.ON_DISK]
    assert (await house.speak())[0].model == LARGE.name


async def test_memory_that_runs_out_in_speech_ends_it_and_a_smaller_one_speaks_the_next(house: House) -> None:
    await house.begin_anew(LARGE)
    house.allow(SLACK)
    with pytest.raises(OutOfMemory):
        await house.speak()
    assert house.state(LARGE) is State.FAILED
    report, size = await house.speak()
    assert (report.model, size > 0) == (SMALL.name, True)


async def test_the_smallest_is_given_up_if_memory_runs_out_again_in_a_new_process(house: House) -> None:
    small = replace(REQUEST, size="0.6B")
    await house.begin_anew(SMALL)
    pid = house.worker.pid
    house.allow(SLACK)
    with pytest.raises(OutOfMemory):
        await house.speak(small)
    report, size = await house.speak(small)
    assert (report.model, size > 0) == (SMALL.name, True)
    assert house.worker.pid != pid

    for state in (State.ON_DISK, State.FAILED):
        await house.begin_anew(SMALL)
        house.allow(SLACK)
        with pytest.raises(OutOfMemory):
            await house.speak(small)
        assert house.state(SMALL) is state
    report, size = await house.speak(replace(small, standby="auto"))
    assert (report.model, size > 0) == ("standby", True)


async def test_what_is_unloaded_gives_its_memory_back(house: House) -> None:
    await house.begin_anew(BASE)
    async with house.models.use(BASE):  # so that the process stays
        house.allow(None)
        held = []
        for _ in range(3):
            await house.models.load(LARGE)
            loaded = resident_bytes(house.worker.pid)
            await house.models.unload(LARGE)
            held.append(resident_bytes(house.worker.pid))
        assert loaded - held[-1] > EXTRA // 2
        assert held[-1] - held[0] < EXTRA  # what is kept of two would be twice that
