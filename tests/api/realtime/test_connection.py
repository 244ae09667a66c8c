"""The started server, asked over its Realtime socket by the openai SDK as OpenAI's users ask, and by raw messages."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from functools import cache
from itertools import pairwise
from typing import Any

import aiohttp
import numpy as np
import psutil
import pytest
from openai import AsyncOpenAI
from pydantic import TypeAdapter
from websockets.asyncio.client import connect as connect_websocket

from tests.api.realtime.messages import Event, message, sound
from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS, at_rest, processor_seconds, until
from wyoming_qwen3.audio.g711 import G711Encoder

KEY = "s3cret"
SENTENCE = "The front door is open."

ORDER = """
    response.created response.output_item.added conversation.item.added response.content_part.added
    response.output_audio_transcript.delta response.output_audio.delta response.output_audio.done
    response.output_audio_transcript.done response.content_part.done conversation.item.done response.output_item.done
    response.done
""".split()


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: object) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "1.7B", "--standby", "off", "--no-download")
    return start_shared_server(*options, "--temperature", "0", "--api-key", KEY)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    url = f"{server.url}/v1"
    async with AsyncOpenAI(api_key=KEY, base_url=url, websocket_base_url=url.replace("http", "ws")) as client:
        yield client


@cache
def events_of_the_sdk() -> TypeAdapter[Any]:
    """The SDK's model of what a server says; it takes a second to make."""
    from openai.types.realtime.realtime_server_event import RealtimeServerEvent

    return TypeAdapter(RealtimeServerEvent)


class Talk:
    """A raw connection; `said` is all that the server said so far, each of it valid by the SDK's model of it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: TypeAdapter[Any] = events_of_the_sdk()
        self.said: list[Event] = []

    async def hear(self) -> Event:
        event: Event = await self.socket.receive_json(timeout=HANG_SECONDS)
        self.events.validate_python(event)
        self.said.append(event)
        return event

    async def until(self, *types: str) -> Event:
        """Listen to the first event of one of these types."""
        while (event := await self.hear())["type"] not in types:
            pass
        return event

    async def ask(self, kind: str, **fields: object) -> Event:
        """Send an event, and return the first one said after it."""
        await self.socket.send_json({"type": kind, **fields})
        return await self.hear()

    async def speak(self, text: str | None = None, **response: object) -> list[Event]:
        """Have a text spoken, and return what was said of it."""
        before = len(self.said)
        if text is not None:
            await self.socket.send_json({"type": "conversation.item.create", "item": message(text)})
        await self.socket.send_json({"type": "response.create", "response": response})
        await self.until("response.done", "error")
        return self.said[before:]


@contextlib.asynccontextmanager
async def talking(server: Server, *, query: str = "?model=gpt-realtime", **headers: str) -> AsyncIterator[Talk]:
    """A raw connection on which session.created has been heard."""
    headers = {"Authorization": f"Bearer {KEY}", **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/v1/realtime{query}", headers=headers) as raw,
    ):
        talk = Talk(raw)
        assert (await talk.hear())["type"] == "session.created"
        yield talk


def order(events: list[Event]) -> list[str]:
    """Types of events, runs of the same as one."""
    types = [event["type"] for event in events]
    return types[:1] + [after for before, after in pairwise(types) if before != after]


async def spoken_over_http(client: AsyncOpenAI, text: str, **more: Any) -> bytes:
    more = {"voice": "ryan", **more}
    return (await client.audio.speech.create(model="tts-1", input=text, response_format="pcm", **more)).read()


# The order of events


async def test_events_are_those_of_the_sdk(client: AsyncOpenAI) -> None:
    """Each event is of the SDK's class without exception, in OpenAI's order, and sounds as over HTTP."""
    events: list[Any] = []
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "audio": {"output": {"voice": "verse"}}})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": SENTENCE}]}
        )
        await connection.response.create(response={"metadata": {"turn": "1"}})
        async for event in connection:
            events.append(event)
            if event.type in {"response.done", "error"}:
                break
    told = [json.loads(event.to_json()) for event in events]
    first = ["session.created", "session.updated", "conversation.item.added", "conversation.item.done"]
    assert order(told) == first + ORDER
    known = events_of_the_sdk()
    assert [type(known.validate_python(event)) for event in told] == [type(event) for event in events]
    assert len({event.event_id for event in events}) == len(events)
    assert sound(told) == await spoken_over_http(client, SENTENCE, voice="eric")
    check_answer(told)
    assert told[0]["session"]["audio"]["output"] == {
        "voice": "Ryan",
        "speed": 1.0,
        "format": {"type": "audio/pcm", "rate": 24_000},
    }
    assert told[-1]["response"]["audio"]["output"]["voice"] == "verse"
    assert told[-1]["response"]["metadata"] == {"turn": "1"}


def check_answer(told: list[Event]) -> None:
    response = told[-1]["response"]
    (item,) = response["output"]
    assert response["status"] == item["status"] == "completed"
    assert item["content"] == [{"type": "output_audio", "transcript": SENTENCE}]
    deltas = [event for event in told if event["type"].endswith("audio.delta")]
    assert all(
        (event["response_id"], event["item_id"], event["output_index"], event["content_index"])
        == (response["id"], item["id"], 0, 0)
        for event in deltas
    )
    assert all(len(base64.b64decode(event["delta"])) <= 9_600 for event in deltas)  # 200 ms
    usage = response["usage"]
    assert usage["output_tokens"] == usage["output_token_details"]["audio_tokens"] == len(sound(told)) // 2 // 1_920
    assert usage["total_tokens"] == usage["input_token_details"]["text_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] > 0
    assert response["id"].startswith("resp_")
    assert item["id"].startswith("item_")
    assert response["conversation_id"].startswith("conv_")


async def test_sound_leaves_before_all_of_it_is_made(server: Server) -> None:
    """The engine is stopped after the first delta: what is left does not come."""
    async with talking(server) as talk:
        await talk.speak("Warm.")
        await talk.socket.send_json({"type": "conversation.item.create", "item": message(SENTENCE * 12)})
        await talk.socket.send_json({"type": "response.create"})
        await talk.until("response.output_audio.delta")
        (engine,) = server.children("engine.host.process")
        os.kill(engine, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await talk.until("response.done")
            # Deltas may have been on their way; the socket is still of use.
            await talk.socket.send_json({"type": "session.update", "session": {"instructions": ""}})
            await talk.until("session.updated")
        finally:
            os.kill(engine, signal.SIGCONT)
        assert (await talk.until("response.done"))["response"]["status"] == "completed"


# What is spoken, and how


async def test_what_came_since_the_last_response_is_spoken_and_nothing_twice(
    server: Server, client: AsyncOpenAI
) -> None:
    async with talking(server) as talk:
        for item in (
            message("Never speak of this.", "system"),
            message("One is here.", "user"),
            message("Two is here.", "assistant", "output_text"),
            message("Three is here.", "user", "text"),
        ):
            await talk.ask("conversation.item.create", item=item)
            await talk.until("conversation.item.done")
        spoken = await talk.speak()
        assert sound(spoken) == await spoken_over_http(client, "One is here.\n\nTwo is here.\n\nThree is here.")
        assert (await talk.ask("response.create"))["error"]["param"] == "response.input"
        assert sound(await talk.speak(SENTENCE)) == await spoken_over_http(client, SENTENCE)


async def test_a_response_of_its_own_input_leaves_the_conversation_alone(server: Server, client: AsyncOpenAI) -> None:
    async with talking(server) as talk:
        await talk.ask("conversation.item.create", item=message("Later.", id="kept"))
        await talk.until("conversation.item.done")
        reference = {"type": "item_reference", "id": "kept"}
        spoken = await talk.speak(conversation="none", input=[message(SENTENCE), reference], metadata={"a": "b"})
        assert "conversation.item.added" not in order(spoken)
        assert "conversation.item.done" not in order(spoken)
        assert spoken[-1]["response"]["conversation_id"] is None
        assert spoken[-1]["response"]["metadata"] == {"a": "b"}
        assert sound(spoken) == await spoken_over_http(client, f"{SENTENCE}\n\nLater.")
        answer_id = spoken[-1]["response"]["output"][0]["id"]
        missing = await talk.ask("conversation.item.retrieve", item_id=answer_id)
        assert missing["error"]["code"] == "item_retrieve_invalid_item_id"
        assert sound(await talk.speak()) == await spoken_over_http(client, "Later.")


async def test_instructions_are_style_and_voice_speed_and_format_may_differ_in_one_response(
    server: Server, client: AsyncOpenAI
) -> None:
    async with talking(server, query="?model=qwen3-tts-1.7b") as talk:
        updated = await talk.ask("session.update", session={"type": "realtime", "instructions": "Whisper."})
        assert updated["session"]["instructions"] == "Whisper."
        whispered = sound(await talk.speak(SENTENCE))
        assert whispered == await spoken_over_http(client, SENTENCE, instructions="Whisper.")
        assert whispered != await spoken_over_http(client, SENTENCE)
        other = {"output": {"voice": {"id": "vivian"}, "speed": 1.5}}
        spoken = await talk.speak(SENTENCE, instructions="", audio=other)
        assert sound(spoken) == await spoken_over_http(client, SENTENCE, voice="vivian", speed=1.5)
        assert spoken[-1]["response"]["audio"]["output"]["voice"] == "vivian"
        design = {"output": {"voice": "design"}}
        designed = await talk.speak(SENTENCE, instructions="An old man.", audio=design)
        expected = await spoken_over_http(client, SENTENCE, voice="design", instructions="An old man.")
        assert sound(designed) == expected
        assert sound(await talk.speak(SENTENCE)) == whispered


@pytest.mark.parametrize(("law", "name", "flat"), [("mulaw", "pcmu", "g711_ulaw"), ("alaw", "pcma", "g711_alaw")])
async def test_the_telephones_formats(server: Server, client: AsyncOpenAI, law: Any, name: str, flat: str) -> None:
    """They sound as the same speech encoded whole does, but for what the 16 bits of the HTTP answer round."""
    plain = np.frombuffer(await spoken_over_http(client, SENTENCE), "<i2").astype(np.float32) / np.float32(32767)
    encoder = G711Encoder(law)
    expected = np.frombuffer(encoder.feed(plain) + encoder.finish(), np.uint8)
    async with talking(server) as talk:
        spoken = await talk.speak(SENTENCE, audio={"output": {"format": {"type": f"audio/{name}"}}})
        assert spoken[-1]["response"]["audio"]["output"]["format"] == {"type": f"audio/{name}"}
    async with talking(server) as talk:  # by the field that the API's beta had
        await talk.ask("session.update", session={"output_audio_format": flat})
        assert sound(await talk.speak(SENTENCE)) == sound(spoken)
    heard = np.frombuffer(sound(spoken), np.uint8)
    assert heard.size == expected.size
    assert np.mean(heard != expected) < 0.02


async def test_a_session_is_updated_field_by_field(server: Server) -> None:
    async with talking(server) as talk:
        first = talk.said[0]["session"]
        assert (first["model"], first["instructions"]) == ("gpt-realtime", "")
        await talk.ask("session.update", session={"instructions": "Loud."})
        output: Event = {"voice": "vivian", "format": {"type": "audio/pcma"}}
        await talk.ask("session.update", session={"audio": {"output": output}, "tools": [{"type": "function"}]})
        last = await talk.ask("session.update", session={"audio": {"output": {"speed": 1.25}}})
    audio = {"input": first["audio"]["input"], "output": output | {"speed": 1.25}}
    assert last["session"] == first | {"instructions": "Loud.", "audio": audio}


# Items


async def test_items_are_retrieved_deleted_and_put_between_others(server: Server, client: AsyncOpenAI) -> None:
    async with talking(server) as talk:
        for fields in (
            {"item": message("Two is here.", id="two")},
            {"item": message("One is here.", id="one"), "previous_item_id": "root"},
            {"item": message("Half is here.", id="half"), "previous_item_id": "one"},
        ):
            await talk.ask("conversation.item.create", **fields)
            await talk.until("conversation.item.done")
        added = [event for event in talk.said if event["type"] == "conversation.item.added"]
        assert [event["previous_item_id"] for event in added] == [None, None, "one"]
        got = await talk.ask("conversation.item.retrieve", item_id="one")
        assert (got["type"], got["item"]) == ("conversation.item.retrieved", added[1]["item"])
        gone = await talk.ask("conversation.item.delete", item_id="half")
        assert (gone["type"], gone["item_id"]) == ("conversation.item.deleted", "half")
        spoken = await talk.speak()
        assert sound(spoken) == await spoken_over_http(client, "One is here.\n\nTwo is here.")
        answer = spoken[-1]["response"]["output"][0]
        got = await talk.ask("conversation.item.retrieve", item_id=answer["id"])
        assert got["item"] == answer
        cut = await talk.ask("conversation.item.truncate", item_id=answer["id"], content_index=0, audio_end_ms=500)
        assert (cut["type"], cut["item_id"], cut["audio_end_ms"]) == (
            "conversation.item.truncated",
            answer["id"],
            500,
        )
        got = await talk.ask("conversation.item.retrieve", item_id=answer["id"])
        assert got["item"]["content"] == [{"type": "output_audio", "transcript": ""}]


# Stopping


async def test_cancel_ends_what_was_begun(server: Server) -> None:
    """The engine stops soon, and the next response is spoken."""
    async with talking(server) as talk:
        await talk.speak("Warm.")
        (engine,) = (psutil.Process(pid) for pid in server.children("engine.host.process"))
        used = processor_seconds(engine)
        spoken = sound(await talk.speak(SENTENCE))
        each = (processor_seconds(engine) - used) / (len(spoken) / 48_000)
    async with talking(server) as talk:
        await talk.ask("conversation.item.create", item=message(SENTENCE * 100))
        await talk.socket.send_json({"type": "response.create"})
        begun = await talk.until("response.created")
        await talk.until("response.output_audio.delta")
        start = len(talk.said)
        await talk.socket.send_json({"type": "response.cancel", "response_id": begun["response"]["id"]})
        done = await talk.until("response.done", "error")
        rest = [kind for kind in order(talk.said[start:]) if not kind.endswith("audio.delta")]
        assert rest == ORDER[ORDER.index("response.content_part.added") + 3 :]
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["output"][0]["status"] == "incomplete"
        assert await at_rest(engine) < 10 * each, "It went on to the 20 seconds that it may be ahead of a listener."
        assert (await talk.speak("Next."))[-1]["response"]["status"] == "completed"


async def test_cancel_at_once_ends_a_response_of_which_nothing_was_heard(server: Server) -> None:
    async with talking(server) as talk:
        await talk.speak("Warm.")
        await talk.ask("conversation.item.create", item=message(SENTENCE))
        await talk.until("conversation.item.done")
        talk.said.clear()
        (engine,) = server.children("engine.host.process")
        os.kill(engine, signal.SIGSTOP)  # no sound comes before the cancel
        try:
            await talk.socket.send_json({"type": "response.create"})
            await talk.socket.send_json({"type": "response.cancel"})
            done = await talk.until("response.done")
        finally:
            os.kill(engine, signal.SIGCONT)
        assert order(talk.said) == ["response.created", "response.done"]
        assert (done["response"]["status"], done["response"]["output"]) == ("cancelled", [])


async def test_one_response_at_a_time(server: Server) -> None:
    async with talking(server) as talk:
        await talk.ask("conversation.item.create", item=message(SENTENCE * 20))
        await talk.socket.send_json({"type": "response.create"})
        active = (await talk.until("response.created"))["response"]["id"]
        await talk.socket.send_json({"type": "response.create", "event_id": "mine"})
        error = (await talk.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "mine")
        assert active in error["message"]
        await talk.socket.send_json({"type": "response.cancel", "response_id": "resp_of_somebody"})
        assert (await talk.until("error"))["error"]["code"] == "response_cancel_not_active"
        assert (await talk.until("response.done"))["response"]["status"] == "completed"


async def test_a_client_that_does_not_read_can_still_cancel(server: Server) -> None:
    """The socket is full and the engine out of credit; the response is stopped, and its end is told when read."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", server.http_port))
    raw.setblocking(False)
    headers = {"Authorization": f"Bearer {KEY}"}
    uri = f"ws://127.0.0.1:{server.http_port}/v1/realtime"
    async with connect_websocket(
        uri, sock=raw, additional_headers=headers, max_queue=1, compression=None
    ) as connection:
        await connection.send(json.dumps({"type": "conversation.item.create", "item": message(SENTENCE * 100)}))
        await connection.send(json.dumps({"type": "response.create"}))
        async with asyncio.timeout(HANG_SECONDS):
            while server.children("engine.host.process") == []:
                await asyncio.sleep(0.05)
            (engine,) = (psutil.Process(pid) for pid in server.children("engine.host.process"))
            await at_rest(engine)
        stopped = server.log.count("Stopped source=realtime")
        await connection.send(json.dumps({"type": "response.cancel"}))
        await server.wait_for(rf"(Stopped source=realtime(.|\n)*){{{stopped + 1}}}")
        events: list[Event] = []
        while not events or events[-1]["type"] != "response.done":
            events.append(json.loads(await connection.recv()))
    assert order(events)[3:] == ORDER
    assert events[-1]["response"]["status"] == "cancelled"
    assert len(sound(events)) < 20 * 48_000  # of some 180 seconds


async def test_a_client_that_leaves_is_not_waited_for(server: Server) -> None:
    """Its speech is over although the engine gives no sign of life that could be sent in vain."""
    async with talking(server) as talk:
        await talk.speak("Warm.")
        (engine,) = server.children("engine.host.process")
        os.kill(engine, signal.SIGSTOP)
        stopped = server.log.count("Stopped source=realtime")
        try:
            await talk.ask("conversation.item.create", item=message(SENTENCE))
            await talk.socket.send_json({"type": "response.create"})
            await talk.until("response.created")
            await talk.socket.close()
            async with asyncio.timeout(HANG_SECONDS):
                while server.log.count("Stopped source=realtime") == stopped:
                    await asyncio.sleep(0.02)
        finally:
            os.kill(engine, signal.SIGCONT)


async def test_clients_that_leave_stop_their_work_and_leave_nothing_behind(server: Server) -> None:
    """Every speech that was begun is accounted for, and threads and files are as many as before."""

    async def leave() -> None:
        async with talking(server) as talk:
            await talk.ask("conversation.item.create", item=message(SENTENCE * 50))
            await talk.socket.send_json({"type": "response.create"})
            await talk.until("response.output_audio.delta")

    def held() -> tuple[int, int]:
        return process.num_threads(), process.num_fds()

    process = psutil.Process(server.process.pid)

    stopped = server.log.count("Stopped source=realtime")
    for _ in range(5):
        await leave()
    await until(lambda: server.log.count("Stopped source=realtime") >= stopped + 5)
    await asyncio.sleep(0.1)
    before = held()
    for _ in range(30):
        await leave()
    await until(lambda: server.log.count("Stopped source=realtime") >= stopped + 35)
    await until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))


# What can't be done, but is no mistake


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"voice": "nobody"}, "There is no voice 'nobody'"),
        ({"voice": "design"}, "voice is design, but no instructions describe it. The voice stays Ryan."),
        ({"model": "kokoro"}, "There is no model 'kokoro'"),
        ({"output_modalities": ["text"]}, "answers with audio and its transcript"),
        ({"modalities": ["smell"]}, "session.modalities.0 should be 'text' or 'audio'"),
        ({"audio": {"output": {"speed": 9}}}, "session.audio.output.speed should be less than or equal to 4"),
        ({"audio": {"output": {"format": {"type": "audio/opus"}}}}, "session.audio.output.format.type should be"),
        ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 8}}}}, "a rate of 24000 Hz only, and not of 8"),
        ({"audio": {"output": {"voice": 5}}}, "session.audio.output.voice"),
        ({"instructions": "You are a helpful assistant."}, "taken as a system prompt"),
        ({"instructions": "Be brief. " * 300}, "taken as a system prompt"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_each_field_of_a_session_stands_alone(mistaken: Talk, fields: dict[str, Any], said: str) -> None:
    """What can't be had is a warning, and the rest is applied."""
    good = {"audio": {"output": {"speed": 1.5}}} if "audio" not in fields else {"speed": 1.5, "voice": "Aiden"}
    event = await mistaken.ask("session.update", session={"type": "realtime", **good, **fields})
    assert event["type"] == "session.updated", event
    assert [said in warning for warning in event["warnings"]].count(True) == 1, event["warnings"]
    assert event["session"]["audio"]["output"]["speed"] == 1.5
    reset = {"speed": 1.0, "voice": "Ryan", "instructions": "", "model": "gpt-realtime"}
    assert "warnings" not in await mistaken.ask("session.update", session=reset)


async def test_an_update_is_read_as_programs_write_json(mistaken: Talk) -> None:
    """With a byte order mark and half a character, also where a field of it can't be applied."""
    session = r'{"instructions": "Calm\ud83d.", "audio": {"output": {"speed": 9}}, "voice": "Aiden"}'
    await mistaken.socket.send_str(f'\ufeff{{"type": "session.update", "session": {session}}}')
    event = await mistaken.hear()
    assert (event["type"], event["session"]["instructions"]) == ("session.updated", "Calm.")
    assert event["session"]["audio"]["output"]["voice"] == "Aiden"
    await mistaken.ask("session.update", session={"voice": "Ryan", "instructions": ""})


async def test_a_system_prompt_is_no_style_and_costs_nothing(server: Server, client: AsyncOpenAI) -> None:
    """A line that says Style: is one, wherever it is."""
    prompt = "You are a helpful voice assistant for a smart home. " * 10
    async with talking(server) as talk:
        plain = sound(await talk.speak(SENTENCE))
        await talk.ask("session.update", session={"instructions": prompt})
        assert sound(await talk.speak(SENTENCE)) == plain
        await talk.ask("session.update", session={"instructions": f"{prompt}\n\n## Style: Whisper."})
        assert sound(await talk.speak(SENTENCE)) == await spoken_over_http(client, SENTENCE, instructions="Whisper.")
        await talk.ask("session.update", session={"instructions": "You are a speaker.\n\nDelivery style: Whisper."})
        assert sound(await talk.speak(SENTENCE)) == await spoken_over_http(client, SENTENCE, instructions="Whisper.")


async def test_what_a_model_can_not_follow_is_a_warning_of_the_response(server: Server) -> None:
    async with talking(server) as talk:
        await talk.ask("session.update", session={"model": "qwen3-tts-0.6b", "instructions": "Whisper."})
        done = (await talk.speak(SENTENCE))[-1]["response"]
        assert done["status"] == "completed"
        assert done["warnings"][0].startswith("The instructions were left out. Qwen3-TTS-12Hz-0.6B-CustomVoice does")


# Mistakes


@pytest.mark.parametrize(
    ("sent", "code", "param", "said"),
    [
        ("nonsense", "invalid_request", None, "not valid JSON"),
        ("[]", "invalid_request", None, "JSON object"),
        ("{}", "invalid_event", "type", "no type"),
        ('{"type": 5}', "invalid_request", "type", "string"),
        ('{"type": "response.dance"}', "unknown_event", "type", "response.dance"),
        ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "not_supported", "type", "send text"),
        ('{"type": "input_audio_buffer.commit"}', "not_supported", "type", "send text"),
        ('{"type": "output_audio_buffer.clear"}', "not_supported", "type", "WebRTC"),
        ('{"type": "session.update"}', "invalid_request", "session", "missing"),
        ('{"type": "session.update", "session": {"type": "transcription"}}', "invalid_request", "session.type", "real"),
        (
            '{"type": "conversation.item.create", "item": {"role": "user"}}',
            "invalid_request",
            "item.content",
            "missing",
        ),
        (
            '{"type": "conversation.item.create", "item": {"role": "user", "content": [{"type": "input_audio"}]}}',
            "invalid_request",
            "item.content.0.type",
            "input_text",
        ),
        (
            json.dumps({"type": "conversation.item.create", "item": message("a"), "previous_item_id": "b"}),
            "item_create_invalid_item_id",
            "previous_item_id",
            "'b'",
        ),
        (
            json.dumps({"type": "conversation.item.create", "item": message("a" * 5000)}),
            "invalid_request",
            "item",
            "4096",
        ),
        ('{"type": "conversation.item.delete", "item_id": "b"}', "item_delete_invalid_item_id", "item_id", "'b'"),
        ('{"type": "response.create"}', "invalid_request", "response.input", "no text"),
        ('{"type": "response.create", "response": {"input": []}}', "invalid_request", "response.input", "no text"),
        (
            json.dumps({"type": "response.create", "response": {"input": [message(" \n")]}}),
            "invalid_request",
            "response.input",
            "no text",
        ),
        (
            json.dumps({"type": "response.create", "response": {"input": [message("a" * 4000)] * 2}}),
            "invalid_request",
            "input",
            "4096",
        ),
        (
            '{"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "b"}]}}',
            "item_reference_invalid_item_id",
            "response.input",
            "'b'",
        ),
        ('{"type": "response.cancel"}', "response_cancel_not_active", None, "no active response"),
        (
            '{"type": "conversation.item.truncate", "item_id": "b", "content_index": 0, "audio_end_ms": 1}',
            "item_truncate_invalid_item_id",
            "item_id",
            "'b'",
        ),
        (json.dumps({"type": "x" * 300_000}), "payload_too_large", None, "262144"),
        (b"{}", "invalid_request", None, "binary"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_mistake_is_an_error_event_and_the_connection_goes_on(
    mistaken: Talk, sent: str | bytes, code: str, param: str | None, said: str
) -> None:
    event_id = None
    if isinstance(sent, bytes):
        await mistaken.socket.send_bytes(sent)
    else:
        if sent.startswith('{"type": "') and len(sent) < 100_000:
            event_id = "event_of_the_client"
            sent = json.dumps(json.loads(sent) | {"event_id": event_id})
        await mistaken.socket.send_str(sent)
    event = await mistaken.hear()
    assert event["type"] == "error"
    error = event["error"]
    assert (error["code"], error["type"], error["param"]) == (code, "invalid_request_error", param)
    assert said in error["message"]
    assert error["message"].endswith(".")
    assert error["event_id"] == event_id
    unchanged = await mistaken.ask("session.update", session={})
    assert unchanged["session"] == mistaken.said[0]["session"]


@pytest.fixture
async def mistaken(server: Server) -> AsyncIterator[Talk]:
    async with talking(server) as talk:
        yield talk


async def test_a_message_beyond_all_measure_ends_the_connection(server: Server) -> None:
    """The server does not take in what it would not use, so that the client may find the connection reset."""
    async with talking(server) as talk:
        with contextlib.suppress(ConnectionError):
            await talk.socket.send_str("x" * (5 << 20))
        ended = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        assert (await talk.socket.receive(timeout=HANG_SECONDS)).type in ended
    assert "Traceback" not in server.log


async def test_what_is_refused_before_it_is_a_socket(server: Server, client: AsyncOpenAI) -> None:
    """In the shape that every answer of HTTP has; a socket that fails like this has no session yet."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        async with session.get(f"{server.url}/v1/realtime") as response:
            assert response.status == 400
            assert "WebSocket" in (await response.json())["error"]["message"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{server.url}/v1/realtime?model=kokoro")
        assert refused.value.status == 404
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{server.url}/v1/realtime")
        assert refused.value.status == 401


@pytest.mark.parametrize("more", [(), ("openai-beta.realtime-v1",)])
async def test_a_browser_brings_its_key_as_a_subprotocol(server: Server, more: tuple[str, ...]) -> None:
    offered = ("realtime", f"openai-insecure-api-key.{KEY}", *more)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/v1/realtime?model=gpt-realtime", protocols=offered) as raw,
    ):
        assert raw.protocol == "realtime"
        talk = Talk(raw)
        assert (await talk.hear())["type"] == "session.created"
        assert (await talk.ask("conversation.item.create", item=message("Hi.")))["type"] == "conversation.item.added"


async def test_a_subprotocol_is_answered_only_if_one_was_offered(server: Server) -> None:
    async with talking(server) as talk:
        assert talk.socket.protocol is None


# Ends that nobody asked for


async def test_an_engine_that_dies_fails_the_response_which_can_be_asked_for_again(server: Server) -> None:
    async with talking(server) as talk:
        await talk.ask("conversation.item.create", item=message(SENTENCE * 20))
        await talk.socket.send_json({"type": "response.create"})
        await talk.until("response.output_audio.delta")
        (engine,) = server.children("engine.host.process")
        os.kill(engine, signal.SIGKILL)
        done = await talk.until("response.done", "error")
        response = done["response"]
        assert response["status"] == response["status_details"]["type"] == "failed"
        assert response["status_details"]["error"]["code"] == "engine_failed"
        assert response["status_details"]["error"]["type"] == "server_error"
        assert response["output"][0]["status"] == "incomplete"
        assert [kind for kind in order(talk.said)[3:] if kind not in ORDER] == []
        assert (await talk.speak())[-1]["response"]["status"] == "completed"
    assert "Traceback" not in server.log


async def test_a_server_that_stops_says_goodbye(start_server: StartServer) -> None:
    server = start_server("--standby", "only")
    async with talking(server) as talk:
        server.process.send_signal(signal.SIGTERM)
        last = await talk.socket.receive(timeout=HANG_SECONDS)
        assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
    assert await asyncio.to_thread(server.process.wait, HANG_SECONDS) == 0
    assert "Traceback" not in server.log
