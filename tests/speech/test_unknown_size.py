"""Who speaks before the engine has said which size suits its device: the standby voice, or Qwen3 a moment later."""

from dataclasses import replace
from pathlib import Path

from tests.parts import make_services, stop
from wyoming_qwen3.api.app_keys import Services
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS, find_language

REQUEST = SpeechRequest(SPEAKERS[0], find_language("english"), sampling=Sampling(temperature=0.0))


async def speak(services: Services, request: SpeechRequest) -> str | None:
    """Who spoke."""
    async with services.synthesizer.open(request, "test") as session:
        session.add_text("The front door is open.")
        session.end_text()
        assert sum([chunk.size async for chunk in session])
    return session.report.model


async def test_the_standby_voice_need_not_know_the_size_and_qwen3_waits_for_it(models_dir: Path) -> None:
    services = make_services(models_dir, "--device", "cpu", size=None)
    try:
        assert await speak(services, REQUEST) == "standby"
        assert not services.models.settled
        german = replace(REQUEST, language=find_language("german"))
        assert await speak(services, german) == Checkpoint("custom_voice", "0.6B").name
        assert services.models.settled
    finally:
        await stop(services)
