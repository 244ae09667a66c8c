"""The handler inside this process, where its tasks can be counted."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from wyoming.client import AsyncClient
from wyoming.server import AsyncTcpServer
from wyoming.tts import Synthesize

from tests.conftest import collect, free_port
from wyoming_qwen3.admission import Admission
from wyoming_qwen3.defaults import Defaults
from wyoming_qwen3.handler import Handler
from wyoming_qwen3.metrics import Metrics
from wyoming_qwen3.models.manager import ModelManager, Policy
from wyoming_qwen3.speech import Options, Synthesizer
from wyoming_qwen3.standby import StandbyVoice
from wyoming_qwen3.text.language import LanguageGuesser
from wyoming_qwen3.voices import SPEAKERS
from wyoming_qwen3.worker import Worker, download

RYAN = next(speaker for speaker in SPEAKERS if speaker.id == "ryan")


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A server in this process that speaks with the standby voice."""
    models = ModelManager(Policy(tmp_path, "0.6B", download=False), Worker("native"), download)
    standby = StandbyVoice(Worker("standby"))
    synthesizer = Synthesizer(
        models, standby, LanguageGuesser(), admission=Admission(8, 8), metrics=Metrics(), options=Options()
    )
    server = AsyncTcpServer("127.0.0.1", number := free_port())
    await server.start(partial(Handler, synthesizer, Defaults(RYAN)))
    yield number
    await server.stop()
    await asyncio.gather(models.close(), standby.close())


async def test_clients_that_leave_leave_no_tasks_behind(port: int) -> None:
    async def leave() -> None:
        async with AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
            await client.write_event(Synthesize(text="The front door is open. " * 100).event())
            await collect(client, "audio-chunk")

    async def settled() -> int:
        await asyncio.sleep(0.2)
        return len(asyncio.all_tasks())

    await leave()
    before = await settled()
    for _ in range(30):
        await leave()
    assert await settled() == before
