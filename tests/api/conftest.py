"""What the tests of routes share."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, ClientTimeout

from tests.conftest import Server


@pytest.fixture
async def http(server: Server) -> AsyncIterator[ClientSession]:
    """A client of the server that the test's file starts."""
    async with ClientSession(server.url, timeout=ClientTimeout(60)) as session:
        yield session
