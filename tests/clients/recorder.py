"""A proxy between a client and the server that records what each of them sent, and changes nothing of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.waiting import HANG_SECONDS

_PER_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}
_CLIENT_S_OWN = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass
class Exchange:
    """A request and its answer; `whole` says whether the answer came to its end.

    A WebSocket has the status 101, and in `received` the events that the server sent.
    """

    method: str
    path: str
    body: bytes
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: bytes = b""
    whole: bool = False
    received: list[dict[str, Any]] = field(default_factory=list)

    @property
    def fields(self) -> dict[str, Any]:
        """The request's JSON object."""
        fields: dict[str, Any] = json.loads(self.body)
        return fields

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type that the server sent."""
        return [event for event in self.received if event["type"] == kind]


@asynccontextmanager
async def recording(server: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[list[Exchange]]:
    """Serve the server's HTTP API at another port of this machine, and yield what is exchanged there."""
    exchanges: list[Exchange] = []
    async with aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(HANG_SECONDS)) as session:

        async def pass_on(request: web.Request) -> web.StreamResponse:
            exchange = Exchange(request.method, request.raw_path, await request.read())
            exchanges.append(exchange)
            url = URL(server + request.raw_path, encoded=True)
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await _pass_on_events(session, request, url, exchange)
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _PER_HOP}
            async with session.request(
                request.method, url, headers=headers, data=exchange.body, skip_auto_headers=_CLIENT_S_OWN
            ) as answer:
                return await _pass_on_body(request, answer, exchange)

        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", pass_on)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        try:
            yield exchanges
        finally:
            await runner.cleanup()


async def _pass_on_body(request: web.Request, answer: aiohttp.ClientResponse, exchange: Exchange) -> web.StreamResponse:
    exchange.status, exchange.headers = answer.status, answer.headers
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _PER_HOP}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            exchange.answer += piece
            await response.write(piece)
    except aiohttp.ClientPayloadError:  # the server cut it off, so the client must see that too
        if request.transport:
            request.transport.abort()
        return response
    exchange.whole = True
    await response.write_eof()
    return response


async def _pass_on_events(
    session: aiohttp.ClientSession, request: web.Request, url: URL, exchange: Exchange
) -> web.StreamResponse:
    headers = {name: request.headers[name] for name in ("Authorization", "Origin") if name in request.headers}
    asked = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
    async with session.ws_connect(url, headers=headers, protocols=asked, max_msg_size=0) as server:
        exchange.status = 101
        client = web.WebSocketResponse(protocols=[server.protocol] if server.protocol else [], max_msg_size=0)
        await client.prepare(request)
        tasks = [asyncio.create_task(way) for way in (_copy(client, server), _copy(server, client, exchange.received))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        with suppress(ConnectionError):
            await client.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return client


_WebSocket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _copy(source: _WebSocket, target: _WebSocket, record: list[dict[str, Any]] | None = None) -> None:
    """Send each text message on, until the source closes."""
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            if record is not None:
                record.append(json.loads(message.data))
            await target.send_str(message.data)
