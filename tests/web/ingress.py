"""What Home Assistant does with a page behind its ingress: passes requests and sockets on from below a path.

As its hassio component does it: headers go along but for those of the connection, X-Ingress-Path is added, bodies
become chunked, and an answer that is cut ends as if it were complete.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from aiohttp import ClientError, ClientSession, WSMsgType, web

SESSION = web.AppKey("session", ClientSession)
PREFIX = "/api/hassio_ingress/Lx5cFQ"
_OWN = {"content-length", "transfer-encoding", "content-encoding", "connection", "upgrade"}


@contextlib.contextmanager
def home_assistant(port: int, target: str) -> Iterator[str]:
    """Serve `target` below PREFIX at a port of this machine; its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(_start(port, target), loop).result(10)
    try:
        yield f"http://127.0.0.1:{port}{PREFIX}/"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(port: int, target: str) -> web.AppRunner:
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", PREFIX + "/{path:.*}", _pass_on)
    app[SESSION] = session = ClientSession(target, auto_decompress=False)
    app.on_cleanup.append(lambda _: session.close())
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def _pass_on(request: web.Request) -> web.StreamResponse:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
    headers["X-Ingress-Path"] = PREFIX
    path = "/" + request.raw_path.removeprefix(PREFIX + "/")
    session = request.app[SESSION]
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _pass_socket_on(request, session, path, headers)
    body: Any = None if request.method == "GET" else request.content
    given: dict[str, Any] = {
        "headers": headers,
        "data": body,
        "skip_auto_headers": {"Content-Type"},
        "allow_redirects": False,
    }
    try:
        answering = await session.request(request.method, path, **given)
    except ClientError:
        raise web.HTTPBadGateway from None
    async with answering as answer:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
        if answer.status in {204, 304}:
            return web.Response(status=answer.status, headers=kept)
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        with contextlib.suppress(ClientError):
            async for piece in answer.content.iter_any():
                await response.write(piece)
    return response


async def _pass_socket_on(
    request: web.Request, session: ClientSession, path: str, headers: dict[str, str]
) -> web.WebSocketResponse:
    kept = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket")}
    near = web.WebSocketResponse()
    await near.prepare(request)
    async with session.ws_connect(path, headers=kept) as far:

        async def back() -> None:
            async for message in far:
                if message.type is WSMsgType.TEXT:
                    await near.send_str(message.data)
                else:
                    await near.send_bytes(message.data)
            await near.close()

        returning = asyncio.create_task(back())
        async for message in near:
            await far.send_str(message.data)
        returning.cancel()
    return near
