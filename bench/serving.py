"""A server of ours in a process of its own, for whoever measures it from outside."""

import asyncio
import contextlib
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from wyoming_qwen3.core.errors import EngineFailed, SpeechError

_START_SECONDS = 300.0
"""The first time also packs the weights."""


@dataclass(frozen=True)
class Started:
    """A process that serves HTTP at `url` and Wyoming at `uri`."""

    url: str
    uri: str
    pid: int


@contextlib.asynccontextmanager
async def serving(options: Sequence[str]) -> AsyncIterator[Started]:
    """Have it run with these options and Qwen3 alone, ready to speak.

    Raises EngineFailed where it won't get ready, and SpeechError with what it says of itself.
    """
    with tempfile.TemporaryDirectory() as folder:
        uri, port = f"tcp://127.0.0.1:{free_port()}", free_port()
        addresses = ["--uri", uri, "--http-host", "127.0.0.1", "--http-port", str(port)]
        quiet = ["--data-dir", folder, "--standby", "off", "--log-level", "ERROR"]
        command = (sys.executable, "-m", "wyoming_qwen3", *addresses, *quiet, *options)
        async with process(*command) as server:
            url = f"http://127.0.0.1:{port}"
            await _wait_until_ready(server, url)
            yield Started(url, uri, server.pid)


@contextlib.asynccontextmanager
async def process(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command for as long as the context lasts."""
    started = await asyncio.create_subprocess_exec(*command)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has had, all its threads together and its children apart."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody has, that is not given twice, and that the system gives to none who connects."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.SystemRandom().randrange(25_000, 32_768)
            if port not in _given:
                probe.bind(("0.0.0.0", port))
                _given.add(port)
                return port


_given: set[int] = set()


async def _wait_until_ready(process: asyncio.subprocess.Process, url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    async with aiohttp.ClientSession(url) as client:
        while process.returncode is None and time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with client.get("/health") as answer:
                    health = await answer.json()
                if health["status"] == "ok":
                    return
                if health["status"] == "degraded":
                    raise SpeechError(health["reason"])
            await asyncio.sleep(0.1)
    raise EngineFailed("The server did not get ready to speak; its log says why.")
