"""`bench vllm`: what our server costs between a client and a vLLM server, by asking both for the same sound in turn.

The vLLM server is a load generator (`source.py`) that sends noise at a pace, so that nothing but the hop is measured.
Gates first: through ours come the very bytes of the source.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import aiohttp

from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.core.request import SAMPLE_RATE

from .machine import describe_machine
from .serving import Started, cpu_seconds, free_port, process, serving
from .source import sound

_BYTES_A_SECOND = 2 * SAMPLE_RATE
_WARM_UP = 5


@dataclass(frozen=True)
class Plan:
    """So many requests one after the other to each, then so many streams at once, of these seconds, at this pace."""

    requests: int
    streams: int
    seconds: float
    chunk_frames: int
    pace: float
    """Times real time at which the source sends."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a request to its first sound."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Load:
    """What so many streams at once were like."""

    audio_s_per_s: float
    late_streams: int
    """Streams of which a chunk came later than a listener who began at once needed it."""

    latest_ms: float
    """By how much the worst chunk did."""

    first_ms_p50: float
    first_ms_p95: float
    cpu_share: float
    """Of one core, by our server."""


@dataclass(frozen=True)
class Report:
    """All that a run found; without passed gates there are no figures."""

    machine: dict[str, Any]
    run: dict[str, Any]
    gates: dict[str, bool]
    latency: dict[str, Latency]
    """Of the source asked directly, and of the source asked through ours."""

    load: dict[str, Load]

    @property
    def passed(self) -> bool:
        """Whether the figures mean anything."""
        return all(self.gates.values())

    @property
    def added_ms(self) -> float:
        """What the hop adds to the time to the first sound, p50."""
        return self.latency["through ours"].p50 - self.latency["direct"].p50


@dataclass(frozen=True)
class _Heard:
    """One answer: its bytes, seconds until the first of them, and by how many the worst of them was late."""

    audio: bytes
    first: float
    late: float


async def run(plan: Plan, tell: Callable[[str], None]) -> Report:
    """Carry the plan out; `tell` is given a line on each step. Raises EngineFailed where a server won't answer."""
    source_port = free_port()
    source_url = f"http://127.0.0.1:{source_port}"
    tell("Starting a source and a server before it")
    async with process(sys.executable, "-m", "bench.source", str(source_port)):
        await _wait_for(source_url)
        options = ["--backend", "vllm", "--vllm-url", source_url, "--max-active", "1024"]
        async with serving(options) as server:
            urls = {"direct": source_url, "through ours": server.url}
            tell("Measuring the first sound, one request at a time")
            latency, same = await _measure_latency(plan, urls)
            tell(f"Measuring {plan.streams} streams at once")
            load = {name: await _measure_load(plan, url, server) for name, url in urls.items()}
    gates = {"bytes equal the source's": same}
    described = {
        "requests": plan.requests,
        "streams": plan.streams,
        "seconds": plan.seconds,
        "chunk_frames": plan.chunk_frames,
        "pace": plan.pace,
    }
    return Report(describe_machine("cpu"), described, gates, latency if same else {}, load if same else {})


async def _measure_latency(plan: Plan, urls: dict[str, str]) -> tuple[dict[str, Latency], bool]:
    """Ask both in turn, on connections that are kept, so that whatever else the machine does meets both alike."""
    body = _body(1.0, plan.chunk_frames, 0.0)
    expected = sound(1.0)
    first: dict[str, list[float]] = {name: [] for name in urls}
    same = True
    async with aiohttp.ClientSession() as client:
        for number in range(_WARM_UP + plan.requests):
            for name, url in urls.items():
                heard = await _listen(client, url, body)
                same &= heard.audio == expected[: len(heard.audio)] and len(heard.audio) == len(expected)
                if number >= _WARM_UP:
                    first[name].append(heard.first)
    return {name: Latency(*_p50_p95(values)) for name, values in first.items()}, same


async def _measure_load(plan: Plan, url: str, server: Started) -> Load:
    """So many clients at once, which begin within a second, as people do."""
    body = _body(plan.seconds, plan.chunk_frames, plan.pace)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:

        async def join(number: int) -> _Heard:
            await asyncio.sleep(number / plan.streams)
            return await _listen(client, url, body)

        busy, started = cpu_seconds(server.pid), time.perf_counter()
        heard = await asyncio.gather(*(join(number) for number in range(plan.streams)))
        wall, busy = time.perf_counter() - started, cpu_seconds(server.pid) - busy
    audio = sum(len(one.audio) for one in heard) / _BYTES_A_SECOND
    late = [one.late for one in heard]
    first = _p50_p95([one.first for one in heard])
    return Load(audio / wall, sum(one > 0 for one in late), 1e3 * max(*late, 0.0), *first, busy / wall)


async def _listen(client: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> _Heard:
    """An answer, heard as it comes."""
    started = time.perf_counter()
    async with client.post(f"{url}/v1/audio/speech", json=body) as answer:
        if answer.status != 200:
            raise EngineFailed(f"{url} answered {answer.status}: {await answer.text()}")
        pieces = [await answer.content.readany()]
        began = time.perf_counter()
        length, late = len(pieces[0]), float("-inf")
        while piece := await answer.content.readany():
            late = max(late, time.perf_counter() - began - length / _BYTES_A_SECOND)
            pieces.append(piece)
            length += len(piece)
    return _Heard(b"".join(pieces), began - started, late)


def _body(seconds: float, chunk_frames: int, pace: float) -> dict[str, Any]:
    """What both understand: the source reads its orders out of the text."""
    text = f"{seconds:g} {chunk_frames} {pace:g}"
    return {"input": text, "voice": "ryan", "language": "English", "response_format": "pcm", "seed": 1}


def _p50_p95(seconds: list[float]) -> tuple[float, float]:
    return 1e3 * median(seconds), 1e3 * quantiles(seconds, n=20, method="inclusive")[-1]


async def _wait_for(url: str) -> None:
    async with aiohttp.ClientSession() as client:
        for _ in range(100):
            try:
                async with client.get(f"{url}/v1/models"):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
    raise EngineFailed("The source did not start.")
