import asyncio

import pytest

from wyoming_qwen3.admission import Admission
from wyoming_qwen3.errors import QueueFull


async def hold(admission: Admission, release: asyncio.Event, order: list[int], number: int) -> None:
    async with admission.place():
        order.append(number)
        await release.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_given_in_order_and_what_waits_is_bounded() -> None:
    admission, release, order = Admission(2, 3), asyncio.Event(), list[int]()
    holding = [asyncio.create_task(hold(admission, release, order, number)) for number in range(5)]
    await settle()
    assert (admission.active, admission.waiting, order) == (2, 3, [0, 1])
    with pytest.raises(QueueFull, match="2 texts are being spoken and 3 wait"):
        async with admission.place():
            pass
    release.set()
    await asyncio.gather(*holding)
    assert (admission.active, admission.waiting, order) == (0, 0, [0, 1, 2, 3, 4])


async def test_who_leaves_makes_room_for_others() -> None:
    admission, release, order = Admission(1, 2), asyncio.Event(), list[int]()
    holding = [asyncio.create_task(hold(admission, release, order, number)) for number in range(3)]
    await settle()
    holding[1].cancel()  # one that waits
    await settle()
    assert (admission.active, admission.waiting) == (1, 1)
    holding[0].cancel()  # one that speaks
    await settle()
    assert (admission.active, admission.waiting, order) == (1, 0, [0, 2])
    release.set()
    await asyncio.gather(*holding, return_exceptions=True)
    assert admission.active == 0


async def test_without_a_queue_the_free_places_are_all_there_are() -> None:
    admission = Admission(1, 0)
    async with admission.place():
        with pytest.raises(QueueFull):
            async with admission.place():
                pass
    async with admission.place():
        assert admission.active == 1
