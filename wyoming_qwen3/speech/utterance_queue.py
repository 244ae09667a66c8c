"""The utterances of one connection, spoken one after the other while the connection goes on reading."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from wyoming_qwen3.core.errors import QueueFull, SpeechError

from .session import SpeechSession

_LOGGER = logging.getLogger(__name__)

MAX_WAITING = 8
"""Number of utterances that may wait behind the one being spoken."""


class Queued(Protocol):
    """An utterance of a connection."""

    @property
    def session(self) -> SpeechSession:
        """Its speech. The queue closes it."""


_AnyUtterance = TypeVar("_AnyUtterance", bound=Queued)


class UtteranceQueue(Generic[_AnyUtterance]):
    """Speaks a connection's utterances in turn, in a task of its own.

    Only the connection's reader calls its methods.
    """

    def __init__(
        self,
        speak: Callable[[_AnyUtterance], Awaitable[None]],
        end: Callable[[_AnyUtterance, SpeechError | None], Awaitable[bool]],
        name: str,
    ) -> None:
        """`speak` sends an utterance's audio.

        `end` is called when its session is closed, with the error that `speak` raised, if any. It tells the client, and
        returns whether the next utterance is to be spoken. Neither is called for an utterance that `clear` removes.
        `name` is the task's.
        """
        self._speak = speak
        self._end = end
        self._name = name
        self._waiting: deque[_AnyUtterance] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether an utterance is being spoken or ended."""
        return self._task is not None and not self._task.done()

    @property
    def waiting(self) -> bool:
        """Whether utterances wait behind the one being spoken."""
        return bool(self._waiting)

    def check_room(self) -> None:
        """Raise QueueFull if no more utterances may wait."""
        if len(self._waiting) >= MAX_WAITING:
            raise QueueFull(f"{MAX_WAITING} utterances wait on this connection already, which is the maximum.")

    def add(self, utterance: _AnyUtterance) -> None:
        """Speak an utterance after those that wait."""
        self._waiting.append(utterance)
        if not self.busy:
            self._task = asyncio.create_task(self._run(), name=self._name)

    async def clear(self) -> None:
        """Stop the utterance being spoken, and remove those that wait.

        A client that leaves may cancel whoever awaits this, so everything is cancelled before anything is awaited.
        """
        task = self._task
        if task and not task.cancelling():  # a second cancellation would cut short how the first one ends
            task.cancel()
        while self._waiting:
            await self._waiting.popleft().session.close()
        if task:
            await asyncio.wait([task])

    async def wait(self) -> None:
        """Wait until nothing is left to speak."""
        if self._task:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        with contextlib.suppress(ConnectionError):  # the connection's reader sees it too
            while self._waiting:
                utterance = self._waiting.popleft()
                failure = await self._speak_and_report(utterance)
                if not await self._end(utterance, failure):
                    return

    async def _speak_and_report(self, utterance: _AnyUtterance) -> SpeechError | None:
        """Speak an utterance, and return the error that it ended in."""
        try:
            async with utterance.session:
                await self._speak(utterance)
        except SpeechError as error:
            return error
        except ConnectionError:
            raise
        except Exception:
            _LOGGER.exception("An utterance failed")
            return SpeechError("The server failed on this text; its log says why.")
        return None
