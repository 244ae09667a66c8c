"""The Supervisor's API as an app asks it: what its proxy to Home Assistant answers, over real connections.

After supervisor/api/proxy.py (who may ask: 401; Home Assistant away: 502) and homeassistant/components/api (an action
that does not exist, as while it starts: 400; else 200 with the states that have changed).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import web

from tests.ports import free_port
from wyoming_qwen3.api.operation import Handler

TOKEN = "a0d7b954"
Core = Literal["running", "starting", "away"]


class SupervisorApi:
    """Serves it; `core` is how Home Assistant is."""

    def __init__(self) -> None:
        self.core: Core = "running"
        self.permitted = True
        """Whether the app has homeassistant_api in its config.yaml."""

        self.hold = asyncio.Event()
        """While it is not set, Home Assistant does not answer."""

        self.hold.set()
        self.statuses: list[int] = []
        """What was answered to every call."""

        self.cleared = 0
        """How often Home Assistant's cache was."""

        self._port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        app = web.Application(middlewares=[self._note])
        app.router.add_route("*", "/core/api/{path:.*}", self._proxy)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def stop(self) -> None:
        """Then connections are refused."""
        if self._runner:
            await self._runner.cleanup()
        self._runner = None

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            self.statuses.append(error.status)
            raise
        self.statuses.append(response.status)
        return response

    async def _proxy(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", "").split(" ")[-1] != TOKEN or not self.permitted:
            raise web.HTTPUnauthorized
        if self.core == "away":
            raise web.HTTPBadGateway
        if request.method != "POST" or request.match_info["path"] != "services/tts/clear_cache":
            raise web.HTTPNotFound
        if self.core == "starting":
            raise web.HTTPBadRequest
        await request.json()
        self.cleared += 1  # also where nobody waits for the end any more
        await self.hold.wait()
        return web.json_response([])


@asynccontextmanager
async def supervisor_api() -> AsyncIterator[SupervisorApi]:
    """One that serves."""
    api = SupervisorApi()
    await api.start()
    try:
        yield api
    finally:
        api.hold.set()
        await api.stop()
