"""Limits how many clients may be connected at a time, and reports those that are turned away."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from wyoming_qwen3.core.errors import InvalidRequest, QueueFull, SpeechError

from .logs import RequestLog
from .metrics import Metrics

MAX_CONNECTIONS = 256
"""Most connections at a time: each may hold about 400 KB that its client sent."""

MAX_CONNECTIONS_OF_ADDRESS = 64
"""Most of these from one address. All satellites of a house connect from Home Assistant's address."""

_MAX_REFUSED = 64
"""Most connections at a time that are told why they are turned away; others are closed without a reason."""

_IDLE_SECONDS = 10.0
"""Seconds that a connection must have waited for its client before it is closed to make room for another."""

_SILENT_SECONDS, _PROBE_SECONDS, _PROBES = 60, 20, 3
"""TCP keepalive, for peers that lost power: seconds before the first probe and between probes, number of probes."""


class LimitedConnection(Protocol):
    """A connection, as far as the limiter needs it."""

    @property
    def waiting_since(self) -> float | None:
        """Monotonic time in seconds since which it has waited for its client; None while the client waits for it."""

    def dismiss(self, error: SpeechError) -> None:
        """Tell the client why, and close the connection soon."""


@dataclass(frozen=True, eq=False)
class _OpenConnection:
    address: str
    connection: LimitedConnection


class ConnectionLimiter:
    """Counts and limits the connections of one surface."""

    def __init__(self, source: str, metrics: Metrics, request_log: RequestLog) -> None:
        self._source = source
        self._metrics = metrics
        self._request_log = request_log
        self._inside: dict[asyncio.WriteTransport, _OpenConnection] = {}
        self._outside = 0
        metrics.watch(f"{source}_connections", "Open connections.", lambda: len(self._inside))

    @property
    def transports(self) -> Collection[asyncio.WriteTransport]:
        """The transports of all open connections."""
        return self._inside.keys()

    @contextlib.contextmanager
    def enter(self, address: str, transport: asyncio.WriteTransport, connection: LimitedConnection) -> Iterator[None]:
        """Count a connection as open within the context. `address` is "" if it has none.

        If a limit is reached, the connection that has waited longest for its client is dismissed. Raises QueueFull if
        none has waited long enough.
        """
        same = [one for one, entry in self._inside.items() if entry.address == address]
        if address and len(same) >= MAX_CONNECTIONS_OF_ADDRESS:
            self._make_room(same, f"{len(same)} of yours")
        elif len(self._inside) >= MAX_CONNECTIONS:
            self._make_room(self._inside, f"{len(self._inside)}")
        self._inside[transport] = _OpenConnection(address, connection)
        try:
            yield
        finally:
            self._inside.pop(transport, None)

    def _make_room(self, among: Collection[asyncio.WriteTransport], whose: str) -> None:
        """Dismiss the one that has waited longest for its client. Raises QueueFull if none has waited long enough."""
        since = {one: self._inside[one].connection.waiting_since for one in among}
        idle = {one: start for one, start in since.items() if start and time.monotonic() - start > _IDLE_SECONDS}
        if not idle:
            raise QueueFull(f"Too many connections are open, {whose}; close one, or try again later.")
        entry = self._inside.pop(min(idle, key=idle.__getitem__))
        error = QueueFull("This connection was closed for a new one, because it had been idle the longest.")
        entry.connection.dismiss(error)

    @contextlib.contextmanager
    def outside(self) -> Iterator[bool]:
        """Enter this while a connection is turned away. Yields whether the client may be told why, or is just cut."""
        self._outside += 1
        try:
            yield self._outside <= _MAX_REFUSED
        finally:
            self._outside -= 1

    def turned_away(self, address: str, error: SpeechError) -> None:
        """Count and log that a client's connection was closed with an error."""
        self._metrics.hung_up(self._source, error.code)
        theirs = isinstance(error, InvalidRequest | QueueFull)
        self._request_log.log_error(self._source, error, theirs=theirs, client=address or "local")


def address_of(writer: asyncio.StreamWriter) -> str:
    """Return the peer's address; "" if it has none, as for a Unix socket or standard input."""
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


def watch_for_loss(writer: asyncio.StreamWriter) -> None:
    """Turn TCP keepalive on, so that the system notices when the peer vanishes. Does nothing for other sockets."""
    connection = writer.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("IDLE", _SILENT_SECONDS), ("INTVL", _PROBE_SECONDS), ("CNT", _PROBES)):
        with contextlib.suppress(AttributeError):  # a system without this setting uses its own value
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}"), value)
