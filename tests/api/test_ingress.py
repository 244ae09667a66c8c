"""The port that Home Assistant's ingress asks, in this process and without an engine."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector, WSServerHandshakeError

from tests.parts import make_cast, make_services
from tests.ports import free_port
from wyoming_qwen3.api.access import Access
from wyoming_qwen3.api.app import make_app, serving
from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.api.ingress import Ingress

KEY = "s3cret"
SUPERVISOR, STRANGER = "127.0.0.2", "127.0.0.3"
PAGE = "https://app.example.org"
BROWSER = {"Host": "abc.ui.nabu.casa", "X-Ingress-Path": "/api/hassio_ingress/token"}
"""What Home Assistant passes on."""


@dataclass
class Ports:
    """Where the server is."""

    public: str
    ingress: str


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[Ports]:
    public, passed_on = free_port(), free_port()
    access = Access(KEY, (PAGE,), ingress=Ingress(passed_on, SUPERVISOR))
    app = make_app(make_services(tmp_path, "--standby", "off"), Config(make_cast(), access=access))
    async with serving(app, "127.0.0.1", public, passed_on):
        yield Ports(f"http://127.0.0.1:{public}", f"http://127.0.0.1:{passed_on}")


def asking_from(address: str) -> ClientSession:
    return ClientSession(connector=TCPConnector(local_addr=(address, 0)))


async def test_home_assistant_needs_no_key_and_has_any_name(ports: Ports) -> None:
    async with asking_from(SUPERVISOR) as session:
        for path in ("/", "/docs.css", "/health", "/api/models", "/api/voice-presets"):
            async with session.get(ports.ingress + path, headers=BROWSER) as response:
                assert response.status == 200
        async with session.post(ports.ingress + "/v1/audio/speech", json={"input": "Hi."}, headers=BROWSER) as response:
            assert (await response.json())["error"]["code"] == "model_missing"


@pytest.mark.parametrize("path", ["/", "/health", "/api/models", "/nowhere"])
async def test_nobody_else_may_ask_there_with_a_key_or_without(ports: Ports, path: str) -> None:
    forged = {"X-Forwarded-For": SUPERVISOR, "X-Real-IP": SUPERVISOR, "Forwarded": f"for={SUPERVISOR}"}
    async with asking_from(STRANGER) as session:
        for given in ({}, forged, {"Authorization": f"Bearer {KEY}"}):
            async with session.get(ports.ingress + path, headers=BROWSER | given) as response:
                assert response.status == 403
                assert (await response.json())["error"]["code"] == "address_not_allowed"


async def test_the_public_port_asks_home_assistant_for_the_key_too(ports: Ports) -> None:
    async with asking_from(SUPERVISOR) as session:
        async with session.get(ports.public + "/api/models", headers=BROWSER) as response:
            assert response.status == 401
        async with session.get(ports.public + "/api/models", headers={"x-api-key": KEY}) as response:
            assert response.status == 200
        async with session.get(ports.public + "/") as response:
            assert response.status == 200


async def test_pages_of_other_origins_change_nothing_there_listed_or_not(ports: Ports) -> None:
    async with asking_from(SUPERVISOR) as session:
        for origin in ("http://evil.example", PAGE, "null"):
            given = BROWSER | {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
            async with session.delete(ports.ingress + "/api/clips/x", headers=given) as response:
                assert (await response.json())["error"]["code"] == "origin_not_allowed"
                assert "Access-Control-Allow-Origin" not in response.headers
        own = BROWSER | {"Origin": "https://abc.ui.nabu.casa"}  # over plain HTTP a browser sends no Sec-Fetch-Site
        async with session.delete(ports.ingress + "/api/clips/x", headers=own) as response:
            assert (await response.json())["error"]["code"] != "origin_not_allowed"


async def test_a_socket_opens_through_it_and_only_from_there(ports: Ports) -> None:
    given = BROWSER | {"Origin": "https://abc.ui.nabu.casa"}
    async with (
        asking_from(SUPERVISOR) as session,
        session.ws_connect(ports.ingress + "/v1/realtime", headers=given) as ws,
    ):
        assert (await ws.receive_json())["type"] == "session.created"
    async with asking_from(STRANGER) as session:
        with pytest.raises(WSServerHandshakeError, match="403"):
            await session.ws_connect(ports.ingress + "/v1/realtime", headers=given)
