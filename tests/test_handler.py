"""The handler inside this process, where its tasks can be counted."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from wyoming.client import AsyncClient
from wyoming.event import Event, async_read_event
from wyoming.server import AsyncTcpServer
from wyoming.tts import Synthesize

from tests.conftest import collect
from tests.parts import make_cast, make_services, stop
from tests.stress.garbage import event
from wyoming_qwen3.bench.serving import free_port
from wyoming_qwen3.door import Door
from wyoming_qwen3.handler import Handler

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def port(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """A server in this process that speaks with the standby voice."""
    services = make_services(tmp_path_factory.mktemp("handler"))
    door = Door("wyoming", services.metrics, services.faults)
    server = AsyncTcpServer("127.0.0.1", number := free_port())
    await server.start(partial(Handler, services.synthesizer, make_cast(), door))
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


NULL_START = b'{"type": "synthesize-start", "data": null, "data_length": null, "payload_length": null}\n'
START, STOP = event("synthesize-start"), event("synthesize-stop")
TEXT = event("synthesize-chunk", {"text": "The front door is open."})
SPEAK = event("synthesize", {"text": "The front door is open."})
STREAMED = ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]
WHOLE = STREAMED[:3]


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        # Twice, too late, too early, and without what it is about.
        (START + TEXT + STOP + STOP, STREAMED),
        (START + TEXT + STOP * 3 + SPEAK, [*STREAMED, *WHOLE]),
        (STOP + SPEAK, WHOLE),
        (START + START + TEXT + STOP, STREAMED),
        (START + TEXT + STOP + event("synthesize-chunk") + event("synthesize-chunk", {"text": None}), STREAMED),
        (START + event("synthesize-chunk") + TEXT + STOP, STREAMED),
        (START + SPEAK + TEXT + STOP, STREAMED),
        (START + STOP, STREAMED),
        (START + TEXT + event("ping", {"text": None}) + STOP, ["pong", *STREAMED]),
        (event("detect") + event("audio-chunk", {}, b"x" * 100) + event("nonsense") + SPEAK, WHOLE),
        # Null is absence.
        (event("synthesize", {"text": "Hi there.", "voice": None, "text_format": None, "context": None}), WHOLE),
        (event("synthesize-start", {"voice": {"name": None}}) + TEXT + STOP, STREAMED),
        (NULL_START + TEXT + STOP, STREAMED),
        (event("synthesize", {"text": "Hi there.", "voice": "ryan"}), WHOLE),
        # What is wrong is said after the answers that are owed for what was right.
        (SPEAK + event("synthesize", {"text": 5}), [*WHOLE, "error"]),
        (SPEAK + event("synthesize", {"text": "Hi.", "voice": 5}) + SPEAK, [*WHOLE, "error"]),
        (START + TEXT + STOP + TEXT, [*STREAMED, "error"]),
        (SPEAK + event("synthesize", {}), [*WHOLE, "error"]),
        (SPEAK + event("ping", {"text": 5}), [*WHOLE, "error"]),
        # Else at once.
        (TEXT, ["error"]),
        (event("synthesize", {}), ["error"]),
        (START + event("synthesize-chunk", {"text": 5}), ["error"]),
        (START + TEXT + event("synthesize-start", {"voice": []}) + TEXT + STOP, STREAMED),
        (START + TEXT + event("synthesize-start", {"voice": [5]}), ["error"]),
        (event("synthesize", {"text": "Hi.", "text_format": "html"}), ["error"]),
    ],
)
async def test_events_out_of_order_and_with_odd_fields(port: int, sent: bytes, answered: list[str]) -> None:
    """All that is owed is answered; after an error the connection is closed, else it goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    types: list[str] = []
    while len(types) < len(answered):
        kind = (await next_event(reader)).type
        if not (kind == "audio-chunk" and types[-1:] == ["audio-chunk"]):
            types.append(kind)
    assert types == answered
    if answered[-1] == "error":
        assert await asyncio.wait_for(reader.read(1), 60) == b""
    else:
        writer.write(event("ping", {"text": "still there?"}))
        assert (await next_event(reader)).data == {"text": "still there?"}
    writer.close()


async def next_event(reader: asyncio.StreamReader) -> Event:
    event = await asyncio.wait_for(async_read_event(reader), 60)
    assert event
    return event
