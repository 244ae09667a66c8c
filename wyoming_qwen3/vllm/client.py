"""HTTP client for the servers; no other module sends anything to them. Handles one request to one server at a time."""

import asyncio
import io
import json
import os
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from wyoming_qwen3.core.request import FloatArray

from .failure import ServerFailure, away, broken, refusal
from .server import Server
from .stream import StreamError, reader_for
from .timeouts import Timeouts

_KEEP_ALIVE_SECONDS = 4.0
"""Seconds that an idle connection is kept. vLLM closes one after 5 s, and a request sent at that moment is lost."""

_MAX_ERROR_BYTES = 64 * 1024
_LARGE_BODY = 64 * 1024


class Client:
    """Keeps connections and reuses them. Must be created in a running event loop, and closed."""

    def __init__(self, api_key: str | None, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def list_models(self, server: Server) -> Any:
        """Return the server's list of models, if it is healthy. Raises Fault."""
        try:
            async with asyncio.timeout(self._timeouts.probe):
                async with self._session.get(f"{server.url}/health") as answer:
                    if answer.status not in (200, 404):  # a load balancer may have no such page
                        raise refusal(server.name, answer.status, await _error_text(answer))
                async with self._session.get(f"{server.url}/v1/models") as answer:
                    if answer.status != 200:
                        raise refusal(server.name, answer.status, await _error_text(answer))
                    return await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _lost(server, error) from error

    async def speak(self, server: Server, body: dict[str, Any]) -> AsyncGenerator[FloatArray, None]:
        """Yield samples as they arrive (float32, 24 kHz). Closing the generator closes the request. Raises Fault."""
        began = asyncio.get_running_loop().time()
        answer = await self._ask(server, body)
        try:
            reader = reader_for(answer.content_type)
            limit, silent = began + self._timeouts.first, True
            while data := await self._more(server, answer, limit):
                for chunk in reader.feed(data):
                    silent = False
                    yield chunk
                limit = asyncio.get_running_loop().time() + self._timeouts.gap
            reader.finish()
            if silent:
                raise StreamError("sent no audio")
        except StreamError as error:
            raise broken(server.name, str(error)) from error
        finally:
            answer.close()

    async def _ask(self, server: Server, body: dict[str, Any]) -> aiohttp.ClientResponse:
        """Send a request and return the response with its body unread."""
        data: Any = await _encoded(body)
        headers = {"Content-Type": "application/json"}
        url = f"{server.url}/v1/audio/speech"
        try:
            async with asyncio.timeout(self._timeouts.first):
                answer = await self._session.post(url, data=data, headers=headers, allow_redirects=False)
                if answer.status == 200:
                    return answer
                async with answer:
                    raise refusal(server.name, answer.status, await _error_text(answer))
        except (aiohttp.ClientError, OSError) as error:
            raise _lost(server, error) from error

    async def _more(self, server: Server, answer: aiohttp.ClientResponse, limit: float) -> bytes:
        """Return the next bytes, b"" at the end."""
        try:
            async with asyncio.timeout_at(limit):
                return await answer.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _lost(server, error) from error


async def _encoded(body: dict[str, Any]) -> bytes | io.BytesIO:
    """Return the body as JSON. One with a clip is encoded on a thread, and returned as a stream."""
    if len(body.get("ref_audio", "")) < _LARGE_BODY:
        return json.dumps(body).encode()
    return io.BytesIO((await asyncio.to_thread(json.dumps, body)).encode())


async def _error_text(answer: aiohttp.ClientResponse) -> str:
    return (await answer.content.read(_MAX_ERROR_BYTES)).decode(errors="replace")


def _lost(server: Server, error: Exception) -> ServerFailure:
    """Return the failure for a network error."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return away(server.name, "has an unknown host name")
        case aiohttp.ClientConnectorError():
            why = os.strerror(error.errno) if error.errno else error.strerror
            return away(server.name, f"can't be reached ({why})")
        case aiohttp.ConnectionTimeoutError():
            return away(server.name, "can't be reached (no answer)")
        case TimeoutError():
            return broken(server.name, "has sent nothing for too long")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError():
            return broken(server.name, "broke off the connection")
        case aiohttp.InvalidURL() | ValueError():
            return away(server.name, "does not answer as vLLM does")
    return broken(server.name, "does not answer with HTTP")
