"""Voices that were renamed, deleted or never were, asked for of the started program as Home Assistant asks."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout
from wyoming.client import AsyncClient
from wyoming.event import async_read_event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice

from tests.conftest import Answer, Server, StartServer, collect, connected, synthesize

TEXT = "The front door is open."
SPOKEN = ["audio-start", "audio-chunk", "audio-stop"]


def options(models_dir: Path) -> tuple[str, ...]:
    """Of a server that speaks the same text by the same voice with the same samples."""
    engine = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--temperature", "0")
    return (*engine, "--no-download", "--quantize", "none")


@pytest.fixture(scope="module")
def auto(start_shared_server: StartServer, models_dir: Path) -> Server:
    return start_shared_server(*options(models_dir))


@pytest.fixture(scope="module")
def off(start_shared_server: StartServer) -> Server:
    return start_shared_server("--voice-fallback", "off", "--standby", "only")


@pytest.fixture(scope="module")
def on(start_shared_server: StartServer, models_dir: Path) -> Server:
    """With the option as the switch that it was."""
    return start_shared_server("--voice-fallback", *options(models_dir))


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession(timeout=ClientTimeout(120)) as session:
        yield session


async def ask(http: ClientSession, method: str, url: str, body: Any = None) -> tuple[int, Any]:
    async with http.request(method, url, json=body) as response:
        return response.status, await response.json()


async def faults(http: ClientSession, server: Server) -> list[str]:
    _, told = await ask(http, "GET", f"{server.url}/health")
    return list(told["faults"])


async def described(server: Server) -> list[str]:
    async with connected(server.uri) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
    assert event is not None
    return [voice.name for voice in Info.from_event(event).tts[0].voices]


async def streamed(server: Server, voice: str) -> Answer:
    async with connected(server.uri) as client:
        await client.write_event(SynthesizeStart(voice=SynthesizeVoice(name=voice)).event())
        await client.write_event(SynthesizeChunk(text=TEXT).event())
        await client.write_event(Synthesize(text=TEXT, voice=SynthesizeVoice(name=voice)).event())
        await client.write_event(SynthesizeStop().event())
        return await collect(client, "synthesize-stopped", "error")


async def test_a_renamed_voice_goes_on_speaking_by_its_old_name(
    start_server: StartServer, models_dir: Path, http: ClientSession, tmp_path: Path
) -> None:
    kept = (*options(models_dir), "--data-dir", str(tmp_path / "kept"))
    server = start_server(*kept)
    style = {"name": "Anna", "voice": "Vivian", "speed": 1.5}
    status, anna = await ask(http, "POST", f"{server.url}/api/profiles", style)
    assert status == 201
    before, german = [(await synthesize(server.uri, TEXT, name)).audio for name in ("Anna", "Anna-de")]
    status, renamed = await ask(http, "PUT", f"{server.url}/api/profiles/{anna['id']}", {"name": "Berta"})
    assert (status, renamed["former_names"]) == (200, ["Anna"])
    names = await described(server)
    assert "Berta" in names
    assert "Anna" not in names
    for restarted in (False, True):
        answers = [await synthesize(server.uri, TEXT, name) for name in ("Anna", "anna (de)")]
        assert [answer.types for answer in answers] == [SPOKEN] * 2
        assert [answer.audio for answer in answers] == [before, german]
        assert await faults(http, server) == []
        if not restarted:
            server.stop()
            server = start_server(*kept)
    async with http.post(f"{server.url}/v1/audio/speech", json={"input": TEXT, "voice": "Anna"}) as response:
        assert (response.status, response.headers["X-Voice"]) == (200, "Berta")


@pytest.mark.parametrize(
    ("voice", "instead", "warning"),
    [
        (SynthesizeVoice(name="nosuch"), "ryan", "There is no voice 'nosuch'; Ryan speaks instead, in the language of"),
        (
            SynthesizeVoice(name="nosuch-de"),
            "ryan-de",
            "There is no voice 'nosuch-de'; Ryan speaks instead, in German.",
        ),
        (SynthesizeVoice(name="af_sky"), "serena", "There is no voice 'af_sky'; Serena speaks instead"),
        (SynthesizeVoice(name="en_US-amy-medium"), "ryan-en", "There is no voice 'en_US-amy-medium'; Ryan speaks"),
        (SynthesizeVoice(name="ryan", speaker="vivian"), "ryan", "The voice 'ryan' has no speaker 'vivian'; Ryan sp"),
        (SynthesizeVoice(name="ryan-de", speaker="0"), "ryan-de", "The voice 'ryan-de' has no speaker '0'; Ryan sp"),
        (SynthesizeVoice(language="nl"), "ryan", "The language 'nl' is not supported; Ryan speaks"),
        (SynthesizeVoice(name="ryan-pt-BR"), "ryan-pt", None),
        (SynthesizeVoice(name="Ryan (de)"), "ryan-de", None),
        (SynthesizeVoice(name="Uncle Fu"), "uncle_fu", None),
        (SynthesizeVoice(language="pt-BR"), "ryan-pt", None),
    ],
)
async def test_home_assistant_hears_the_default_voice_and_the_server_says_why(
    auto: Server, http: ClientSession, voice: SynthesizeVoice, instead: str, warning: str | None
) -> None:
    expected = (await synthesize(auto.uri, TEXT, instead)).audio
    before = auto.log.count("Replaced ")
    for _ in range(3):
        async with connected(auto.uri) as client:
            await client.write_event(Synthesize(text=TEXT, voice=voice).event())
            answer = await collect(client)
        assert answer.types == SPOKEN
        assert answer.audio == expected
    told = [fault for fault in await faults(http, auto) if fault.startswith(warning or "\0")]
    assert len(told) == (1 if warning else 0)
    assert auto.log.count("Replaced ") - before == (1 if warning else 0)
    if warning:
        assert f"WARNING wyoming_qwen3.ops.logs: Replaced source=wyoming client=127.0.0.1: {warning}" in auto.log


async def test_a_stream_of_text_for_an_unknown_voice_is_spoken(auto: Server) -> None:
    answer = await streamed(auto, "gone-it")
    assert answer.types == [*SPOKEN, "synthesize-stopped"]
    assert answer.audio == (await streamed(auto, "ryan-it")).audio


async def test_over_http_an_unknown_voice_is_an_error(auto: Server, http: ClientSession) -> None:
    for body, status, code in [
        ({"voice": "nosuch"}, 400, "voice_not_found"),
        ({"voice": "nosuch-de"}, 400, "voice_not_found"),
        ({"voice": "ryan", "language": "nl"}, 400, "language_not_supported"),
        ({"voice": "ryan-de", "language": "it"}, 400, "invalid_request"),
    ]:
        answer = await ask(http, "POST", f"{auto.url}/v1/audio/speech", {"input": TEXT, **body})
        assert (answer[0], answer[1]["error"]["code"]) == (status, code)


async def test_a_voice_without_a_clip_is_not_offered_and_does_not_mute(auto: Server, http: ClientSession) -> None:
    status, made = await ask(http, "POST", f"{auto.url}/api/profiles", {"name": "Nobody", "language": "de"})
    assert (status, made["status"]) == (201, "empty")
    assert "Nobody" not in await described(auto)
    answer = await synthesize(auto.uri, TEXT, "Nobody")
    assert answer.audio == (await synthesize(auto.uri, TEXT, "ryan-de")).audio
    warning = "The voice 'Nobody' has no clip; Ryan speaks instead, in German. Asked for over Wyoming."
    assert warning in await faults(http, auto)
    await ask(http, "PUT", f"{auto.url}/api/profiles/Nobody", {"voice": "Serena"})
    assert warning not in await faults(http, auto)
    assert "Nobody" in await described(auto)


async def test_what_a_client_sends_as_a_voice_harms_neither_log_nor_health(auto: Server, http: ClientSession) -> None:
    for name in ("\ud800", "a\nb", "<script>", "x" * 20_000, "\0"):
        reader, writer = await asyncio.open_connection("127.0.0.1", auto.port)
        event = {"type": "synthesize", "data": {"text": "Hi.", "voice": {"name": name}}}
        writer.write(json.dumps(event).encode() + b"\n")
        started = await async_read_event(reader)
        assert started is not None
        assert started.type == "audio-start"
        writer.close()
    assert all(len(fault) < 300 for fault in await faults(http, auto))


async def test_off_unknown_voices_are_errors_and_close(off: Server, http: ClientSession) -> None:
    for voice, code, said in [
        (SynthesizeVoice(name="nobody"), "voice_not_found", "Ryan"),
        (SynthesizeVoice(language="nl"), "language_not_supported", "zh (chinese)"),
        (SynthesizeVoice(name="ryan", speaker="vivian"), "invalid_request", "as the voice"),
    ]:
        async with AsyncClient.from_uri(off.uri) as client:
            await client.write_event(Synthesize(text="Hi", voice=voice).event())
            answer = await collect(client)
            assert answer.events[0].data["code"] == code
            assert said in answer.events[0].data["text"]
            assert await client.read_event() is None
    assert await faults(http, off) == []


WARNING = "There is no voice 'nosuch-de'; Ryan speaks instead, in German."
ACCENT = "Ryan is at home in English; German may have an accent."


async def test_on_speech_over_http_says_who_speaks_instead(on: Server, http: ClientSession) -> None:
    url, wanted = f"{on.url}/v1/audio/speech", {"input": TEXT, "response_format": "pcm"}
    async with http.post(url, json=wanted | {"voice": "ryan-de"}) as response:
        expected = await response.read()
    async with http.post(url, json=wanted | {"voice": "nosuch-de"}) as response:
        assert response.status == 200
        assert response.headers["X-Voice"] == "Ryan"
        assert response.headers["X-Warning"].startswith(WARNING)
        assert await response.read() == expected
    async with http.post(url, json=wanted | {"voice": "nosuch-de", "stream_format": "sse"}) as response:
        events = [json.loads(line[6:]) for line in (await response.text()).splitlines() if line.startswith("data: {")]
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["warnings"] == [WARNING, ACCENT]
    assert f"{WARNING} Asked for over HTTP." in await faults(http, on)


async def test_on_a_batch_says_it_of_each_item(on: Server, http: ClientSession) -> None:
    body = {"items": [{"input": "One."}, {"input": "Two.", "voice": "nosuch-de"}], "response_format": "pcm"}
    async with http.post(f"{on.url}/v1/audio/speech/batch", json=body) as response:
        assert response.headers["X-Warning"] == f"{WARNING} {ACCENT}"
        first, second = (await response.json())["results"]
    assert "warnings" not in first
    assert second["warnings"] == [WARNING, ACCENT]
    assert base64.b64decode(second["audio_data"])


async def test_on_a_conversation_casts_the_default_voice_for_names_without_one(on: Server, http: ClientSession) -> None:
    body = {"script": "[Ann] Hello.\n[Serena] Hello, Ann.", "return": "json"}
    async with http.post(f"{on.url}/v1/audio/conversation", json=body) as response:
        assert response.status == 200
        warning = "Ann: There is no voice 'Ann'; Ryan speaks instead, in the language of the text."
        assert response.headers["X-Warning"] == warning
        assert (await response.json())["warnings"] == [warning]


async def test_on_sockets_say_it_in_their_answers(on: Server, http: ClientSession) -> None:
    async with http.ws_connect(f"{on.url}/v1/audio/speech/stream") as socket:
        await socket.send_json({"type": "session.config", "voice": "nosuch-de"})
        told = await socket.receive_json()
        assert told["type"] == "session.configured"
        assert told["warnings"][0] == WARNING
        assert told["warning"].startswith(WARNING)
    async with http.ws_connect(f"{on.url}/v1/realtime?model=gpt-realtime") as socket:
        assert (await socket.receive_json())["type"] == "session.created"
        await socket.send_json({"type": "session.update", "session": {"type": "realtime", **output("nosuch-de")}})
        updated = await socket.receive_json()
        assert (updated["type"], updated["warnings"]) == ("session.updated", [WARNING])
        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]}
        await socket.send_json({"type": "response.create", "response": {"input": [message], **output("other")}})
        created = await socket.receive_json()
        assert created["type"] == "response.created"
        assert created["response"]["warnings"][0].startswith("There is no voice 'other'; Ryan speaks instead")


def output(voice: str) -> dict[str, Any]:
    return {"audio": {"output": {"voice": voice}}}
