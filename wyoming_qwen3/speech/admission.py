"""Limits how many texts are spoken at a time and how many may wait, and decides which one is next.

This bounds the work that clients can pile up.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from wyoming_qwen3.core.errors import QueueFull

_LISTENER_SECONDS = 5.0
"""Seconds for which a place is kept for a listener that takes no audio while others wait."""


class Place:
    """The right to speak, or a request for it. The holder calls `pause` while it waits for its listener.

    An utterance in the `background` has no listener yet. `client` is who asked; None if clients are not told apart.
    """

    def __init__(self, admission: "Admission", *, background: bool, client: str | None, resumed: bool) -> None:
        self.background = background
        self.client = client
        self.resumed = resumed
        """Whether the holder had a place before, and so comes before those that have not started."""

        self.yielded = False
        """Whether another utterance may use the place for now."""

        self._admission = admission
        self._timer: asyncio.TimerHandle | None = None

    def pause(self) -> None:
        """Note that the listener has not taken the last audio yet.

        After `listener_seconds` of that, others may use the place until `resume`.
        """
        self._timer = asyncio.get_running_loop().call_later(self._admission.listener_seconds, self._yield)

    def resume(self) -> None:
        """Note that the listener has taken the audio. The holder goes on, even if that exceeds `max_active`."""
        if self._timer:
            self._timer.cancel()
        self._timer, self.yielded = None, False

    @contextlib.asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Give the place up while the holder waits for something else, and wait for one again on leaving."""
        self._admission.leave(self)
        yield
        self.resumed = True
        await self._admission.enter(self)

    def _yield(self) -> None:
        self.yielded = True
        self._admission.let_in()


class Admission:
    """Gives out places to speak, with a bounded queue: resumed requests first, then the newest, background ones last.

    The newest request is the one that somebody listens to now; whoever has waited longest has most likely gone. Resumed
    requests were speaking and gave their place up while they waited for something else. Background requests hold at
    most half of the places and are served in the order in which they came. One named client holds at most seven eighths
    of the places, rounded up, and half of the queue, rounded up.
    """

    def __init__(self, max_active: int, max_waiting: int, listener_seconds: float = _LISTENER_SECONDS) -> None:
        self.max_active = max_active
        self.listener_seconds = listener_seconds
        self._max_waiting = max_waiting
        self._max_background = max(max_active // 2, 1)
        self._max_active_of_one = max_active - max_active // 8
        self._max_waiting_of_one = (max_waiting + 1) // 2
        self._holders: set[Place] = set()
        self._queue: dict[Place, asyncio.Future[None]] = {}

    @property
    def active(self) -> int:
        """Number of texts being spoken."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """Number of texts that wait for a place."""
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def place(
        self, *, background: bool = False, client: str | None = None, resumed: bool = False
    ) -> AsyncIterator[Place]:
        """Wait for a place and hold it within the context.

        Raises QueueFull if too many wait already, unless it is `resumed`.
        """
        place = Place(self, background=background, client=client, resumed=resumed)
        await self.enter(place)
        try:
            yield place
        finally:
            self.leave(place)

    def let_in(self) -> None:
        """Give free places to those that wait."""
        for place in self._in_turn():
            if self._has_room(place) and not self._queue[place].cancelled():
                self._holders.add(place)
                self._queue.pop(place).set_result(None)

    async def enter(self, place: Place) -> None:
        """Wait until the place is held. Raises QueueFull if too many wait already, unless the place is `resumed`."""
        if self._has_room(place):
            self._holders.add(place)
            return
        if not place.resumed:
            self._check_queue(place.client)
        self._queue[place] = future = asyncio.get_running_loop().create_future()
        try:
            await future
        except asyncio.CancelledError:
            self._queue.pop(place, None)
            self.leave(place)
            raise

    def _in_turn(self) -> list[Place]:
        """Return the waiting places, the next one first."""
        resumed = [place for place in self._queue if place.resumed and not place.background]
        newest = [place for place in reversed(self._queue) if not (place.resumed or place.background)]
        background = sorted((place for place in self._queue if place.background), key=lambda place: not place.resumed)
        return [*resumed, *newest, *background]

    def leave(self, place: Place) -> None:
        """Stop holding a place, and give free places to those that wait. Harmless if the place is not held."""
        place.resume()
        self._holders.discard(place)
        self.let_in()

    def _has_room(self, place: Place) -> bool:
        speaking = [holder for holder in self._holders if not holder.yielded]
        if len(speaking) >= self.max_active or len(self._holders) >= 2 * self.max_active:
            return False
        if place.background and sum(holder.background for holder in speaking) >= self._max_background:
            return False
        return place.client is None or _of(place.client, speaking) < self._max_active_of_one

    def _check_queue(self, client: str | None) -> None:
        if sum(not place.resumed for place in self._queue) >= self._max_waiting:
            raise QueueFull(
                f"{self.active} texts are being spoken and {self.waiting} are waiting, which is the maximum; try again "
                "when some of them are done."
            )
        if client is not None and (waiting := _of(client, self._queue)) >= self._max_waiting_of_one:
            raise QueueFull(f"{waiting} texts of this client are waiting already; try again when some are done.")


def _of(client: str, places: Iterable[Place]) -> int:
    return sum(place.client == client for place in places)
