"""Wyoming events as they are read, within bounds: what a client says of lengths and types is checked, not believed.

The library's own reader takes as many bytes as a header promises, waits for them for ever, and raises whatever comes
of a header that is no object.
"""

import asyncio
import json
from typing import Any

from wyoming.event import Event

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

MAX_HEADER = 64 << 10
"""Bytes of an event's first line. asyncio's stream readers hold twice as much, and then stop reading."""

MAX_DATA = 256 << 10
"""Bytes of the JSON after it: a text of the greatest length has 160,000 in UTF-8."""

MAX_PAYLOAD = 1 << 20
"""Bytes after that. A server that speaks needs none; they are passed over, and never held."""

EVENT_TIMEOUT = 30.0
"""Seconds for an event from its first byte to its last, and for a client that says nothing to say it."""

_MAX_BRACKETS = 2_000
"""Objects and lists in one JSON: more take long to parse, on the event loop that everybody waits for."""

_RATE = 200.0
"""Points a second at which one client is read on average: an event is one, and so is each KiB of it."""

_BURST = 1_000.0
"""Points that a client may be ahead of that."""

_PIECE = 64 << 10
_NO_EVENT = "That was no Wyoming event: a line of JSON with a type is expected."


class EventReader:
    """Reads one client's events, no faster than at a bearable rate; what comes faster waits in its socket."""

    def __init__(self, reader: asyncio.StreamReader, timeout: float = EVENT_TIMEOUT) -> None:
        self._reader = reader
        self._timeout = timeout
        self._heard = False
        self._due = 0.0

    async def read(self) -> Event | None:
        """The next event without its payload; None where the client left instead, be it in the middle of one.

        Raises InvalidRequest for what is no event or does not go on, and TooLarge.
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
            if error.errno:  # the system's own: the other end is gone
                raise ConnectionResetError(error.errno, error.strerror) from error
            raise InvalidRequest(f"No whole event came within {self._timeout:g} seconds.") from error
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
            piece = await self._reader.read(min(size, _PIECE))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(piece)

    async def _keep_pace(self, size: int) -> None:
        """Let others be read, and wait if this client is ahead of its rate by more than it may."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now) + (1 + size / 1024) / _RATE
        await asyncio.sleep(max(0.0, self._due - now - _BURST / _RATE))


def _object(text: bytes, *, whole: bool = True) -> dict[str, Any]:
    """The JSON object in these bytes. Raises InvalidRequest, or IncompleteReadError for half of one."""
    if text.count(b"{") + text.count(b"[") > _MAX_BRACKETS:
        raise TooLarge(f"An event may hold {_MAX_BRACKETS:,} objects and lists at most.")
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
    """How many bytes a header promises of a part. Raises InvalidRequest and TooLarge."""
    length = header.get(name)
    if length is None:
        return 0
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise InvalidRequest(f"An event's {name} must be a whole number of bytes.")
    if length > most:
        raise TooLarge(f"An event's {name} may be {most:,} at most.")
    return length
