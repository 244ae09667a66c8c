"""The HTTP application in this process, over real services whose engines are never started."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.parts import make_cast, make_services
from wyoming_qwen3.api.app import make_app
from wyoming_qwen3.api.app_keys import Config

Client = TestClient[web.Request, web.Application]


def quiet_app(models_dir: Path) -> web.Application:
    """The whole application; whoever would speak with it is told that there is no model."""
    return make_app(make_services(models_dir, "--standby", "off"), Config(make_cast()))


@contextlib.asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[Client]:
    """A client of that application."""
    async with TestClient(TestServer(app)) as client:
        yield client
