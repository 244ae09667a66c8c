"""Many texts in one request, by a real engine; and what the answer is when all goes wrong."""

import asyncio
import base64
import dataclasses
import io
import json
import os
import signal
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import pytest
from aiohttp import ClientPayloadError, ClientSession

from tests.api.clips import SAID, data_url, silence_url
from tests.api.quiet import quiet_app, serving
from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.core.request import FRAME_SAMPLES, SpeechRequest
from wyoming_qwen3.speech.session import SpeechSession, Synthesizer
from wyoming_qwen3.text.pieces import Segment

TEXTS = (
    "The front door is open.",
    "It is late.",
    "The kettle is boiling now.",
    "Rain is expected in the afternoon.",
    "Two lights are on.",
    "Good night.",
    "The washing machine has finished.",
    "Somebody is at the gate.",
)
LONG = f"{TEXTS[0]} " * 100
BATCH = "/v1/audio/speech/batch"


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0", "--max-active", "6")


async def ask(http: ClientSession, body: object, query: str = "") -> tuple[int, Any]:
    async with http.post(BATCH + query, json=body) as response:
        return response.status, await response.json()


async def speak_all(http: ClientSession, **body: object) -> list[dict[str, Any]]:
    status, answer = await ask(http, body)
    assert status == 200, answer
    results: list[dict[str, Any]] = answer["results"]
    failed = [result for result in results if result["status"] == "error"]
    assert [result["index"] for result in results] == list(range(len(results)))
    assert (answer["total"], answer["failed"]) == (len(results), len(failed))
    assert answer["succeeded"] == len(results) - len(failed)
    return results


def audio(result: dict[str, Any]) -> bytes:
    return base64.b64decode(result["audio_data"], validate=True)


async def speak(http: ClientSession, **body: object) -> bytes:
    async with http.post("/v1/audio/speech", json={"response_format": "pcm"} | body) as response:
        assert response.status == 200
        return await response.read()


def clip_url(samples: bytes) -> str:
    """A data: URL of a WAV file of two seconds."""
    header = (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\xff\xff\xff\xff"
    )
    return "data:audio/wav;base64," + base64.b64encode(header + samples * 2).decode()


async def test_a_batch_is_its_texts_spoken_one_by_one(http: ClientSession) -> None:
    alone = [await speak(http, input=text, voice="Vivian") for text in TEXTS]
    assert len(set(alone)) == len(TEXTS)
    items = [{"input": text} for text in TEXTS]
    results = await speak_all(http, items=items, voice="Vivian", response_format="pcm")
    assert [audio(result) for result in results] == alone
    for result, sound in zip(results, alone, strict=True):
        assert result["media_type"] == "audio/pcm"
        assert result["duration_ms"] == len(sound) // 48
        assert result["usage"]["output_tokens"] == len(sound) // 3840


async def test_an_item_says_what_is_different_about_it(http: ClientSession) -> None:
    items = [
        {"input": TEXTS[0]},
        {"input": TEXTS[0], "voice": "sohee", "speed": 1.0, "custom_id": "second"},
        {"input": TEXTS[0], "response_format": "flac"},
        {"input": TEXTS[0], "model": "qwen3-tts-1.7b", "instructions": "Whisper."},
    ]
    plain, other, flac, styled = await speak_all(http, requests=items, voice="Ryan", response_format="pcm")
    assert audio(plain) == await speak(http, input=TEXTS[0], voice="Ryan")
    assert audio(other) == await speak(http, input=TEXTS[0], voice="Sohee")
    assert "custom_id" not in plain
    assert other["custom_id"] == "second"
    assert flac["media_type"] == "audio/flac"
    assert av.open(io.BytesIO(audio(flac))).streams.audio[0].rate == 24_000
    assert audio(styled) not in (audio(plain), audio(other), b"")


async def test_items_that_fail_are_told_between_those_that_succeed(http: ClientSession) -> None:
    items = [
        {"input": TEXTS[1], "voice": "nobody", "custom_id": "a"},
        {"input": TEXTS[1]},
        {"input": " \n"},
        {"input": "x" * 4097},
        {"input": TEXTS[1], "language": "Klingon"},
        {"input": TEXTS[1], "instructions": "Whisper.", "voice": "Ryan", "model": "qwen3-tts-0.6b", "strict": True},
        {"input": TEXTS[1], "max_new_tokens": 2},
        {"input": TEXTS[1]},
    ]
    results = await speak_all(http, items=items, response_format="pcm")
    assert [result.get("error", {}).get("code") for result in results] == [
        "voice_not_found",
        None,
        "invalid_request",
        "invalid_request",
        "language_not_supported",
        "instructions_not_supported",
        None,
        None,
    ]
    assert audio(results[6]) == audio(results[7])[: 2 * 2 * FRAME_SAMPLES]
    assert results[6]["usage"]["output_tokens"] == 2
    assert results[0]["custom_id"] == "a"
    assert results[0]["error"]["param"] == "voice"
    assert "4096" in results[3]["error"]["message"]
    assert "audio_data" not in results[0]
    assert audio(results[1]) == audio(results[7])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"items": []}, "items"),
        ({"items": [{"input": "a"}] * 33}, "items"),
        ({}, "items"),
        ({"items": [{"input": "a"}], "requests": [{"input": "a"}]}, "items"),
        ({"items": [{"voice": "Ryan"}]}, "items.0.input"),
        ({"items": [{"input": "a", "speed": 5}]}, "items.0.speed"),
        ({"items": [{"input": "a"}], "response_format": "ogg"}, "response_format"),
        ({"items": {"input": "a"}}, "items"),
    ],
)
async def test_a_batch_that_is_none_is_refused_whole(http: ClientSession, body: object, param: str) -> None:
    status, answer = await ask(http, body)
    assert status == 400
    assert answer["error"]["param"] == param


async def test_32_items_are_taken_and_what_nobody_knows_is_named(http: ClientSession) -> None:
    items = [{"input": "", "colour": "red"} for _ in range(32)]
    async with http.post(BATCH, json={"items": items, "input": "x", "mood": 1}) as response:
        assert response.headers["X-Ignored-Fields"] == "colour, input, mood"
        assert (await response.json())["failed"] == 32


async def test_a_zip_has_a_file_for_each_item_and_a_manifest(http: ClientSession) -> None:
    items = [
        {"input": TEXTS[0], "custom_id": "../../etc/passwd"},
        {"input": TEXTS[1], "voice": "nobody"},
        {"input": TEXTS[1], "response_format": "pcm"},
    ]
    async with http.post(BATCH + "?format=zip", json={"items": items, "voice": "Ryan"}) as response:
        assert response.status == 200
        assert response.content_type == "application/zip"
        archive = zipfile.ZipFile(io.BytesIO(await response.read()))
    assert archive.testzip() is None
    assert archive.namelist() == ["01.mp3", "03.pcm", "manifest.json"]
    assert archive.read("03.pcm") == await speak(http, input=TEXTS[1], voice="Ryan")
    assert av.open(io.BytesIO(archive.read("01.mp3"))).format.name == "mp3"
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["total"], manifest["succeeded"], manifest["failed"]) == (3, 2, 1)
    assert [result.get("file") for result in manifest["results"]] == ["01.mp3", None, "03.pcm"]
    assert manifest["results"][0]["custom_id"] == "../../etc/passwd"
    assert manifest["results"][1]["error"]["code"] == "voice_not_found"


async def test_a_clip_that_items_share_is_cloned_for_all(http: ClientSession) -> None:
    clip = await speak(http, input=TEXTS[2], voice="Sohee")
    clone = {"ref_audio": clip_url(clip), "ref_text": TEXTS[2]}
    alone = await speak(http, input=TEXTS[0], **clone)
    results = await speak_all(http, items=[{"input": TEXTS[0]}] * 4, response_format="pcm", **clone)
    assert [audio(result) for result in results] == [alone] * 4
    (refused,) = await speak_all(
        http, items=[{"input": TEXTS[0]}], ref_audio="data:audio/wav;base64,AAAA", ref_text="a"
    )
    assert refused["error"]["param"] == "ref_audio"


async def test_a_clip_is_checked_item_by_item(http: ClientSession) -> None:
    items = [
        {"input": TEXTS[1], "ref_audio": data_url(2), "ref_text": SAID},
        {"input": TEXTS[1], "ref_audio": silence_url(2), "ref_text": SAID},
        {"input": TEXTS[1]},
    ]
    short, silent, named = await speak_all(http, items=items)
    assert short["warnings"][0] == "The clip has 2.0 s of speech; 3 s or more is better."
    assert (silent["error"]["param"], "The clip is silent" in silent["error"]["message"]) == ("ref_audio", True)
    assert "warnings" not in named
    async with http.post(BATCH + "?format=zip", json={"items": items}) as response:
        archive = zipfile.ZipFile(io.BytesIO(await response.read()))
    assert json.loads(archive.read("manifest.json"))["results"][0]["warnings"] == short["warnings"]


async def test_a_client_that_leaves_stops_all_its_texts(server: Server, http: ClientSession) -> None:
    stopped = server.log.count("Stopped source=batch")
    items = [{"input": LONG}] * 8
    leaving = asyncio.create_task(ask(http, {"items": items}))
    await wait_for_health(http, active=3)
    leaving.cancel()
    await wait_for_health(http, active=0, queue=0)
    assert server.log.count("Stopped source=batch") == stopped + 3
    assert "Traceback" not in server.log


async def wait_for_health(http: ClientSession, **wanted: int) -> None:
    """Until the server tells these numbers."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async with http.get("/health") as response:
                told = await response.json()
            if all(told[name] == number for name, number in wanted.items()):
                return
            await asyncio.sleep(0.01)


async def test_a_killed_engine_fails_what_it_spoke_and_the_answer_is_whole(server: Server, http: ClientSession) -> None:
    """The last test with this engine."""
    spoken = server.log.count("Spoke source=batch")
    items = [{"input": TEXTS[1]}, {"input": LONG}, {"input": LONG}, {"input": LONG}]
    speaking = asyncio.create_task(speak_all(http, items=items, response_format="pcm"))
    async with asyncio.timeout(HANG_SECONDS):
        while server.log.count("Spoke source=batch") == spoken:
            await asyncio.sleep(0.01)
    for pid in server.children("engine.host.process"):
        os.kill(pid, signal.SIGKILL)
    first, *lost = await speaking
    assert audio(first)
    assert [result["error"]["code"] for result in lost] == ["engine_failed"] * 3


class _Broken(Synthesizer):
    """Fails as nobody expected."""

    def __init__(self) -> None:
        pass

    def open(
        self, request: SpeechRequest, source: str, segments: Sequence[Segment] | None = None, **caller: Any
    ) -> SpeechSession:
        raise RuntimeError(request, source, segments, caller)


@pytest.mark.parametrize("query", ["", "?format=zip"])
async def test_an_unexpected_fault_is_no_whole_answer(tmp_path: Path, query: str) -> None:
    app = quiet_app(tmp_path)
    app[SERVICES] = dataclasses.replace(app[SERVICES], synthesizer=_Broken())
    async with (
        serving(app) as client,
        client.post(BATCH + query, json={"items": [{"input": ""}, {"input": "a"}]}) as answer,
    ):
        if query:
            assert answer.status == 500
        else:
            with pytest.raises(ClientPayloadError):
                await answer.read()
