"""Texts that direct how they are spoken, over a real engine with tiny checkpoints of all kinds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from tests.parts import busy, make_services, make_settings, stop
from tests.speech.watched import Watched, settled, watched_worker
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.request import (
    SAMPLE_RATE,
    Description,
    FloatArray,
    Priority,
    Reference,
    Sampling,
    SpeechRequest,
)
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.services import make_parts
from wyoming_qwen3.speech.deliveries import DeliveryRequests
from wyoming_qwen3.speech.session import SpeechSession
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.store.voices.voice import Manner
from wyoming_qwen3.text.delivery import Delivery
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Segment, SpokenPiece

pytestmark = pytest.mark.asyncio(loop_scope="module")

RYAN = SpeechRequest(find_voice("ryan")[0], find_language("en"), sampling=Sampling(seed=7))
SERENA = replace(RYAN, voice=find_voice("serena")[0])
DINNER, HUNGRY = "Dinner is ready.", "I am not hungry at all."
GAP = round(0.2 * SAMPLE_RATE)
"""Samples of silence between two pieces."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(models_dir: Path) -> AsyncIterator[Services]:
    parts = replace(make_parts(make_settings(models_dir)), native=Watched())
    services = make_services(models_dir, "--standby", "off", parts=parts)
    time = np.arange(2 * SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE
    clip = Reference(0.3 * np.sin(2 * np.pi * 220 * time).astype(np.float32), SAMPLE_RATE)
    await services.store.voices.open()
    await services.store.voices.create("Grandma", "profile", Manner(), [clip])
    yield services
    await stop(services)


@pytest.fixture
def worker(services: Services) -> Watched:
    return watched_worker(services)


def session_of(services: Services, segments: Sequence[Segment], request: SpeechRequest = RYAN) -> SpeechSession:
    session = services.synthesizer.open(request, "test", segments)
    session.end_text()
    return session


async def listen(session: SpeechSession) -> FloatArray:
    async with asyncio.timeout(HANG_SECONDS), session:
        return np.concatenate([chunk async for chunk in session])


async def alone(services: Services, request: SpeechRequest, text: str) -> FloatArray:
    return await listen(session_of(services, [SpokenPiece(text)], request))


async def test_two_voices_speak_in_one_answer_as_each_would_alone(services: Services, worker: Watched) -> None:
    session = session_of(services, [SpokenPiece(DINNER, Delivery(voice="serena")), SpokenPiece(HUNGRY)])
    both = await listen(session)
    assert worker.turns == [Priority.NOW, Priority.NEXT]
    assert max(worker.unmade) == 2, "The second voice waited until the first had ended."
    serena, ryan = await alone(services, SERENA, DINNER), await alone(services, RYAN, HUNGRY)
    assert both.size == serena.size + GAP + ryan.size
    np.testing.assert_allclose(both[: serena.size], serena, atol=5e-5)
    np.testing.assert_allclose(both[-ryan.size :], ryan, atol=5e-5)
    assert not session.report.warnings


async def test_a_voice_of_another_checkpoint_takes_over(services: Services, worker: Watched) -> None:
    grandma = Delivery(voice="grandma")
    session = session_of(services, [SpokenPiece(DINNER), Pause(0.5), SpokenPiece(HUNGRY, grandma), SpokenPiece(DINNER)])
    heard = await listen(session)
    ryan = await alone(services, RYAN, DINNER)
    request, _ = services.synthesizer.apply_delivery(RYAN, grandma)
    cloned = await alone(services, request, HUNGRY)
    assert heard.size == 2 * ryan.size + cloned.size + round(0.5 * SAMPLE_RATE) + GAP
    np.testing.assert_allclose(heard[-ryan.size :], ryan, atol=5e-5)
    await settled(services, worker)
    assert not busy(worker)


async def test_a_speed_is_that_of_its_pieces(services: Services) -> None:
    plain = await alone(services, RYAN, HUNGRY)
    fast = Delivery(speed=2.0)
    heard = await listen(session_of(services, [SpokenPiece(HUNGRY), SpokenPiece(HUNGRY, fast), SpokenPiece(HUNGRY)]))
    assert heard.size == pytest.approx(2.5 * plain.size + 2 * GAP, rel=0.05)
    np.testing.assert_allclose(heard[: plain.size], plain, atol=5e-5)
    np.testing.assert_allclose(heard[-plain.size :], plain, atol=5e-5)


async def test_a_level_is_that_of_its_pieces(services: Services) -> None:
    plain = await alone(services, RYAN, HUNGRY)
    heard = await listen(session_of(services, [SpokenPiece(HUNGRY, Delivery(gain=-20.0)), SpokenPiece(HUNGRY)]))
    np.testing.assert_allclose(heard[: plain.size], 0.1 * plain, atol=5e-5)
    np.testing.assert_allclose(heard[-plain.size :], plain, atol=5e-5)


async def test_what_cannot_be_followed_is_spoken_and_told(services: Services) -> None:
    session = session_of(
        services, [SpokenPiece(DINNER, Delivery(voice="nobody")), SpokenPiece(HUNGRY, Delivery(style="sad"))]
    )
    heard = await listen(session)
    first, second = await alone(services, RYAN, DINNER), await alone(services, RYAN, HUNGRY)
    assert heard.size == first.size + GAP + second.size
    ignored, left_out = session.report.warnings
    assert "'nobody'" in ignored
    assert "instructions" in left_out


async def test_a_voice_whose_checkpoint_is_missing_is_replaced_in_the_middle(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "Qwen3-TTS-12Hz-0.6B-CustomVoice").symlink_to(models_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")
    services = make_services(tmp_path, "--standby", "off")
    await services.store.voices.open()
    await services.store.voices.create("Grandma", "profile", Manner(), [Reference(np.ones(24_000, np.float32), 24_000)])
    try:
        session = session_of(services, [SpokenPiece(DINNER), SpokenPiece(HUNGRY, Delivery(voice="grandma"))])
        heard = await listen(session)
        assert session.report.outcome == "whole"
        assert heard.size > 2 * GAP
        assert "A voice in the text was ignored." in session.report.warnings[0]
    finally:
        await stop(services)


async def test_the_standby_voice_takes_no_part_of_a_voice_that_it_can_not_replace(
    models_dir: Path, tmp_path: Path
) -> None:
    """Nor the rest: the text's own voice speaks on where another's checkpoint is missing."""
    (tmp_path / "Qwen3-TTS-12Hz-1.7B-VoiceDesign").symlink_to(models_dir / "Qwen3-TTS-12Hz-1.7B-VoiceDesign")
    services = make_services(tmp_path)
    try:
        segments = [SpokenPiece(DINNER), SpokenPiece(HUNGRY, Delivery(voice="serena")), SpokenPiece(DINNER)]
        session = session_of(services, segments, replace(RYAN, voice=Description("deep")))
        await listen(session)
        assert session.report.model == "Qwen3-TTS-12Hz-1.7B-VoiceDesign"
        assert session.report.outcome == "whole"
        (warning,) = session.report.warnings
        assert warning.startswith("A voice in the text was ignored. Qwen3-TTS-12Hz-0.6B-CustomVoice is not in the")
    finally:
        await stop(services)


async def test_the_standby_voice_speaks_all_of_an_answer_that_it_began(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    try:
        session = session_of(services, [SpokenPiece(DINNER), SpokenPiece(HUNGRY, Delivery(voice="serena", speed=2.0))])
        await listen(session)
        assert session.report.model == "standby"
        assert session.report.outcome == "whole"
        assert any("its own voice" in warning for warning in session.report.warnings)
    finally:
        await stop(services)


async def test_that_the_standby_voice_has_one_voice_is_told_once() -> None:
    requests = DeliveryRequests(RYAN, lambda request, _: (replace(request, voice=SERENA.voice), ()))
    requests.standby = True
    for text in (DINNER, HUNGRY):
        assert requests.find(SpokenPiece(text, Delivery(voice="serena"))).voice == RYAN.voice
    assert len(requests.warnings) == 1


def written(services: Services, parts: Sequence[str], request: SpeechRequest) -> SpeechSession:
    session = services.synthesizer.open(request, "test")
    for part in parts:
        session.add_text(part)
    session.end_text()
    return session


TEXT = "[voice: serena] Dinner is ready. [pause: 0.5] [voice: ryan] [speed: 2] I am not hungry at all. [speed] Good."


@pytest.mark.parametrize("length", [1, 3, 7])
async def test_a_text_in_any_split_is_spoken_the_same(services: Services, length: int) -> None:
    whole = await listen(written(services, [TEXT], RYAN))
    parts = [TEXT[at : at + length] for at in range(0, len(TEXT), length)]
    np.testing.assert_allclose(await listen(written(services, parts, RYAN)), whole, atol=5e-5)


async def test_ssml_that_is_not_correct_is_spoken_and_told(services: Services) -> None:
    text = "<speak>Dinner is ready. <voice name='serena'>I am not hungry at all."
    session = written(services, [text], replace(RYAN, ssml=True))
    heard = await listen(session)
    one, other = await alone(services, RYAN, DINNER), await alone(services, SERENA, HUNGRY)
    assert heard.size == one.size + GAP + other.size
    assert any("SSML" in warning for warning in session.report.warnings)
