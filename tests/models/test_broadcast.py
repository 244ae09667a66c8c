import asyncio

from wyoming_qwen3.models.broadcast import Broadcast


async def test_everybody_hears_what_is_told_while_they_listen() -> None:
    told = Broadcast[int](10)
    told.publish(0)
    with told.subscribe() as early:
        told.publish(1)
        with told.subscribe() as late:
            told.publish(2)
        told.publish(3)
        told.end()
        assert [item async for item in early] == [1, 2, 3]
        assert late is not early
    late.end()
    assert [item async for item in late] == [2]


async def test_a_listener_that_waits_is_woken_by_an_item_and_by_the_end() -> None:
    told = Broadcast[str](10)
    with told.subscribe() as listener:
        waiting = asyncio.ensure_future(anext(listener))
        await asyncio.sleep(0)
        assert not waiting.done()
        told.publish("now")
        assert await waiting == "now"
        last = asyncio.ensure_future(anext(listener, None))
        await asyncio.sleep(0)
        told.end()
        assert await last is None


async def test_a_listener_that_gives_up_waiting_misses_nothing() -> None:
    told = Broadcast[str](10)
    with told.subscribe() as listener:
        waiting = asyncio.ensure_future(anext(listener))
        await asyncio.sleep(0)
        waiting.cancel()
        told.publish("now")
        assert await anext(listener) == "now"


async def test_who_falls_behind_is_ended_and_nobody_else() -> None:
    told = Broadcast[int](2)
    with told.subscribe() as slow, told.subscribe() as quick:
        for number in range(5):
            told.publish(number)
            assert await anext(quick) == number
        assert [item async for item in slow] == [0, 1]


async def test_nobody_waits_for_ever_who_comes_after_the_end() -> None:
    told = Broadcast[int](2)
    told.end()
    with told.subscribe() as listener:
        assert [item async for item in listener] == []
