"""A checkpoint that becomes ready while it is being found out what else could speak."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.parts import make_services, speak, stop
from tests.waiting import until
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import OutOfMemory
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS, find_language
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.speech.shared import Services

SMALL = Checkpoint("custom_voice", "0.6B")
REQUEST = SpeechRequest(SPEAKERS[0], find_language("english"), sampling=Sampling(temperature=0.0))


@pytest.fixture
async def services(models_dir: Path) -> AsyncIterator[Services]:
    """Those of a server that knows its size, and has loaded nothing."""
    services = make_services(models_dir, "--device", "cpu")
    await services.models.settle()
    try:
        yield services
    finally:
        await stop(services)


async def test_while_the_standby_voice_is_asked_it_speaks_and_says_why(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    standby: Any = services.synthesizer.backends._standby
    use = standby.use

    @asynccontextmanager
    async def use_late() -> AsyncIterator[Worker]:
        async with use() as worker:
            await services.models.load(SMALL)
            yield worker

    monkeypatch.setattr(standby, "use", use_late)
    report = await speak(services, REQUEST)
    assert report.model == "standby"
    assert report.warnings == [f"The standby voice spoke, because {SMALL.name} is being loaded."]


async def test_while_words_are_about_to_be_fed_to_it_and_it_is_unloaded_it_is_loaded_again(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standby voice takes complete texts only."""
    services = make_services(models_dir, "--device", "cpu", "--text-streaming", "token")
    backends = services.synthesizer.backends
    reads_along = backends.reads_along

    async def read_along_and_lose_it(request: SpeechRequest) -> bool:
        reads = await reads_along(request)
        await services.models.unload(SMALL)
        return reads

    monkeypatch.setattr(backends, "reads_along", read_along_and_lose_it)
    try:
        await services.models.load(SMALL)
        async with services.synthesizer.open(REQUEST, "test") as session:
            session.add_text("The front door is open.")
            asyncio.get_running_loop().call_soon(session.end_text)
            assert sum([chunk.size async for chunk in session])
        assert session.report.model == SMALL.name
    finally:
        await stop(services)


async def test_while_a_place_is_waited_for_and_the_engine_dies_it_is_loaded_again(services: Services) -> None:
    worker = services.models._worker

    @asynccontextmanager
    async def aside() -> AsyncIterator[None]:
        yield
        if not died:
            died.append(worker.pid)
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
            await until(lambda: worker.pid not in died)

    died: list[int | None] = []
    german = replace(REQUEST, language=find_language("german"))
    async with services.synthesizer.backends.engage(german, "Die Tür ist offen.", aside) as backend:
        with backend.submit("Die Tür ist offen.") as row:
            assert sum([chunk.size async for chunk in row])
        assert [status.users for status in services.models.statuses() if status.checkpoint == SMALL] == [1]
    assert [status.users for status in services.models.statuses() if status.checkpoint == SMALL] == [0]


async def test_what_speaks_after_a_load_that_ran_out_of_memory_has_a_place(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run_out(*_: object) -> None:
        raise OutOfMemory("There is not enough memory.")

    await services.models.load(SMALL)
    monkeypatch.setattr(services.models._worker, "load", run_out)
    monkeypatch.setattr(services.models._device, "_fixed", "1.7B")
    request = replace(REQUEST, language=find_language("german"))
    async with services.models.use(SMALL), services.synthesizer.open(request, "test") as session:
        session.add_text("Die Tür ist offen.")
        session.end_text()
        await anext(aiter(session))
        assert (session.report.model, services.admission.active) == (SMALL.name, 1)


async def test_while_the_language_is_guessed_it_speaks_itself(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    guesser: Any = services.synthesizer.backends._guesser
    guess, loop = guesser.guess, asyncio.get_running_loop()

    def guess_late(text: str) -> object:
        asyncio.run_coroutine_threadsafe(services.models.load(SMALL), loop).result()
        return guess(text)

    monkeypatch.setattr(guesser, "guess", guess_late)
    report = await speak(services, replace(REQUEST, language=None))
    assert (report.model, report.warnings) == (SMALL.name, [])
