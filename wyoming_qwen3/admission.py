"""How many texts are spoken side by side, and how many may wait: a bound on what clients can pile up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from .errors import QueueFull


class Admission:
    """Places for those that speak, first come first served, and a bounded number of those that wait."""

    def __init__(self, most_active: int, most_waiting: int) -> None:
        self.most_active = most_active
        self.active = 0
        self.waiting = 0
        self._most_waiting = most_waiting
        self._places = asyncio.Semaphore(most_active)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and hold it. Raises QueueFull where too many wait already."""
        if self._places.locked() and self.waiting >= self._most_waiting:
            raise QueueFull(
                f"{self.active} texts are being spoken and {self.waiting} wait; ask again when some are done."
            )
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
            self._places.release()
