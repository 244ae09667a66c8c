"""Sound to tokens and back, by a real engine."""

import base64
import io
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiohttp import ClientSession, FormData

from tests.conftest import CUSTOM_VOICE, Server, StartServer
from tests.tiny import CODES
from wyoming_qwen3.core.request import FRAME_SAMPLES

FRAME = list(range(16))


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    """Nothing is loaded before a request needs it."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0", "--preload", "none")


def wav(samples: bytes, rate: int = 24_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples)
    return file.getvalue()


def data_url(data: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(data).decode()


def form(data: bytes, field: str = "file") -> FormData:
    built = FormData()
    built.add_field(field, data, filename="clip.wav")
    return built


def noise(seconds: float) -> bytes:
    return np.random.default_rng(5).integers(-8000, 8000, round(seconds * 24_000), np.int16).tobytes()


async def encode(http: ClientSession, data: bytes) -> dict[str, Any]:
    async with http.post("/api/audio/encode", json={"audio": data_url(data)}) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def refused(http: ClientSession, path: str, **sent: Any) -> tuple[int, str, str | None]:
    """Status, code and field of an error."""
    async with http.post(path, **sent) as response:
        error = (await response.json())["error"]
        return response.status, error["code"], error["param"]


async def test_speech_comes_back_from_its_tokens_as_long_as_it_was(http: ClientSession) -> None:
    async with http.post("/v1/audio/speech", json={"input": "The door.", "response_format": "pcm"}) as response:
        speech = await response.read()
    told = await encode(http, wav(speech))
    assert (told["frame_rate"], told["codebooks"], told["sample_rate"]) == (12.5, 16, 24_000)
    assert told["frames"] == len(told["tokens"]) == len(speech) // 2 // FRAME_SAMPLES
    assert told["duration_ms"] == len(speech) // 48
    async with http.post("/api/audio/decode", json={"tokens": told["tokens"], "response_format": "pcm"}) as response:
        sound = await response.read()
    assert len(sound) == len(speech)


async def test_tokens_and_sound_are_upstreams(http: ClientSession, models_dir: Path) -> None:
    import torch

    from tests.engine.golden import load_codec

    samples = noise(1.3)
    tokenizer = load_codec(models_dir / CUSTOM_VOICE.name)
    clip = np.frombuffer(samples, np.int16).astype(np.float32) / 32768
    told = await encode(http, wav(samples))
    assert told["tokens"] == tokenizer.encode(clip, sr=24_000).audio_codes[0].tolist()
    assert told["frames"] == 17  # the last one is begun only
    async with http.post("/api/audio/decode", json={"tokens": told["tokens"], "response_format": "pcm"}) as response:
        sound = np.frombuffer(await response.read(), np.int16)
    with torch.inference_mode():
        expected = tokenizer.model.decoder(torch.tensor(told["tokens"]).t()[None])[0, 0].numpy()
    np.testing.assert_allclose(sound / 32768, expected, atol=1e-4)


async def test_an_upload_gives_the_tokens_that_a_data_url_gives(http: ClientSession) -> None:
    clip = wav(noise(0.7), 16_000)
    told = await encode(http, clip)
    async with http.post("/api/audio/encode", data=form(clip)) as response:
        assert await response.json() == told


async def test_numpy_reads_the_tokens(http: ClientSession) -> None:
    clip = wav(noise(0.5))
    told = await encode(http, clip)
    async with http.post("/api/audio/encode?format=npz", data=form(clip)) as response:
        assert response.headers["Content-Disposition"] == 'attachment; filename="tokens.npz"'
        packed = np.load(io.BytesIO(await response.read()))
    assert packed["tokens"].dtype == np.int16
    assert packed["tokens"].tolist() == told["tokens"]
    assert packed["frame_rate"] == 12.5


@pytest.mark.parametrize(
    ("wanted", "media_type", "container"),
    [
        ("mp3", "audio/mpeg", "mp3"),
        ("opus", "audio/ogg", "ogg"),
        ("aac", "audio/aac", "aac"),
        ("flac", "audio/flac", "flac"),
        ("wav", "audio/wav", "wav"),
        (None, "audio/wav", "wav"),
    ],
)
async def test_tokens_are_heard_in_each_format(
    http: ClientSession, wanted: str | None, media_type: str, container: str
) -> None:
    body = {"tokens": [FRAME] * 5} | ({"response_format": wanted} if wanted else {})
    async with http.post("/api/audio/decode", json=body) as response:
        assert response.status == 200
        assert response.content_type == media_type
        assert response.headers["X-Audio-Duration-Ms"] == "400"
        assert av.open(io.BytesIO(await response.read())).format.name == container


@pytest.mark.parametrize(
    ("tokens", "param"),
    [
        ([], "tokens"),
        (None, "tokens"),
        ("0", "tokens"),
        ([[]], "tokens.0"),
        ([FRAME[:15]], "tokens.0"),
        ([[*FRAME, 0]], "tokens.0"),
        ([FRAME, FRAME[:3]], "tokens.1"),
        ([FRAME, None], "tokens.1"),
        ([[-1, *FRAME[1:]]], "tokens.0.0"),
        ([[2048, *FRAME[1:]]], "tokens.0.0"),
        ([[10**30, *FRAME[1:]]], "tokens.0.0"),
        ([[0.5, *FRAME[1:]]], "tokens.0.0"),
        ([[1.0, *FRAME[1:]]], "tokens.0.0"),
        ([["1", *FRAME[1:]]], "tokens.0.0"),
        ([[True, *FRAME[1:]]], "tokens.0.0"),
        ([[None, *FRAME[1:]]], "tokens.0.0"),
        ([["a"] * 16] * 4000, "tokens.0.0"),
    ],
)
async def test_what_are_no_tokens_is_refused_where_it_is_wrong(http: ClientSession, tokens: Any, param: str) -> None:
    wrong = await refused(http, "/api/audio/decode", json={"tokens": tokens})
    assert wrong == (400, "invalid_request", param)


async def test_tokens_that_this_codec_lacks_are_refused(http: ClientSession) -> None:
    """The real codec has all 2048; the engine does not trust in that."""
    wrong = await refused(http, "/api/audio/decode", json={"tokens": [[CODES, *FRAME[1:]]]})
    assert wrong == (400, "invalid_request", None)


async def test_too_much_is_refused(http: ClientSession) -> None:
    too_large = (413, "payload_too_large")
    assert (await refused(http, "/api/audio/decode", json={"tokens": [FRAME] * 4097}))[:2] == too_large
    minute = wav(bytes(2 * 61 * 8000), 8000)
    assert await refused(http, "/api/audio/encode", data=form(minute)) == (*too_large, "audio")
    assert await refused(http, "/api/audio/encode", json={"audio": data_url(minute)}) == (*too_large, "audio")
    large = wav(bytes(10 << 20), 192_000)
    assert (await refused(http, "/api/audio/encode", data=form(large)))[:2] == too_large
    assert await refused(http, "/api/audio/encode", json={"audio": data_url(large)}) == (*too_large, "audio")


@pytest.mark.parametrize("data", [b"", b"hello", wav(b""), b"RIFF\0\0\0\0WAVE" + bytes(100)])
async def test_what_is_no_sound_is_refused(http: ClientSession, data: bytes) -> None:
    wrong = (400, "invalid_request", "audio")
    assert await refused(http, "/api/audio/encode", data=form(data)) == wrong
    assert await refused(http, "/api/audio/encode", json={"audio": data_url(data)}) == wrong


@pytest.mark.parametrize("url", ["http://127.0.0.1/a.wav", "file:///etc/passwd", "/etc/passwd", "UklGRg=="])
async def test_nothing_is_fetched_or_opened(http: ClientSession, url: str) -> None:
    assert (await refused(http, "/api/audio/encode", json={"audio": url})) == (400, "invalid_request", "audio")


async def test_a_form_without_the_file_is_refused(http: ClientSession) -> None:
    assert (await refused(http, "/api/audio/encode", data=form(b"x", "clip")))[:2] == (400, "invalid_request")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("encode", "text/plain"),
        ("encode", "audio/wav"),
        ("encode", "multipart/mixed; boundary=x"),
        ("encode", "application/x-www-form-urlencoded"),
        ("decode", "text/plain"),
        ("decode", "multipart/form-data; boundary=x"),
    ],
)
async def test_other_content_types_are_refused(http: ClientSession, path: str, content_type: str) -> None:
    wrong = await refused(http, f"/api/audio/{path}", data=b"{}", headers={"Content-Type": content_type})
    assert wrong[:2] == (415, "unsupported_media_type")


async def test_nothing_of_it_was_a_fault_of_ours(server: Server, http: ClientSession) -> None:
    async with http.get("/metrics") as response:
        told = await response.text()
    assert 'status="5' not in told
    assert "Traceback" not in server.log
