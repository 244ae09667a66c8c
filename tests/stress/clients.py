"""The mixed clients of a house, each of which does one thing over and over; and one that means harm."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

import aiohttp
from wyoming.client import AsyncClient
from wyoming.info import Describe
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from tests.conftest import Server, collect, synthesize
from tests.stress.fuzz import connect
from tests.stress.garbage import attack
from tests.stress.half_open import HalfOpen
from tests.stress.odd_events import CONVERSATIONS
from tests.waiting import HANG_SECONDS

SENTENCES = (
    "The front door is open. It has been so for ten minutes.",
    "Rain is expected in the afternoon, and the windows on the first floor are still open.",
    "The washing machine has finished.",
    "Two lights are on in the kitchen. Shall I turn them off, or leave them as they are?",
)
_LONG = " ".join(SENTENCES) * 12
_PAUSE = 0.3
"""Seconds between two requests of one client."""


class WentWrong(Exception):
    """An honest request was not answered as it should have been."""


@dataclass
class Tally:
    """What one client saw. Times in seconds."""

    times: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def slowest(self, share: float) -> float:
        """So many of the times are within it."""
        return sorted(self.times)[int(share * len(self.times))] if self.times else 0.0


async def stream(server: Server, number: int) -> None:
    """A text that is heard to its end."""
    answer = await synthesize(server.uri, SENTENCES[number % len(SENTENCES)], "ryan-en")
    _expect(answer.types == ["audio-start", "audio-chunk", "audio-stop"], answer.types)
    _expect(answer.seconds > 0.5, f"{answer.seconds} s of sound")


async def abort(server: Server, number: int) -> None:
    """A client that leaves in the middle."""
    async with AsyncClient.from_uri(server.uri) as client:
        await client.write_event(Synthesize(text=_LONG).event())
        answer = await collect(client, "audio-chunk", "error")
    _expect(answer.types[-1] == "audio-chunk", answer.types)


async def slow(server: Server, number: int) -> None:
    """A client that takes sound a little faster than it is heard, for a while."""
    async with AsyncClient.from_uri(server.uri) as client:
        await client.write_event(Synthesize(text=_LONG).event())
        for _ in range(30):
            answer = await collect(client, "audio-chunk", "error")
            _expect(answer.types[-1] == "audio-chunk", answer.types)
            await asyncio.sleep(0.1)


async def batch(server: Server, number: int) -> None:
    """Three texts side by side, over HTTP."""
    body = {"items": [{"input": text, "voice": "Vivian"} for text in SENTENCES[:3]], "response_format": "mp3"}
    async with aiohttp.ClientSession() as http, http.post(f"{server.url}/v1/audio/speech/batch", json=body) as response:
        told = await response.json()
    _expect(response.status == 200 and told["succeeded"] == 3, told.get("error") or told)


async def describe(server: Server, number: int) -> None:
    """What Home Assistant asks all the time."""
    async with AsyncClient.from_uri(server.uri) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
    _expect(event is not None and event.type == "info", event)


async def garbage(server: Server, number: int) -> None:
    """Ten connections of a client that means harm. Whatever comes of them is right, if they end."""
    for part in range(10):
        await connect(server, attack(Random(number * 10 + part)), "127.0.0.9")


async def words(server: Server, number: int) -> None:
    """A text that comes word by word, as an LLM writes it."""
    async with AsyncClient.from_uri(server.uri) as client:
        answering = asyncio.create_task(collect(client, "synthesize-stopped", "error"))
        await client.write_event(SynthesizeStart().event())
        for word in SENTENCES[number % len(SENTENCES)].split():
            await client.write_event(SynthesizeChunk(text=f"{word} ").event())
            await asyncio.sleep(0.02)
        await client.write_event(SynthesizeStop().event())
        answer = await answering
    _expect(answer.types == ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"], answer.types)


async def socket(server: Server, number: int) -> None:
    """The same over a WebSocket."""
    url = f"{server.url}/v1/audio/speech/stream"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as talk:
        await talk.send_json({"type": "session.config", "voice": "ryan", "response_format": "pcm"})
        for word in SENTENCES[number % len(SENTENCES)].split():
            await talk.send_json({"type": "input.text", "text": f"{word} "})
        await talk.send_json({"type": "input.done"})
        sound, kind = 0, ""
        async for message in talk:
            if message.type is aiohttp.WSMsgType.BINARY:
                sound += len(message.data)
                continue
            kind = json.loads(message.data)["type"]
            if kind in ("session.done", "error"):
                break
    _expect(kind == "session.done" and sound > 24_000, f"{kind} after {sound} bytes")


async def abandon(server: Server, number: int) -> None:
    """Four texts that are begun and never ended: after a while the server ends each with an error."""
    half_open = HalfOpen()
    await half_open.begin(server, 4)
    _expect(await half_open.ended() == ["text_timeout closed"] * 4, half_open.ends)


async def odd(server: Server, number: int) -> None:
    """Each event twice, too late, too early, and with odd fields."""
    conversation = CONVERSATIONS[number % len(CONVERSATIONS)]
    answered = await conversation.hold("127.0.0.1", server.port)
    _expect(answered == conversation.answered, f"{conversation.name}: {answered}")


Client = Callable[[Server, int], Awaitable[None]]

CLIENTS: tuple[Client, ...] = (stream, abort, slow, batch, describe, garbage, words, socket, abandon, odd)


async def keep_on(client: Client, server: Server, tally: Tally, until: float) -> None:
    """Have a client ask again and again until that time of the event loop's."""
    loop = asyncio.get_running_loop()
    for number in itertools.count():
        if loop.time() > until:
            return
        started = time.monotonic()
        try:
            async with asyncio.timeout(HANG_SECONDS):
                await client(server, number)
        except (WentWrong, OSError, EOFError, aiohttp.ClientError) as error:  # a timeout is an OSError
            tally.failures.append(f"{type(error).__name__}: {error}")
        else:
            tally.times.append(time.monotonic() - started)
        await asyncio.sleep(_PAUSE)


def _expect(well: bool, seen: object) -> None:
    if not well:
        raise WentWrong(str(seen)[:300])
