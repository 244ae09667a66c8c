"""Clients that read slowly or not at all, on real sockets, with the standby voice as the engine."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from wyoming.event import async_write_event
from wyoming.server import AsyncTcpServer
from wyoming.tts import Synthesize

from tests.conftest import synthesize
from tests.parts import make_cast, make_services, stop
from tests.ports import free_port
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.app import make_app, serving
from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.core.request import SAMPLE_RATE
from wyoming_qwen3.engine.wire import Audio
from wyoming_qwen3.models.worker import CREDIT, EngineRow
from wyoming_qwen3.ops.connection_limit import ConnectionLimiter
from wyoming_qwen3.ops.slow_clients import SlowClients
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.wyoming.handler import WyomingConnection

pytestmark = pytest.mark.asyncio(loop_scope="module")

STALL_SECONDS = 0.6
SENTENCE = "The front door is open and nobody is at home. "
LONG = SENTENCE * 40
"""Two minutes: more than a client's and the kernel's buffers take, and more than a row may be ahead."""


@dataclass
class Running:
    """A server in this process."""

    services: Services
    door: ConnectionLimiter
    port: int
    http_port: int

    def dropped(self, surface: str) -> float:
        prefix = f'tts_dropped_clients_total{{surface="{surface}"}} '
        lines = self.services.metrics.text().decode().splitlines()
        return next((float(line.removeprefix(prefix)) for line in lines if line.startswith(prefix)), 0.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    services = make_services(tmp_path_factory.mktemp("models"), "--standby", "only")
    services = replace(services, slow_clients=SlowClients(services.metrics, STALL_SECONDS))
    door = ConnectionLimiter("wyoming", services.metrics, services.request_log)
    services.slow_clients.add("wyoming", lambda: door.transports)
    looking = asyncio.create_task(services.slow_clients.run())
    wyoming = AsyncTcpServer("127.0.0.1", port := free_port())
    await wyoming.start(partial(WyomingConnection, services.synthesizer, make_cast(), door))
    config = Config(make_cast(), standby_only=True, max_input=10_000)
    async with serving(make_app(services, config), "127.0.0.1", http_port := free_port()):
        yield Running(services, door, port, http_port)
    looking.cancel()
    await wyoming.stop()
    await stop(services)


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that takes little before it reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=client, limit=1024)


async def ask(server: Running, surface: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Have a long text spoken, of which nothing is read."""
    reader, writer = await connect(server.port if surface == "wyoming" else server.http_port)
    if surface == "wyoming":
        await async_write_event(Synthesize(text=LONG).event(), writer)
        return reader, writer
    wanted = {"input": LONG, "voice": "ryan", "response_format": "pcm"}
    body = json.dumps(wanted | {"stream": False} if surface == "whole" else wanted)
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
    return reader, writer


def samples_in(row: EngineRow) -> int:
    """That have come from the engine, and were not taken."""
    outputs: Any = row._inbox
    return sum(len(output.samples) // 4 for output in outputs._queue if isinstance(output, Audio))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not holds():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("surface", ["wyoming", "http", "whole"])
async def test_a_client_that_takes_nothing_costs_little_and_is_dropped(server: Running, surface: str) -> None:
    counted = "wyoming" if surface == "wyoming" else "http"
    before, held = server.dropped(counted), 0
    reader, writer = await ask(server, surface)
    rows = server.services.standby._worker._rows
    async with asyncio.timeout(HANG_SECONDS):
        while server.dropped(counted) == before:
            held = max(held, *(transport.get_write_buffer_size() for transport in server.door.transports), 0)
            ahead = max((samples_in(row) for row in rows.values()), default=0)
            assert ahead <= CREDIT + 10 * SAMPLE_RATE  # and the sentence that was begun with the last of its credit
            await asyncio.sleep(0.01)
    assert held < 256 * 1024
    await until(lambda: not server.services.admission.active and not rows)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(100_000_000)
    writer.close()


async def test_who_reads_is_served_while_another_takes_nothing(server: Running) -> None:
    _, writer = await ask(server, "wyoming")
    answer = await synthesize(f"tcp://127.0.0.1:{server.port}", SENTENCE)
    assert answer.types == ["audio-start", "audio-chunk", "audio-stop"]
    writer.close()


async def test_who_reads_slowly_hears_all(server: Running) -> None:
    """Longer than a client may take nothing."""
    before = server.dropped("http")
    reader, writer = await ask(server, "http")
    started, read = asyncio.get_running_loop().time(), 0
    async with asyncio.timeout(HANG_SECONDS):
        while asyncio.get_running_loop().time() < started + 4 * STALL_SECONDS:
            read += len(await reader.read(4096))
            await asyncio.sleep(0.01)
        while some := await reader.read(65536):
            read += len(some)
    assert read > 100 * 48_000
    assert server.dropped("http") == before
    writer.close()


async def test_a_socket_that_takes_nothing_is_dropped(server: Running) -> None:
    before = server.dropped("http")
    async with ClientSession() as client:
        url = f"http://127.0.0.1:{server.http_port}/v1/audio/speech/stream"
        async with client.ws_connect(url, max_msg_size=0) as websocket:
            transport = websocket.get_extra_info("socket")
            transport.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await websocket.send_json({"type": "session.config", "response_format": "pcm"})
            await websocket.send_json({"type": "input.text", "text": LONG})
            await websocket.send_json({"type": "input.done"})
            websocket._conn.protocol.transport.pause_reading()  # type: ignore[union-attr]
            await until(lambda: server.dropped("http") == before + 1)
    await until(lambda: not server.services.admission.active)
