"""The handler inside this process, where its tasks can be counted."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from wyoming.client import AsyncClient
from wyoming.server import AsyncTcpServer
from wyoming.tts import Synthesize, SynthesizeVoice

from tests.conftest import collect, free_port
from wyoming_qwen3.handler import Defaults, Handler
from wyoming_qwen3.models import ModelManager, Policy
from wyoming_qwen3.request import Sampling
from wyoming_qwen3.speech import Options, Synthesizer
from wyoming_qwen3.standby import StandbyVoice
from wyoming_qwen3.text.language import LanguageGuesser
from wyoming_qwen3.voices import SPEAKERS, find_language
from wyoming_qwen3.worker import Worker, download

RYAN = next(speaker for speaker in SPEAKERS if speaker.id == "ryan")
AIDEN = next(speaker for speaker in SPEAKERS if speaker.id == "aiden")


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A server in this process that speaks with the standby voice."""
    models = ModelManager(Policy(tmp_path, "0.6B", download=False), Worker("native"), download)
    standby = StandbyVoice(Worker("standby"))
    synthesizer = Synthesizer(models, standby, LanguageGuesser(), Options())
    server = AsyncTcpServer("127.0.0.1", number := free_port())
    await server.start(partial(Handler, synthesizer, Defaults(RYAN, None, Sampling())))
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


@pytest.mark.parametrize(
    ("voice", "default_language", "speaker", "language"),
    [
        (None, None, "aiden", None),
        (None, "en", "aiden", "en"),
        (None, "ja", "ono_anna", "ja"),
        (None, "de", "aiden", "de"),
        (SynthesizeVoice(language="zh-CN"), None, "vivian", "zh"),
        (SynthesizeVoice(language="fr"), "ja", "aiden", "fr"),
        (SynthesizeVoice(name="sohee"), None, "sohee", None),
        (SynthesizeVoice(name="sohee"), "ko", "sohee", "ko"),
        (SynthesizeVoice(name="sohee-ru"), "ko", "sohee", "ru"),
        (SynthesizeVoice(name="sohee-ru", speaker="Sohee"), None, "sohee", "ru"),
    ],
)
def test_who_speaks_which_language(
    voice: SynthesizeVoice | None, default_language: str | None, speaker: str, language: str | None
) -> None:
    defaults = Defaults(AIDEN, find_language(default_language) if default_language else None, Sampling())
    request = defaults.request(voice, None)
    assert getattr(request.voice, "id", None) == speaker
    assert (request.language and request.language.code) == language
