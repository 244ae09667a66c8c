"""What the tests of routes share."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, ClientTimeout

from tests.conftest import Server
from tests.waiting import HANG_SECONDS


@pytest.fixture
async def http(server: Server) -> AsyncIterator[ClientSession]:
    """A client of the server that the test's file starts."""
    async with ClientSession(server.url, timeout=ClientTimeout(HANG_SECONDS)) as session:
        yield session
