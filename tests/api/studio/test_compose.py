"""Sounds put together over HTTP. What was put together is looked for in the samples that come back."""

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from aiohttp import ClientSession, FormData

from tests.conftest import Server, StartServer
from wyoming_qwen3.api.studio.sources import SoundWorkLimiter
from wyoming_qwen3.audio.decode import read_clip
from wyoming_qwen3.core.errors import QueueFull
from wyoming_qwen3.core.request import SAMPLE_RATE

ROUTE = "/v1/audio/compose"
Sound = npt.NDArray[np.float32]
PEAK = 10 ** (-1 / 20)


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0")


def tone(frequency: float, seconds: float, level: float = 0.25, rate: int = SAMPLE_RATE) -> Sound:
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def file(sound: Sound, rate: int = SAMPLE_RATE, kind: str = "WAV", subtype: str = "FLOAT") -> bytes:
    packed = io.BytesIO()
    soundfile.write(packed, sound, rate, format=kind, subtype=subtype)
    return packed.getvalue()


def url(data: bytes) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(data).decode()}"


def track(sound: Sound, **more: object) -> dict[str, object]:
    return {"audio": url(file(sound)), **more}


async def composed(http: ClientSession, body: object) -> Sound:
    async with http.post(ROUTE, json=body) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "audio/wav"
        data = await response.read()
        assert response.content_length == len(data)
        assert int(response.headers["X-Audio-Duration-Ms"]) == round((len(data) - 44) / 48)
    return read_clip(data, max_seconds=2000, param="audio").samples


async def refused(http: ClientSession, body: object, status: int = 400) -> dict[str, Any]:
    async with http.post(ROUTE, json=body) as response:
        answer = await response.json()
        assert response.status == status, answer
    error: dict[str, Any] = answer["error"]
    return error


def same(found: Sound, expected: Sound) -> None:
    """To a step of the 16 bits in between."""
    assert found.size == expected.size
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.6 / 32768)


async def test_a_mix_has_its_tracks_at_their_offsets(http: ClientSession) -> None:
    low, high = tone(200, 1.0), tone(1000, 0.5, 0.5)
    tracks = [track(low), track(high, offset_ms=1500.5, volume=0.5), track(high, offset_ms=250)]
    expected = np.zeros(36_012 + 12_000, np.float32)
    expected[:24_000] += low
    expected[36_012:] += 0.5 * high
    expected[6_000:18_000] += high
    same(await composed(http, {"tracks": tracks, "normalize": False}), expected)


async def test_a_bare_list_is_a_mix_of_them_as_loud_as_it_may_be(http: ClientSession) -> None:
    low, high = tone(200, 1.0), tone(1000, 1.0)
    found = await composed(http, [track(low), track(high, offset_ms=500)])
    assert found.size == 36_000
    assert np.abs(found).max() == pytest.approx(PEAK, abs=0.001)
    ratio = found[:12_000] @ low[:12_000] / (low[:12_000] @ low[:12_000])
    np.testing.assert_allclose(found[:12_000], ratio * low[:12_000], atol=0.001)


async def test_a_sequence_overlaps_by_its_crossfade(http: ClientSession) -> None:
    """In its middle both are 3 dB down, and the power of both together stays."""
    low, high = tone(200, 2.0), tone(1000, 2.0)
    tracks = [track(low), track(high), track(low, offset_ms=100)]
    body = {"tracks": tracks, "mode": "sequence", "crossfade_ms": 500, "normalize": False}
    found = await composed(http, body)
    assert found.size == (2 + 2 - 0.5 + 0.1 + 2) * SAMPLE_RATE
    same(found[: round(1.5 * SAMPLE_RATE)], low[: round(1.5 * SAMPLE_RATE)])
    same(found[2 * SAMPLE_RATE : round(3.5 * SAMPLE_RATE)], high[SAMPLE_RATE // 2 :])
    assert not found[round(3.5 * SAMPLE_RATE) : round(3.6 * SAMPLE_RATE)].any()
    same(found[-2 * SAMPLE_RATE :], low)
    middle = found[round(1.7 * SAMPLE_RATE) : round(1.8 * SAMPLE_RATE)]
    times = np.arange(middle.size) / SAMPLE_RATE
    heights = [2 * abs(np.mean(middle * np.exp(-2j * np.pi * hertz * times))) for hertz in (200, 1000)]
    np.testing.assert_allclose(heights, 0.25 * np.sqrt(0.5), rtol=0.03)


async def test_fades_and_formats(http: ClientSession) -> None:
    steady = np.full(SAMPLE_RATE, 0.5, np.float32)
    body = {"tracks": [track(steady, fade_in_ms=250, fade_out_ms=500)], "normalize": False}
    found = await composed(http, body)
    assert found[3_000] == pytest.approx(0.5 * np.sin(np.pi / 4), abs=0.001)
    assert found[18_000] == pytest.approx(0.5 * np.sin(np.pi / 4), abs=0.001)
    assert found[9_000] == pytest.approx(0.5, abs=0.001)
    for audio_format, media_type in {"mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac"}.items():
        async with http.post(ROUTE, json=body | {"response_format": audio_format}) as response:
            assert response.content_type == media_type
            clip = read_clip(await response.read(), max_seconds=5, param="audio")
            assert clip.seconds == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("mode", ["mix", "sequence"])
async def test_nothing_clips(http: ClientSession, mode: str, normalize: bool) -> None:
    loud = [track(tone(200 + 10 * number, 1, 0.9), volume=4) for number in range(8)]
    body = {"tracks": loud, "mode": mode, "normalize": normalize}
    found = await composed(http, body)
    heights = np.abs(found)
    assert heights.max() <= (PEAK + 0.001 if normalize else 1)
    flat = (heights[1:] == heights[:-1]) & (heights[1:] > 0.9)
    assert flat.mean() < 0.01, "What is cut off at a height stays there for samples."


async def test_files_of_all_kinds_come_out_at_one_rate(http: ClientSession) -> None:
    both = np.stack([tone(300, 1, rate=44_100), tone(300, 1, rate=44_100)], axis=1)
    files = [
        file(tone(300, 1, rate=8_000), 8_000),
        file(both, 44_100),
        file(tone(300, 1), SAMPLE_RATE, "FLAC", "PCM_16"),
    ]
    tracks = [{"audio": url(one), "offset_ms": 1000 * number} for number, one in enumerate(files)]
    found = await composed(http, {"tracks": tracks, "normalize": False})
    assert found.size == 3 * SAMPLE_RATE
    for second in found.reshape(3, -1):
        np.testing.assert_allclose(second[2400:-2400], tone(300, 1)[2400:-2400], atol=0.01)


async def test_what_the_server_keeps_is_named(http: ClientSession) -> None:
    """An entry of the history, a kept voice by name and by id, an upload by both its names, and a composition."""
    entry = await spoken(http)
    voice = await kept_voice(http)
    hum = tone(440, 0.5)
    clip = await uploaded(http, file(hum))
    async with http.get(f"/api/history/{entry}/audio") as response:
        said = read_clip(await response.read(), max_seconds=60, param="audio").samples
    names = [f"history:{entry}", "preset:Butler Tom", f"preset:{voice}", f"clip:{clip}", f"upload:{clip}"]
    body = {"tracks": [{"audio": name} for name in names], "mode": "sequence", "normalize": False}
    found = await composed(http, body)
    sample = (found.size - said.size - 2 * hum.size) // 2
    assert sample == 2 * SAMPLE_RATE
    same(found[: said.size], said)
    first, second = found[said.size : said.size + sample], found[said.size + sample : said.size + 2 * sample]
    assert np.abs(first).max() > 0.1
    np.testing.assert_array_equal(first, second)
    same(found[-2 * hum.size :], np.concatenate([hum, hum]))
    for audio_format in ("wav", "pcm", "flac"):
        async with http.post(ROUTE, json={**body, "return": "json", "response_format": audio_format}) as response:
            answer = await response.json()
        assert answer["format"] == audio_format
        assert answer["duration_ms"] == pytest.approx(1000 * found.size / SAMPLE_RATE, abs=0.06)
        again = answer["audio_url"].replace("/api/clips/", "clip:")
        same(await composed(http, {"tracks": [{"audio": again}], "normalize": False}), found)


async def test_effects_are_done_to_the_whole(http: ClientSession) -> None:
    tracks = [track(tone(200, 1)), track(tone(200, 1), offset_ms=1000)]
    body: dict[str, object] = {"tracks": tracks, "normalize": False}
    fast = await composed(http, body | {"effects": [{"type": "speed", "factor": 2}]})
    assert fast.size == pytest.approx(SAMPLE_RATE, abs=0.025 * SAMPLE_RATE)
    softer = await composed(http, body | {"effects": [{"type": "gain", "gain_db": -6}]})
    same(softer, np.float32(10 ** (-6 / 20)) * np.concatenate([tone(200, 1), tone(200, 1)]))


@pytest.mark.parametrize(
    "name",
    [
        "history:00000000-0000-0000-0000-000000000000",
        "history:../../etc/passwd",
        "preset:Nobody",
        "preset:../../etc/passwd",
        "clip:00000000-0000-0000-0000-000000000000",
        "upload:../clips",
    ],
)
async def test_what_is_not_there_is_told_with_its_track(http: ClientSession, name: str) -> None:
    error = await refused(http, [track(tone(200, 0.1)), {"audio": name}], 404)
    assert (error["code"], error["param"]) == ("not_found", "tracks[1].audio")
    assert error["message"].startswith("tracks[1].audio: ")


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/a.wav", "Ryan", "History:1", "clip:" + "x" * 300],
)
async def test_no_path_and_no_url_is_read(http: ClientSession, name: str) -> None:
    error = await refused(http, [{"audio": name}])
    assert error["param"] == "tracks[0].audio"
    assert "no other URL or path is read" in error["message"]


HUM = track(tone(200, 0.1))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], "tracks"),
        ([HUM] * 65, "tracks"),
        ({}, "tracks"),
        ({"tracks": [{}]}, "tracks.0.audio"),
        ([HUM | {"offset_ms": 1e12}], "tracks.0.offset_ms"),
        ([HUM | {"offset_ms": -1}], "tracks.0.offset_ms"),
        ([HUM | {"offset_ms": float("nan")}], "tracks.0.offset_ms"),
        ([HUM | {"volume": 4.1}], "tracks.0.volume"),
        ([HUM | {"fade_in_ms": 60_001}], "tracks.0.fade_in_ms"),
        ({"tracks": [HUM], "crossfade_ms": 60_001}, "crossfade_ms"),
        ({"tracks": [HUM], "crossfade_ms": 100}, "mode"),
        ({"tracks": [HUM], "mode": "stack"}, "mode"),
        ({"tracks": [HUM], "effects": [{"type": "gain"}]}, "effects[0].gain_db"),
        ([{"audio": "data:audio/wav;base64,AAAA"}], "tracks[0].audio"),
        ([{"audio": "data:audio/wav;base64,?"}], "tracks[0].audio"),
        ([HUM, {"audio": "data:text/plain;base64,AAAA"}], "tracks[1].audio"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_can_not_be_understood_says_where(http: ClientSession, body: object, param: str) -> None:
    error = await refused(http, body)
    assert error["param"] == param, error


async def test_neither_a_list_nor_an_object_is_refused(http: ClientSession) -> None:
    assert (await refused(http, "tracks"))["message"] == "A JSON object is expected."


async def test_sounds_are_bounded_alone_and_together_and_so_is_what_becomes_of_them(http: ClientSession) -> None:
    minute, longest = silence(60), silence(600)
    quiet = {"audio": url(minute)}
    error = await refused(http, [{"audio": url(silence(601))}], 413)
    assert error["param"] == "tracks[0].audio"
    assert "600 seconds" in error["message"]
    error = await refused(http, [{"audio": url(longest)}] * 3 + [quiet], 413)
    assert "1800 s together" in error["message"]
    error = await refused(http, [quiet | {"offset_ms": 1_800_000}], 413)
    assert "must not last more than 1800 s" in error["message"]
    effects = [{"type": "speed", "factor": 0.25}, {"type": "speed", "factor": 4}]
    error = await refused(http, {"tracks": [{"audio": url(longest)}], "effects": effects}, 413)
    assert error["param"] == "effects"


async def test_a_body_is_bounded(http: ClientSession) -> None:
    body = [{"audio": "data:audio/wav;base64," + "A" * (25 * 2**20)}]
    assert (await refused(http, body, 413))["code"] == "payload_too_large"


async def test_others_are_answered_meanwhile(http: ClientSession) -> None:
    body = {"tracks": [{"audio": url(silence(600)), "offset_ms": 600_000 * number} for number in range(2)]}
    composing = asyncio.create_task(composed(http, body))
    answers = 0
    while not composing.done():
        async with http.get("/health") as response:
            assert response.status == 200
        answers += 1
    assert (await composing).size == 1200 * SAMPLE_RATE
    assert answers > 10


async def test_one_works_at_the_desk_and_not_too_many_wait() -> None:
    limiter, free = SoundWorkLimiter(), asyncio.Event()
    working = 0

    async def work() -> None:
        nonlocal working
        async with limiter.place():
            working += 1
            await free.wait()

    tasks = [asyncio.create_task(work()) for _ in range(17)]
    await asyncio.sleep(0)
    assert working == 1
    with pytest.raises(QueueFull, match="16 requests already wait to process sounds"):
        await work()
    free.set()
    await asyncio.gather(*tasks)
    assert working == 17


async def test_what_nobody_looks_at_is_named(http: ClientSession) -> None:
    async with http.post(ROUTE, json={"tracks": [HUM | {"pan": 1}], "tempo": 3}) as response:
        assert response.headers["X-Ignored-Fields"] == "pan, tempo"


def silence(seconds: int) -> bytes:
    """Little to send, and much to decode."""
    return file(np.zeros(seconds * 8_000, np.float32), 8_000, "FLAC", "PCM_16")


async def spoken(http: ClientSession) -> str:
    """Id of an entry of the history."""
    body = {"input": "It is late.", "voice": "Ryan", "save": True, "response_format": "wav"}
    async with http.post("/v1/audio/speech", json=body) as response:
        await response.read()
        return response.headers["X-History-Id"]


async def kept_voice(http: ClientSession) -> str:
    """Id of a kept voice with a clip of two seconds."""
    form = FormData()
    form.add_field("name", "Butler Tom")
    form.add_field("samples[]", file(tone(200, 2), subtype="PCM_16"), filename="a.wav")
    form.add_field("ref_texts[]", "It is late.")
    async with http.post("/api/profiles", data=form) as response:
        answer = await response.json()
        assert response.status == 201, answer
        return str(answer["id"])


async def uploaded(http: ClientSession, data: bytes) -> str:
    async with http.post("/api/clips", json={"audio": url(data)}) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["id"])
