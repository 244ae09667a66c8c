import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from aiohttp import WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from tests.api.refusals import tell
from wyoming_qwen3.api.access import (
    OPEN_PATHS,
    SUBPROTOCOLS,
    Access,
    changes_something,
    has_key,
    host_allowed,
    host_name,
    install,
    is_open,
    origin_allowed,
    origin_listed,
    request_id,
    same_origin,
)

Client = TestClient[web.Request, web.Application]
Connect = Callable[[Access], Awaitable[Client]]

KEY = "s3cret-schlüssel"
PAGE = "https://app.example.org"


async def echo(request: web.Request) -> web.Response:
    return web.Response(text=request_id(request))


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Vary": "Accept"})
    await response.prepare(request)
    await response.write(b"audio")
    return response


async def talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=SUBPROTOCOLS)
    await socket.prepare(request)
    await socket.send_str("hello")
    await socket.close()
    return socket


def application(access: Access) -> web.Application:
    app = web.Application(middlewares=[tell])
    install(app, access)
    app.add_routes([web.get(path, echo) for path in OPEN_PATHS])
    app.add_routes([web.get("/api/history", echo), web.post("/v1/audio/speech", stream), web.get("/v1/realtime", talk)])
    return app


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    clients: list[Client] = []

    async def start(access: Access) -> Client:
        clients.append(client := TestClient(TestServer(application(access))))
        await client.start_server()
        return client

    yield start
    for client in clients:
        await client.close()


def headers(**given: str) -> CIMultiDict[str]:
    return CIMultiDict({name.replace("_", "-"): value for name, value in given.items()})


async def code(client: Client, method: str, path: str, **given: str) -> tuple[int, str]:
    async with client.request(method, path, headers=headers(**given)) as response:
        answer = await response.json() if response.status >= 400 else {"error": {"code": ""}}
        return response.status, answer["error"]["code"]


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({}, False),
        ({"Authorization": f"Bearer {KEY}"}, True),
        ({"Authorization": f"bearer   {KEY} "}, True),
        ({"Authorization": KEY}, False),
        ({"Authorization": f"Basic {KEY}"}, False),
        ({"Authorization": "Bearer"}, False),
        ({"Authorization": f"Bearer {KEY}x"}, False),
        ({"X-API-Key": KEY}, True),
        ({"X-API-Key": ""}, False),
        ({"X-API-Key": "wrong", "Authorization": f"Bearer {KEY}"}, True),
        ({"X-API-Key": "\udcff\udcfe"}, False),
        ({"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{KEY}", "Upgrade": "WebSocket"}, True),
        ({"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.no", "Upgrade": "websocket"}, False),
        ({"Sec-WebSocket-Protocol": f"openai-insecure-api-key.{KEY}"}, False),
    ],
)
def test_where_a_key_is_looked_for(given: Mapping[str, str], right: bool) -> None:
    assert has_key(CIMultiDict(given), KEY) is right


@pytest.mark.parametrize(
    ("method", "path", "free"),
    [
        ("GET", "/health", True),
        ("HEAD", "/health", True),
        ("POST", "/health", False),
        ("GET", "/v1/audio/voices", True),
        ("POST", "/v1/audio/voices", False),
        ("DELETE", "/v1/audio/voices/ann", False),
        ("GET", "/v1/audio/models", True),
        ("GET", "/v1/models", True),
        ("GET", "/openapi.json", True),
        ("GET", "/docs", True),
        ("GET", "/docs/", False),
        ("GET", "/api/history", False),
        ("GET", "/metrics", False),
    ],
)
def test_what_needs_no_key(method: str, path: str, free: bool) -> None:
    assert is_open(method, path) is free


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Box.Local", "box.local"),
        ("box:10300", "box"),
        ("box:", "box"),
        ("192.168.1.5:8000", "192.168.1.5"),
        ("[::1]", "::1"),
        ("[FE80::1]:8000", "fe80::1"),
        ("my_tts", "my_tts"),
        ("", None),
        ("::1", None),
        ("[box]", None),
        ("[::1", None),
        ("[1.2.3.4:5]", None),
        ("box:port", None),
        ("user@box", None),
        ("box/path", None),
        ("box\n", None),
        ("bücher.example", None),
        ("box,evil.example", None),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str | None) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("2001:db8::1", True),
        ("localhost", True),
        ("homeassistant", True),
        ("a0d7b954-qwen3-tts", True),
        ("homeassistant.local", True),
        ("homeassistant.local.", True),
        ("box.lan", True),
        ("box.home.arpa", True),
        ("host.docker.internal", True),
        ("box.localdomain", True),
        ("tts.localhost", True),
        ("fritz.box", True),
        ("tts.fritz.box", True),
        ("evil.box", False),
        ("evil.example", False),
        ("evillocal.example", False),
        ("local.evil.example", False),
        ("1.2.3.4.evil.example", False),
        ("ai.", False),
        (".", False),
        ("tts.example.org", True),
        ("a.home.example.org", True),
        ("home.example.org", False),
        ("evilhome.example.org", False),
    ],
)
def test_names_that_no_stranger_can_have(name: str, allowed: bool) -> None:
    assert host_allowed(name, ("TTS.example.org", "*.home.example.org")) is allowed


def test_a_star_allows_any_name() -> None:
    """Behind Home Assistant's ingress, which asks who it is and passes the browser's own Host on."""
    assert host_allowed("abc.ui.nabu.casa", ("*",))


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://box:8000", "box:8000", True),
        ("https://box:8000", "BOX:8000", True),
        ("http://box", "box:80", True),
        ("http://box:80", "box", True),
        ("https://tts.example.org", "tts.example.org:443", True),
        ("https://tts.example.org", "tts.example.org:80", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://box:3000", "box:8000", False),
        ("http://evil.example", "box", False),
        ("http://box.evil.example", "box", False),
        ("null", "null", False),
        ("http://", "", False),
        ("file://", "", False),
        ("chrome-extension://box", "box", False),
        ("", "", False),
    ],
)
def test_which_origin_is_the_server_itself(origin: str, host: str, same: bool) -> None:
    assert same_origin(origin, host) is same


@pytest.mark.parametrize(
    ("origin", "listed", "found"),
    [
        (PAGE, (), False),
        (PAGE, (PAGE,), True),
        (PAGE, ("HTTPS://App.example.org/",), True),
        (PAGE, ("https://example.org",), False),
        (PAGE, ("http://app.example.org",), False),
        (PAGE, ("*",), True),
        ("app://obsidian.md", ("app://obsidian.md",), True),
        ("null", ("*", "null"), False),
        ("", ("*", ""), False),
    ],
)
def test_which_origins_are_listed(origin: str, listed: tuple[str, ...], found: bool) -> None:
    assert origin_listed(origin, listed) is found


@pytest.mark.parametrize(
    ("method", "given", "allowed"),
    [
        ("POST", {}, True),
        ("POST", {"Origin": "http://box:8000"}, True),
        ("POST", {"Origin": "http://evil.example"}, False),
        ("PUT", {"Origin": "http://evil.example"}, False),
        ("DELETE", {"Origin": "http://evil.example"}, False),
        ("POST", {"Origin": PAGE}, True),
        ("POST", {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}, True),
        ("POST", {"Origin": "null"}, False),
        ("POST", {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, False),
        ("POST", {"Origin": "https://renamed.example", "Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, False),
        ("POST", {"Sec-Fetch-Site": "same-site"}, False),
        ("POST", {"Sec-Fetch-Site": "none"}, True),
        ("POST", {"Origin": "http://evil.example", "Sec-Fetch-Site": "none"}, False),
        ("POST", {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}, False),
        ("GET", {"Origin": "http://evil.example"}, True),
        ("HEAD", {"Origin": "http://evil.example"}, True),
        ("GET", {"Origin": "http://evil.example", "Upgrade": "websocket"}, False),
        ("GET", {"Origin": "http://evil.example", "Upgrade": " WebSocket "}, False),
        ("GET", {"Origin": "http://box:8000", "Upgrade": "websocket"}, True),
        ("GET", {"Upgrade": "websocket"}, True),
    ],
)
def test_which_pages_may_change_things(method: str, given: Mapping[str, str], allowed: bool) -> None:
    headers = CIMultiDict(Host="box:8000", **given)
    assert (not changes_something(method, headers) or origin_allowed(headers, (PAGE,))) is allowed


async def test_a_key_guards_all_but_what_is_open(connect: Connect) -> None:
    client = await connect(Access(api_key=KEY))
    for path in OPEN_PATHS:
        assert await code(client, "GET", path) == (200, "")
    for path in ("/api/history", "/nowhere"):
        assert await code(client, "GET", path) == (401, "invalid_api_key")
        assert await code(client, "GET", path + f"?api_key={KEY}") == (401, "invalid_api_key")
    assert await code(client, "POST", "/v1/audio/speech") == (401, "invalid_api_key")
    assert await code(client, "POST", "/v1/audio/speech", Authorization=f"Bearer {KEY}") == (200, "")
    assert await code(client, "POST", "/v1/audio/speech", x_api_key=KEY) == (200, "")


async def test_a_refusal_says_how_to_send_the_key_and_not_what_was_sent(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = await connect(Access(api_key=KEY))
    async with client.get("/api/history", headers={"x-api-key": "mistyped-key"}) as response:
        told = str(response.headers) + await response.text()
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "Authorization: Bearer KEY" in told
    assert "mistyped" not in told + caplog.text
    assert KEY not in told + caplog.text


async def test_an_empty_key_is_none(connect: Connect) -> None:
    client = await connect(Access(api_key=""))
    assert await code(client, "GET", "/api/history") == (200, "")
    assert await code(client, "GET", "/api/history", Host="evil.example") == (403, "host_not_allowed")


async def test_a_page_that_was_rebound_to_the_server_gets_nothing(connect: Connect) -> None:
    client = await connect(Access(allowed_hosts=("tts.example.org",)))
    for path in ("/api/history", "/health"):
        assert await code(client, "GET", path, Host="evil.example:8000") == (403, "host_not_allowed")
        assert await code(client, "GET", path, Host="tts.example.org") == (200, "")
        assert await code(client, "GET", path, Host="evil example") == (400, "invalid_host")
    keyed = await connect(Access(api_key=KEY))
    assert await code(keyed, "GET", "/api/history", Host="evil.example", x_api_key=KEY) == (200, "")


async def test_a_page_of_another_origin_changes_nothing(connect: Connect) -> None:
    client = await connect(Access(cors_origins=(PAGE,)))
    assert await code(client, "POST", "/v1/audio/speech", Origin="http://evil.example") == (403, "origin_not_allowed")
    assert await code(client, "POST", "/v1/audio/speech", Origin="null") == (403, "origin_not_allowed")
    assert await code(client, "POST", "/v1/audio/speech", Origin=PAGE) == (200, "")
    assert await code(client, "POST", "/v1/audio/speech", Origin=f"http://127.0.0.1:{client.port}") == (200, "")
    assert await code(client, "POST", "/v1/audio/speech") == (200, "")


async def test_a_preflight_passes_without_the_key_and_lists_what_is_allowed(connect: Connect) -> None:
    client = await connect(Access(api_key=KEY, cors_origins=(PAGE,)))
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with client.options("/v1/audio/speech", headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "Authorization, *"
        assert response.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in response.headers
    async with client.options("/v1/audio/speech", headers=asked | {"Origin": "http://evil.example"}) as response:
        assert response.status == 403
        assert not any(name.startswith("Access-Control-") for name in response.headers)
    assert await code(client, "OPTIONS", "/v1/audio/speech", Origin=PAGE) == (401, "invalid_api_key")


async def test_listed_origins_may_read_streams_and_errors(connect: Connect) -> None:
    client = await connect(Access(api_key=KEY, cors_origins=(PAGE,)))
    for key, status in ((KEY, 200), ("wrong", 401)):
        given = headers(x_api_key=key, Origin=PAGE)
        async with client.post("/v1/audio/speech", headers=given) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            assert "X-Sample-Rate" in response.headers["Access-Control-Expose-Headers"]
            assert "Origin" in response.headers.getall("Vary")
    async with client.post("/v1/audio/speech", headers=headers(x_api_key=KEY)) as response:
        assert response.headers.getall("Vary") == ["Accept", "Origin"]
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_star_lists_all_origins_but_null(connect: Connect) -> None:
    client = await connect(Access(cors_origins=("*",)))
    async with client.get("/api/history", headers={"Origin": PAGE}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
    async with client.get("/api/history", headers={"Origin": "null"}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_without_origins_there_is_no_cors(connect: Connect) -> None:
    client = await connect(Access())
    async with client.get("/api/history", headers={"Origin": PAGE}) as response:
        assert response.status == 200
        assert "Vary" not in response.headers
        assert not any(name.startswith("Access-Control-") for name in response.headers)


@pytest.mark.parametrize("path", ["/health", "/api/history", "/nowhere"])
async def test_every_answer_has_an_id_and_forbids_sniffing(connect: Connect, path: str) -> None:
    client = await connect(Access(api_key=KEY))
    async with client.get(path, headers={"X-Request-Id": "from-the_client1"}) as response:
        assert response.headers["X-Request-Id"] == "from-the_client1"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    ids = set()
    for given in ("", "with space", "x" * 65, "ümlaut"):
        async with client.get(path, headers={"X-Request-Id": given}) as response:
            ids.add(response.headers["X-Request-Id"])
    assert len(ids) == 4
    assert all(len(name) == 32 and name.isalnum() for name in ids)


async def test_a_handler_sees_the_id_that_is_answered(connect: Connect) -> None:
    client = await connect(Access())
    async with client.get("/health") as response:
        assert await response.text() == response.headers["X-Request-Id"]


async def test_a_socket_takes_the_key_as_a_subprotocol_and_echoes_only_what_was_offered(connect: Connect) -> None:
    client = await connect(Access(api_key="k1"))
    async with client.ws_connect("/v1/realtime", protocols=("realtime", "openai-insecure-api-key.k1")) as socket:
        assert socket.protocol == "realtime"
        assert await socket.receive_str() == "hello"
    async with client.ws_connect("/v1/realtime", headers={"Authorization": "Bearer k1"}) as socket:
        assert socket.protocol is None
    for protocols in ((), ("realtime",), ("realtime", "openai-insecure-api-key.k2")):
        with pytest.raises(WSServerHandshakeError, match="401"):
            await client.ws_connect("/v1/realtime", protocols=protocols)


async def test_a_socket_of_another_origin_is_refused(connect: Connect) -> None:
    client = await connect(Access(api_key="k1", cors_origins=(PAGE,)))
    key = {"Authorization": "Bearer k1"}
    with pytest.raises(WSServerHandshakeError, match="403"):
        await client.ws_connect("/v1/realtime", headers=key, origin="http://evil.example")
    async with client.ws_connect("/v1/realtime", headers=key, origin=PAGE) as socket:
        assert await socket.receive_str() == "hello"


async def test_a_key_among_subprotocols_is_never_logged(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """aiohttp logs an offer of which it can choose nothing."""
    caplog.set_level(logging.DEBUG)
    client = await connect(Access(api_key="k1-secret"))
    with pytest.raises(WSServerHandshakeError, match="400"):
        await client.ws_connect("/v1/realtime", protocols=("openai-insecure-api-key.k1-secret",))
    async with client.ws_connect("/v1/realtime", protocols=("realtime", "openai-insecure-api-key.k1-secret")) as socket:
        assert await socket.receive_str() == "hello"
    assert "k1-secret" not in caplog.text


async def test_a_request_without_a_host_is_refused(connect: Connect) -> None:
    client = await connect(Access())
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /health HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b'"invalid_host"' in answer
