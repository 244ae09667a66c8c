"""How many may be connected at a time, and what is told of those who are turned away."""

import asyncio
import contextlib
import socket
from collections.abc import Collection, Iterator

from .errors import InvalidRequest, QueueFull, SpeechError
from .logs import Faults
from .metrics import Metrics

MOST = 256
"""Connections at a time: each may hold some 400 KB of what its client sent."""

MOST_OF_ONE = 64
"""Of these from one address. All of a house's satellites come from Home Assistant's."""

_MOST_OUTSIDE = 64
"""Connections that are told why they are turned away, at a time; the others are cut."""

_SILENT_SECONDS, _PROBE_SECONDS, _PROBES = 60, 20, 3
"""A peer that has lost power says no goodbye: after so long it is asked whether it is there, so often."""


class Door:
    """Counts connections of one kind, and keeps them to a number."""

    def __init__(self, source: str, metrics: Metrics, faults: Faults) -> None:
        self._source = source
        self._metrics = metrics
        self._faults = faults
        self._inside: dict[asyncio.WriteTransport, str] = {}
        self._outside = 0
        metrics.watch(f"{source}_connections", "Connections that are open.", lambda: len(self._inside))

    @property
    def transports(self) -> Collection[asyncio.WriteTransport]:
        """Of those that are open."""
        return self._inside.keys()

    @contextlib.contextmanager
    def enter(self, address: str, transport: asyncio.WriteTransport) -> Iterator[None]:
        """Hold a place for a connection from this address, "" where there is none. Raises QueueFull."""
        total, same = len(self._inside), sum(one == address for one in self._inside.values())
        if total >= MOST or (address and same >= MOST_OF_ONE):
            whose = f"{total}" if total >= MOST else f"{same} of yours"
            raise QueueFull(f"As many connections as may be are open, {whose}; close one, or try again later.")
        self._inside[transport] = address
        try:
            yield
        finally:
            del self._inside[transport]

    @contextlib.contextmanager
    def outside(self) -> Iterator[bool]:
        """Around what is done about a connection that may not enter: whether there is time to tell it why."""
        self._outside += 1
        try:
            yield self._outside <= _MOST_OUTSIDE
        finally:
            self._outside -= 1

    def turned_away(self, address: str, error: SpeechError) -> None:
        """A client got an error and then a closed connection: count it, and say so."""
        self._metrics.hung_up(self._source, error.code)
        theirs = isinstance(error, InvalidRequest | QueueFull)
        self._faults.tell(self._source, error, theirs=theirs, client=address or "local")


def address_of(writer: asyncio.StreamWriter) -> str:
    """The other end's, "" where it has none: a Unix socket, standard input."""
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


def watch_for_loss(writer: asyncio.StreamWriter) -> None:
    """Have the system notice when the other end is gone without a word; only TCP needs that."""
    connection = writer.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("IDLE", _SILENT_SECONDS), ("INTVL", _PROBE_SECONDS), ("CNT", _PROBES)):
        with contextlib.suppress(AttributeError):  # where the system has no such setting, its own is used
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}"), value)
