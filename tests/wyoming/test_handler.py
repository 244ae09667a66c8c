"""The handler inside this process, where its tasks can be counted."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from wyoming.client import AsyncClient
from wyoming.server import AsyncTcpServer
from wyoming.tts import Synthesize

from tests.conftest import collect
from tests.parts import make_cast, make_services, stop
from tests.ports import free_port
from tests.stress.odd_events import CONVERSATIONS, OddConversation
from wyoming_qwen3.ops.connection_limit import ConnectionLimiter
from wyoming_qwen3.wyoming.handler import WyomingConnection

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def port(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """A server in this process that speaks with the standby voice."""
    services = make_services(tmp_path_factory.mktemp("handler"))
    door = ConnectionLimiter("wyoming", services.metrics, services.request_log)
    server = AsyncTcpServer("127.0.0.1", number := free_port())
    await server.start(partial(WyomingConnection, services.synthesizer, make_cast(), door))
    yield number
    await server.stop()
    await stop(services)


async def test_clients_that_leave_leave_no_tasks_behind(port: int) -> None:
    async def leave() -> None:
        async with AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
            await client.write_event(Synthesize(text="The front door is open. " * 100).event())
            await collect(client, "audio-chunk")

    async def settled() -> int:
        await asyncio.sleep(0.2)
        return len(asyncio.all_tasks())

    await leave()
    before = await settled()
    for _ in range(30):
        await leave()
    assert await settled() == before


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.name)
async def test_events_out_of_order_and_with_odd_fields(port: int, conversation: OddConversation) -> None:
    """All that is owed is answered; after an error the connection is closed, else it goes on."""
    assert await conversation.hold("127.0.0.1", port) == conversation.answered
