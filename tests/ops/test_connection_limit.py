"""How many may be connected, and what a client that does not listen costs; the handler inside this process."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from wyoming.server import AsyncTcpServer

from tests.metrics import samples
from tests.parts import make_cast, make_services, stop
from tests.ports import free_port
from tests.stress.garbage import event
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.ops import connection_limit
from wyoming_qwen3.ops.connection_limit import ConnectionLimiter, address_of, watch_for_loss
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.wyoming import handler
from wyoming_qwen3.wyoming.handler import WyomingConnection


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    services = make_services(tmp_path)
    yield services
    await stop(services)


@pytest.fixture
async def port(services: Services) -> AsyncIterator[int]:
    entrance = ConnectionLimiter("wyoming", services.metrics, services.request_log)
    server = AsyncTcpServer("127.0.0.1", number := free_port())
    await server.start(partial(WyomingConnection, services.synthesizer, make_cast(), entrance))
    yield number
    await server.stop()


class Caller:
    """One connection that says a line and hears one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, port: int, address: str = "127.0.0.1") -> "Caller":
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0)))

    async def ask(self, line: bytes) -> dict[str, Any]:
        with contextlib.suppress(ConnectionError):
            self.writer.write(line)
        header: dict[str, Any] = json.loads(await asyncio.wait_for(self.reader.readline(), HANG_SECONDS))
        data = await self.reader.readexactly(header.get("data_length", 0))
        return header | {"data": json.loads(data or b"{}")}

    async def leave(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def empty(services: Services) -> None:
    """Wait until nobody is connected."""
    async with asyncio.timeout(HANG_SECONDS):
        while samples(services.metrics)["tts_wyoming_connections",]:
            await asyncio.sleep(0.01)


async def test_one_address_has_so_many_connections_and_others_have_theirs(
    port: int, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS_OF_ADDRESS", 3)
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", 5)
    inside = [await Caller.at(port) for _ in range(3)]
    for caller in inside:
        assert (await caller.ask(event("ping")))["type"] == "pong"
    fourth = await Caller.at(port)
    answer = await fourth.ask(event("ping"))
    said = "Too many connections are open, 3 of yours; close one, or try again later."
    assert (answer["type"], answer["data"]) == ("error", {"text": said, "code": "queue_full"})
    assert await fourth.reader.read() == b""
    others = [await Caller.at(port, f"127.0.0.{number}") for number in (2, 3)]
    for caller in others:
        assert (await caller.ask(event("ping")))["type"] == "pong"
    assert (await (await Caller.at(port, "127.0.0.4")).ask(event("ping")))["type"] == "error"
    for caller in (*inside, *others):
        await caller.leave()
    await empty(services)
    assert (await (await Caller.at(port)).ask(event("ping")))["type"] == "pong"
    assert samples(services.metrics)["tts_connection_errors_total", "queue_full", "wyoming"] == 2


@pytest.mark.parametrize("text", ["\ud83d", "\udc00 and more"])
async def test_half_a_character_is_answered(port: int, text: str) -> None:
    caller = await Caller.at(port)
    assert (await caller.ask(event("ping", {"text": text})))["type"] == "pong"
    answer = await caller.ask(event("synthesize", {"text": "Hi.", "voice": {"name": text}}))
    assert answer["type"] == "audio-start", "An unknown voice is spoken by the default one."


async def test_a_text_has_so_many_characters_in_however_many_events(port: int) -> None:
    caller = await Caller.at(port)
    chunk = event("synthesize-chunk", {"text": "x" * 15_000})
    answer = await caller.ask(event("synthesize-start") + chunk * 3)
    assert (answer["type"], answer["data"]) == (
        "error",
        {"text": "A text may have at most 40,000 characters.", "code": "payload_too_large"},
    )


async def test_who_asks_and_never_reads_is_let_go(
    port: int, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a reply nor the error after it waits for ever."""
    monkeypatch.setattr(handler, "_REPLY_SECONDS", 0.2)
    monkeypatch.setattr(handler, "_LAST_WORD_SECONDS", 0.2)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    asking = event("describe") * 900
    await asyncio.get_running_loop().sock_sendall(connection, asking)
    await asyncio.sleep(0.05)
    assert samples(services.metrics)["tts_wyoming_connections",] == 1
    await empty(services)
    connection.close()


async def test_a_peer_that_lost_power_is_noticed() -> None:
    """The system asks after it: what it was told is read back."""
    set_up: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        watch_for_loss(writer)
        one = writer.get_extra_info("socket")
        kinds = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        told = [one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        set_up.set_result(told + [one.getsockopt(socket.IPPROTO_TCP, kind) for kind in kinds])
        assert address_of(writer) == "127.0.0.1"
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", port := free_port()):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(set_up, HANG_SECONDS) == [1, 60, 20, 3]
        writer.close()


async def test_the_connection_that_was_idle_the_longest_makes_room(
    port: int, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that was begun and not ended is idle, too; one that is spoken is not."""
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS_OF_ADDRESS", 3)
    monkeypatch.setattr(connection_limit, "_IDLE_SECONDS", 0.0)
    busy = await Caller.at(port)
    busy.writer.write(event("synthesize", {"text": "The front door is open. " * 200}))
    await busy.reader.readline()
    half_open, idle = await Caller.at(port), await Caller.at(port)
    assert (await half_open.ask(event("ping") + event("synthesize-start")))["type"] == "pong"
    assert (await idle.ask(event("ping")))["type"] == "pong"
    newer = []
    for gone in (half_open, idle):
        newer.append(await Caller.at(port))
        assert (await newer[-1].ask(event("ping")))["type"] == "pong"
        answer = await gone.ask(b"")
        assert (answer["type"], answer["data"]["code"]) == ("error", "queue_full")
        assert "it had been idle the longest" in answer["data"]["text"]
        assert await gone.reader.read() == b""
    assert samples(services.metrics)["tts_wyoming_connections",] == 3
    await busy.leave()


async def test_where_all_are_busy_a_new_connection_is_refused(
    port: int, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS_OF_ADDRESS", 2)
    monkeypatch.setattr(connection_limit, "_IDLE_SECONDS", 0.0)
    busy = [await Caller.at(port) for _ in range(2)]
    for caller in busy:
        caller.writer.write(event("synthesize", {"text": "The front door is open. " * 200}))
        await caller.reader.readline()
    assert (await (await Caller.at(port)).ask(event("ping")))["type"] == "error"
