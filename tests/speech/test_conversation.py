"""Conversations, by a real engine: their turns are speech sessions, side by side, and the whole is to the sample."""

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tests.parts import busy, make_services, make_settings, stop
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.errors import (
    InstructionsNotSupported,
    InvalidRequest,
    QueueFull,
    RunawaySpeech,
    SpeechError,
    TooLarge,
)
from wyoming_qwen3.core.request import SAMPLE_RATE, Description, FloatArray, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_voice
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.services import make_parts
from wyoming_qwen3.speech.admission import Admission
from wyoming_qwen3.speech.conversation import Conversation, ConversationTurn, TurnResult
from wyoming_qwen3.speech.options import Options
from wyoming_qwen3.speech.session import SpeechSession, Synthesizer
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.text.dialogue import MAX_TURNS
from wyoming_qwen3.text.pieces import Segment

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREEDY = Sampling(temperature=0.0)
ANN = SpeechRequest(find_voice("vivian")[0], sampling=GREEDY)
BOB = SpeechRequest(find_voice("ryan")[0], sampling=GREEDY)
WHISPERED = dataclasses.replace(BOB, instruct="Whisper.", size="0.6B", strict=True)
"""0.6B follows no instruction."""

RUNAWAY = dataclasses.replace(BOB, sampling=Sampling(temperature=0.0, max_frames=2))

LONG = "The front door is open and nobody has closed it since the morning. " * 4


@dataclasses.dataclass
class Engine:
    worker: Worker
    services: Services


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(models_dir: Path) -> AsyncIterator[Engine]:
    options = ("--device", "cpu", "--standby", "off", "--log-level", "WARNING")
    parts = make_parts(make_settings(models_dir, *options))
    services = make_services(models_dir, *options, parts=parts)
    yield Engine(parts.native, services)
    await stop(services)


class Stage(Synthesizer):
    """The real one, which remembers the sessions that were opened."""

    def __init__(self, engine: Engine, admission: Admission) -> None:
        engines, metrics = engine.services.synthesizer.backends, engine.services.metrics
        request_log = engine.services.request_log
        super().__init__(
            engines,
            history=None,
            admission=admission,
            metrics=metrics,
            options=Options(),
            request_log=request_log,
            apply_delivery=engine.services.synthesizer.apply_delivery,
            verbalizer=engine.services.synthesizer.verbalizer,
        )
        self.worker = engine.worker
        self.admission = admission
        self.sessions: list[SpeechSession] = []

    def open(
        self, request: SpeechRequest, source: str, segments: Sequence[Segment] | None = None, **caller: Any
    ) -> SpeechSession:
        self.sessions.append(session := super().open(request, source, segments, **caller))
        return session


@pytest.fixture
def stage(engine: Engine) -> Stage:
    return Stage(engine, Admission(8, 8))


async def listen(sound: Conversation | SpeechSession) -> FloatArray:
    async with asyncio.timeout(HANG_SECONDS), sound:
        return np.concatenate([chunk async for chunk in sound])


async def alone(stage: Stage, line: ConversationTurn) -> FloatArray:
    session = stage.open(line.request, "test")
    session.add_text(line.text)
    session.end_text()
    return await listen(session)


async def settled(stage: Stage) -> None:
    """Until nobody speaks any more, neither here nor in the engine."""
    async with asyncio.timeout(HANG_SECONDS):
        while busy(stage.worker) or stage.admission.active or stage.admission.waiting:
            await asyncio.sleep(0.01)


def told(turns: list[TurnResult]) -> list[tuple[str, int, int]]:
    """Speaker, first sample and the one after the last."""
    assert all(
        time * SAMPLE_RATE == pytest.approx(round(time * SAMPLE_RATE))
        for turn in turns
        for time in (turn.start, turn.end)
    )
    return [(turn.speaker, round(turn.start * SAMPLE_RATE), round(turn.end * SAMPLE_RATE)) for turn in turns]


LINES = (
    ConversationTurn("Ann", "The front door is open.", ANN, 0.25),
    ConversationTurn("Bob", "It is late. [pause:300ms] Good night.", BOB, 1 / 3),
    ConversationTurn("Ann", "[pause 1s] Two lights are on.", ANN, 0.0),
    ConversationTurn("Bob", "The kettle is boiling now.", dataclasses.replace(BOB, speed=1.25), 0.1),
    ConversationTurn("Crowd", "...", ANN, 0.5),
    ConversationTurn(
        "Ann", "Somebody is at the gate.", dataclasses.replace(ANN, voice=Description("A deep voice.")), 9.0
    ),
)


async def test_the_whole_is_the_turns_and_the_pauses_to_the_sample(stage: Stage) -> None:
    parts: list[FloatArray] = []
    expected: list[tuple[str, int, int]] = []
    at = 0
    for line in LINES:
        parts.append(await alone(stage, line))
        expected.append((line.speaker, at, at + parts[-1].size))
        if line is not LINES[-1]:
            parts.append(np.zeros(round(line.pause_after * SAMPLE_RATE), np.float32))
        at = sum(part.size for part in parts)
    assert len({part.tobytes() for part in parts[::2]}) == len(LINES)
    for at_once in (1, 3, 8):
        conversation = Conversation(stage, LINES, at_once)
        whole = await listen(conversation)
        assert whole.dtype == np.float32
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        assert told(conversation.turns) == expected
        assert [turn.report.outcome for turn in conversation.turns] == ["whole"] * len(LINES)
        assert conversation.turns[0].report.characters == len(LINES[0].text)


async def test_it_is_heard_while_it_is_made_and_its_turns_are_made_side_by_side(stage: Stage) -> None:
    lines = [ConversationTurn("Ann", LONG, ANN), *(ConversationTurn("Bob", "Good night.", BOB) for _ in range(4))]
    conversation = Conversation(stage, lines, at_once=3)
    assert not stage.sessions
    begun = []
    async with asyncio.timeout(HANG_SECONDS), conversation:
        async for _ in conversation:
            begun.append(len(stage.sessions))
            assert len(stage.sessions) <= len(conversation.turns) + 3
            if not conversation.turns:
                outcomes = [session.report.outcome for session in stage.sessions[1:]]
    assert begun[0] <= 2
    assert outcomes == ["whole"] * 2, "The second and the third were over before the first."
    assert begun[-1] == len(lines)


async def test_a_turn_begins_when_the_one_before_is_heard(stage: Stage) -> None:
    conversation = Conversation(stage, [ConversationTurn("Ann", LONG, ANN)] * 5, at_once=5)
    async with asyncio.timeout(HANG_SECONDS), conversation:
        async for _ in conversation:
            sounding = [session.report.audio > 0 for session in stage.sessions]
            assert all(sounding[:-1])
            if len(sounding) == 5:
                break


async def test_a_slow_listener_bounds_what_is_made(stage: Stage) -> None:
    """Pauses are sound that costs nothing: 300 seconds of them at the most, and 120 are made."""
    quiet = "[pause:10s] " * 30
    conversation = Conversation(
        stage, [ConversationTurn("Ann", quiet + "It is late.", ANN), ConversationTurn("Bob", f"Yes. {quiet}", BOB)], 2
    )
    async with asyncio.timeout(HANG_SECONDS), conversation:
        samples = (await anext(aiter(conversation))).size
        for _ in range(500):
            await asyncio.sleep(0)
        async with asyncio.timeout(HANG_SECONDS):
            while stage.sessions[-1].report.audio < 120:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert len(stage.sessions) == 2
        assert stage.sessions[1].report.audio <= 140
        async for chunk in conversation:
            samples += chunk.size
    assert samples == sum(round(session.report.audio * SAMPLE_RATE) for session in stage.sessions) > 600 * SAMPLE_RATE


def speaking() -> list[str]:
    """Names of the tasks that speak turns."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("conversation turn") or name == "pieces"]


@pytest.mark.parametrize("after", [1, 4])
async def test_closing_early_stops_all_turns(stage: Stage, after: int) -> None:
    conversation = Conversation(stage, [ConversationTurn("Ann", LONG * 5, ANN)] * 6, at_once=4)
    async with asyncio.timeout(HANG_SECONDS), conversation:
        chunks = aiter(conversation)
        for _ in range(after):
            await anext(chunks)
        assert speaking()
    assert not speaking()
    await settled(stage)
    assert [session.report.outcome for session in stage.sessions] == ["stopped"] * len(stage.sessions)
    assert len(stage.sessions) < 6
    assert not conversation.turns


async def test_a_listener_that_is_cancelled_stops_all_turns(stage: Stage) -> None:
    listening = asyncio.create_task(
        listen(Conversation(stage, [ConversationTurn("Ann", LONG * 5, ANN)] * 6, at_once=4))
    )
    async with asyncio.timeout(HANG_SECONDS):
        while len(stage.sessions) < 4:
            await asyncio.sleep(0.01)
    listening.cancel()
    await asyncio.wait([listening])
    assert listening.cancelled()
    await settled(stage)


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (WHISPERED, InstructionsNotSupported, "does not follow instructions"),
        (RUNAWAY, RunawaySpeech, "longer than its text can need"),
    ],
    ids=["before there is sound of it", "when there is"],
)
async def test_a_turn_that_fails_ends_the_whole_and_says_whose_it_is(
    stage: Stage, request_: SpeechRequest, error: type[SpeechError], message: str, at_once: int
) -> None:
    lines = [
        ConversationTurn("Ann", LONG, ANN),
        ConversationTurn("Ivan", LONG, request_),
        ConversationTurn("Bob", LONG, BOB),
    ]
    conversation = Conversation(stage, lines, at_once)
    with pytest.raises(error, match=rf"^Turn 2 \(Ivan\): .*{message}") as caught:
        await listen(conversation)
    assert caught.value.param == ("instructions" if error is InstructionsNotSupported else None)
    assert len(conversation.turns) == (1 if at_once == 1 else 0), "With a place beside the first it is known at once."
    await settled(stage)


async def test_one_place_is_enough(engine: Engine) -> None:
    """Even where nobody may wait for it."""
    wide = Stage(engine, Admission(8, 8))
    expected = await listen(Conversation(wide, LINES, at_once=8))
    for admission in (Admission(1, 0), Admission(1, 8), Admission(2, 0)):
        conversation = Conversation(Stage(engine, admission), LINES, at_once=4)
        np.testing.assert_array_equal(await listen(conversation), expected)
        assert len(conversation.turns) == len(LINES)
        assert (admission.active, admission.waiting) == (0, 0)


async def test_conversations_share_few_places(engine: Engine) -> None:
    stage = Stage(engine, Admission(2, 8))
    wholes = await asyncio.gather(*(listen(Conversation(stage, LINES, at_once=4)) for _ in range(3)))
    assert len({whole.tobytes() for whole in wholes}) == 1


async def test_where_others_have_all_places_it_is_refused(engine: Engine) -> None:
    stage = Stage(engine, Admission(1, 0))
    async with stage.admission.place():
        with pytest.raises(QueueFull, match=r"^Turn 1 \(Ann\): 1 texts are being spoken"):
            await listen(Conversation(stage, LINES, at_once=4))


async def test_it_is_refused_where_others_took_the_place_between_two_turns(engine: Engine) -> None:
    stage = Stage(engine, Admission(1, 0))
    async with asyncio.timeout(HANG_SECONDS), Conversation(stage, LINES, at_once=1) as conversation:
        async for _ in conversation:
            if conversation.turns:  # this is the pause after the first
                break
        async with stage.admission.place():
            with pytest.raises(QueueFull, match=r"^Turn 2 \(Bob\)"):
                await anext(aiter(conversation))


async def test_turns_without_a_seed_share_one(stage: Stage) -> None:
    drawn, given = Sampling(), Sampling(seed=7)
    lines = [
        ConversationTurn("Ann", "It is late.", dataclasses.replace(ANN, sampling=sampling))
        for sampling in (drawn, given, drawn)
    ]
    await listen(Conversation(stage, lines, at_once=3))
    first, second, third = (session.request.sampling.seed for session in stage.sessions)
    assert first == third
    assert (first is None, second) == (False, 7)


@pytest.mark.parametrize("pause", [-0.1, 10.1, math.nan, math.inf])
async def test_a_pause_has_bounds(pause: float) -> None:
    with pytest.raises(InvalidRequest, match="between 0 and 10 seconds") as caught:
        ConversationTurn("Ann", "Hi.", ANN, pause)
    assert caught.value.param == "pause_after"


@pytest.mark.parametrize(("speaker", "text"), [("", "Hi."), ("x" * 65, "Hi."), ("A\nB\0", "Hi."), ("Ann", " \n")])
async def test_a_line_has_a_speaker_and_a_text(speaker: str, text: str) -> None:
    with pytest.raises(InvalidRequest):
        ConversationTurn(speaker, text, ANN)


async def test_a_conversation_has_turns_but_not_too_many(stage: Stage) -> None:
    line = ConversationTurn("Ann", "Hi.", ANN)
    with pytest.raises(InvalidRequest, match="at least one turn"):
        Conversation(stage, [], at_once=1)
    with pytest.raises(TooLarge, match=f"at most {MAX_TURNS} turns"):
        Conversation(stage, [line] * (MAX_TURNS + 1), at_once=1)
    async with Conversation(stage, [line] * MAX_TURNS, at_once=1):
        assert not stage.sessions, "Nothing is spoken before it is listened to."
