"""The queue of a connection, with sessions of a text that has nothing to speak, so that no engine is needed."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from tests.parts import make_services, stop
from wyoming_qwen3.core.errors import QueueFull, SpeechError, TooLarge
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.speech.session import SpeechSession
from wyoming_qwen3.speech.utterance_queue import MAX_WAITING, UtteranceQueue


@dataclass
class Said:
    """An utterance; `held` keeps it from ending, and `error` is what sending its audio raises."""

    name: str
    session: SpeechSession
    error: Exception | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def closed(self) -> bool:
        return inspect.isasyncgen(self.session._chunks) and self.session._chunks.ag_frame is None


class Connection:
    """What a connection does with its queue, written down."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.queue = UtteranceQueue(self._speak, self._end, "speaker of a test")
        self.goes_on = True

    async def _speak(self, said: Said) -> None:
        async for _ in said.session:
            self.log.append(said.name)
        await said.held.wait()
        if said.error:
            raise said.error

    async def _end(self, said: Said, failure: SpeechError | None) -> bool:
        assert said.closed
        self.log.append(f"{said.name} ended with {failure.code}" if failure else f"{said.name} ended")
        return self.goes_on


@pytest_asyncio.fixture
async def say(tmp_path: Path) -> AsyncIterator[Callable[..., Said]]:
    services = make_services(tmp_path)

    def open_one(name: str, error: Exception | None = None, *, held: bool = False) -> Said:
        session = services.synthesizer.open(SpeechRequest(SPEAKERS[0]), "test")
        session.end_text()
        said = Said(name, session, error)
        if not held:
            said.held.set()
        return said

    yield open_one
    await stop(services)


async def test_utterances_are_spoken_in_turn_and_closed_before_they_are_ended(say: Callable[..., Said]) -> None:
    connection = Connection()
    for name in ("one", "two", "three"):
        connection.queue.add(say(name))
    assert connection.queue.busy
    await connection.queue.wait()
    assert connection.log == ["one", "one ended", "two", "two ended", "three", "three ended"]
    assert not connection.queue.busy
    connection.queue.add(say("four"))
    await connection.queue.wait()
    assert connection.log[-1] == "four ended"


@pytest.mark.parametrize(("error", "code"), [(TooLarge("Too much."), TooLarge.code), (KeyError("x"), SpeechError.code)])
async def test_an_error_is_that_of_its_utterance(say: Callable[..., Said], error: Exception, code: str) -> None:
    connection = Connection()
    for said in (say("one", error), say("two")):
        connection.queue.add(said)
    await connection.queue.wait()
    assert connection.log == ["one", f"one ended with {code}", "two", "two ended"]


async def test_nothing_is_spoken_after_the_end_says_so(say: Callable[..., Said]) -> None:
    connection = Connection()
    connection.goes_on = False
    rest = say("two")
    for said in (say("one"), rest):
        connection.queue.add(said)
    await connection.queue.wait()
    assert connection.log == ["one", "one ended"]
    assert connection.queue.waiting
    await connection.queue.clear()
    assert rest.closed


async def test_a_client_that_left_is_told_nothing(say: Callable[..., Said]) -> None:
    connection = Connection()
    first, second = say("one", ConnectionResetError()), say("two")
    for said in (first, second):
        connection.queue.add(said)
    await connection.queue.wait()
    assert connection.log == ["one"]
    await connection.queue.clear()
    assert first.closed
    assert second.closed


@pytest.mark.parametrize("begun", [False, True])
async def test_clearing_stops_what_is_spoken_and_closes_what_waits(say: Callable[..., Said], begun: bool) -> None:
    connection = Connection()
    told = [say("one", held=True), say("two"), say("three")]
    for said in told:
        connection.queue.add(said)
    while begun and not connection.log:
        await asyncio.sleep(0)
    await connection.queue.clear()
    assert connection.log == ["one"] * begun
    assert all(said.closed for said in told)
    connection.queue.add(say("four"))
    await connection.queue.wait()
    assert connection.log[-1] == "four ended"


async def test_only_so_many_may_wait(say: Callable[..., Said]) -> None:
    connection = Connection()
    connection.queue.add(say("one", held=True))
    await asyncio.sleep(0)
    for number in range(MAX_WAITING):
        connection.queue.check_room()
        connection.queue.add(say(str(number)))
    with pytest.raises(QueueFull, match=f"{MAX_WAITING} utterances wait on this connection already"):
        connection.queue.check_room()
    await connection.queue.clear()
