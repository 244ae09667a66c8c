"""Scripts of several speakers over HTTP, by a real engine; where their turns are is looked for in the sound itself."""

import asyncio
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from aiohttp import ClientSession

from tests.api.clips import SAID, data_url, silence_url
from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.audio.decode import read_clip
from wyoming_qwen3.core.request import SAMPLE_RATE

ROUTE = "/v1/audio/conversation"
SCRIPT = """
# Nobody hears this.
[Ann] The front door is open.
[Bob] It is late.
[pause:700ms]
[serena] Two lights are on.
[Ann] Good night.
"""
SPEAKERS = {"Ann": "Vivian", "bob ": {"voice": "Ryan"}}
LONG = "The front door is open and nobody has closed it since the morning. " * 4


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0", "--history", "--max-active", "4")


async def ask(http: ClientSession, **body: object) -> tuple[int, Any]:
    async with http.post(ROUTE, json=body) as response:
        return response.status, await response.json()


async def refused(http: ClientSession, **body: object) -> dict[str, Any]:
    status, answer = await ask(http, **body)
    assert status == 400, answer
    error: dict[str, Any] = answer["error"]
    return error


async def rendered(http: ClientSession, **body: object) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
    """The JSON, and the sound that it leads to."""
    status, answer = await ask(http, **body, **{"return": "json"})
    assert status == 200, answer
    async with http.get(answer["audio_url"]) as response:
        assert response.status == 200
        return answer, decode(await response.read())


async def heard(http: ClientSession, **body: object) -> npt.NDArray[np.float32]:
    async with http.post(ROUTE, json={"response_format": "wav"} | body) as response:
        assert response.status == 200, await response.text()
        return decode(await response.read())


async def said(http: ClientSession, text: str, **body: object) -> npt.NDArray[np.float32]:
    """One text alone."""
    async with http.post("/v1/audio/speech", json={"input": text, "response_format": "wav"} | body) as response:
        assert response.status == 200, await response.text()
        return decode(await response.read())


async def entries(http: ClientSession, words: str) -> list[dict[str, Any]]:
    """Of the history."""
    async with http.get("/api/history", params={"q": words}) as response:
        items: list[dict[str, Any]] = (await response.json())["items"]
    return items


def part(sound: npt.NDArray[np.float32], turn: dict[str, Any]) -> npt.NDArray[np.float32]:
    begin, end = (round(turn[name] * SAMPLE_RATE / 1000) for name in ("start_ms", "end_ms"))
    return sound[begin:end]


def loudness(sound: npt.NDArray[np.float32]) -> float:
    """Decibels."""
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64))))


def decode(file: bytes) -> npt.NDArray[np.float32]:
    return read_clip(file, max_seconds=600, param="audio", sample_rate=SAMPLE_RATE).samples


def pauses(sound: npt.NDArray[np.float32], floor: float = 0.0) -> list[tuple[float, float]]:
    """Milliseconds at which silence of 0.2 s and more begins and ends in the sound."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.abs(sound) <= floor, [0]]).astype(int)))
    found = [(begin, end) for begin, end in edges.reshape(-1, 2) if end - begin >= 0.2 * SAMPLE_RATE]
    return [(1000 * begin / SAMPLE_RATE, 1000 * end / SAMPLE_RATE) for begin, end in found]


async def test_the_turns_are_where_the_answer_says(http: ClientSession) -> None:
    """To the sample, where a format keeps them all; the silence between turns is exact zeros."""
    answer, sound = await rendered(http, script=SCRIPT, speakers=SPEAKERS, response_format="flac")
    turns = answer["turns"]
    assert [(turn["speaker"], turn["text"]) for turn in turns] == [
        ("Ann", "The front door is open."),
        ("Bob", "It is late."),
        ("serena", "Two lights are on."),
        ("Ann", "Good night."),
    ]
    assert {turn["model"] for turn in turns} == {"Qwen3-TTS-12Hz-0.6B-CustomVoice"}
    assert answer["format"] == "flac"
    assert turns[0]["start_ms"] == 0
    assert turns[-1]["end_ms"] == answer["duration_ms"] == pytest.approx(1000 * sound.size / SAMPLE_RATE, abs=0.06)
    told = [(before["end_ms"], after["start_ms"]) for before, after in pairwise(turns)]
    assert [round(end - start) for start, end in told] == [400, 700, 400]
    np.testing.assert_allclose(pauses(sound), told, rtol=0, atol=0.1)


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "opus"])
async def test_they_are_there_in_every_format(http: ClientSession, audio_format: str) -> None:
    """But in AAC without a container, which begins with 43 ms of silence that nothing in it tells."""
    _, exact = await rendered(http, script=SCRIPT, speakers=SPEAKERS, response_format="flac")
    answer, sound = await rendered(http, script=SCRIPT, speakers=SPEAKERS, response_format=audio_format)
    for turn in answer["turns"]:
        begin, end = (round(turn[name] * SAMPLE_RATE / 1000) for name in ("start_ms", "end_ms"))
        late = [np.dot(sound[begin + lag : end - 480 + lag], exact[begin : end - 480]) for lag in range(480)]
        early = [np.dot(exact[begin + lag : end - 480 + lag], sound[begin : end - 480]) for lag in range(480)]
        assert max(np.argmax(late), np.argmax(early)) < 24


async def test_a_turn_sounds_as_its_text_alone(http: ClientSession) -> None:
    turns = [
        {"speaker": "Ann", "text": "It is late.", "pause_after_ms": 50},
        {"speaker": "Ryan", "text": "[Ann] is text here.", "pause_after_ms": 0},
        {"speaker": " ANN", "text": "Good\nnight.", "pause_after_ms": 9000},
    ]
    answer, sound = await rendered(http, turns=turns, speakers={"Ann": "Vivian"}, pause_ms=700, response_format="wav")
    told = [(turn["start_ms"], turn["end_ms"]) for turn in answer["turns"]]
    assert [after[0] - before[1] for before, after in pairwise(told)] == pytest.approx([50, 0], abs=0.11)
    assert answer["duration_ms"] == told[-1][1]
    for turn, told_turn, voice in zip(turns, answer["turns"], ["Vivian", "Ryan", "Vivian"], strict=True):
        alone = await said(http, str(turn["text"]), voice=voice)
        np.testing.assert_array_equal(part(sound, told_turn), alone)


async def test_it_is_heard_before_the_last_turn_is_made(http: ClientSession, server: Server) -> None:
    script, before = f"[Vivian] {LONG}\n[Ryan] {LONG}\n" * 4, spoken(server)
    async with http.post(ROUTE, json={"script": script, "response_format": "pcm"}) as response:
        assert response.headers["X-Turns"] == "8"
        await response.content.readany()
        at_first = spoken(server) - before
        rest = await response.read()
    assert at_first == 0
    assert len(rest) > 2 * 60 * SAMPLE_RATE
    await settled(http)
    assert spoken(server) - before == 8


async def test_who_leaves_stops_it(http: ClientSession, server: Server) -> None:
    before = spoken(server)
    async with http.post(ROUTE, json={"script": f"[Vivian] {LONG * 10}\n" * 7}) as response:
        await response.content.readany()
        response.close()
    await settled(http)
    assert spoken(server) - before <= 2


async def test_what_is_not_streamed_knows_its_length(http: ClientSession) -> None:
    body = {"script": SCRIPT, "speakers": SPEAKERS, "response_format": "wav"}
    async with http.post(ROUTE, json={**body, "stream": False}) as response:
        assert response.content_length
        file = await response.read()
        assert len(file) == response.content_length
        assert round((len(file) - 44) / 48) == int(response.headers["X-Audio-Duration-Ms"])
    np.testing.assert_array_equal(decode(file), await heard(http, **body))


async def test_a_speakers_clip_is_checked_and_what_could_be_better_told_with_the_name(http: ClientSession) -> None:
    turns = [{"speaker": "Eve", "text": "It is late."}]
    speakers = {"Eve": {"ref_audio": data_url(2), "ref_text": SAID, "max_new_tokens": 5}}
    status, answer = await ask(http, turns=turns, speakers=speakers, response_format="wav", **{"return": "json"})
    assert status == 200, answer
    assert answer["warnings"][0] == "Eve: The clip has 2.0 s of speech; 3 s or more is better."
    async with http.post(ROUTE, json={"turns": turns, "speakers": speakers}) as response:
        assert response.headers["X-Warning"] == " ".join(answer["warnings"])
    speakers["Eve"]["ref_audio"] = silence_url(2)
    error = await refused(http, turns=turns, speakers=speakers)
    assert error["param"] == "speakers.Eve.ref_audio"
    assert "The clip is silent" in error["message"]


async def test_a_speaker_has_fields_of_its_own_before_those_for_all(http: ClientSession) -> None:
    turns = [{"speaker": name, "text": "It is late."} for name in ("Ryan", "Bob", "Ann", "Eve", "Zed")]
    speakers = {
        "Ann": {"voice": "Vivian", "speed": 1.0, "effects": [{"type": "gain", "gain_db": -20}]},
        "Bob": {"voice": "Sohee", "model": "qwen3-tts-1.7b", "instructions": "Tired."},
        "Ryan": {"speed": 2.0, "whatever": 1},
        "Eve": {"ref_audio": data_url(2), "x_vector_only_mode": True, "max_new_tokens": 9},
        "Zed": {"instructions": "A deep, old voice.", "max_new_tokens": 5},
    }
    status, answer = await ask(
        http, turns=turns, speakers=speakers, speed=1.25, response_format="wav", **{"return": "json"}
    )
    assert status == 200, answer
    models = [turn["model"] for turn in answer["turns"]]
    assert [model.removeprefix("Qwen3-TTS-12Hz-") for model in models] == [
        "0.6B-CustomVoice",
        "1.7B-CustomVoice",
        "0.6B-CustomVoice",
        "0.6B-Base",
        "1.7B-VoiceDesign",
    ]
    async with http.get(answer["audio_url"]) as response:
        ryan, _, ann, *rest = [part(decode(await response.read()), turn) for turn in answer["turns"]]
    plain = await said(http, "It is late.", voice="Vivian")
    assert ann.size == pytest.approx(plain.size, abs=5)
    assert loudness(ann) - loudness(plain) == pytest.approx(-20, abs=0.2)
    fast = await said(http, "It is late.", voice="Ryan", speed=2.0)
    assert ryan.size == pytest.approx(fast.size, abs=3)  # times are told in tenths of a millisecond
    np.testing.assert_array_equal(ryan[:-3], fast[: ryan.size - 3])
    assert [sound.size / SAMPLE_RATE for sound in rest] == pytest.approx([0.72 / 1.25, 0.4 / 1.25], abs=0.03)


async def test_what_nobody_looks_at_is_named(http: ClientSession) -> None:
    turns = [{"speaker": "Ann", "text": "Hi.", "mood": "bad"}]
    speakers = {"Ann": {"voice": "Vivian", "color": "red"}}
    async with http.post(ROUTE, json={"turns": turns, "speakers": speakers, "tempo": 3}) as response:
        assert response.headers["X-Ignored-Fields"] == "color, mood, tempo"


async def test_effects_are_done_to_the_whole_and_the_times_follow(http: ClientSession) -> None:
    """Speed scales them; what rings on comes after them."""
    plain, _ = await rendered(http, script=SCRIPT, speakers=SPEAKERS, response_format="wav")
    effects = [{"type": "speed", "factor": 1.25}]
    fast, sound = await rendered(http, script=SCRIPT, speakers=SPEAKERS, response_format="wav", effects=effects)
    times = [[(turn["start_ms"], turn["end_ms"]) for turn in answer["turns"]] for answer in (plain, fast)]
    np.testing.assert_allclose(np.array(times[0]) / 1.25, times[1], atol=0.11)
    told = [(before["end_ms"], after["start_ms"]) for before, after in pairwise(fast["turns"])]
    np.testing.assert_allclose(pauses(sound, 0.001), told, rtol=0, atol=25)
    effects = [{"type": "reverb", "room_size": 0.8, "wet": 0.5}]
    echo, sound = await rendered(http, script=SCRIPT, speakers=SPEAKERS, response_format="wav", effects=effects)
    assert echo["turns"] == plain["turns"]
    assert echo["duration_ms"] > plain["duration_ms"] + 300
    assert np.abs(sound[-4800:]).max() > 0


async def test_each_turn_goes_into_the_history(http: ClientSession) -> None:
    script = "[Vivian] Somebody is at the gate.\n[Ryan] Nobody is at the gate."
    await heard(http, script=script)
    async with asyncio.timeout(HANG_SECONDS):
        while len(items := await entries(http, "at the gate")) < 2:
            await asyncio.sleep(0.02)
    assert {item["source"] for item in items} == {"conversation"}
    assert {(item["voice"], item["text"]) for item in items} == {
        ("Vivian", "Somebody is at the gate."),
        ("Ryan", "Nobody is at the gate."),
    }
    await heard(http, script="[Vivian] The bell rang.\n[Ryan] It rang twice.", speakers={"Vivian": {"save": False}})
    async with asyncio.timeout(HANG_SECONDS):
        while not (items := await entries(http, "rang")):
            await asyncio.sleep(0.02)
    assert [item["text"] for item in items] == ["It rang twice."]


async def test_speakers_without_a_voice_are_named(http: ClientSession) -> None:
    error = await refused(http, script="[Ivan] Hi.\n[Ryan] Hi.\n[Olga] Hi.\n[Ivan] Hi.", speakers={"Ann": "Vivian"})
    assert error["message"].startswith(
        "Ivan, Olga have no voice; give each one in speakers. Voices are Vivian, Serena,"
    )
    assert error["param"] == "speakers"


@pytest.mark.parametrize(
    ("own", "code", "param"),
    [
        (
            {"voice": "Ryan", "instructions": "Tired.", "strict": True, "model": "qwen3-tts-0.6b"},
            "instructions_not_supported",
            "speakers.Bob.instructions",
        ),
        ({"voice": "Ryan", "language": "Klingon"}, "language_not_supported", "speakers.Bob.language"),
        ({"voice": "Ryan", "effects": [{"type": "echo"}]}, "invalid_request", "speakers.Bob.effects[0].type"),
        ({"ref_audio": "http://example.org/a.wav", "ref_text": "a"}, "invalid_request", "speakers.Bob.ref_audio"),
    ],
)
async def test_what_a_speaker_can_not_do_is_told_before_anybody_speaks(
    http: ClientSession, server: Server, own: object, code: str, param: str
) -> None:
    before = spoken(server)
    error = await refused(http, script=f"[Vivian] {LONG}\n[Bob] Hi.", speakers={"Bob": own})
    assert error["message"].startswith("Bob: ")
    assert (error["code"], error["param"]) == (code, param)
    assert spoken(server) == before


async def test_a_strict_speaker_is_spoken_by_the_checkpoint_that_can(http: ClientSession) -> None:
    """The server's own 0.6B follows no instructions; the 1.7B is on disk."""
    bob = {"voice": "Ryan", "instructions": "Tired.", "strict": True}
    status, answer = await ask(http, script="[Bob] Hi.", speakers={"Bob": bob}, **{"return": "json"})
    assert status == 200, answer
    assert [turn["model"] for turn in answer["turns"]] == ["Qwen3-TTS-12Hz-1.7B-CustomVoice"]
    assert not any("left out" in warning for warning in answer["warnings"])


async def test_a_voice_that_is_not_there_is_refused(http: ClientSession) -> None:
    status, answer = await ask(http, script="[Bob] Hi.", speakers={"Bob": "Nobody"})
    assert (status, answer["error"]["code"]) == (400, "voice_not_found")
    assert answer["error"]["message"].startswith("Bob: There is no voice 'Nobody'")


TURN = {"speaker": "Ryan", "text": "Hi."}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "script"),
        ({"script": "[Ryan] Hi.", "turns": [TURN]}, "script"),
        ({"script": "Hi."}, "script"),
        ({"script": "[Ryan]"}, "script"),
        ({"script": f"[Ryan] {'x' * 4097}"}, "script"),
        ({"script": f"[Ryan] {'x' * 4096}\n" * 6}, "script"),
        ({"script": "x" * 200_001}, "script"),
        ({"turns": []}, "turns"),
        ({"turns": [TURN] * 201}, "turns"),
        ({"turns": [TURN, {"speaker": "Ryan"}]}, "turns.1.text"),
        ({"turns": [TURN, {"speaker": " ", "text": "Hi."}]}, "turns[1].speaker"),
        ({"turns": [TURN, {"speaker": "Ryan", "text": " "}]}, "turns[1].text"),
        ({"turns": [TURN, {"speaker": "Ryan", "text": "x" * 4097}]}, "turns[1].text"),
        ({"turns": [TURN | {"text": "x" * 4096}] * 6}, "turns"),
        ({"turns": [TURN | {"pause_after_ms": -1}]}, "turns.0.pause_after_ms"),
        ({"turns": [TURN], "pause_ms": 10_001}, "pause_ms"),
        ({"turns": [TURN], "speakers": {str(number): "Ryan" for number in range(65)}}, "speakers"),
        ({"turns": [TURN], "speakers": {"Ann": "Ryan", "ANN ": "Ryan"}}, "speakers"),
        ({"turns": [TURN], "speakers": {"Ann": 5}}, "speakers"),
        ({"turns": [TURN], "speakers": {"Ann": {"response_format": "wav"}}}, "speakers"),
        ({"turns": [TURN], "effects": [{"type": "gain", "gain_db": 99}]}, "effects[0].gain_db"),
        ({"turns": [TURN], "return": "file"}, "return"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_can_not_be_understood_says_where(http: ClientSession, body: dict[str, Any], param: str) -> None:
    async with http.post(ROUTE, json=body) as response:
        error = (await response.json())["error"]
    assert (response.status, error["param"]) == (400, param), error


@pytest.mark.parametrize(
    "field", ["voice", "ref_audio", "reference_audio", "ref_text", "clone_transcript", "x_vector_only_mode"]
)
async def test_whose_voice_it_is_is_said_of_a_speaker(http: ClientSession, field: str) -> None:
    error = await refused(http, turns=[TURN], **{field: "Ryan"})
    assert error["message"] == f'{field} should be given for a speaker, in speakers, but is "Ryan".'
    assert error["param"] == field


async def test_a_script_has_so_many_turns(http: ClientSession) -> None:
    status, answer = await ask(http, script="[Ryan] Hi.\n" * 201)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (413, "payload_too_large", "script")


async def test_silence_without_end_is_not_gathered(http: ClientSession) -> None:
    """A pause costs a client 11 characters, and a server that holds all of it a megabyte."""
    quiet = "[pause:10s]" * 190
    status, answer = await ask(http, script=f"[Ryan] Hi. {quiet}", **{"return": "json"})
    assert (status, answer["error"]["code"]) == (413, "payload_too_large")
    assert "1800 s" in answer["error"]["message"]


def spoken(server: Server) -> int:
    """Turns that were spoken to their end."""
    return len(re.findall(r"Spoke source=conversation", server.log))


async def settled(http: ClientSession) -> None:
    """Until nothing is spoken any more."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async with http.get("/health") as response:
                health = await response.json()
            if health["active"] == health["queue"] == 0:
                return
            await asyncio.sleep(0.05)


async def test_how_many_turns_are_spoken_is_told_until_the_json_comes(http: ClientSession) -> None:
    body = {"script": SCRIPT, "speakers": SPEAKERS, "return": "json"}
    async with http.post(ROUTE, json=body, headers={"Accept": "text/event-stream"}) as response:
        assert (response.status, response.headers["X-Turns"]) == (200, "4")
        sent = re.findall(r"^data: (.*)$", await response.text(), re.MULTILINE)
    events = [json.loads(data) for data in sent]
    assert [event["stage"] for event in events[:-1] if event["stage"] != "loading"] == [
        "spoken 1",
        "spoken 2",
        "spoken 3",
    ]
    assert events[-1]["type"] == "conversation.done"
    _, alone = await ask(http, **body)
    assert events[-1]["conversation"]["turns"] == alone["turns"]
    async with http.get(events[-1]["conversation"]["audio_url"]) as response:
        assert response.status == 200
