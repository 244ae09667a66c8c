"""Which size speaks if nobody chose one: before the engine knows which suits its device, and where that is missing."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.parts import make_services, speak, stop
from tests.waiting import until
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import ModelMissing
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS, Language, find_language
from wyoming_qwen3.engine import wire

LARGE = Checkpoint("custom_voice", "1.7B")
REQUEST = SpeechRequest(SPEAKERS[0], find_language("english"), sampling=Sampling(temperature=0.0))


async def test_the_standby_voice_need_not_know_the_size_and_qwen3_waits_for_it(models_dir: Path) -> None:
    services = make_services(models_dir, "--device", "cpu", size=None)
    try:
        report = await speak(services, REQUEST)
        assert report.model == "standby"
        assert report.warnings == ["The standby voice spoke, because Qwen3 is starting."]
        assert not services.models.settled
        german = replace(REQUEST, language=find_language("german"))
        spoke = (await speak(services, german)).model
        assert services.models.settled
        assert spoke == Checkpoint("custom_voice", services.models.size).name
    finally:
        await stop(services)


async def test_what_becomes_known_while_the_language_is_guessed_speaks(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the size that was assumed until then."""
    services = make_services(models_dir, "--device", "cpu", size=None)
    worker = services.models._worker
    start, loop = worker.start, asyncio.get_running_loop()

    async def start_on_a_gpu() -> wire.Hello:
        hello = await start()
        return replace(hello, selection=replace(hello.selection, size="1.7B"))

    def guess_late(_: str) -> Language | None:
        asyncio.run_coroutine_threadsafe(services.models.settle(), loop).result()
        return find_language("german")

    monkeypatch.setattr(worker, "start", start_on_a_gpu)
    monkeypatch.setattr(services.synthesizer.backends, "_guesser", SimpleNamespace(guess=guess_late))
    try:
        assert (await speak(services, replace(REQUEST, language=None))).model == LARGE.name
    finally:
        await stop(services)


@pytest.fixture
def large_dir(tmp_path: Path, models_dir: Path) -> Path:
    """A models folder that has only the size that does not suit a CPU."""
    shutil.copytree(models_dir / LARGE.name, tmp_path / LARGE.name)
    return tmp_path


async def test_the_size_on_disk_speaks_while_the_one_that_suits_the_device_is_missing(large_dir: Path) -> None:
    services = make_services(large_dir, "--device", "cpu", size=None)
    backends = services.synthesizer.backends
    try:
        services.models.start(("custom_voice",))
        await until(backends.qwen3_speaks)
        assert services.models.size == "0.6B"
        assert (await speak(services, REQUEST)).model == LARGE.name
        assert await backends.missing(Checkpoint("custom_voice", "0.6B")) is None
        assert isinstance(await backends.missing(Checkpoint("base", "0.6B")), ModelMissing)
    finally:
        await stop(services)


async def test_a_size_that_somebody_chose_is_not_replaced(large_dir: Path) -> None:
    services = make_services(large_dir, "--device", "cpu", "--standby", "off")
    try:
        with pytest.raises(ModelMissing):
            await speak(services, REQUEST)
    finally:
        await stop(services)
