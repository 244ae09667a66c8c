"""Who speaks, who waits and who is next, without any speech."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.errors import QueueFull
from wyoming_qwen3.speech.admission import Admission, Place


class Crowd:
    """Those who ask for places, by name; `order` is that in which they got them."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.places: dict[str, Place] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._done: dict[str, asyncio.Event] = {}

    async def ask(self, admission: Admission, *names: str, background: bool = False, client: str | None = None) -> None:
        for name in names:
            self._done[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._hold(admission, name, background=background, client=client))
        await settle()

    async def finish(self, *names: str) -> None:
        for name in names:
            self._done[name].set()
            await settle()

    async def leave(self, *names: str) -> None:
        for name in names:
            self._tasks[name].cancel()
        await settle()

    async def _hold(self, admission: Admission, name: str, *, background: bool, client: str | None) -> None:
        async with admission.place(background=background, client=client) as place:
            self.order.append(name)
            self.places[name] = place
            await self._done[name].wait()


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def crowd() -> AsyncIterator[Crowd]:
    crowd = Crowd()
    yield crowd
    for task in crowd._tasks.values():
        task.cancel()
    await asyncio.gather(*crowd._tasks.values(), return_exceptions=True)


async def test_the_newest_is_next_and_what_waits_is_bounded(crowd: Crowd) -> None:
    admission = Admission(2, 3)
    await crowd.ask(admission, *"abcde")
    assert (admission.active, admission.waiting, crowd.order) == (2, 3, ["a", "b"])
    with pytest.raises(QueueFull, match="2 texts are being spoken and 3 are waiting, which is the maximum"):
        async with admission.place():
            pass
    await crowd.finish(*"ab")
    await crowd.ask(admission, "f")
    await crowd.finish(*"edfc")
    assert crowd.order == ["a", "b", "e", "d", "f", "c"]
    assert (admission.active, admission.waiting) == (0, 0)


async def test_who_leaves_makes_room_for_others(crowd: Crowd) -> None:
    admission = Admission(1, 2)
    await crowd.ask(admission, *"abc")
    await crowd.leave("b")  # one that waits
    assert (admission.active, admission.waiting) == (1, 1)
    await crowd.leave("a")  # one that speaks
    assert (admission.active, admission.waiting, crowd.order) == (1, 0, ["a", "c"])
    await crowd.finish("c")
    assert admission.active == 0


async def test_who_leaves_in_the_moment_of_being_let_in_gives_the_place_back(crowd: Crowd) -> None:
    admission = Admission(1, 2)
    await crowd.ask(admission, *"abc")
    crowd._done["a"].set()
    await asyncio.sleep(0)  # a has left, and c has been told, which it has not taken in yet
    crowd._tasks["c"].cancel()
    await settle()
    assert (admission.active, admission.waiting, crowd.order) == (1, 0, ["a", "b"])


async def test_who_leaves_in_the_moment_in_which_a_place_is_free_is_not_let_in(crowd: Crowd) -> None:
    admission = Admission(1, 2)
    await crowd.ask(admission, *"abc")
    crowd._done["a"].set()  # its turn comes before that of c, which would be next
    crowd._tasks["c"].cancel()
    await settle()
    assert crowd._tasks["a"].exception() is None
    assert (admission.active, admission.waiting, crowd.order) == (1, 0, ["a", "b"])


async def test_without_a_queue_the_free_places_are_all_there_are() -> None:
    admission = Admission(1, 0)
    async with admission.place():
        with pytest.raises(QueueFull):
            async with admission.place():
                pass
    async with admission.place():
        assert admission.active == 1


async def test_those_behind_have_half_of_the_places_and_come_last_in_their_order(crowd: Crowd) -> None:
    admission = Admission(4, 8)
    await crowd.ask(admission, "1", "2", "3", "4", background=True)
    assert (admission.active, admission.waiting) == (2, 2)
    await crowd.ask(admission, *"abc")
    assert crowd.order == ["1", "2", "a", "b"]
    await crowd.finish("1")  # c has waited for less time than 3
    assert crowd.order[4:] == ["c"]
    await crowd.finish(*"abc")
    assert crowd.order[5:] == ["3"]
    await crowd.finish("2")
    assert crowd.order[6:] == ["4"]


async def test_one_client_leaves_room_for_others(crowd: Crowd) -> None:
    admission = Admission(8, 4)
    await crowd.ask(admission, *"abcdefghi", client="10.0.0.7")
    assert (admission.active, admission.waiting) == (7, 2)
    with pytest.raises(QueueFull, match="2 texts of this client are waiting already"):
        async with admission.place(client="10.0.0.7"):
            pass
    await crowd.ask(admission, "x", client="10.0.0.8")
    await crowd.ask(admission, *"yz")  # of clients that are not told apart
    assert (admission.active, admission.waiting, crowd.order[7:]) == (8, 4, ["x"])
    await crowd.finish("a")
    assert crowd.order[8:] == ["z"]


async def test_a_listener_who_takes_nothing_loses_the_place_to_one_who_waits(crowd: Crowd) -> None:
    admission = Admission(1, 4, listener_seconds=0.02)
    await crowd.ask(admission, *"ab")
    crowd.places["a"].pause()
    async with asyncio.timeout(HANG_SECONDS):
        while "b" not in crowd.order:
            await asyncio.sleep(0.005)
    assert (admission.active, admission.waiting) == (2, 0)
    crowd.places["a"].resume()  # a reads again: both speak, but nobody else until both have ended
    await crowd.ask(admission, "c")
    await crowd.finish("a")
    assert crowd.order == ["a", "b"]
    await crowd.finish("b")
    assert crowd.order == ["a", "b", "c"]


async def test_a_listener_who_takes_in_time_keeps_the_place(crowd: Crowd) -> None:
    admission = Admission(1, 4, listener_seconds=0.05)
    await crowd.ask(admission, *"ab")
    crowd.places["a"].pause()
    crowd.places["a"].resume()
    await asyncio.sleep(0.1)
    assert crowd.order == ["a"]


async def test_those_who_lost_their_places_are_bounded_too(crowd: Crowd) -> None:
    admission = Admission(1, 4, listener_seconds=0.0)
    await crowd.ask(admission, *"abc")
    for name in "ac":  # c is the newest
        crowd.places[name].pause()
        await asyncio.sleep(0.02)
    assert (admission.active, admission.waiting, crowd.order) == (2, 1, ["a", "c"])


async def test_who_waits_for_something_else_has_no_place_and_comes_first_after_that(crowd: Crowd) -> None:
    admission = Admission(1, 2)
    await crowd.ask(admission, *"ab")
    there = asyncio.Event()

    async def wait_aside() -> None:
        async with crowd.places["a"].aside():
            await there.wait()
        crowd.order.append("a again")

    waiting = asyncio.create_task(wait_aside())
    await settle()
    assert (admission.active, admission.waiting, crowd.order) == (1, 0, ["a", "b"])
    await crowd.ask(admission, *"cd")
    there.set()
    await settle()  # the queue is full, which is for those who have not begun
    assert (admission.active, admission.waiting) == (1, 3)
    await crowd.finish("b")
    assert crowd.order[2:] == ["a again"]
    await crowd.finish("a")
    assert crowd.order[3:] == ["d"]
    await waiting


async def test_who_leaves_while_it_waits_for_something_else_leaves_nothing(crowd: Crowd) -> None:
    admission = Admission(1, 2)

    async def hold() -> None:
        async with admission.place() as place, place.aside():
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    await settle()
    assert admission.active == 0
    await crowd.ask(admission, "a")
    holding.cancel()
    await settle()
    assert (admission.active, admission.waiting) == (1, 0)


async def test_one_that_had_a_place_is_next_but_not_before_a_listener_if_it_is_behind(crowd: Crowd) -> None:
    admission = Admission(1, 4)
    await crowd.ask(admission, "a")
    async with asyncio.TaskGroup() as group:

        async def again(name: str, *, background: bool) -> None:
            async with admission.place(background=background, resumed=True):
                crowd.order.append(name)

        await crowd.ask(admission, "b", background=True)
        group.create_task(again("batch again", background=True))
        await crowd.ask(admission, "c")
        group.create_task(again("again", background=False))
        await settle()
        await crowd.finish("a")
        await crowd.finish(*"cb")
    assert crowd.order == ["a", "again", "c", "batch again", "b"]
