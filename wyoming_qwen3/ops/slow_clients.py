"""Clients that take nothing of what is there for them: after a minute they are dropped.

Until then they cost no more than full buffers: whoever writes waits, and what is made for them waits for credit.
"""

import asyncio
import contextlib
import fcntl
import logging
import sys
import termios
from collections.abc import Callable, Iterable

from .metrics import Metrics

_LOGGER = logging.getLogger(__name__)

_SECONDS = 60.0
_LOOKS = 12
"""How often a client is looked at before it is dropped."""

Transports = Callable[[], Iterable[asyncio.WriteTransport | None]]
"""The connections that are open now."""


class SlowClients:
    """Looks after the connections of all surfaces while `run` runs."""

    def __init__(self, metrics: Metrics, seconds: float = _SECONDS) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._surfaces: dict[str, Transports] = {}
        self._seen: dict[asyncio.WriteTransport, tuple[int, int]] = {}
        """Bytes that wait to be taken, and how many looks ago that number was another."""

    def add(self, surface: str, transports: Transports) -> None:
        """Look after the connections of a surface."""
        self._surfaces[surface] = transports

    async def run(self) -> None:
        """Look at all of them, for ever."""
        while True:
            await asyncio.sleep(self._seconds / _LOOKS)
            self._seen = {
                transport: seen
                for surface, transports in self._surfaces.items()
                for transport in transports()
                if transport is not None and (seen := self._look(surface, transport))
            }

    def _look(self, surface: str, transport: asyncio.WriteTransport) -> tuple[int, int] | None:
        """What is to be remembered of a connection, if something waits there."""
        size = _waiting(transport)
        before, looks = self._seen.get(transport, (size, -1))
        looks = looks + 1 if size == before else 0
        if not size or looks < _LOOKS:
            return (size, looks) if size else None
        _LOGGER.warning("Dropped a client of %s that took nothing for %.0f seconds", surface, self._seconds)
        self._metrics.dropped(surface)
        transport.abort()
        return None


def _waiting(transport: asyncio.WriteTransport) -> int:
    """Bytes that a client has yet to take, with those in the kernel: it may be through with a few of some megabytes.

    0 where they all have left this process, who then waits for nobody.
    """
    size, connection = transport.get_write_buffer_size(), transport.get_extra_info("socket")
    if not size or connection is None:
        return size
    with contextlib.suppress(OSError):  # another kernel
        return size + int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return size
