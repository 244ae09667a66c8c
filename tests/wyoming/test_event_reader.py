"""How Wyoming events are read: bytes in, events or a clear refusal out, whatever the bytes."""

import asyncio
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event, async_write_event

from tests.examples import tried
from tests.stress.garbage import attack, event
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.wyoming import event_reader
from wyoming_qwen3.wyoming.event_reader import MAX_DATA, MAX_HEADER, MAX_PAYLOAD, EventReader

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def reader(data: bytes, *, ended: bool = True) -> asyncio.StreamReader:
    stream = asyncio.StreamReader(limit=MAX_HEADER)
    stream.feed_data(data)
    if ended:
        stream.feed_eof()
    return stream


def read_all(data: bytes) -> list[Event]:
    """All events of these bytes. Raises what the first wrong one does."""

    async def read() -> list[Event]:
        source, found = EventReader(reader(data)), []
        while one := await source.read():
            found.append(one)
        return found

    return asyncio.run(read())


def refusal(data: bytes) -> str:
    """What is said of these bytes; nothing if they are events. Any other exception is a fault of ours."""
    try:
        read_all(data)
    except InvalidRequest as error:
        return str(error) or "?" * 999
    return ""


def written(*sent: Event) -> bytes:
    """As the library writes them."""

    class Writer:
        data = b""

        def write(self, data: bytes) -> None:
            self.data += data

        def writelines(self, lines: tuple[bytes, ...]) -> None:
            self.data += b"".join(lines)

        async def drain(self) -> None: ...

    async def write(writer: Writer) -> bytes:
        for one in sent:
            await async_write_event(one, writer)  # type: ignore[arg-type]
        return writer.data

    return asyncio.run(write(Writer()))


@tried(50)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3), st.binary(max_size=50))
def test_what_the_library_writes_is_read(data: dict[str, object], payload: bytes) -> None:
    plain = json.loads(json.dumps(data))  # NaN is not itself
    found = read_all(written(Event("synthesize", data, payload or None), Event("describe")))
    assert [one.type for one in found] == ["synthesize", "describe"]
    assert json.dumps(found[0].data) == json.dumps(plain)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert len(refusal(data)) < 200


@given(JSON, st.binary(max_size=40))
def test_any_json_is_read_or_refused(header: object, rest: bytes) -> None:
    assert len(refusal(json.dumps(header).encode() + b"\n" + rest)) < 200


def test_any_garbage_is_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_reader, "_RATE", 1e9)
    for seed in range(1_500):
        assert len(refusal(b"".join(attack(Random(seed)).pieces))) < 200


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b" " * (1 << 20) + b"\n", TooLarge, "first line"),
        (event("describe", data_length=MAX_DATA + 1), TooLarge, "data_length"),
        (event("describe", payload_length=MAX_PAYLOAD + 1), TooLarge, "payload_length"),
        (event("describe", payload_length=10**400), TooLarge, "payload_length"),
        (event("describe", data_length=-1), InvalidRequest, "data_length"),
        (event("describe", data_length=True), InvalidRequest, "data_length"),
        (event("describe", data_length=2.0) + b"{}", InvalidRequest, "data_length"),
        (event("describe", payload_length="5") + b"12345", InvalidRequest, "payload_length"),
        (event("describe", payload_length=[]), InvalidRequest, "payload_length"),
        (event("synthesize", [["text", "Hi."]]), InvalidRequest, "not a Wyoming event"),
        (event("synthesize", "Hi."), InvalidRequest, "not a Wyoming event"),
        (event(5), InvalidRequest, "not a Wyoming event"),
        (b'{"type": "x", "data": []}\n', InvalidRequest, "not a Wyoming event"),
        (b"\n", InvalidRequest, "not a Wyoming event"),
        (b'{"a":' * 1_500 + b"\n", InvalidRequest, "not a Wyoming event"),
        (b"[" * 3_000 + b"\n", TooLarge, "objects and lists"),
        (event("x", None, data_length=6_003) + b"[" + b"[]," * 2_000 + b"0]", TooLarge, "objects and lists"),
    ],
)
def test_what_is_refused(data: bytes, error: type[InvalidRequest], said: str) -> None:
    with pytest.raises(error, match=said):
        read_all(data)


@pytest.mark.parametrize(
    "data",
    [b"", b'{"type": "desc', event("x", {"a": 1})[:-1], event("x", payload_length=9) + b"12345678"],
    ids=["nothing", "half a line", "half of the data", "half a payload"],
)
def test_who_leaves_in_the_middle_has_said_nothing(data: bytes) -> None:
    assert read_all(data) == []


def test_the_last_line_may_lack_its_end() -> None:
    assert read_all(b'{"type": "describe"}') == [Event("describe")]


def test_a_payload_is_passed_over_and_never_held() -> None:
    found = read_all(event("audio-chunk", {"rate": 5}, b"x" * MAX_PAYLOAD) + event("ping"))
    assert found == [Event("audio-chunk", {"rate": 5}), Event("ping")]


@pytest.mark.parametrize("sent", [b"", b"{", event("describe", data_length=5), event("describe", payload_length=5)])
async def test_what_does_not_go_on_is_given_up(sent: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"within 0\.05 seconds"):
        await asyncio.wait_for(EventReader(reader(sent, ended=False), timeout=0.05).read(), HANG_SECONDS)


async def test_who_has_said_something_may_be_silent() -> None:
    stream = reader(event("describe"), ended=False)
    source = EventReader(stream, timeout=0.05)
    assert await source.read() == Event("describe")
    waiting = asyncio.create_task(source.read())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    stream.feed_data(event("ping"))
    assert await waiting == Event("ping")


async def test_a_flood_is_read_no_faster_than_at_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at once, the rest later; and others have their turn between any two."""
    monkeypatch.setattr(event_reader, "_RATE", 1_000.0)
    monkeypatch.setattr(event_reader, "_BURST", 100.0)
    source = EventReader(reader(event("ping") * 200))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    started = asyncio.get_running_loop().time()
    for _ in range(200):
        assert await source.read()
    assert asyncio.get_running_loop().time() - started > 0.09
    assert turns >= 200
    other.cancel()
