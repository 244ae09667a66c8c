"""The tasks of an object that runs until it is closed."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from wyoming_qwen3.core.errors import SpeechError

_LOGGER = logging.getLogger(__name__)


class Tasks:
    """Runs work in tasks until it ends or `close` is called."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def spawn(
        self, work: Coroutine[None, None, None], failed: Callable[[], None] | None = None
    ) -> "asyncio.Task[None]":
        """Run `work` as a task. Any error is logged, and then `failed` is called.

        Without `failed`, a SpeechError is left to whoever waits for the task.
        """

        def done(task: "asyncio.Task[None]") -> None:
            self._running.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is None or (failed is None and isinstance(error, SpeechError)):
                return
            _LOGGER.error("A task for a checkpoint failed", exc_info=error)
            if failed:
                failed()

        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(done)
        return task

    async def close(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def active(task: "asyncio.Task[None] | None") -> bool:
    """Return whether there is a task that has not ended."""
    return task is not None and not task.done()


async def stop(task: "asyncio.Task[None] | None") -> None:
    """Cancel a task, if there is one, and wait until it has ended."""
    if task is not None:
        if not task.cancelling():  # a second cancel would interrupt how it ends its process
            task.cancel()
        await asyncio.wait([task])
