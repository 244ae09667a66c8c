"""Drops clients that take none of their data for a minute.

Until then they cost no more than full buffers: writers wait, and their speech is not generated further without credit.
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
"""Number of checks in a row without progress after which a client is dropped."""

Transports = Callable[[], Iterable[asyncio.WriteTransport | None]]
"""Returns the transports of the connections that are open now."""


class SlowClients:
    """Watches the connections of all surfaces while `run` runs."""

    def __init__(self, metrics: Metrics, seconds: float = _SECONDS) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._surfaces: dict[str, Transports] = {}
        self._seen: dict[asyncio.WriteTransport, tuple[int, int]] = {}
        """For each connection, the bytes that wait to be taken, and for how many checks that number has not changed."""

    def add(self, surface: str, transports: Transports) -> None:
        """Watch the connections of a surface."""
        self._surfaces[surface] = transports

    async def run(self) -> None:
        """Check all connections regularly, forever."""
        while True:
            await asyncio.sleep(self._seconds / _LOOKS)
            self._seen = {
                transport: seen
                for surface, transports in self._surfaces.items()
                for transport in transports()
                if transport is not None and (seen := self._look(surface, transport))
            }

    def _look(self, surface: str, transport: asyncio.WriteTransport) -> tuple[int, int] | None:
        """Check a connection, and drop it if it has taken nothing for too long.

        Return what to remember of it; None if it was dropped or nothing waits there.
        """
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
    """Return how many bytes a client has yet to take, including those in the kernel's send buffer.

    The latter count because a slow client may have taken only a few of some megabytes. 0 if all bytes have left this
    process, which then waits for nobody.
    """
    size, connection = transport.get_write_buffer_size(), transport.get_extra_info("socket")
    if not size or connection is None:
        return size
    with contextlib.suppress(OSError):  # another kernel
        return size + int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return size
