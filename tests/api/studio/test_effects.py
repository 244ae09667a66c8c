"""Effects over HTTP: the list, and each of them heard.

How well they are made is measured in tests/audio/test_chain.py.
"""

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from aiohttp import ClientSession

from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.studio import effects as route
from wyoming_qwen3.audio import chain
from wyoming_qwen3.audio.decode import read_clip
from wyoming_qwen3.core.effects import EFFECTS
from wyoming_qwen3.core.request import SAMPLE_RATE

ROUTE = "/api/effects/preview"
Sound = npt.NDArray[np.float32]
SECONDS = 2.0


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0", "--history")


def tones(*frequencies: float) -> Sound:
    """Each at a tenth of full scale."""
    times = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    sound: Sound = (0.1 * np.sin(2 * np.pi * np.outer(frequencies, times))).sum(axis=0).astype(np.float32)
    return sound


def url(sound: Sound) -> str:
    packed = io.BytesIO()
    soundfile.write(packed, sound, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return f"data:audio/wav;base64,{base64.b64encode(packed.getvalue()).decode()}"


async def heard(http: ClientSession, **body: object) -> Sound:
    async with http.post(ROUTE, json={"response_format": "wav"} | body) as response:
        assert response.status == 200, await response.text()
        return read_clip(await response.read(), max_seconds=120, param="audio").samples


async def changed(http: ClientSession, sound: Sound, **effect: object) -> Sound:
    return await heard(http, audio=url(sound), effects=[effect])


async def refused(http: ClientSession, **body: object) -> dict[str, Any]:
    async with http.post(ROUTE, json=body) as response:
        answer = await response.json()
        assert response.status == (404 if answer["error"]["code"] in ("not_found", "model_not_found") else 400), answer
    error: dict[str, Any] = answer["error"]
    return error


async def entries(http: ClientSession, words: str) -> list[dict[str, Any]]:
    """Of the history."""
    async with http.get("/api/history", params={"q": words}) as response:
        items: list[dict[str, Any]] = (await response.json())["items"]
    return items


def level(sound: Sound, hertz: float) -> float:
    """Decibels of one tone, next to a tenth of full scale."""
    middle = sound[SAMPLE_RATE // 4 : -SAMPLE_RATE // 4]
    times = np.arange(middle.size) / SAMPLE_RATE
    return float(20 * np.log10(20 * abs(np.mean(middle * np.exp(-2j * np.pi * hertz * times)))))


def pitch(sound: Sound) -> float:
    """Hertz of the loudest tone."""
    return float(np.argmax(np.abs(np.fft.rfft(sound))) * SAMPLE_RATE / sound.size)


def rms(sound: Sound) -> float:
    """Decibels."""
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64))))


async def test_the_list_has_what_is_taken(http: ClientSession) -> None:
    async with http.get("/api/effects") as response:
        listed = {effect["type"]: effect for effect in (await response.json())["effects"]}
    assert list(listed) == [kind.type for kind in EFFECTS]
    assert all(effect["available"] for effect in listed.values())
    assert [name for name, effect in listed.items() if effect["whole"]] == ["loudness"]
    wet = next(one for one in listed["reverb"]["parameters"] if one["name"] == "wet")
    assert wet == {
        "name": "wet",
        "description": "Level of the reverb.",
        "minimum": 0,
        "maximum": 1,
        "default": 0.25,
        "unit": "",
        "required": False,
    }
    for kind, effect in listed.items():
        given = {one["name"]: one["maximum"] for one in effect["parameters"] if one["required"]}
        async with http.post(ROUTE, json={"audio": url(tones(440)), "effects": [{"type": kind, **given}]}) as response:
            assert response.status == 200


async def test_pitch(http: ClientSession) -> None:
    found = await changed(http, tones(440), type="pitch", semitones=12)
    assert pitch(found) == pytest.approx(880, rel=0.01)
    assert rms(found) == pytest.approx(rms(tones(440)), abs=1)
    assert found.size == pytest.approx(SECONDS * SAMPLE_RATE, abs=0.05 * SAMPLE_RATE)


async def test_speed(http: ClientSession) -> None:
    found = await changed(http, tones(440), type="speed", factor=0.5)
    assert found.size == pytest.approx(2 * SECONDS * SAMPLE_RATE, abs=0.03 * SAMPLE_RATE)
    assert pitch(found) == pytest.approx(440, rel=0.01)
    assert rms(found) == pytest.approx(rms(tones(440)), abs=1)


async def test_reverb_rings_on(http: ClientSession) -> None:
    dry = tones(440)
    small = await changed(http, dry, type="reverb", room_size=0.2)
    large = await changed(http, dry, type="reverb", room_size=0.9)
    assert dry.size + 0.2 * SAMPLE_RATE < small.size < large.size
    assert rms(large[dry.size : dry.size + 4800]) > -50


async def test_shelves(http: ClientSession) -> None:
    dry = tones(60, 1_000, 8_000)
    low = await changed(http, dry, type="low_shelf", gain_db=12)
    high = await changed(http, dry, type="high_shelf", gain_db=-12)
    assert [level(low, hertz) for hertz in (60, 1_000, 8_000)] == pytest.approx([12, 0, 0], abs=0.5)
    assert [level(high, hertz) for hertz in (60, 1_000, 8_000)] == pytest.approx([0, 0, -12], abs=0.7)


async def test_gain(http: ClientSession) -> None:
    found = await changed(http, tones(440), type="gain", gain_db=-12)
    np.testing.assert_allclose(found, 10 ** (-12 / 20) * tones(440), atol=1 / 16384)


async def test_loudness(http: ClientSession) -> None:
    """A sine of 997 Hz at full scale has -3.01 LUFS (ITU-R BS.1770)."""
    found = await changed(http, tones(997), type="loudness", target_lufs=-30)
    assert rms(found) == pytest.approx(-30, abs=0.3)


async def test_limiter(http: ClientSession) -> None:
    loud = 8 * tones(440)
    found = await changed(http, np.concatenate([loud, loud / 8]), type="limiter", threshold_db=-12)
    assert np.abs(found).max() <= 10 ** (-12 / 20) + 0.001
    assert level(found[-loud.size :], 440) == pytest.approx(0, abs=0.2)


async def test_several_are_done_in_order(http: ClientSession) -> None:
    effects = [
        {"type": "gain", "gain_db": 24},
        {"type": "limiter", "threshold_db": -20},
        {"type": "gain", "gain_db": 6},
    ]
    found = await heard(http, audio=url(tones(440)), effects=effects)
    assert np.abs(found).max() == pytest.approx(10 ** (-14 / 20), abs=0.005)


@pytest.mark.parametrize("effects", [None, []])
async def test_without_effects_a_sound_stays_as_it_is(http: ClientSession, effects: object) -> None:
    np.testing.assert_allclose(await heard(http, audio=url(tones(440)), effects=effects), tones(440), atol=1 / 16384)


@pytest.mark.parametrize("kind", EFFECTS, ids=lambda kind: str(kind.type))
async def test_the_shortest_sound_is_a_file_too(http: ClientSession, kind: Any) -> None:
    given = {one.name: one.high for one in kind.parameters if one.default is None}
    async with http.post(
        ROUTE, json={"audio": url(tones(440)[:1]), "effects": [{"type": kind.type, **given}], "response_format": "pcm"}
    ) as response:
        assert response.status == 200
        assert len(await response.read()) >= 2


async def test_a_voice_says_a_text_with_effects(http: ClientSession) -> None:
    """And the same is heard of /v1/audio/speech."""
    effects = [{"type": "gain", "gain_db": -20}]
    plain = await heard(http, text="It is late.", voice="Vivian")
    soft = await heard(http, text="It is late.", voice="Vivian", effects=effects)
    assert rms(soft) - rms(plain) == pytest.approx(-20, abs=0.2)
    body = {"input": "It is late.", "voice": "Vivian", "effects": effects, "response_format": "wav"}
    async with http.post("/v1/audio/speech", json=body) as response:
        np.testing.assert_array_equal(read_clip(await response.read(), max_seconds=60, param="audio").samples, soft)


async def test_without_either_the_voice_says_a_sentence_in_its_language(http: ClientSession) -> None:
    async with http.post(ROUTE, json={"language": "de", "voice": "Ryan", "response_format": "pcm"}) as response:
        assert response.headers["X-Voice"] == "Ryan"
        assert response.headers["X-Language"] == "German"
        assert response.headers["X-Model-Used"] == "Qwen3-TTS-12Hz-0.6B-CustomVoice"
        assert len(await response.read()) > 2 * SAMPLE_RATE


async def test_reverb_rings_on_after_speech(http: ClientSession) -> None:
    body = {"text": "It is late.", "voice": "Ryan"}
    dry = await heard(http, **body)
    wet = await heard(http, **body, effects=[{"type": "reverb", "room_size": 0.8}])
    assert wet.size > dry.size + 0.3 * SAMPLE_RATE


async def test_with_effects_that_stream_it_is_still_heard_while_it_is_spoken(
    http: ClientSession, server: Server
) -> None:
    """The line in the log comes when all has been spoken."""
    text = "The front door is open and nobody has closed it since the morning. " * 4
    stream = [{"type": "pitch", "semitones": 2}, {"type": "reverb"}, {"type": "high_shelf", "gain_db": 3}]
    body = {"text": text, "voice": "Ryan", "effects": stream, "response_format": "pcm", "stream": True}
    before = server.log.count("source=preview")
    async with http.post(ROUTE, json=body) as response:
        await response.content.readany()
        assert server.log.count("source=preview") == before
        rest = await response.read()
    assert len(rest) > 2 * 8 * SAMPLE_RATE
    await server.wait_for(rf"(?s)(.*?source=preview){{{before + 1}}}")


async def test_what_is_not_streamed_knows_its_length(http: ClientSession) -> None:
    body = {"audio": url(tones(440)), "response_format": "wav"}
    async with http.post(ROUTE, json=body) as response:
        assert response.content_length == 44 + 2 * SECONDS * SAMPLE_RATE
        assert response.headers["X-Audio-Duration-Ms"] == "2000"


async def test_what_the_server_keeps_is_heard_with_effects(http: ClientSession) -> None:
    async with http.post("/api/clips", json={"audio": url(tones(440))}) as response:
        clip = (await response.json())["id"]
    found = await heard(http, audio=f"clip:{clip}", effects=[{"type": "gain", "gain_db": 6}])
    assert level(found, 440) == pytest.approx(6, abs=0.01)


async def test_a_preview_is_kept_only_when_asked_for(http: ClientSession) -> None:
    await heard(http, text="Nobody keeps this.", voice="Ryan")
    await heard(http, text="Somebody keeps this.", voice="Ryan", save=True)
    async with asyncio.timeout(HANG_SECONDS):
        while not (items := await entries(http, "keeps this")):
            await asyncio.sleep(0.02)
    assert [(item["text"], item["source"]) for item in items] == [("Somebody keeps this.", "preview")]


@pytest.mark.parametrize(
    ("effects", "param", "accepted"),
    [
        ([{"type": "echo"}], "effects[0].type", "one of pitch, speed, reverb,"),
        ([{"type": "gain", "gain_db": 1}, {"type": "reverb", "wet": 2}], "effects[1].wet", "between 0 and 1"),
        ([{"type": "pitch"}], "effects[0].semitones", "between -12 and 12"),
        ([{"type": "gain", "db": 1}], "effects[0]", "takes type, gain_db"),
        ([{"type": "gain", "gain_db": 1}] * 17, "effects", "at most 16"),
        (["gain"], "effects.0", "object"),
        ("gain", "effects", "array"),
    ],
)
@pytest.mark.parametrize("what", ["text", "audio"])
async def test_what_is_no_effect_is_refused(
    http: ClientSession, what: str, effects: object, param: str, accepted: str
) -> None:
    sound = {"text": "Hi."} if what == "text" else {"audio": url(tones(440))}
    error = await refused(http, **sound, effects=effects)
    assert error["param"] == param
    assert accepted in error["message"]


async def test_it_is_a_voice_or_a_sound(http: ClientSession) -> None:
    error = await refused(http, audio=url(tones(440)), text="Hi.")
    assert (error["param"], error["message"]) == ("text", "audio replaces spoken text; leave text out.")
    assert (await refused(http, audio=url(tones(440)), voice="Ryan"))["param"] == "voice"
    assert (await refused(http, text="x" * 301))["param"] == "text"
    assert (await refused(http, text="Hi.", voice="Nobody"))["code"] == "voice_not_found"
    assert (await refused(http, audio="/etc/passwd"))["param"] == "audio"
    error = await refused(http, audio="clip:00000000-0000-0000-0000-000000000000")
    assert (error["param"], error["code"]) == ("audio", "not_found")


def test_what_is_not_installed_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "find_spec", lambda _: None)
    available = {kind.type: route._entry(kind).available for kind in EFFECTS}
    assert [name for name, there in available.items() if not there] == ["reverb", "loudness"]
