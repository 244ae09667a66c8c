"""Sessions over a real engine with tiny checkpoints: pieces side by side, and what becomes of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tests.conftest import CUSTOM_VOICE
from tests.parts import make_services, make_settings, stop
from tests.speech.watched import Watched, settled, watched_worker
from tests.waiting import HANG_SECONDS, until
from wyoming_qwen3.core.errors import SpeechError, TextTimeout
from wyoming_qwen3.core.request import FloatArray, Priority, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.models.state import State
from wyoming_qwen3.services import make_parts
from wyoming_qwen3.speech import backend
from wyoming_qwen3.speech.session import SpeechSession
from wyoming_qwen3.speech.shared import Services

pytestmark = pytest.mark.asyncio(loop_scope="module")

RYAN = SpeechRequest(SPEAKERS[5], sampling=Sampling(seed=7))
SENTENCES = [f"This is sentence number {number}, and it says that the front door is open." for number in range(20)]
TEXT = " ".join(SENTENCES)
"""Of five pieces."""

SHORTER = " ".join(SENTENCES[:6])
"""Of two."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(models_dir: Path) -> AsyncIterator[Services]:
    parts = replace(make_parts(make_settings(models_dir)), native=Watched())
    services = make_services(models_dir, "--standby", "off", parts=parts)
    yield services
    await stop(services)


@pytest.fixture
def worker(services: Services) -> Watched:
    return watched_worker(services)


def opened(services: Services, text: str = TEXT, **more: Any) -> SpeechSession:
    session = services.synthesizer.open(RYAN, "test", **more)
    session.add_text(text)
    session.end_text()
    return session


async def listen(session: SpeechSession) -> FloatArray:
    async with asyncio.timeout(HANG_SECONDS), session:
        return np.concatenate([chunk async for chunk in session])


async def test_pieces_side_by_side_are_the_same_as_one_after_the_other(
    services: Services, worker: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = await listen(opened(services))
    assert worker.turns == [Priority.NOW] + [Priority.NEXT] * 4
    assert max(worker.unmade) > 1, "Nothing was made side by side."
    assert max(worker.unmade) <= 3
    assert worker.sounds[0] == 0
    assert worker.sounds[1] >= 1, "The first piece waited for another."
    worker.forget()
    monkeypatch.setattr(backend, "_SIDE_BY_SIDE", 1)
    alone = await listen(opened(services))
    assert worker.unmade == [1] * 5
    np.testing.assert_allclose(together, alone, atol=5e-5)


async def test_while_text_comes_a_piece_is_begun_when_the_one_before_is_made(
    services: Services, worker: Watched
) -> None:
    """So it is as long as it can be."""
    async with services.synthesizer.open(RYAN, "test") as session, asyncio.timeout(HANG_SECONDS):
        session.add_text(TEXT)
        async for _ in session:
            if worker.unmade == [1, 1, 1]:
                session.end_text()
    assert worker.unmade[:3] == [1, 1, 1]
    assert len(worker.unmade) == 5


async def test_an_abandoned_answer_drops_all_its_rows(services: Services, worker: Watched) -> None:
    async with opened(services) as session:
        chunks = aiter(session)
        async with asyncio.timeout(HANG_SECONDS):
            while len(worker.turns) < 2:
                await anext(chunks)
    await settled(services, worker)


@pytest.mark.parametrize("steps", range(1, 4))
async def test_who_is_cancelled_while_closing_a_session_leaves_nothing(
    services: Services, worker: Watched, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    spoken: list[str] = []
    monkeypatch.setattr(services.synthesizer, "on_spoken", lambda _, report: spoken.append(report.outcome))
    session = opened(services)
    await anext(aiter(session))
    closing = asyncio.create_task(session.close())
    for _ in range(steps):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await settled(services, worker)
    assert spoken == ["stopped"]


async def test_what_nobody_listens_to_has_the_last_turn(services: Services, worker: Watched) -> None:
    await listen(opened(services, SHORTER, background=True))
    assert worker.turns == [Priority.LAST] * 2


async def test_a_silence_is_where_it_was_asked_for(services: Services) -> None:
    sound = await listen(opened(services, "One door. [pause 2s] Two doors. [pause 1s]"))
    loud = np.flatnonzero(sound)
    gaps = np.diff(loud)
    assert 2 * 24_000 <= gaps.max() < 2.1 * 24_000
    assert 24_000 <= sound.size - loud[-1] < 1.1 * 24_000


async def test_four_who_ask_at_once_are_all_heard_before_any_is_through(services: Services) -> None:
    events: list[str] = []

    async def hear(number: int) -> None:
        async with services.synthesizer.open(replace(RYAN, sampling=Sampling(seed=number)), "test") as session:
            session.add_text(SHORTER)
            session.end_text()
            async for _ in session:
                if f"first {number}" not in events:
                    events.append(f"first {number}")
        events.append(f"last {number}")

    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*(hear(number) for number in range(4)))
    assert sorted(events[:4]) == [f"first {number}" for number in range(4)]


async def test_who_waits_for_text_holds_neither_a_place_nor_a_checkpoint(services: Services, worker: Watched) -> None:
    """What is unloaded meanwhile is loaded again, and the answer goes on with the same voice."""
    whole = await listen(opened(services, "One door. Two doors."))
    async with services.synthesizer.open(RYAN, "test") as session, asyncio.timeout(HANG_SECONDS):
        chunks = aiter(session)
        session.add_text("One door. ")
        heard = [await anext(chunks)]
        going_on = asyncio.create_task(anext(chunks))
        while services.admission.active or services.models._states.find(CUSTOM_VOICE).users:
            if going_on.done():
                heard.append(going_on.result())
                going_on = asyncio.create_task(anext(chunks))
            await asyncio.sleep(0.01)
        await services.models.unload(CUSTOM_VOICE)
        session.add_text("Two doors.")
        session.end_text()
        heard += [await going_on, *[chunk async for chunk in chunks]]
    assert session.report.outcome == "whole"
    assert np.concatenate(heard).size > 0.5 * whole.size
    assert worker.turns[-2:] == [Priority.NOW, Priority.NOW]


async def test_text_that_neither_goes_on_nor_ends_is_an_error(services: Services, worker: Watched) -> None:
    session = services.synthesizer.open(RYAN, "test")
    session._segments._incoming._timeout = 0.05
    session.add_text("One door.")
    with pytest.raises(TextTimeout):
        await listen_all(session)
    await settled(services, worker)


async def listen_all(session: SpeechSession) -> None:
    async with asyncio.timeout(HANG_SECONDS), session:
        async for _ in session:
            pass


async def test_a_place_is_set_aside_while_a_checkpoint_is_loaded(services: Services, worker: Watched) -> None:
    entered: list[str] = []

    @contextlib.asynccontextmanager
    async def aside() -> AsyncIterator[None]:
        entered.append("aside")
        yield
        entered.append("ready" if services.models._states.find(CUSTOM_VOICE).state is State.READY else "not ready")

    with contextlib.suppress(SpeechError):
        await services.models.unload(CUSTOM_VOICE)
    for _ in range(2):  # the second time it is loaded
        async with services.synthesizer.backends.engage(RYAN, "Hi.", aside):
            pass
    assert entered == ["aside", "ready"]


async def test_a_checkpoint_that_is_on_disk_is_loaded_while_the_standby_voice_stands_in_for_it(
    models_dir: Path,
) -> None:
    """Else nothing would ever load it again after --idle-unload, or with --preload none."""
    services = make_services(models_dir)
    try:
        first = opened(services, "The front door is open.")
        await listen(first)
        assert first.report.model == "standby"
        await until(lambda: services.models._states.find(CUSTOM_VOICE).state is State.READY)
        second = opened(services, "The front door is open.")
        await listen(second)
        assert second.report.model == CUSTOM_VOICE.name
    finally:
        await stop(services)
