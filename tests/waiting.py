"""How tests wait: for events, with a limit that only ends a hang."""

import asyncio
from collections.abc import Callable

import psutil

HANG_SECONDS = 300.0
"""The longest that a test waits for anything. No test passes or fails by how soon something comes: a busy machine may
be a hundred times slower than a quiet one."""


async def until(true: Callable[[], object]) -> None:
    """Wait until a condition holds. Raises TimeoutError after HANG_SECONDS."""
    async with asyncio.timeout(HANG_SECONDS):
        while not true():
            await asyncio.sleep(0.005)


def processor_seconds(process: psutil.Process) -> float:
    """Processor time that a process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def at_rest(process: psutil.Process) -> float:
    """Wait until a process does nothing for half a second.

    Returns the seconds of processor time that it used until then. Raises TimeoutError after HANG_SECONDS.
    """
    first = last = processor_seconds(process)
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            await asyncio.sleep(0.5)
            now = processor_seconds(process)
            if now - last < 0.03:
                return last - first
            last = now
