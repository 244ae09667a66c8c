"""A client of WS /v1/audio/speech/stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.stream import connection


@dataclass
class Answer:
    """The messages that came, audio apart."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]

    @property
    def audio(self) -> bytes:
        return b"".join(self.frames)

    def the(self, kind: str) -> dict[str, Any]:
        """The only message of its type."""
        (found,) = (message for message in self.messages if message["type"] == kind)
        return found


class Talk:
    """One connection."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind} | fields)

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.send("input.text", text=text)
        await self.send("input.done")

    async def until(self, *kinds: str) -> Answer:
        """Everything up to the first message of one of these types; "frame" is a binary one, "close" the end."""
        answer = Answer()
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                message = await self.socket.receive()
                if message.type is WSMsgType.BINARY:
                    answer.frames.append(message.data)
                    seen = "frame"
                elif message.type is WSMsgType.TEXT:
                    answer.messages.append(json.loads(message.data))
                    seen = answer.types[-1]
                else:
                    assert "close" in kinds, f"the connection was closed after {answer.types}"
                    return answer
                if seen in kinds:
                    return answer

    async def configure(self, **fields: Any) -> dict[str, Any]:
        await self.send("session.config", **fields)
        return (await self.until("session.configured")).the("session.configured")


@asynccontextmanager
async def talking(url: str) -> AsyncIterator[Talk]:
    """A connection to the server at a URL, on which nothing was said yet."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url + connection.PATH) as socket:
        yield Talk(socket)
