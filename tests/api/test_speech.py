"""POST /v1/audio/speech, asked by the openai SDK, by curl and by worse clients."""

import asyncio
import base64
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt
import psutil
import pytest
import soundfile
from openai import (
    APIError,
    APIStatusError,
    AsyncOpenAI,
    AsyncStream,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
    Stream,
)
from openai.types.audio import SpeechCreateParams
from prometheus_client.parser import text_string_to_metric_families

from tests.api.clips import SAID, data_url, silence_url
from tests.audio.encoded import DELAYS, FORMATS, decoded, likeness
from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS, at_rest, processor_seconds
from wyoming_qwen3.audio.encode import MEDIA_TYPES, AudioFormat

SENTENCE = "The front door is open."
LONG = f"{SENTENCE} " * 160
"""Minutes of speech: nearly as long as a text may be."""

KEY = "s3cret"
PATH = "/v1/audio/speech"


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    """One that speaks with the tiny checkpoints, greedily."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0")


@pytest.fixture(scope="module")
def bare(start_shared_server: StartServer) -> Server:
    """One with a key and the standby voice alone: its checkpoint is missing, and the hub is out of reach."""
    return start_shared_server("--model", "0.6B", "--api-key", KEY, "--voice-fallback", "--max-input", "40")


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        yield client


@pytest.fixture
async def session(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


def wish(**fields: Any) -> SpeechCreateParams:
    """What the SDK is to send; what it does not know goes along."""
    params: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": SENTENCE} | fields
    known = {name: params.pop(name) for name in SpeechCreateParams.__annotations__ if name in params}
    return known | {"extra_body": params}  # type: ignore[return-value]


def speak(client: OpenAI, **fields: Any) -> bytes:
    return client.audio.speech.create(**wish(**fields)).content


def headers(client: OpenAI, **fields: Any) -> dict[str, str]:
    return dict(client.audio.speech.with_raw_response.create(**wish(**fields)).headers)


def samples(pcm: bytes) -> npt.NDArray[np.float32]:
    return (np.frombuffer(pcm, "<i2") / 32768).astype(np.float32)


def answers(client: OpenAI) -> float:
    """How many requests to speak its server has answered."""
    families = text_string_to_metric_families(client.get("../metrics", cast_to=str))
    every = [sample for family in families for sample in family.samples if sample.name == "tts_http_answers_total"]
    return sum(sample.value for sample in every if sample.labels["route"] == PATH)


def engine(server: Server) -> int:
    """Process id of what speaks."""
    (found,) = server.children("native")
    return found


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


# Speech


def test_the_sdks_default_is_an_mp3_of_the_whole_speech(client: OpenAI) -> None:
    answer = client.audio.speech.with_raw_response.create(**wish())
    data, pcm = answer.content, speak(client, response_format="pcm")
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["X-Sample-Rate"] == "24000"
    assert answer.headers["X-Voice"] == "Aiden"
    assert answer.headers["X-Engine"] == "qwen3"
    assert answer.headers["X-Model-Used"] == "Qwen3-TTS-12Hz-0.6B-CustomVoice"
    assert soundfile.info(io.BytesIO(data)).samplerate == 24_000
    assert len(pcm) > 48_000
    assert 0 <= decoded(data).size - DELAYS["mp3"] - len(pcm) // 2 < 1152


async def test_every_format_is_sent_while_it_is_made_and_is_the_same_speech(server: Server) -> None:
    """All six at once: their first bytes come, then the engine is stopped and no end does, then the rest."""
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        begun = asyncio.Queue[None]()
        hearing = [asyncio.create_task(hear(client, begun, f"{SENTENCE} " * 12, name)) for name in FORMATS]
        for _ in hearing:
            await begun.get()
        with stopped(engine(server)):
            done, _ = await asyncio.wait(hearing, timeout=1)
            assert not done
        check_all_are_the_same(dict(zip(FORMATS, await asyncio.gather(*hearing), strict=True)))


async def hear(client: AsyncOpenAI, begun: asyncio.Queue[None], text: str, audio_format: AudioFormat) -> bytes:
    """All bytes of an answer, whose first tell that it has begun; read a little slowly."""
    params = wish(input=text, response_format=audio_format)
    async with client.audio.speech.with_streaming_response.create(**params) as response:
        assert response.headers["Content-Type"] == MEDIA_TYPES[audio_format]
        assert "Content-Length" not in response.headers
        pieces = response.iter_bytes()
        audio = await anext(pieces)
        begun.put_nowait(None)
        async for piece in pieces:
            audio += piece
            await asyncio.sleep(0.005)
    return audio


def check_all_are_the_same(files: dict[AudioFormat, bytes]) -> None:
    pcm = files["pcm"]
    assert files["wav"][:4] == b"RIFF"
    assert files["wav"][4:8] == files["wav"][40:44] == b"\xff\xff\xff\xff"
    assert files["wav"][44:] == pcm
    assert np.array_equal(np.rint(decoded(files["flac"]) * 32768), np.frombuffer(pcm, "<i2"))
    for name in ("mp3", "opus", "aac"):
        heard, spoken = decoded(files[name])[DELAYS[name] :], samples(pcm)
        assert 0 <= heard.size - spoken.size < 2048
        seconds = range(0, spoken.size - 24_000, 24_000)
        assert all(likeness(heard[at : at + 24_000], spoken[at : at + 24_000]) > 0.9 for at in seconds), name


def test_without_streaming_the_length_is_known(client: OpenAI) -> None:
    pcm = speak(client, response_format="pcm")
    for body in ({"stream": False}, {"stream": False, "instructions": ""}):
        answer = client.audio.speech.with_raw_response.create(**wish(response_format="wav", **body))
        assert int(answer.headers["Content-Length"]) == len(answer.content)
        assert int(answer.headers["X-Audio-Duration-Ms"]) == round(len(pcm) / 48)
        audio, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
        assert rate == 24_000
        assert audio.tobytes() == answer.content[44:] == pcm
        assert int.from_bytes(answer.content[4:8], "little") == len(answer.content) - 8


@pytest.mark.parametrize(
    ("query", "body", "whole"),
    [
        ("", {}, False),
        ("?stream=true", {}, False),
        ("?stream=false", {}, True),
        ("?stream=false", {"stream": True}, False),
        ("?stream=true", {"stream": False}, True),
        ("", {"stream": False, "stream_format": "audio"}, False),
    ],
)
async def test_who_streams(session: aiohttp.ClientSession, query: str, body: dict[str, Any], whole: bool) -> None:
    """Progressive unless `stream` is false, in the body before the query; stream_format decides alone."""
    async with session.post(PATH + query, json={"input": "Hi."} | body) as answer:
        assert ("Content-Length" in answer.headers) is whole
        assert (answer.headers.get("Transfer-Encoding") == "chunked") is not whole
        assert answer.headers.get("Cache-Control") == (None if whole else "no-cache")


async def test_a_client_of_http_1_0_gets_all_of_it(server: Server, client: OpenAI) -> None:
    audio = await hear_as_of_old(server, SENTENCE, asyncio.Queue())
    assert audio == await asyncio.to_thread(speak, client, response_format="pcm")


def test_events_hold_the_same_bytes_and_end_with_the_cost(client: OpenAI) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": SENTENCE, "response_format": "wav", "stream_format": "sse"}
    kind = Stream[dict[str, Any]]
    events = list(client.post("/audio/speech", cast_to=dict[str, Any], body=body, stream=True, stream_cls=kind))
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert audio == speak(client, response_format="wav")
    usage = events[-1].pop("usage")
    assert events[-1] == {"type": "speech.audio.done"}
    assert usage["output_tokens"] == len(audio[44:]) // 2 // 1920
    assert usage["input_tokens"] > 5
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_events_are_named_as_openais_are(session: aiohttp.ClientSession) -> None:
    body = {"input": "Hi.", "stream_format": "sse", "response_format": "pcm"}
    async with session.post(PATH, json=body) as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-cache"
        *events, rest = (await answer.text()).split("\n\n")
    assert rest == ""
    lines = [event.split("\n") for event in events]
    assert all(name == f"event: {json.loads(data.removeprefix('data: '))['type']}" for name, data in lines)
    assert (lines[0][0], lines[-1][0]) == ("event: speech.audio.delta", "event: speech.audio.done")


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_writes_an_mp3(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "door.mp3"
    asking = ("-H", "Content-Type: application/json", "-d", json.dumps({"input": SENTENCE}))
    subprocess.run(["curl", "-sS", f"{server.url}{PATH}", *asking, "-o", file], check=True, timeout=HANG_SECONDS)
    assert decoded(file.read_bytes()).size > 24_000


def test_the_same_seed_gives_the_same_bytes(client: OpenAI) -> None:
    def drawn(seed: int) -> bytes:
        return speak(client, response_format="pcm", temperature=0.9, seed=seed)

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_speed_changes_the_length_and_not_the_pitch(client: OpenAI, speed: float) -> None:
    plain, changed = (samples(speak(client, response_format="pcm", speed=value)) for value in (1.0, speed))
    assert changed.size == pytest.approx(plain.size / speed, abs=1200)
    assert centre(changed) == pytest.approx(centre(plain), rel=0.2)


def centre(sound: npt.NDArray[np.float32]) -> float:
    """The frequency below which half of the power is, in Hz: twice as high where a tape runs twice as fast."""
    power = np.cumsum(np.abs(np.fft.rfft(sound)) ** 2)
    return float(np.searchsorted(power, power[-1] / 2) * 24_000 / sound.size)


# Who speaks


@pytest.mark.parametrize(
    ("fields", "model", "voice", "language"),
    [
        ({"voice": "onyx"}, "0.6B-CustomVoice", "Uncle_Fu", "Auto"),
        ({"voice": {"id": "ryan"}, "language": "en"}, "0.6B-CustomVoice", "Ryan", "English"),
        ({"voice": "", "language": "ja"}, "0.6B-CustomVoice", "Ono_Anna", "Japanese"),
        ({"voice": "ryan", "instructions": "Sad.", "model": "qwen3-tts-1.7b"}, "1.7B-CustomVoice", "Ryan", "Auto"),
        ({"voice": "design", "instructions": "An old man."}, "1.7B-VoiceDesign", "design", "Auto"),
        ({"voice": "", "voice_design": "An old man.", "language": "de"}, "1.7B-VoiceDesign", "design", "German"),
        ({"ref_audio": data_url(1.5), "ref_text": SAID}, "0.6B-Base", "clone", "Auto"),
        ({"ref_audio": data_url(1.5), "x_vector_only_mode": True}, "0.6B-Base", "clone", "Auto"),
    ],
)
def test_the_right_checkpoint_speaks(
    client: OpenAI, fields: dict[str, Any], model: str, voice: str, language: str
) -> None:
    answer = client.audio.speech.with_raw_response.create(**wish(response_format="pcm", input="Hi.", **fields))
    assert len(answer.content) > 1920
    assert answer.headers["X-Model-Used"] == f"Qwen3-TTS-12Hz-{model}"
    assert (answer.headers["X-Voice"], answer.headers["X-Language"]) == (voice, language)
    assert ("X-Warning" in answer.headers) == ("ref_audio" in fields), "the clip is short"


def test_a_voice_outside_its_language_is_warned_of(client: OpenAI) -> None:
    found = headers(client, voice="ryan-de", input="Hi.")
    assert found["x-warning"] == "Ryan is at home in English; German may have an accent."


def test_a_clip_that_could_be_better_is_warned_of_in_the_last_event_too(client: OpenAI) -> None:
    clip = {"ref_audio": data_url(1.5), "ref_text": SAID}
    body = {"model": "tts-1", "voice": "alloy", "input": "Hi.", "response_format": "pcm", "stream_format": "sse"}
    ends = []
    for more in (clip, {}):
        kind = Stream[dict[str, Any]]
        events = client.post("/audio/speech", cast_to=dict[str, Any], body=body | more, stream=True, stream_cls=kind)
        ends.append(list(events)[-1])
    assert [end["type"] for end in ends] == ["speech.audio.done"] * 2
    first, *others = ends[0]["warnings"]
    assert first == "The clip has 1.5 s of speech; 3 s or more is better."
    assert headers(client, input="Hi.", **clip)["x-warning"] == " ".join([first, *others])
    assert "warnings" not in ends[1]


@pytest.mark.parametrize("said", ["silent", "too short"])
def test_a_clip_that_is_of_no_use_is_refused(client: OpenAI, said: str) -> None:
    url = silence_url(4.0) if said == "silent" else data_url(4.0)
    with pytest.raises(BadRequestError) as caught:
        client.audio.speech.create(**wish(ref_audio=url, ref_text="Hi."))
    assert (caught.value.code, caught.value.param) == ("invalid_request", "ref_audio")
    assert {"silent": "The clip is silent", "too short": "write all that the clip says"}[said] in caught.value.message


def test_unknown_fields_are_named_and_can_not_forge_headers(client: OpenAI) -> None:
    fields = {"a\r\nX-Evil: 1": 1, "word_timestamps": True, "größe": None}
    found = headers(client, input="Hi.", **fields)
    assert found["x-ignored-fields"] == r"a\r\nX-Evil: 1, gr\u00f6\u00dfe, word_timestamps"
    assert "x-evil" not in found
    assert "x-ignored-fields" not in headers(client, input="Hi.")


# What is refused


@pytest.mark.parametrize(
    ("fields", "error", "code", "said"),
    [
        ({"voice": "nobody"}, BadRequestError, "voice_not_found", "--voice-fallback on"),
        ({"model": "gpt-5"}, NotFoundError, "model_not_found", "--voice-fallback on"),
        ({"voice": "design", "instructions": "a", "model": "qwen3-tts-0.6b"}, NotFoundError, "model_not_found", "1.7B"),
        ({"response_format": "ogg"}, BadRequestError, "invalid_request", "'flac'"),
        ({"input": ""}, BadRequestError, "invalid_request", "empty"),
        ({"input": "a" * 5000}, BadRequestError, "invalid_request", "4096"),
        ({"speed": 9}, BadRequestError, "invalid_request", "speed"),
        ({"voice": "ryan-de", "language": "fr"}, BadRequestError, "invalid_request", "German"),
        ({"language": "nl"}, BadRequestError, "language_not_supported", "pt (portuguese)"),
        (
            {"instructions": "a", "strict": True, "model": "qwen3-tts-0.6b"},
            BadRequestError,
            "instructions_not_supported",
            "0.6B-CustomVoice",
        ),
        ({"instructions": "a " * 1001, "strict": True}, BadRequestError, "invalid_request", "2,001 characters"),
        ({"voice": "design", "instructions": "a " * 1001}, BadRequestError, "invalid_request", "2,001 characters"),
        (
            {"ref_audio": data_url(1.5), "ref_text": SAID, "instructions": "a", "strict": True},
            BadRequestError,
            "instructions_not_supported",
            "Base",
        ),
        ({"ref_audio": data_url(301, 8_000), "ref_text": "a"}, APIStatusError, "payload_too_large", "300 seconds"),
        ({"effects": [{"type": "echo"}]}, BadRequestError, "invalid_request", "reverb"),
        ({"effects": [{"type": "reverb", "wet": 1.5}]}, BadRequestError, "invalid_request", "wet"),
        (
            {"ref_audio": data_url(1.5), "ref_text": SAID, "model": "qwen3-tts-1.7b"},
            InternalServerError,
            "model_missing",
            "Qwen3-TTS-12Hz-1.7B-Base",
        ),
    ],
)
def test_what_would_fail_again_is_told_once(
    client: OpenAI, fields: dict[str, Any], error: type[APIStatusError], code: str, said: str
) -> None:
    """As the class that the SDK's users catch, in one request: the SDK tries nothing of it again."""
    before = answers(client)
    with pytest.raises(error) as caught:
        client.audio.speech.create(**wish(**fields))
    assert (caught.value.code, said in caught.value.message) == (code, True)
    assert answers(client) == before + 1
    sent = caught.value.response
    assert set(sent.json()) == {"error"}
    assert set(sent.json()["error"]) == {"message", "type", "param", "code"}
    assert caught.value.request_id == sent.headers["X-Request-Id"]
    assert sent.headers.get("X-Should-Retry") == ("false" if sent.status_code >= 500 else None)


def test_the_key_is_asked_for(bare: Server) -> None:
    with OpenAI(base_url=f"{bare.url}/v1", api_key=KEY) as client:
        before = answers(client)
        for key in ("wrong", KEY + "x"):
            with pytest.raises(AuthenticationError) as caught:
                client.with_options(api_key=key).audio.speech.create(**wish())
            assert caught.value.code == "invalid_api_key"
        assert answers(client) == before + 2


def test_a_missing_checkpoint_is_told_with_a_time_to_ask_again(bare: Server) -> None:
    with OpenAI(base_url=f"{bare.url}/v1", api_key=KEY, max_retries=0) as client:
        with pytest.raises(InternalServerError) as caught:
            client.audio.speech.create(**wish(model="qwen3-tts"))
        assert (caught.value.status_code, caught.value.code) == (503, "model_loading")
        assert "CustomVoice is" in caught.value.message
        assert "send the model standby for the English standby voice" in caught.value.message
        assert int(caught.value.response.headers["Retry-After"]) > 0
        answer = client.audio.speech.with_raw_response.create(**wish(model="standby"))
    assert decoded(answer.content).size > 24_000
    assert (answer.headers["X-Engine"], answer.headers["X-Voice"]) == ("standby", "standby")


def test_the_servers_own_limits_and_leniency(bare: Server) -> None:
    """--max-input 40 and --voice-fallback."""
    with OpenAI(base_url=f"{bare.url}/v1", api_key=KEY) as client:
        with pytest.raises(BadRequestError, match="has 41 characters; at most 40"):
            client.audio.speech.create(**wish(model="standby", input="a" * 41))
        assert headers(client, model="standby", voice="nobody", input="a " * 20)["x-engine"] == "standby"


@pytest.mark.parametrize("fields", [{}, {"model": "qwen3-tts", "standby": "auto"}, {"instructions": "Cheerfully."}])
def test_the_standby_voice_speaks_for_clients_that_chose_no_model(bare: Server, fields: dict[str, str]) -> None:
    with OpenAI(base_url=f"{bare.url}/v1", api_key=KEY, max_retries=0) as client:
        answer = client.audio.speech.with_raw_response.create(**wish(**fields))
        assert decoded(answer.content).size > 24_000
        assert (answer.headers["X-Model-Used"], answer.headers["X-Voice"]) == ("standby", "Aiden")
        warning = answer.headers["X-Warning"]
        assert warning.startswith("The standby voice spoke, because Qwen3")
        assert ("The instructions were left out." in warning) == ("instructions" in fields)
        with pytest.raises(InternalServerError):
            client.audio.speech.create(**wish(**fields, language="de"))


async def test_no_url_of_a_clip_is_opened(session: aiohttp.ClientSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/clip.wav"
        async with session.post(PATH, json={"input": "Hi.", "ref_audio": url, "ref_text": "a"}) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["param"] == "ref_audio"
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"input": "Hi.", "effects": [' + b"1," * 2_000_000 + b"1]}", 413),
        (b'{"input": "Hi.", "speed": NaN}', 400),
        (b'{"input": "Hi.", "seed": 1e400}', 400),
        ('{"input": "Grüße."}'.encode("latin-1"), 400),
        (b'{"input": "' + b"a" * (25 << 20) + b'"}', 413),
    ],
    ids=["deep", "many", "not a number", "huge number", "latin-1", "too large"],
)
async def test_no_body_harms_the_server(
    server: Server, session: aiohttp.ClientSession, data: bytes, status: int
) -> None:
    async with session.post(PATH, data=data, headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["message"]
    assert "Traceback" not in server.log


# What goes wrong in the middle


async def test_a_dead_engine_cuts_answers_that_have_begun(server: Server) -> None:
    """Clients of HTTP/1.1 and 1.0 see a failure and not an end, those of events an error.

    What has not begun has a status of its own, and the next request is spoken again.
    """
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        begun = asyncio.Queue[None]()
        answering = [
            asyncio.create_task(hear(client, begun, LONG, "pcm")),
            asyncio.create_task(hear_events(client, begun)),
            asyncio.create_task(hear_as_of_old(server, LONG, begun)),
        ]
        for _ in answering:
            await begun.get()
        whole = asyncio.create_task(client.audio.speech.create(**wish(input=LONG, stream=False)))
        async with aiohttp.ClientSession(server.url) as session:
            await until_active(session, 4)
        os.kill(engine(server), signal.SIGKILL)
        chunked, events, old, failed = await asyncio.gather(*answering, whole, return_exceptions=True)
        assert type(chunked).__name__ == "RemoteProtocolError"
        assert isinstance(events, APIError)
        assert events.code == "engine_failed"
        assert isinstance(old, ConnectionResetError)
        assert isinstance(failed, InternalServerError)
        assert (failed.status_code, failed.code) == (500, "engine_failed")
        assert (await client.audio.speech.create(**wish())).content
    lines = [line for line in server.log.splitlines() if "code=engine_failed" in line]
    assert len(lines) == len(answering) + 1  # one for each request
    known = ("source=http code=engine_failed", " voice=", ": The speech engine stopped unexpectedly.")
    assert all(part in line for line in lines for part in known), lines
    assert "Traceback" not in server.log


async def test_a_full_server_refuses_more_and_a_stopping_one_cuts_what_has_begun(
    start_server: StartServer, models_dir: Path
) -> None:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    server = start_server(*options, "--temperature", "0", "--max-active", "2", "--max-waiting", "0")
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        begun = asyncio.Queue[None]()
        answering = [
            asyncio.create_task(hear(client, begun, LONG, "pcm")),
            asyncio.create_task(hear_as_of_old(server, LONG, begun)),
        ]
        for _ in answering:
            await begun.get()
        with pytest.raises(RateLimitError) as caught:
            await client.audio.speech.create(**wish())
        assert caught.value.code == "queue_full"
        assert int(caught.value.response.headers["Retry-After"]) > 0
        server.process.send_signal(signal.SIGTERM)
        chunked, old = await asyncio.gather(*answering, return_exceptions=True)
    assert type(chunked).__name__ == "RemoteProtocolError"
    assert isinstance(old, ConnectionResetError)
    assert await asyncio.to_thread(server.process.wait, HANG_SECONDS) == 0
    assert "Traceback" not in server.log


async def hear_events(client: AsyncOpenAI, begun: asyncio.Queue[None]) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": LONG, "response_format": "pcm", "stream_format": "sse"}
    kind = AsyncStream[dict[str, Any]]
    events = await client.post("/audio/speech", cast_to=dict[str, Any], body=body, stream=True, stream_cls=kind)
    await anext(events)
    begun.put_nowait(None)
    async for _ in events:
        await asyncio.sleep(0.01)


async def hear_as_of_old(server: Server, text: str, begun: asyncio.Queue[None]) -> bytes:
    """By HTTP/1.0, where an answer ends when the connection does."""
    body = json.dumps({"input": text, "voice": "alloy", "response_format": "pcm"}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port, limit=1 << 16)
    head = f"POST {PATH} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(head.encode() + b"\r\n\r\n" + body)
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    audio = await reader.readexactly(10_000)
    begun.put_nowait(None)
    while piece := await reader.read(1 << 16):
        audio += piece
        await asyncio.sleep(0.01)
    writer.close()
    return audio


async def test_a_client_that_leaves_stops_the_engine(server: Server, session: aiohttp.ClientSession) -> None:
    async def speak() -> bytes:
        async with session.post(PATH, json={"input": SENTENCE, "response_format": "pcm"}) as answer:
            return await answer.read()

    await speak()
    process = psutil.Process(engine(server))
    used, spoken = processor_seconds(process), await speak()
    each = (processor_seconds(process) - used) / (len(spoken) / 48_000)
    async with session.post(PATH, json={"input": LONG, "response_format": "pcm"}) as answer:
        await answer.content.readexactly(10_000)
        answer.close()
    await server.wait_for(r"Stopped source=speech .* characters=3840 first_audio=\S+ audio=(?!0\.00)")
    assert await at_rest(process) < 10 * each, "It went on to the 20 seconds that it may be ahead of a listener."
    assert "Traceback" not in server.log


async def test_a_client_that_leaves_before_the_first_sound_is_forgotten(
    server: Server, session: aiohttp.ClientSession
) -> None:
    """The engine is stopped, so that no sound can come before the client has left."""
    async with session.post(PATH, json={"input": "Warm."}) as answer:
        await answer.read()
    with stopped(engine(server)):
        asking = asyncio.create_task(session.post(PATH, json={"input": "Nobody hears this."}))
        await until_active(session, 1)
        asking.cancel()
        await server.wait_for(r"Stopped source=speech .* characters=18\n")
        await until_active(session, 0)
    async with session.post(PATH, json={"input": SENTENCE}) as answer:
        assert answer.status == 200
        assert await answer.read()


async def until_active(session: aiohttp.ClientSession, count: int) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async with session.get("/health") as answer:
                if (await answer.json())["active"] == count:
                    return
            await asyncio.sleep(0.02)
