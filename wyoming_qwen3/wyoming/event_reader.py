"""Reads Wyoming events within limits: lengths and types in a client's header are checked.

The library's own reader reads as many bytes as a header says, waits for them without a limit, and raises arbitrary
errors for a header that is not an object.
"""

import asyncio
import json
from typing import Any

from wyoming.event import Event

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

MAX_HEADER = 64 << 10
"""Most bytes of an event's first line; asyncio's stream readers buffer twice as much, and then stop reading."""

MAX_DATA = 256 << 10
"""Most bytes of the JSON after it: the longest text has 160,000 in UTF-8."""

MAX_PAYLOAD = 1 << 20
"""Most bytes after that. A speaking server needs none, so they are skipped and not stored."""

EVENT_TIMEOUT = 30.0
"""Seconds from an event's first byte to its last, and from the connection to the first event's first byte."""

_MAX_BRACKETS = 2_000
"""Most objects and lists in one JSON: parsing more would block the event loop for too long."""

_RATE = 200.0
"""Average points per second at which a client is read: one for each event and one for each KiB of it."""

_BURST = 1_000.0
"""Points by which a client may exceed that average."""

_READ_BYTES = 64 << 10
_NO_EVENT = "This is not a Wyoming event; expected a line of JSON with a type."


class EventReader:
    """Reads one client's events at a limited rate; data that arrives faster waits in its socket."""

    def __init__(self, reader: asyncio.StreamReader, timeout: float = EVENT_TIMEOUT) -> None:
        self._reader = reader
        self._timeout = timeout
        self._heard = False
        self._due = 0.0

    async def read(self) -> Event | None:
        """Return the next event without its payload; None if the client left, even in the middle of an event.

        Raises InvalidRequest if it is not an event or not complete in time, and TooLarge.
        """
        try:
            async with asyncio.timeout(None if self._heard else self._timeout):
                first = await self._reader.read(1)
            if not first:
                return None
            self._heard = True
            async with asyncio.timeout(self._timeout):
                return await self._read_event(first)
        except TimeoutError as error:
            if error.errno:  # raised by the system: the peer is gone
                raise ConnectionResetError(error.errno, error.strerror) from error
            raise InvalidRequest(f"No complete event arrived within {self._timeout:g} seconds.") from error
        except asyncio.IncompleteReadError:
            return None

    async def _read_event(self, first: bytes) -> Event:
        try:
            line = first if first == b"\n" else first + await self._reader.readline()
        except ValueError as error:
            raise TooLarge(f"An event's first line must be shorter than {MAX_HEADER:,} bytes.") from error
        header = _object(line, whole=line.endswith(b"\n"))
        kind, data = header.get("type"), header.get("data")
        data = {} if data is None else data
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise InvalidRequest(_NO_EVENT)
        data_length = _length(header, "data_length", MAX_DATA)
        payload_length = _length(header, "payload_length", MAX_PAYLOAD)
        if data_length:
            data = data | _object(await self._reader.readexactly(data_length))
        await self._pass_over(payload_length)
        await self._keep_pace(len(line) + data_length + payload_length)
        return Event(kind, data)

    async def _pass_over(self, size: int) -> None:
        while size:
            piece = await self._reader.read(min(size, _READ_BYTES))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(piece)

    async def _keep_pace(self, size: int) -> None:
        """Let other tasks run, and wait if this client exceeds its rate by more than the burst."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now) + (1 + size / 1024) / _RATE
        await asyncio.sleep(max(0.0, self._due - now - _BURST / _RATE))


def _object(text: bytes, *, whole: bool = True) -> dict[str, Any]:
    """Parse a JSON object.

    Raises TooLarge and InvalidRequest, or IncompleteReadError for invalid JSON that is not `whole`.
    """
    if text.count(b"{") + text.count(b"[") > _MAX_BRACKETS:
        raise TooLarge(f"An event may contain at most {_MAX_BRACKETS:,} objects and lists.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        if not whole:
            raise asyncio.IncompleteReadError(text, None) from error
        raise InvalidRequest(_NO_EVENT) from error
    if not isinstance(found, dict):
        raise InvalidRequest(_NO_EVENT)
    return found


def _length(header: dict[str, Any], name: str, most: int) -> int:
    """Return the length of a part in bytes as the header gives it. Raises InvalidRequest and TooLarge."""
    length = header.get(name)
    if length is None:
        return 0
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise InvalidRequest(f"An event's {name} must be a whole number of bytes.")
    if length > most:
        raise TooLarge(f"An event's {name} may be at most {most:,}.")
    return length
