"""How many may be connected at a time, and what is told of those who are turned away."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from wyoming_qwen3.core.errors import InvalidRequest, QueueFull, SpeechError

from .logs import Faults
from .metrics import Metrics

MAX_CONNECTIONS = 256
"""Connections at a time: each may hold some 400 KB of what its client sent."""

MAX_CONNECTIONS_OF_ADDRESS = 64
"""Of these from one address. All of a house's satellites come from Home Assistant's."""

_MAX_REFUSED = 64
"""Connections that are told why they are turned away, at a time; the others are cut."""

_IDLE_SECONDS = 10.0
"""A connection that has waited so long for its client makes room for another when there is none left."""

_SILENT_SECONDS, _PROBE_SECONDS, _PROBES = 60, 20, 3
"""A peer that has lost power says no goodbye: after so long it is asked whether it is there, so often."""


class LimitedConnection(Protocol):
    """A connection, as far as it matters whether it may stay."""

    @property
    def waiting_since(self) -> float | None:
        """Monotonic time since which it has waited for its client; None while it owes its client something."""

    def dismiss(self, error: SpeechError) -> None:
        """Tell the client why, and close the connection soon."""


@dataclass(frozen=True, eq=False)
class _Entry:
    address: str
    visitor: LimitedConnection


class ConnectionLimiter:
    """Counts connections of one kind, and keeps them to a number."""

    def __init__(self, source: str, metrics: Metrics, faults: Faults) -> None:
        self._source = source
        self._metrics = metrics
        self._faults = faults
        self._inside: dict[asyncio.WriteTransport, _Entry] = {}
        self._outside = 0
        metrics.watch(f"{source}_connections", "Connections that are open.", lambda: len(self._inside))

    @property
    def transports(self) -> Collection[asyncio.WriteTransport]:
        """Of those that are open."""
        return self._inside.keys()

    @contextlib.contextmanager
    def enter(self, address: str, transport: asyncio.WriteTransport, visitor: LimitedConnection) -> Iterator[None]:
        """Hold a place for a connection from this address, "" where there is none.

        Where there is none left, the connection that has waited longest for its client is dismissed. Raises QueueFull
        where none has.
        """
        same = [one for one, entry in self._inside.items() if entry.address == address]
        if address and len(same) >= MAX_CONNECTIONS_OF_ADDRESS:
            self._make_room(same, f"{len(same)} of yours")
        elif len(self._inside) >= MAX_CONNECTIONS:
            self._make_room(self._inside, f"{len(self._inside)}")
        self._inside[transport] = _Entry(address, visitor)
        try:
            yield
        finally:
            self._inside.pop(transport, None)

    def _make_room(self, among: Collection[asyncio.WriteTransport], whose: str) -> None:
        """Dismiss the one of these that has waited longest for its client. Raises QueueFull where none has."""
        since = {one: self._inside[one].visitor.waiting_since for one in among}
        idle = {one: start for one, start in since.items() if start and time.monotonic() - start > _IDLE_SECONDS}
        if not idle:
            raise QueueFull(f"As many connections as may be are open, {whose}; close one, or try again later.")
        entry = self._inside.pop(min(idle, key=idle.__getitem__))
        error = QueueFull("This connection was closed for another one: of those that are open it was idle the longest.")
        entry.visitor.dismiss(error)

    @contextlib.contextmanager
    def outside(self) -> Iterator[bool]:
        """Around what is done about a connection that may not enter: whether there is time to tell it why."""
        self._outside += 1
        try:
            yield self._outside <= _MAX_REFUSED
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
