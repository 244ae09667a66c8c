"""What a server holds: memory, threads, files, tasks. And a server over tiny checkpoints to look at."""

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from tests.conftest import Server, servers_in

OPTIONS = ("--model", "0.6B", "--standby", "off", "--local-files-only")
"""Of a server that speaks with tiny checkpoints alone."""


POOL = min(32, (os.cpu_count() or 1) + 4)
"""Threads that asyncio keeps for what would block; it starts one when there is more at once than ever before."""


@dataclass(frozen=True)
class Held:
    """At one time, of the server process, and of all its children together."""

    server_bytes: int
    engine_bytes: int
    threads: int
    engine_threads: int
    files: int
    engine_files: int
    tasks: int

    @classmethod
    async def by(cls, server: Server) -> "Held":
        """What a server holds now."""
        process = psutil.Process(server.process.pid)
        children = process.children(recursive=True)
        return cls(
            server_bytes=process.memory_info().rss,
            engine_bytes=sum(child.memory_info().rss for child in children),
            threads=process.num_threads(),
            engine_threads=sum(child.num_threads() for child in children),
            files=process.num_fds(),
            engine_files=sum(child.num_fds() for child in children),
            tasks=min([await _tasks(server) for _ in range(20)]),
        )


HELD = Held(100_000_000, 300_000_000, 5, 9, 15, 20, 6)
"""As an idle server may have it."""


def grown(before: Held, after: Held, *names: str) -> list[str]:
    """What there is more of than before, in words; of the server's threads, more than may yet have been started."""
    found = []
    for name in names:
        was, now = getattr(before, name), getattr(after, name)
        if now > was + (POOL if name == "threads" else 0):
            found.append(f"{name} grew from {was} to {now}")
    return found


async def _tasks(server: Server) -> int:
    """After a while, as what asked before may still be about to end."""
    await asyncio.sleep(0.1)
    return int((await metrics(server))["tts_tasks"])


async def metrics(server: Server) -> dict[str, float]:
    """Values by name and labels, as in `tts_requests_total{...}`."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


async def settle(server: Server, seconds: float = 30.0) -> None:
    """Wait until nobody is connected any more and nothing is spoken. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            told = await metrics(server)
            busy = ("tts_wyoming_connections", "tts_queue_active", "tts_queue_waiting")
            if not any(told[name] for name in busy):
                break
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.3)  # what was closed last is still to be let go of


def faults_in(log: str) -> list[str]:
    """Lines of a server's log that tell of a fault of ours."""
    wrong = re.compile(r"Traceback|never retrieved|was never awaited|Unclosed| ERROR | CRITICAL |its log says why")
    return [line for line in log.splitlines() if wrong.search(line)]


@contextlib.contextmanager
def tiny_server(*options: str) -> Iterator[Server]:
    """A server over checkpoints that are built now."""
    from tests.tiny import build_models_dir

    with tempfile.TemporaryDirectory() as name, servers_in(Path(name)) as start:
        models = build_models_dir(Path(name) / "models")
        server = start("--models-dir", str(models), *OPTIONS, *options)
        yield server
        server.stop()
