"""Work on threads, and who leaves meanwhile."""

import asyncio
import threading

from wyoming_qwen3.audio.streaming import in_thread


async def test_who_is_cancelled_twice_still_waits_for_the_thread() -> None:
    """Otherwise a task that is stopped twice would close an encoder that the thread is using."""
    go_on = threading.Event()
    waiting = asyncio.create_task(in_thread(go_on.wait))
    await asyncio.sleep(0)
    for _ in range(3):
        waiting.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
    early = waiting.done()
    go_on.set()
    await asyncio.wait([waiting])
    assert (early, waiting.cancelled()) == (False, True)
