"""WS /v1/audio/speech/stream, spoken to as a client of vLLM-Omni does."""

import asyncio
import io
import json
import os
import signal
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import av
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from tests.api.clips import data_url, silence_url
from tests.api.stream.client import Talk, talking
from tests.conftest import Server, StartServer
from tests.parts import make_cast, make_services, stop
from tests.waiting import HANG_SECONDS, at_rest, processor_seconds, until
from wyoming_qwen3.api.app_keys import CONFIG, SERVICES, Config
from wyoming_qwen3.api.stream import connection

SENTENCE = "The front door is open."
LONG = f"{SENTENCE} " * 160
"""Nearly as long as an utterance may be."""


async def post(url: str, **body: Any) -> bytes:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/audio/speech", json=body) as response:
        assert response.status == 200, await response.text()
        return await response.read()


@pytest.fixture(scope="module")
def qwen3(start_shared_server: StartServer, models_dir: Path) -> Server:
    """A server that speaks with the tiny 0.6B checkpoints, and only with them."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--temperature", "0")
    return start_shared_server(*options, "--no-download", "--local-files-only")


async def test_text_is_spoken_while_it_comes(qwen3: Server) -> None:
    """The first audio is there before the text is complete, and is that of the text so far."""
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan", language="en", response_format="pcm", stream_audio=True)
        for text in ("The front ", "door is open. ", "The light "):
            await talk.send("input.text", text=text)
        early = await talk.until("frame")
        await talk.say("is still on.")
        rest = await talk.until("session.done")
    start = early.the("audio.start")
    assert (start["utterance_index"], start["sentence_index"], start["format"]) == (0, 0, "pcm")
    assert (start["sample_rate"], start["channels"]) == (24_000, 1)
    assert "front" in start["sentence_text"]
    assert "is still on" not in start["sentence_text"]
    assert rest.types == ["audio.done", "session.done"]
    audio = early.audio + rest.audio
    assert rest.messages[0]["total_bytes"] == len(audio)
    assert rest.messages[0]["error"] is False
    assert rest.messages[1] == {"type": "session.done", "utterance_index": 0, "total_sentences": 1}
    first = await post(qwen3.url, input=SENTENCE, voice="ryan", language="en", response_format="pcm")
    assert audio.startswith(first)
    assert len(audio) > len(first)


async def test_utterances_follow_one_another_with_the_same_config_or_a_new_one(qwen3: Server) -> None:
    """Wav by default, as in vLLM-Omni; a config that comes while the last utterance is spoken is for the next one."""
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan")
        await talk.say(SENTENCE)
        await talk.say("Hi.")
        await talk.send("session.config", voice="ryan", response_format="mp3", stream_audio=True)
        await talk.say(SENTENCE)
        await talk.send("session.config", voice="ryan", stream_audio=False)
        await talk.say(SENTENCE)
        answers = [await talk.until("session.done") for _ in range(4)]
    first, second, third, fourth = answers
    assert [answer.the("session.done")["utterance_index"] for answer in answers] == [0, 1, 2, 3]
    assert [answer.the("audio.done")["error"] for answer in answers] == [False] * 4
    assert first.the("audio.start")["sentence_text"] == SENTENCE
    assert first.audio[:4] == second.audio[:4] == b"RIFF"
    assert first.audio[40:44] == b"\xff\xff\xff\xff"
    assert len(first.frames) > 1
    assert third.the("audio.start")["format"] == "mp3"
    with av.open(io.BytesIO(third.audio)) as file:
        assert file.format.name == "mp3"
    with wave.open(io.BytesIO(fourth.audio)) as whole:
        assert whole.readframes(whole.getnframes()) == first.audio[44:]
    assert len(fourth.frames) == 1


async def test_a_config_is_answered_with_what_was_understood(qwen3: Server) -> None:
    async with talking(qwen3.url) as talk:
        plain = await talk.configure(voice="Vivian", task_type="CustomVoice", split_granularity="clause")
        accented = await talk.configure(voice="vivian", language="de", gain=2, Zoom="x", response_format="opus")
    assert (plain["voice"], plain["language"], plain["format"]) == ("Vivian", "Auto", "wav")
    assert plain["ignored_fields"] == []
    assert "warning" not in plain
    assert (accented["language"], accented["format"]) == ("German", "opus")
    assert accented["ignored_fields"] == ["Zoom", "gain"]
    assert "accent" in accented["warning"]


async def test_a_clip_is_cloned(qwen3: Server) -> None:
    url = data_url(3)
    assert len(url) > 128 * 1024
    async with talking(qwen3.url) as talk:
        config = await talk.configure(ref_audio=url, x_vector_only_mode=True, task_type="Base", max_new_tokens=5)
        assert config["voice"] == "clone"
        (warning,) = config["warnings"]
        assert warning.startswith("The clip ends in the middle of a sound")
        assert config["warning"] == warning
        await talk.send("session.config", ref_audio=silence_url(3), x_vector_only_mode=True)
        error = (await talk.until("error")).the("error")
        assert (error["code"], error["param"]) == ("invalid_request", "ref_audio")
        assert "The clip is silent" in error["message"]


@pytest.mark.parametrize(
    ("message", "code", "param", "said"),
    [
        ({"type": "input.text", "text": "Hi"}, "invalid_request", None, "must be a session.config"),
        ({"type": "input.done"}, "invalid_request", None, "must be a session.config"),
        ({"type": "session.config", "voice": "nobody"}, "voice_not_found", None, "Ryan"),
        ({"type": "session.config", "language": "nl"}, "language_not_supported", None, "german"),
        ({"type": "session.config", "response_format": "midi"}, "invalid_request", "response_format", "midi"),
        ({"type": "session.config", "speed": 9}, "invalid_request", "speed", "4"),
        ({"type": "session.config", "split_granularity": "word"}, "invalid_request", "split_granularity", "clause"),
        (
            {"type": "session.config", "voice": "ryan", "task_type": "Base"},
            "invalid_request",
            "task_type",
            "ask for CustomVoice",
        ),
        (
            {"type": "session.config", "instructions": "Old.", "task_type": "Base"},
            "invalid_request",
            "task_type",
            "VoiceDesign",
        ),
        ({"type": "session.confg"}, "invalid_request", "type", "session.config"),
        ({"voice": "ryan"}, "invalid_request", "type", "missing"),
        ([], "invalid_request", None, "JSON object"),
        ("nonsense", "invalid_request", None, "not valid JSON"),
        (b"\0\1", "invalid_request", None, "binary"),
    ],
)
async def test_a_first_message_that_is_no_config_ends_the_connection(
    qwen3: Server, message: Any, code: str, param: str | None, said: str
) -> None:
    async with talking(qwen3.url) as talk:
        if isinstance(message, bytes):
            await talk.socket.send_bytes(message)
        else:
            await talk.socket.send_str(message if isinstance(message, str) else json.dumps(message))
        answer = await talk.until("close")
    error = answer.the("error")
    assert answer.types == ["error"]
    assert (error["code"], error["error_type"]) == (code, "invalid_request_error")
    assert param in (None, error["param"])
    assert said in error["message"]
    assert talk.socket.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_later_nonsense_is_told_and_the_connection_goes_on(qwen3: Server) -> None:
    """A config within an utterance is refused, and one that can't be understood leaves the one before in place."""
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan", response_format="pcm")
        for data in ("nonsense", '{"type": "pause"}', json.dumps({"type": "session.config", "voice": "nobody"})):
            await talk.socket.send_str(data)
            assert (await talk.until("error")).the("error")["message"]
        await talk.socket.send_bytes(bytes(100))
        assert "binary" in (await talk.until("error")).the("error")["message"]
        await talk.send("input.text", text="The front")
        await talk.send("session.config", voice="vivian")
        assert "send input.done first" in (await talk.until("error")).the("error")["message"]
        await talk.say(" door is open.")
        answer = await talk.until("session.done")
    assert answer.audio == await post(qwen3.url, input=SENTENCE, voice="ryan", response_format="pcm")
    assert "Traceback" not in qwen3.log


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"text": "a" * 4097}, "invalid_request", "may have 4096 characters"),
        ({"text": "a" * (129 << 10)}, "payload_too_large", "131,072"),
        ({"text": 5}, "invalid_request", "valid string"),
        ({}, "invalid_request", "missing"),
    ],
)
async def test_text_that_cant_be_taken_fails_its_utterance_alone(
    qwen3: Server, fields: dict[str, Any], code: str, said: str
) -> None:
    """What comes after it is ignored up to input.done; the next utterance is spoken."""
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan")
        await talk.send("input.text", **fields)
        await talk.say("This is ignored.")
        await talk.say("Hi.")
        failed, spoken = await talk.until("session.done"), await talk.until("session.done")
    assert failed.types == ["audio.start", "error", "audio.done", "session.done"]
    assert failed.frames == []
    assert failed.the("audio.done")["error"] is True
    assert failed.the("error")["code"] == code
    assert said in failed.the("error")["message"]
    assert spoken.the("audio.done")["error"] is False


async def test_an_utterance_that_grows_too_long_fails_although_it_is_being_spoken(qwen3: Server) -> None:
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan")
        await talk.send("input.text", text=LONG)
        await talk.until("frame")
        await talk.send("input.text", text=LONG)
        failed = await talk.until("audio.done")
        await talk.socket.send_str("nonsense")
        assert (await talk.until("error", "session.done")).types == ["error"]
        await talk.say("No more.")
        assert (await talk.until("session.done")).types == ["session.done"]
        await talk.say("Hi.")
        assert (await talk.until("session.done")).the("audio.done")["error"] is False
    assert (failed.the("error")["partial_audio"], failed.the("error")["action"]) == (True, "discard")
    assert failed.the("audio.done")["error"] is True


async def test_an_emoji_may_be_cut_in_two_and_a_message_begin_with_a_byte_order_mark(qwen3: Server) -> None:
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan")
        for data in (
            '\ufeff{"type": "input.text", "text": "Hi \\ud83d"}',
            '{"type": "input.text", "text": "\\ude00 you."}',
        ):
            await talk.socket.send_str(data)
        await talk.socket.send_str('{"type": "input.done"}')
        spoken = await talk.until("session.done")
    assert spoken.the("audio.start")["sentence_text"] == "Hi \U0001f600 you."
    assert spoken.the("audio.done")["error"] is False


async def test_what_an_utterance_leaves_out_is_told_when_it_begins(qwen3: Server) -> None:
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan", instructions="Whisper.", model="qwen3-tts-0.6b")
        await talk.say(SENTENCE)
        spoken = await talk.until("session.done")
    (warning,) = spoken.the("audio.start")["warnings"]
    assert warning.startswith("The instructions were left out.")
    assert spoken.the("audio.done")["error"] is False


async def test_what_the_engine_cant_do_fails_the_utterance(qwen3: Server) -> None:
    """The 0.6B checkpoint follows no instructions: told before any audio, and the next utterance is spoken."""
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan", instructions="Whisper.", strict=True, model="qwen3-tts-0.6b")
        await talk.say(SENTENCE)
        failed = await talk.until("session.done")
        await talk.configure(voice="ryan")
        await talk.say("Hi.")
        spoken = await talk.until("session.done")
    assert failed.types == ["audio.start", "error", "audio.done", "session.done"]
    assert failed.the("error")["code"] == "instructions_not_supported"
    assert "partial_audio" not in failed.the("error")
    assert failed.the("audio.done")["total_bytes"] == 0
    assert failed.the("audio.done")["error"] is True
    assert spoken.the("audio.done")["error"] is False


async def test_so_many_utterances_may_wait_and_no_more(qwen3: Server) -> None:
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan")
        await talk.say(LONG)
        await talk.until("frame")
        for _ in range(9):
            await talk.say("Hi.")
        answer = await talk.until("close")
    assert answer.the("error")["code"] == "queue_full"
    assert "8 utterances wait on this connection already" in answer.the("error")["message"]
    assert talk.socket.close_code == aiohttp.WSCloseCode.TRY_AGAIN_LATER


@pytest.mark.parametrize("way", ["session.close", "close", "abort"])
async def test_a_client_that_has_enough_stops_the_engine(qwen3: Server, way: str) -> None:
    """The utterance being spoken and those that wait are stopped, and the engine's processor time stands still."""
    (engine,) = (psutil.Process(pid) for pid in qwen3.children("engine.host.process"))
    used = processor_seconds(engine)
    spoken = await post(qwen3.url, input=SENTENCE, voice="ryan", response_format="pcm")
    each = (processor_seconds(engine) - used) / (len(spoken) / 48_000)
    stopped = qwen3.log.count("Stopped source=stream")
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan")
        await talk.say(LONG)
        await talk.say("This one waits.")
        await talk.until("frame")
        if way == "session.close":
            await talk.send(way)
            assert not {"audio.done", "session.done"} & set((await talk.until("close")).types)
            assert talk.socket.close_code == aiohttp.WSCloseCode.OK
        elif way == "abort":
            transport = talk.socket._response.connection and talk.socket._response.connection.transport
            assert transport is not None
            transport.abort()
    async with asyncio.timeout(HANG_SECONDS):
        while qwen3.log.count("Stopped source=stream") < stopped + 2:
            await asyncio.sleep(0.02)
    assert await at_rest(engine) < 10 * each, "It went on to the 20 seconds that it may be ahead of a listener."


async def test_it_is_a_socket_and_nothing_else(qwen3: Server) -> None:
    async with aiohttp.ClientSession() as session, session.get(qwen3.url + connection.PATH) as response:
        assert response.status == 400
        assert "WebSocket" in (await response.json())["error"]["message"]


async def test_a_dead_engine_costs_one_utterance(qwen3: Server) -> None:
    async with talking(qwen3.url) as talk:
        await talk.configure(voice="ryan")
        await talk.say(LONG)
        await talk.until("frame")
        (engine,) = qwen3.children("engine.host.process")
        os.kill(engine, signal.SIGKILL)
        failed = await talk.until("session.done")
        await talk.configure(voice="vivian")
    assert failed.types == ["error", "audio.done", "session.done"]
    assert (failed.the("error")["code"], failed.the("error")["error_type"]) == ("engine_failed", "server_error")
    assert failed.the("error")["partial_audio"] is True
    assert failed.the("audio.done")["error"] is True


# Inside this process, with little patience and the standby voice


@asynccontextmanager
async def impatient(
    folder: Path,
    config_seconds: float = HANG_SECONDS,
    idle_seconds: float = HANG_SECONDS,
    text_timeout: float = HANG_SECONDS,
) -> AsyncIterator[BaseTestServer]:
    app = web.Application()
    app[SERVICES] = services = make_services(folder, "--text-timeout", str(text_timeout))
    app[CONFIG] = Config(make_cast(), standby_only=True)
    connection.add_to(app, config_seconds=config_seconds, idle_seconds=idle_seconds)
    async with TestServer(app, port=0) as server:
        yield server
    await stop(services)


def url(server: BaseTestServer) -> str:
    return str(server.make_url("")).rstrip("/")


async def ping(talk: Talk) -> None:
    while not talk.socket.closed:
        await talk.socket.ping()
        await asyncio.sleep(0.05)


async def test_a_client_that_says_nothing_is_sent_away(tmp_path: Path) -> None:
    """Without a config, idle, and in the middle of an utterance; pings are not text."""
    async with impatient(tmp_path, config_seconds=0.1) as server, talking(url(server)) as talk:
        assert "No session.config" in (await talk.until("close")).the("error")["message"]
    async with impatient(tmp_path, idle_seconds=1.0) as server, talking(url(server)) as talk:
        await talk.configure()
        pinging = asyncio.create_task(ping(talk))
        assert "No text" in (await talk.until("close")).the("error")["message"]
        pinging.cancel()
    async with impatient(tmp_path, idle_seconds=3.0, text_timeout=4.0) as server, talking(url(server)) as talk:
        await talk.configure()
        await talk.send("input.text", text="The front")
        answer = await talk.until("close")
    assert answer.the("error")["code"] == "text_timeout"
    assert answer.the("audio.done")["error"] is True
    assert answer.types[-1] == "session.done"


async def test_who_waits_for_audio_is_not_idle(tmp_path: Path) -> None:
    """The standby voice takes longer to start than the client may be idle."""
    async with (
        impatient(tmp_path, idle_seconds=0.5) as server,
        talking(url(server)) as talk,
    ):
        await talk.configure()
        await talk.say(SENTENCE)
        answer = await talk.until("session.done")
        assert answer.the("audio.done")["error"] is False
        await talk.until("close")


async def test_a_server_that_stops_says_so(tmp_path: Path) -> None:
    """What is being spoken ends in an error, without an audio.done; who is idle is only disconnected."""
    async with (
        impatient(tmp_path) as server,
        talking(url(server)) as talk,
        talking(url(server)) as idle,
    ):
        for client in (talk, idle):
            await client.configure(response_format="pcm")
        await talk.send("input.text", text=SENTENCE)
        await talk.until("frame")
        closing = asyncio.create_task(server.close())
        answer, nothing = await asyncio.gather(talk.until("close"), idle.until("close"))
        await closing
    assert answer.types == ["error"]
    assert answer.the("error")["code"] == "unavailable"
    assert nothing.types == []
    assert talk.socket.close_code == idle.socket.close_code == aiohttp.WSCloseCode.GOING_AWAY


async def test_clients_that_leave_leave_no_tasks_behind(tmp_path: Path) -> None:
    async def leave(server: BaseTestServer) -> None:
        async with talking(url(server)) as talk:
            await talk.configure()
            await talk.say(LONG)
            await talk.say(LONG)
            await talk.until("frame")

    async with impatient(tmp_path) as server:
        await leave(server)
        await asyncio.sleep(0.2)
        before = len(asyncio.all_tasks())
        for _ in range(20):
            await leave(server)
        await until(lambda: len(asyncio.all_tasks()) <= before)
