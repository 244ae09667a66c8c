"""Many texts that are begun and never ended, as Home Assistant leaves them when an answer is cancelled.

`python -m tests.stress.half_open` prints how long a new request waits for its first sound meanwhile, and what becomes
of the others.
"""

import asyncio
import contextlib
import json
import statistics
import time
from dataclasses import dataclass, field

import aiohttp
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart

from tests.conftest import Server, collect, connected, synthesize
from tests.stress.held import Held, grown, metrics, settle, tiny_server

_ADDRESSES = 4
"""From which the Wyoming clients come, none with more than may be connected from one."""

_AT_ONCE = 16

_SENTENCE = "The front door is open."


@dataclass
class HalfOpen:
    """Texts that were begun, half of them over Wyoming and half over WebSockets, and how the server ended each."""

    ends: list[str] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _begun: int = 0

    async def begin(self, server: Server, count: int) -> None:
        """Begin so many, a few at a time, and wait until their words are spoken."""
        for number in range(count):
            left = self._over_wyoming(server, number) if number % 2 else self._over_http(server)
            self._tasks.append(asyncio.create_task(left))
            if number % _AT_ONCE == _AT_ONCE - 1 or number == count - 1:
                while self._begun <= number:
                    await asyncio.sleep(0.02)
                await _spoken(server)

    async def ended(self) -> list[str]:
        """Wait until the server has ended all: the code of each one's error, and "closed" for the connection."""
        await asyncio.gather(*self._tasks)
        return self.ends

    async def _over_wyoming(self, server: Server, number: int) -> None:
        address = (f"127.0.0.{2 + number % _ADDRESSES}", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=address)
        await async_write_event(SynthesizeStart().event(), writer)
        await async_write_event(SynthesizeChunk(text="Well, ").event(), writer)
        self._begun += 1
        last: Event | None = None
        while event := await async_read_event(reader):
            last = event
        self.ends.append(f"{last.data['code'] if last and last.type == 'error' else last} closed")
        writer.close()

    async def _over_http(self, server: Server) -> None:
        url, code = f"{server.url}/v1/audio/speech/stream", None
        async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as talk:
            await talk.send_json({"type": "session.config", "voice": "ryan", "response_format": "pcm"})
            await talk.send_json({"type": "input.text", "text": "Well, "})
            self._begun += 1
            async for message in talk:
                if message.type is aiohttp.WSMsgType.TEXT and (told := json.loads(message.data))["type"] == "error":
                    code = told["code"]
        self.ends.append(f"{code} closed")


async def _spoken(server: Server) -> None:
    """Wait until nothing is spoken, and nothing waits to be, for longer than a pause in a text takes to be one."""
    await asyncio.sleep(1.2)
    while (told := await metrics(server))["tts_queue_active"] or told["tts_queue_waiting"]:
        await asyncio.sleep(0.1)


async def _first_sounds() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(tiny_server("--text-timeout", "120"))
        for _ in range(3):
            await synthesize(server.uri, _SENTENCE)
        await settle(server)
        before, idle = await Held.by(server), await _median(server)
        half_open, started = HalfOpen(), time.monotonic()
        await half_open.begin(server, 200)
        beside = await _median(server)
        held = (await metrics(server))["tts_wyoming_connections"]
        ends = await half_open.ended()
        took = time.monotonic() - started
        await settle(server)
        after = await Held.by(server)
    left = grown(before, after, "threads", "engine_threads", "files", "engine_files", "tasks")
    print(f"First sound on an idle server: {idle:.3f} s; beside 200 texts that never end: {beside:.3f} s.")
    print(
        f"{held:.0f} Wyoming connections then. All ended after {took:.0f} s:",
        {end: ends.count(end) for end in set(ends)},
    )
    print(left or "Nothing is left.")


async def _median(server: Server) -> float:
    return statistics.median([await _first_sound(server) for _ in range(5)])


async def _first_sound(server: Server) -> float:
    """Seconds to the first chunk of an answer."""
    async with connected(server.uri) as client:
        started = time.monotonic()
        await client.write_event(Synthesize(text=_SENTENCE).event())
        await collect(client, "audio-chunk")
        return time.monotonic() - started


if __name__ == "__main__":
    asyncio.run(_first_sounds())
