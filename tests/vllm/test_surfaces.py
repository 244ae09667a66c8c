"""Every surface over vLLM servers: what reaches them is valid to vLLM-Omni's own models; what they say comes out."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType
from wyoming.audio import AudioChunk
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.server import AsyncTcpServer
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from tests.api.clips import SAID, data_url
from tests.api.quiet import Client
from tests.api.quiet import serving as http_serving
from tests.audio.sounds import speech
from tests.ports import free_port
from tests.vllm.conftest import serving, speaking
from tests.vllm.server import Manner, VllmServer, tone
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.app import make_app
from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.request import Reference
from wyoming_qwen3.core.speakers import find_voice
from wyoming_qwen3.ops.connection_limit import ConnectionLimiter
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.store.voices.voice import Manner as VoiceManner
from wyoming_qwen3.voices.resolver import VoiceResolver
from wyoming_qwen3.wyoming.handler import WyomingConnection

TEXT = "The front door is open."
SPOKEN = {"input": TEXT, "response_format": "pcm", "seed": 7}


@dataclass
class House:
    """The product in this process, and the servers behind it."""

    http: Client
    wyoming: str
    services: Services
    named: VllmServer
    described: VllmServer
    cloned: VllmServer


@contextlib.asynccontextmanager
async def house(folder: Path, manner: Manner | None = None) -> AsyncIterator[House]:
    servers = serving(), serving("voice_design"), serving("base", "0.6B")
    for server in servers:
        server.manner = manner or server.manner
    async with speaking(folder, *servers) as services:
        cast = VoiceResolver(Defaults(find_voice("ryan")[0]), services.store.voices)
        door = ConnectionLimiter("wyoming", services.metrics, services.request_log)
        wyoming = AsyncTcpServer("127.0.0.1", port := free_port())
        await wyoming.start(partial(WyomingConnection, services.synthesizer, cast, door))
        async with http_serving(make_app(services, Config(cast))) as http:
            yield House(http, f"tcp://127.0.0.1:{port}", services, *servers)
        await wyoming.stop()
    assert not set().union(*(server.unknown for server in servers))


# Each surface: the sound of TEXT, in pieces as they come.

Listen = Callable[[House], AsyncIterator[bytes]]


async def over_http(one: House) -> AsyncIterator[bytes]:
    async with one.http.post("/v1/audio/speech", json=SPOKEN) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["X-Model-Used"] == "Qwen3-TTS-12Hz-1.7B-CustomVoice"
        async for piece in answer.content.iter_any():
            yield piece


async def as_events(one: House) -> AsyncIterator[bytes]:
    async with one.http.post("/v1/audio/speech", json=SPOKEN | {"stream_format": "sse"}) as answer:
        async for line in answer.content:
            if line.startswith(b"data:") and b"audio.delta" in line:
                yield base64.b64decode(json.loads(line[5:])["audio"])


async def as_conversation(one: House) -> AsyncIterator[bytes]:
    body = SPOKEN | {"script": f"[Ann] {TEXT}", "speakers": {"Ann": "Ryan"}}
    del body["input"]
    async with one.http.post("/v1/audio/conversation", json=body) as answer:
        assert answer.status == 200, await answer.text()
        async for piece in answer.content.iter_any():
            yield piece


async def over_the_socket(one: House) -> AsyncIterator[bytes]:
    async with one.http.ws_connect("/v1/audio/speech/stream") as socket:
        config = {"voice": "ryan", "response_format": "pcm", "stream_audio": True, "seed": 7}
        await socket.send_json({"type": "session.config"} | config)
        await socket.send_json({"type": "input.text", "text": TEXT})
        await socket.send_json({"type": "input.done"})
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                yield message.data
            elif message.json()["type"] == "session.done":
                return


async def in_realtime(one: House) -> AsyncIterator[bytes]:
    async with one.http.ws_connect("/v1/realtime?model=gpt-realtime") as socket:
        said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
        await socket.send_json({"type": "conversation.item.create", "item": said})
        await socket.send_json({"type": "response.create"})
        async for message in socket:
            event = message.json()
            if event["type"] == "response.output_audio.delta":
                yield base64.b64decode(event["delta"])
            elif event["type"] == "response.done":
                assert event["response"]["status"] == "completed"
                return


async def over_wyoming(one: House) -> AsyncIterator[bytes]:
    async with AsyncClient.from_uri(one.wyoming) as client:
        await client.write_event(Synthesize(text=TEXT).event())
        async for piece in _chunks(client, "audio-stop"):
            yield piece


async def over_wyoming_word_by_word(one: House) -> AsyncIterator[bytes]:
    async with AsyncClient.from_uri(one.wyoming) as client:
        await client.write_event(SynthesizeStart().event())
        for word in TEXT.split(" "):
            await client.write_event(SynthesizeChunk(text=f"{word} ").event())
        await client.write_event(SynthesizeStop().event())
        async for piece in _chunks(client, "synthesize-stopped"):
            yield piece


async def _chunks(client: AsyncClient, last: str) -> AsyncIterator[bytes]:
    while event := await client.read_event():
        assert not Error.is_type(event.type), event.data
        if AudioChunk.is_type(event.type):
            yield AudioChunk.from_event(event).audio
        elif event.type == last:
            return


@pytest.mark.parametrize(
    "listen",
    [
        over_http,
        as_events,
        as_conversation,
        over_the_socket,
        in_realtime,
        over_wyoming,
        over_wyoming_word_by_word,
    ],
)
async def test_the_first_sound_is_out_before_the_last_comes_in(tmp_path: Path, listen: Listen) -> None:
    more = asyncio.Event()
    async with asyncio.timeout(HANG_SECONDS), house(tmp_path, Manner(after=1, hold=more)) as one:
        pieces = listen(one)
        audio = await anext(pieces)
        assert audio
        assert one.named.speaking == 1
        more.set()
        audio += b"".join([piece async for piece in pieces])
    (heard,) = one.named.heard
    assert heard.input == TEXT
    assert audio == tone(TEXT, heard.seed)


CLIP = data_url(3.0)


@pytest.mark.parametrize(
    ("fields", "asked", "sent"),
    [
        ({"voice": "Vivian", "language": "de"}, "named", {"voice": "vivian", "language": "German"}),
        ({"voice": "ryan", "instructions": "whispering"}, "named", {"voice": "ryan", "instructions": "whispering"}),
        ({"instructions": "a deep voice"}, "described", {"instructions": "a deep voice", "task_type": "VoiceDesign"}),
        ({"ref_audio": CLIP, "ref_text": SAID}, "cloned", {"ref_text": SAID, "task_type": "Base", "voice": None}),
        ({"ref_audio": CLIP, "x_vector_only_mode": True}, "cloned", {"ref_text": None, "x_vector_only_mode": True}),
        ({"voice": "Grandma"}, "cloned", {"ref_text": "It is late, and the dog is in the garden.", "language": "Auto"}),
        ({"speed": 1.0, "model": "qwen3-tts-1.7b-customvoice"}, "named", {"voice": "ryan", "speed": 1.0}),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, dict) else None,
)
async def test_every_kind_of_voice(tmp_path: Path, fields: dict[str, Any], asked: str, sent: dict[str, Any]) -> None:
    async with house(tmp_path) as one:
        if fields.get("voice") == "Grandma":
            clip = Reference(speech(4.0), 24_000, "It is late, and the dog is in the garden.")
            await one.services.store.voices.create("Grandma", "profile", VoiceManner(), [clip])
        async with one.http.post("/v1/audio/speech", json=SPOKEN | fields) as answer:
            assert answer.status == 200, await answer.text()
            assert await answer.read() == tone(TEXT, 7)
        (heard,) = getattr(one, asked).heard
        assert {name: getattr(heard, name) for name in sent} == sent


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/audio/speech", {"temperature": 0.5}, 501, "vLLM servers do not support temperature"),
        (
            "/v1/audio/speech",
            {"ref_audio": CLIP, "ref_text": SAID, "instructions": "sad", "strict": True},
            400,
            "does not follow",
        ),
        ("/v1/audio/speech", {"model": "qwen3-tts-0.6b-customvoice"}, 404, "serves CustomVoice in 0.6B"),
        (
            "/v1/audio/speech",
            {"instructions": "x" * 600, "strict": True},
            400,
            "refused this request: Instructions too long",
        ),
        ("/api/audio/decode", {"tokens": [[1] * 16]}, 501, "no engine of its own"),
        ("/api/models/load", {"variant": "base"}, 501, "no engine of its own"),
        ("/api/models/download", {"variant": "base"}, 501, "no engine of its own"),
    ],
)
async def test_what_servers_can_not_do_is_refused(
    tmp_path: Path, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    async with house(tmp_path) as one:
        body = SPOKEN | body if path == "/v1/audio/speech" else body
        async with one.http.post(path, json=body) as answer:
            assert answer.status == status
            assert said in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"ref_audio": CLIP, "ref_text": SAID, "instructions": "sad"}, "Qwen3-TTS-12Hz-0.6B-Base clones a voice"),
        ({"instructions": "x" * 600}, "vLLM servers accept at most 500 characters"),
    ],
)
async def test_instructions_that_servers_do_not_follow_are_left_out(
    tmp_path: Path, fields: dict[str, Any], warning: str
) -> None:
    async with house(tmp_path) as one:
        async with one.http.post("/v1/audio/speech", json=SPOKEN | {"voice": "ryan"} | fields) as answer:
            assert answer.status == 200
            assert "The instructions were left out" in answer.headers["X-Warning"]
            assert warning in answer.headers["X-Warning"]
        assert all(heard.instructions is None for heard in [*one.named.heard, *one.cloned.heard])


async def test_a_batch_is_asked_for_side_by_side_and_answered_in_order(tmp_path: Path) -> None:
    texts = [f"This is text number {number}." for number in range(12)]
    async with house(tmp_path, Manner(pace=20.0)) as one:
        body = {"items": [{"input": text} for text in texts], "response_format": "pcm", "seed": 7}
        async with one.http.post("/v1/audio/speech/batch", json=body) as answer:
            results = (await answer.json())["results"]
        assert [base64.b64decode(result["audio_data"]) for result in results] == [tone(text, 7) for text in texts]
        assert one.named.most_speaking > 1


async def test_a_voice_from_words_is_made_and_speaks(tmp_path: Path) -> None:
    """VoiceDesign says the sample, and Base is sent it as the reference of what is spoken with the voice."""
    async with house(tmp_path) as one:
        body = {
            "name": "Captain",
            "description": "an old sailor",
            "sample_text": "Land is in sight, and the wind is good.",
        }
        async with one.http.post("/api/voice-presets/create", json=body) as answer:
            assert answer.status == 201, await answer.text()
        async with one.http.post("/v1/audio/speech", json=SPOKEN | {"voice": "Captain"}) as answer:
            assert await answer.read() == tone(TEXT, 7)
    assert one.described.heard[0].instructions == "an old sailor"
    (heard,) = one.cloned.heard
    assert (heard.ref_text, heard.input) == (body["sample_text"], TEXT)


async def test_health_and_models_show_each_server(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        async with one.http.get("/health") as answer:
            health = await answer.json()
        assert (answer.status, health["status"], health["backend"], health["models"]) == (200, "ok", "vllm", [])
        assert [(server["up"], server["models"]) for server in health["servers"]] == [
            (True, ["qwen3-tts-1.7b-customvoice"]),
            (True, ["qwen3-tts-1.7b-voicedesign"]),
            (True, ["qwen3-tts-0.6b-base"]),
        ]
        async with one.http.get("/api/models") as answer:
            assert (await answer.json())["servers"] == health["servers"]
        async with one.http.get("/v1/models") as answer:
            listed = {model["id"]: model["loaded"] for model in (await answer.json())["data"]}
        assert listed == {
            "qwen3-tts": True,
            "qwen3-tts-1.7b-customvoice": True,
            "qwen3-tts-1.7b-voicedesign": True,
            "qwen3-tts-0.6b-base": True,
            "standby": False,
            **dict.fromkeys(["tts-1", "tts-1-hd", "gpt-4o-mini-tts"], True),
        }
        await one.named.stop()
        async with one.http.post("/v1/audio/speech", json=SPOKEN) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert (await answer.json())["error"]["code"] == "backend_unavailable"
        async with one.http.get("/health") as answer:
            health = await answer.json()
        assert (answer.status, health["status"], health["servers"][0]["up"]) == (503, "degraded", False)
        assert "can't be reached (Connection refused)" in health["reason"]
