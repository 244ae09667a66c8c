import asyncio
import contextlib
import gzip
import warnings
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

import pytest
from aiohttp import FormData, StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from hypothesis import assume, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from tests.api.refusals import tell
from tests.examples import tried
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.body import (
    MAX_FIELD,
    MAX_FIELDS,
    ONE_FILE,
    PARSER_OPTIONS,
    Form,
    FormShape,
    read_form,
    read_json,
)
from wyoming_qwen3.core.errors import InvalidRequest

Client = TestClient[web.Request, web.Application]

LIMIT = 200_000
STALL = 0.3
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=edge"}


async def take_json(request: web.Request) -> web.Response:
    return web.Response(body=await read_json(request, LIMIT))


async def take_json_soon(request: web.Request) -> web.Response:
    return web.Response(body=await read_json(request, LIMIT, stall=STALL))


async def take_form(request: web.Request) -> web.Response:
    form = await read_form(request, LIMIT, ONE_FILE, stall=10 * STALL)
    [data], fields = form.files["file"], {name: text for name, [text] in form.fields.items()}
    return web.json_response({"bytes": len(data), "sum": zlib.crc32(data), "fields": fields})


SHAPE = FormShape({"samples": 3, "cover": 1}, ("samples",), {"says": 2}, file_bytes=1_000)


async def take_several(request: web.Request) -> web.Response:
    form = await read_form(request, LIMIT, SHAPE, stall=10 * STALL)
    files = {name: [data.decode() for data in files] for name, files in form.files.items()}
    return web.json_response({"files": files, "fields": form.fields})


def application(options: Mapping[str, Any] = PARSER_OPTIONS) -> web.Application:
    app = web.Application(middlewares=[tell], handler_args=options)
    app.add_routes([web.post("/json", take_json), web.post("/soon", take_json_soon), web.post("/form", take_form)])
    app.add_routes([web.post("/several", take_several)])
    return app


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with TestClient(TestServer(application())) as client:
        yield client


async def fault(client: Client, path: str, data: object, headers: dict[str, str]) -> tuple[int, str, str | None]:
    async with client.post(path, data=data, headers=headers) as response:
        error = (await response.json())["error"]
        assert error["message"].endswith(".")
        return response.status, error["code"], error["param"]


async def raw(client: Client, *pieces: bytes) -> bytes:
    """What is answered to bytes that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(STALL / 5)
    answer = await reader.readuntil(b"}}")
    writer.close()
    return answer


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=UTF-8", "application/json; a=b"])
async def test_json_comes_as_it_was_sent(client: Client, kind: str) -> None:
    body = b'{"input": "gr\xc3\xbc\xc3\x9fe"}'
    async with client.post("/json", data=body, headers={"Content-Type": kind}) as response:
        assert (response.status, await response.read()) == (200, body)


@pytest.mark.parametrize("charset", ["latin-1", "ISO-8859-1", "windows-1252", "utf-16", "UTF-16LE", "gb18030"])
async def test_json_in_another_charset_is_read_as_utf_8(client: Client, charset: str) -> None:
    text = '{"input": "gr\xfc\xdfe"}'
    kind = f"application/json; charset={charset}"
    async with client.post("/json", data=text.encode(charset), headers={"Content-Type": kind}) as response:
        assert (response.status, (await response.read()).decode()) == (200, text)


async def test_json_that_is_not_in_its_charset_is_refused(client: Client) -> None:
    kind = "application/json; charset=utf-16"
    assert (await fault(client, "/json", b"{}}", {"Content-Type": kind}))[:2] == (400, "invalid_request")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=punycode"},
        JSON | {"Content-Encoding": "br"},
        JSON | {"Content-Encoding": "zstd"},
    ],
)
async def test_another_type_is_refused(client: Client, headers: dict[str, str]) -> None:
    """A web page may send text and forms to any server, but JSON only after a preflight."""
    answer = await fault(client, "/json", b"{}", headers)
    assert answer == (415, "unsupported_media_type", None)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("options", [PARSER_OPTIONS, {}])
async def test_a_body_that_inflates_is_refused(encoding: str, options: Mapping[str, Any]) -> None:
    body = (gzip if encoding == "gzip" else zlib).compress(bytes(5_000_000))
    assert len(body) < LIMIT
    async with TestClient(TestServer(application(options))) as client:
        for path, kind in (("/json", JSON), ("/form", FORM)):
            refused = await fault(client, path, body, kind | {"Content-Encoding": encoding})
            assert refused == (415, "unsupported_media_type", None)


async def test_a_body_may_be_as_long_as_the_limit_and_no_longer(client: Client) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 7_000):
            yield bytes(min(7_000, size - start))

    async with client.post("/json", data=bytes(LIMIT), headers=JSON) as response:
        assert len(await response.read()) == LIMIT
    async with client.post("/json", data=chunks(LIMIT), headers=JSON) as response:
        assert len(await response.read()) == LIMIT
    too_large = (413, "payload_too_large", None)
    assert await fault(client, "/json", bytes(LIMIT + 1), JSON) == too_large
    assert await fault(client, "/json", chunks(LIMIT + 1), JSON) == too_large


async def test_a_declared_size_above_the_limit_is_refused_before_it_is_sent(client: Client) -> None:
    head = b"POST /json HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    assert b" 413 " in await raw(client, head % (LIMIT + 1))


async def test_an_endless_form_is_refused_at_the_limit(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield part("file", b"", '; filename="a.wav"')[:-2]
        while True:
            yield bytes(10_000)

    assert await fault(client, "/form", endless(), FORM) == (413, "payload_too_large", None)


async def test_an_empty_body_is_no_json(client: Client) -> None:
    assert await fault(client, "/json", b"", JSON) == (400, "invalid_request", None)


@pytest.mark.parametrize(
    "start",
    [
        b"POST /soon HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
        b"POST /soon HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{",
        b"POST /form HTTP/1.1\r\nHost: box\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
        b"Content-Length: 900\r\n\r\n" + part("file", b"RIFF"),
    ],
)
async def test_a_body_that_stalls_is_told_so(client: Client, start: bytes) -> None:
    answer = await raw(client, start)
    assert b" 408 " in answer
    assert b'"request_timeout"' in answer


def test_a_slow_body_that_goes_on_is_taken() -> None:
    """The time is for each pause, not for all of the body."""
    pieces = [b" "] * 15
    body = read_pieces(pieces, "application/json", lambda request: read_json(request, LIMIT, stall=30), pause=10)
    assert body == b" " * 15


async def test_a_body_whose_chunks_are_garbage_is_answered(client: Client) -> None:
    """The faster of two parsers in aiohttp tells a reader nothing of it, so that the pause ends it."""
    head = b"POST /soon HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await raw(client, head + b"1\r\n{\r\n", b"zz\r\n")
    assert b" 408 " in answer or b" 400 " in answer


@pytest.mark.parametrize("read", [read_json, partial(read_form, shape=ONE_FILE)], ids=["json", "form"])
async def test_a_client_that_leaves_ends_the_request_as_invalid(read: Callable[..., Awaitable[object]]) -> None:
    """Nobody hears it, but it is no fault of the server's."""
    begun, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.Response:
        begun.set()
        with pytest.raises(InvalidRequest) as error:
            await read(request, LIMIT)
        ended.set_result(str(error.value))
        raise error.value

    app = web.Application(middlewares=[tell], handler_args={"handler_cancellation": False})
    app.router.add_post("/", handle)
    async with TestServer(app) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        kind = JSON if read is read_json else FORM
        writer.write(f"POST / HTTP/1.1\r\nHost: box\r\nContent-Type: {kind['Content-Type']}\r\n".encode())
        writer.write(b"Content-Length: 999\r\n\r\n" + part("file", b"RIFF"))
        await begun.wait()
        writer.close()
        assert "ended early" in await asyncio.wait_for(ended, HANG_SECONDS)


async def test_a_form_gives_its_file_and_its_fields(client: Client) -> None:
    clip = bytes(range(256)) * 500 + b"\r\n--edge\r\n--edg\r\n--"
    data = FormData()
    data.add_field("name", "Änne")
    data.add_field("file", clip, filename="../../a.wav", content_type="audio/wav")
    data.add_field("ref_text", "")
    async with client.post("/form", data=data) as response:
        told = await response.json()
        assert told == {"bytes": len(clip), "sum": zlib.crc32(clip), "fields": {"name": "Änne", "ref_text": ""}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (form(part("name", b"x")), "file"),
        (form(), "file"),
        (form(part("audio", bytes(MAX_FIELD + 1), '; filename="a.wav"')), "file"),
        (form(part("file", b"a"), part("file", b"b")), "file"),
        (form(part("file", b"a"), part("name", b"1"), part("name", b"2")), "name"),
        (form(part("file", b"a"), part("name", b"\xff")), "name"),
        (form(part("file", b"a"), part("name", bytes(MAX_FIELD + 1))), "name"),
        (form(part("file", b"YQ==", "\r\nContent-Transfer-Encoding: base64")), "file"),
        (form(part("file", b"a"), *(part(f"n{n}", b"") for n in range(MAX_FIELDS + 1))), None),
        (form(part("file", b"a"), part("", b"x")), None),
        (form(b"--edge\r\n\r\nno headers\r\n"), None),
        (form(b"--edge\r\nContent-Disposition: ;;; =\r\n\r\nx\r\n"), None),
        (form(part("x", b"--in\r\n\r\n\r\n--in--", "\r\nContent-Type: multipart/mixed; boundary=in")), None),
        (form(part("x", b"", "\r\nContent-Type: multipart/mixed")), None),
        (form(part("_charset_", b"x" * 40), part("file", b"a")), None),
        (part("file", b"no end"), None),
        (b"", None),
        (b"garbage", None),
        (b"\n" * 600 + form(part("file", b"a")), None),
        (b"--edge\r\n" + b"a: b\r\n" * 500 + b"\r\n", None),
        (b"--edge\r\n" + b"a" * 20_000 + b"\r\n\r\n", None),
        (b"--edge\r\nno colon\r\n\r\n", None),
    ],
)
async def test_what_is_wrong_with_a_form_is_said(client: Client, body: bytes, param: str | None) -> None:
    assert await fault(client, "/form", body, FORM) == (400, "invalid_request", param)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 415),
        ("multipart/mixed; boundary=edge", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "x" * 71, 400),
        ('multipart/form-data; boundary="', 400),
    ],
)
async def test_a_form_must_say_that_it_is_one(client: Client, kind: str, status: int) -> None:
    body = form(part("file", b"a"))
    assert (await fault(client, "/form", body, {"Content-Type": kind}))[0] == status


async def test_a_boundary_that_is_not_even_text_is_refused(client: Client) -> None:
    head = b"POST /form HTTP/1.1\r\nHost: box\r\nContent-Type: multipart/form-data; boundary=\xff\r\n"
    assert b" 400 " in await raw(client, head + b"Content-Length: 9\r\n\r\n--\xff--\r\n..")


async def test_fields_and_file_may_be_as_many_and_as_long_as_is_said(client: Client) -> None:
    names = [part(f"n{n}", b"") for n in range(MAX_FIELDS - 1)]
    body = form(*names, part("long", b"x" * MAX_FIELD), part("file", b"a"))
    async with client.post("/form", data=body, headers=FORM) as response:
        told = await response.json()
        assert (told["bytes"], len(told["fields"]), len(told["fields"]["long"])) == (1, MAX_FIELDS, MAX_FIELD)


async def test_files_and_texts_that_come_again_keep_their_order(client: Client) -> None:
    parts = (("samples", b"1"), ("says", b"one"), ("samples", b"2"), ("name", b"Ann"), ("says", b""), ("samples", b""))
    body = form(*(part(name, value) for name, value in parts))
    async with client.post("/several", data=body, headers=FORM) as response:
        told = await response.json()
    assert told == {"files": {"samples": ["1", "2", ""]}, "fields": {"says": ["one", ""], "name": ["Ann"]}}


async def test_brackets_behind_a_name_say_that_it_comes_again(client: Client) -> None:
    """PHP, Rails and axios put them there. A name that comes once keeps them: it is another one."""
    parts = (("samples[]", b"1"), ("samples", b"2"), ("says[]", b"one"), ("name[]", b"Ann"))
    body = form(*(part(name, value) for name, value in parts))
    async with client.post("/several", data=body, headers=FORM) as response:
        told = await response.json()
    assert told == {"files": {"samples": ["1", "2"]}, "fields": {"says": ["one"], "name[]": ["Ann"]}}


FILE = '; filename="../../etc/passwd"'


@pytest.mark.parametrize(
    ("parts", "status", "param"),
    [
        ([part("samples", b"1")] * 4, 400, "samples"),
        ([part("samples", b"1"), *[part("cover", b"1")] * 2], 400, "cover"),
        ([part("samples", b"1"), part("cover[]", b"1", FILE)], 400, "samples"),
        ([part("samples", b"1"), *[part("says", b"1")] * 3], 400, "says"),
        ([part("samples", b"1"), *[part("says[]", b"1")] * 2, part("says", b"1")], 400, "says"),
        ([part("samples", b"1"), *[part("name", b"1")] * 2], 400, "name"),
        ([part("samples", b"1"), part("says", b"1", FILE)], 400, "samples"),
        ([part("cover", b"1")], 400, "samples"),
        ([part("samples", bytes(1_001), FILE)], 413, "samples"),
        ([part("samples", b"1"), part("cover", bytes(1_001))], 413, "cover"),
        (
            [part("samples", b"1"), *(part(f"n{n}", b"") for n in range(MAX_FIELDS - 1)), *[part("says", b"")] * 2],
            400,
            None,
        ),
    ],
)
async def test_what_is_wrong_with_a_form_of_several_files_is_said(
    client: Client, parts: list[bytes], status: int, param: str | None
) -> None:
    code = "payload_too_large" if status == 413 else "invalid_request"
    assert await fault(client, "/several", form(*parts), FORM) == (status, code, param)


async def test_several_files_may_each_be_as_long_as_is_said(client: Client) -> None:
    body = form(*[part("samples", b"x" * 1_000, FILE)] * 3, part("cover", b"y" * 1_000, FILE))
    async with client.post("/several", data=body, headers=FORM) as response:
        told = await response.json()
    assert [len(file) for file in told["files"]["samples"] + told["files"]["cover"]] == [1_000] * 4


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            b"--edge\r\n",
            b"--edge\n",
            b"--edge--\r\n",
            b"--edge",
            b"\r\n",
            b"\n",
            b"\r",
            b"data",
            b": ",
            b"Content-Disposition: form-data; name=clip\r\n",
            b'Content-Disposition: form-data; name="x"; filename="a"\r\n',
            b"Content-Disposition: form-data; name*=utf-8''%ff%e4\r\n",
            b"Content-Disposition: form-data; name*0*=x'y'z; name*2=b\r\n",
            b'Content-Disposition: form-data; name="_charset_"\r\n',
            b"Content-Disposition: ;;; =\r\n",
            b'Content-Disposition: "\\\r\n',
            b"Content-Type: multipart/mixed; boundary=in\r\n",
            b"Content-Type: multipart/mixed; boundary=\xc3\xa9\r\n",
            b"Content-Type: text/plain; charset=punycode\r\n",
            b"Content-Encoding: gzip\r\n",
            b"Content-Transfer-Encoding: quoted-printable\r\n",
            b"Content-Length: -1\r\n",
            part("file", b"RIFF"),
            part("name", b"Ann"),
        ]
    )
    | st.binary(max_size=20),
    max_size=12,
)
EDGES = st.sampled_from(["edge", '"edge"', "", '"', "é", "x" * 80, "edge; boundary=other"])


T = TypeVar("T")


def read_pieces(
    pieces: list[bytes], kind: str, reading: Callable[[web.Request], Coroutine[None, None, T]], pause: float = 0.0
) -> T:
    """What is read of a body that comes in these pieces. For a pause, the loop's clock is put forward."""

    async def read() -> T:
        loop, late = asyncio.get_running_loop(), 0.0
        real = loop.time
        loop.time = lambda: real() + late  # type: ignore[method-assign]
        protocol = BaseProtocol(loop)
        protocol.connection_made(asyncio.Transport())
        stream = StreamReader(protocol, 2**16, loop=loop)
        request = make_mocked_request("POST", "/", CIMultiDict({"Content-Type": kind}), payload=stream)

        async def send() -> None:
            nonlocal late
            for piece in pieces:
                stream.feed_data(piece)
                await asyncio.sleep(0)
                if pause:
                    await asyncio.sleep(0)  # the reader waits for the next piece by now
                    late += pause
                    await asyncio.sleep(0)
            stream.feed_eof()

        form, _ = await asyncio.gather(reading(request), send())
        return form

    return asyncio.run(read())


def read_clip(request: web.Request) -> Coroutine[None, None, Form]:
    return read_form(request, LIMIT, ONE_FILE, stall=5)


@given(FRAGMENTS, EDGES, st.sampled_from(["error", "ignore"]))
@tried(200)
def test_garbage_is_never_a_fault_of_ours(pieces: list[bytes], edge: str, action: Literal["error", "ignore"]) -> None:
    """Also where warnings, which aiohttp gives of some, are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter(action, RuntimeWarning)
        with contextlib.suppress(InvalidRequest):
            read_pieces(pieces, f"multipart/form-data; boundary={edge}", read_clip)


@given(st.binary(max_size=300), st.text(max_size=20), st.integers(1, 50))
@tried(50)
def test_what_is_sent_arrives_however_it_is_cut(clip: bytes, text: str, size: int) -> None:
    body = form(part("text", text.encode()), part("file", clip, '; filename="a.wav"'))
    assume(b"\r\n--edge" not in b"\r\n" + clip + text.encode())
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    assert read_pieces(pieces, FORM["Content-Type"], read_clip) == Form({"file": [clip]}, {"text": [text]})


CLIPS = st.lists(st.binary(max_size=100), min_size=1, max_size=3)


@given(CLIPS, st.lists(st.text(max_size=20), max_size=2), st.integers(1, 50))
@tried(50)
def test_several_files_arrive_however_they_are_cut(clips: list[bytes], texts: list[str], size: int) -> None:
    assume(not any(b"\r\n--edge" in b"\r\n" + value for value in (*clips, *(text.encode() for text in texts))))
    parts = [part("samples", clip, FILE) for clip in clips] + [part("says", text.encode()) for text in texts]
    body = form(*parts)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    read = read_pieces(pieces, FORM["Content-Type"], lambda request: read_form(request, LIMIT, SHAPE, stall=5))
    assert read == Form({"samples": clips}, {"says": texts} if texts else {})
