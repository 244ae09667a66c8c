"""The history over HTTP: what every surface said is found, heard and said again, sample for sample."""

import asyncio
import base64
import contextlib
import dataclasses
import io
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout
from wyoming.client import AsyncClient
from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop
from yarl import URL

from tests.api.clips import data_url
from tests.api.quiet import Client, quiet_app, serving
from tests.api.realtime.messages import message, sound
from tests.api.stream.client import talking as streaming
from tests.api.voices.forms import form
from tests.conftest import Server, StartServer, collect, synthesize
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.store.history.store import History, Limits

TEXT = "The front door is open."
MORE = " The kettle is boiling now."
LONG = f"{TEXT} " * 100
HISTORY = "/api/history"
MODEL = "Qwen3-TTS-12Hz-0.6B-CustomVoice"


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    """One that keeps all it says."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0", "--history")


@pytest.fixture(scope="module")
def spare(start_shared_server: StartServer) -> Server:
    """One that keeps what it is told to, and speaks with the standby voice."""
    return start_shared_server("--standby", "only", "--no-download", "--local-files-only")


@pytest.fixture
async def other(spare: Server) -> AsyncIterator[ClientSession]:
    """A client of the spare one, whose history is empty."""
    async with ClientSession(spare.url, timeout=ClientTimeout(HANG_SECONDS)) as session:
        await delete(session, f"{HISTORY}?all=true")
        yield session


@dataclasses.dataclass(frozen=True)
class Answer:
    """What was heard, and under which id it is kept."""

    audio: bytes
    headers: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.headers["X-History-Id"]


async def speak(http: ClientSession, text: str = TEXT, **body: object) -> Answer:
    wish = {"input": text, "response_format": "pcm"} | body
    return await post(http, "/v1/audio/speech", wish)


async def again(http: ClientSession, entry_id: str, query: str = "", **body: object) -> Answer:
    return await post(http, f"{HISTORY}/{entry_id}/regenerate{query}", {"response_format": "pcm"} | body)


async def post(http: ClientSession, path: str, body: object) -> Answer:
    """The whole answer; what it is kept as is there when this returns, also to be searched for."""
    async with http.post(path, json=body) as response:
        assert response.status == 200, await response.text()
        answer = Answer(await response.read(), response.headers)
    if "X-History-Id" in answer.headers:
        await entry(http, answer.id)
    return answer


async def get(http: ClientSession, path: str) -> Any:
    async with http.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def entry(http: ClientSession, entry_id: str) -> dict[str, Any]:
    told: dict[str, Any] = await get(http, f"{HISTORY}/{entry_id}")
    return told


async def found(http: ClientSession, **query: object) -> list[dict[str, Any]]:
    async with http.get(HISTORY, params={name: str(value) for name, value in query.items()}) as response:
        assert response.status == 200, await response.text()
        items: list[dict[str, Any]] = (await response.json())["items"]
        return items


async def delete(http: ClientSession, path: str) -> Any:
    async with http.delete(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def refusal(http: ClientSession, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
    async with http.request(method, path, **more) as response:
        return response.status, (await response.json())["error"]


async def heard(http: ClientSession, entry_id: str) -> bytes:
    """The samples of a kept file, decoded by another library than wrote it."""
    async with http.get(f"{HISTORY}/{entry_id}/audio") as response:
        assert (response.status, response.content_type) == (200, "audio/flac")
        return samples(await response.read())


def samples(file: bytes) -> bytes:
    """Samples of 16 bits, mono and 24 kHz, in a FLAC or WAV file."""
    with av.open(io.BytesIO(file), "r") as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.channels, stream.format.name) == (24_000, 1, "s16")
        return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(stream))


def audio_folder(server: Server) -> Path:
    """Where a server that tests share keeps the audio."""
    number = server.log_file.stem.removeprefix("server-")
    return server.log_file.with_name(f"data-{number}") / "store" / "history" / "audio"


async def the_entry(http: ClientSession, **query: object) -> dict[str, Any]:
    """The only one, as soon as it is there: it is written while the answer ends."""
    async with asyncio.timeout(HANG_SECONDS):
        while not (items := await found(http, **query)):
            await asyncio.sleep(0.01)
    (one,) = items
    return one


# Every surface


async def say_over_http(server: Server, http: ClientSession, text: str) -> bytes:
    return (await speak(http, text, voice="Ryan")).audio


async def say_as_events(server: Server, http: ClientSession, text: str) -> bytes:
    body = {"input": text, "voice": "Ryan", "response_format": "pcm", "stream_format": "sse"}
    lines = (await post(http, "/v1/audio/speech", body)).audio.splitlines()
    events = [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]
    return b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")


async def say_in_a_batch(server: Server, http: ClientSession, text: str) -> bytes:
    body = {"items": [{"input": text}], "voice": "Ryan", "response_format": "pcm"}
    (result,) = json.loads((await post(http, "/v1/audio/speech/batch", body)).audio)["results"]
    return base64.b64decode(result["audio_data"])


async def say_over_a_socket(server: Server, http: ClientSession, text: str) -> bytes:
    async with streaming(server.url) as talk:
        await talk.configure(voice="Ryan", response_format="pcm")
        await talk.say(text[:10], text[10:])
        return (await talk.until("session.done")).audio


async def say_in_realtime(server: Server, http: ClientSession, text: str) -> bytes:
    events: list[dict[str, Any]] = []
    async with http.ws_connect("/v1/realtime?model=gpt-realtime") as socket:
        audio = {"output": {"voice": "Ryan"}}
        await socket.send_json({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
        await socket.send_json({"type": "conversation.item.create", "item": message(text)})
        await socket.send_json({"type": "response.create"})
        while not events or events[-1]["type"] not in ("response.done", "error"):
            events.append(await socket.receive_json(timeout=HANG_SECONDS))
    return sound(events)


async def say_in_wyoming(server: Server, http: ClientSession, text: str) -> bytes:
    return (await synthesize(server.uri, text, "Ryan")).audio


SURFACES = {
    "speech": say_over_http,
    "speech, as events": say_as_events,
    "batch": say_in_a_batch,
    "stream": say_over_a_socket,
    "realtime": say_in_realtime,
    "wyoming": say_in_wyoming,
}


@pytest.mark.parametrize("surface", SURFACES)
async def test_what_a_surface_says_is_kept_as_it_was_heard_and_said_again(
    server: Server, http: ClientSession, surface: str
) -> None:
    text, source = f"{TEXT} {surface.title()}!", surface.partition(",")[0]
    audio = await SURFACES[surface](server, http, text)
    kept_entry = await the_entry(http, q=text)
    told = {name: kept_entry[name] for name in ("text", "source", "voice", "model", "language", "format", "outcome")}
    assert told == {
        "text": text,
        "source": source,
        "voice": "Ryan",
        "model": MODEL,
        "language": "Auto",
        "format": "flac",
        "outcome": "whole",
    }
    assert len(audio) > 24_000
    assert kept_entry["duration_ms"] == round(len(audio) / 48)
    assert 0 < kept_entry["ttfa_ms"] <= kept_entry["wall_ms"]
    assert kept_entry["audio_url"] == f"{HISTORY}/{kept_entry['id']}/audio"
    assert await entry(http, kept_entry["id"]) == kept_entry
    assert await heard(http, kept_entry["id"]) == audio
    assert (await again(http, kept_entry["id"], save=False)).audio == audio


async def test_a_streamed_text_is_said_again_in_the_pieces_in_which_it_was_said(
    server: Server, http: ClientSession
) -> None:
    """Its second sentence came when the first was spoken; known at once they would have been one piece."""
    async with AsyncClient.from_uri(server.uri) as client:
        await client.write_event(SynthesizeStart().event())
        await client.write_event(SynthesizeChunk(text=TEXT).event())
        begun = await collect(client, "audio-chunk")
        await client.write_event(SynthesizeChunk(text=MORE).event())
        await client.write_event(SynthesizeStop().event())
        audio = begun.audio + (await collect(client, "synthesize-stopped")).audio
    streamed = await the_entry(http, source="wyoming", q=MORE)
    assert (streamed["text"], streamed["params"]["segments"]) == (TEXT + MORE, [TEXT, MORE.strip()])
    assert await heard(http, streamed["id"]) == audio
    assert (await again(http, streamed["id"])).audio == audio
    assert (await speak(http, TEXT + MORE)).audio != audio


# Once more


@pytest.mark.parametrize(
    "body",
    [
        {"speed": 1.4},
        {"effects": [{"type": "pitch", "semitones": -2}, {"type": "reverb"}, {"type": "loudness"}], "speed": 0.9},
        {"temperature": 0.9, "seed": 5, "max_new_tokens": 20, "voice": "Vivian", "language": "zh"},
        {"temperature": 0.9, "max_new_tokens": 20},
        {"max_new_tokens": 5},
    ],
    ids=["speed", "effects", "sampled", "sampled by a seed of the server's", "cut"],
)
async def test_the_same_seed_gives_the_same_audio(http: ClientSession, body: dict[str, Any]) -> None:
    first = await speak(http, **body)
    second = await again(http, first.id)
    third = await again(http, second.id)
    assert second.audio == third.audio == first.audio == await heard(http, first.id) == await heard(http, second.id)
    before, after = await entry(http, first.id), await entry(http, second.id)
    assert (before["source"], after["source"]) == ("speech", "regenerate")
    assert before["seed"] is not None
    before["params"].pop("standby")  # the same model speaks again, whatever might have stood in at first
    assert after["params"].pop("standby") == "off"
    for fact in ("text", "voice", "language", "model", "params", "seed", "outcome", "duration_ms"):
        assert after[fact] == before[fact], fact
    for header in ("X-Voice", "X-Language", "X-Model-Used", "X-Engine"):
        assert second.headers[header] == first.headers[header]
    if body == {"max_new_tokens": 5}:
        assert (before["outcome"], before["duration_ms"]) == ("cut", 400)


async def test_another_seed_gives_other_audio(http: ClientSession) -> None:
    first = await speak(http, temperature=0.9, seed=5, max_new_tokens=20)
    drawn = await again(http, first.id, "?new_seed=true")
    given = await again(http, first.id, seed=7)
    assert len({first.audio, drawn.audio, given.audio}) == 3
    assert (await entry(http, given.id))["seed"] == 7
    assert (await again(http, drawn.id)).audio == drawn.audio
    assert (await again(http, given.id, seed=5)).audio == first.audio
    status, error = await refusal(http, "POST", f"{HISTORY}/{first.id}/regenerate?new_seed=1", json={"seed": 7})
    assert (status, error["param"]) == (400, "seed")


async def test_it_is_an_mp3_and_kept_as_the_server_is_set_where_nothing_is_said(http: ClientSession) -> None:
    first = await speak(http)
    async with http.post(f"{HISTORY}/{first.id}/regenerate") as response:
        assert (response.status, response.content_type) == (200, "audio/mpeg")
        assert (await response.read())[:1] == b"\xff"
        assert await heard(http, response.headers["X-History-Id"]) == first.audio
    unkept = await again(http, first.id, save=False, mood="gay")
    assert unkept.audio == first.audio
    assert "X-History-Id" not in unkept.headers
    assert unkept.headers["X-Ignored-Fields"] == "mood"


async def test_a_kept_voice_says_it_again_until_it_is_deleted(http: ClientSession) -> None:
    profile = {"name": "Käthe", "voice": "Serena", "speed": 1.2}
    async with http.post("/api/profiles", json=profile) as response:
        assert response.status == 201
        profile_id = (await response.json())["id"]
    first = await speak(http, voice="Käthe")
    assert (await entry(http, first.id))["voice"] == "Käthe"
    second = await again(http, first.id)
    assert second.audio == first.audio
    assert json.loads(f'"{second.headers["X-Voice"]}"') == "Käthe"
    await delete(http, f"/api/profiles/{profile_id}")
    assert (await again(http, first.id)).audio == first.audio, "it is Serena, who is still there"


async def test_a_cloned_voice_that_is_gone_says_nothing(http: ClientSession) -> None:
    clip = data_url(3)
    file = base64.b64decode(clip.partition(",")[2])
    async with http.post("/api/profiles", data=form(("samples", file), name="Hum", x_vector_only_mode="true")) as made:
        assert made.status == 201
        profile = await made.json()
    first = await speak(http, voice="Hum", max_new_tokens=10)
    assert (await again(http, first.id)).audio == first.audio
    await delete(http, f"/api/profiles/{profile['id']}")
    status, error = await refusal(http, "POST", f"{HISTORY}/{first.id}/regenerate")
    assert (status, error["code"]) == (400, "voice_not_found")
    assert "Hum" in error["message"]
    once = await speak(http, ref_audio=clip, x_vector_only_mode=True, max_new_tokens=10)
    assert (await entry(http, once.id))["voice"] == "clone"
    status, error = await refusal(http, "POST", f"{HISTORY}/{once.id}/regenerate")
    assert (status, error["code"]) == (400, "invalid_request")
    assert "clip" in error["message"]


# What is heard


async def test_the_audio_can_be_heard_in_parts(http: ClientSession) -> None:
    path = f"{HISTORY}/{(await speak(http)).id}/audio"
    async with http.get(path) as whole:
        file = await whole.read()
        assert whole.headers["Accept-Ranges"] == "bytes"
        assert whole.headers["X-Content-Type-Options"] == "nosniff"
        assert whole.headers["Content-Disposition"] == f'inline; filename="{path.split("/")[3]}.flac"'
    assert file[:4] == b"fLaC"
    for span, part in {"0-3": file[:4], "100-": file[100:], "-5": file[-5:]}.items():
        async with http.get(path, headers={"Range": f"bytes={span}"}) as response:
            assert (response.status, response.content_type) == (206, "audio/flac")
            assert response.headers["Content-Range"].endswith(f"/{len(file)}")
            assert await response.read() == part
    async with http.get(path, headers={"Range": f"bytes={len(file)}-"}) as response:
        assert response.status == 416
    async with http.head(path) as response:
        assert (response.status, response.content_length) == (200, len(file))
    async with http.get(path, headers={"If-None-Match": whole.headers["ETag"]}) as response:
        assert response.status == 304


async def test_the_audio_is_converted_sample_for_sample(other: ClientSession) -> None:
    """Also at full scale, where two scales of 16 bits lie a step apart."""
    spoken = await speak(other, save=True, effects=[{"type": "gain", "gain_db": 24}])
    assert np.abs(np.frombuffer(spoken.audio, "<i2")).max() == 32_767
    path = f"{HISTORY}/{spoken.id}/audio"
    for name in ("pcm", "wav", "flac", "mp3", "opus", "aac"):
        async with other.get(path, params={"format": name}) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Disposition"].endswith(f'.{name}"')
            file = await response.read()
            assert response.content_length == len(file)
        if name == "pcm":
            assert file == spoken.audio
        elif name in ("wav", "flac"):
            assert samples(file) == spoken.audio
        else:
            with av.open(io.BytesIO(file), "r") as container:
                lasts = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
            assert lasts == pytest.approx(len(spoken.audio) / 48_000, abs=0.1)
    status, error = await refusal(other, "GET", f"{path}?format=midi")
    assert (status, error["param"]) == (400, "format")


async def test_an_entry_whose_file_is_gone_is_still_told_and_said_again(spare: Server, other: ClientSession) -> None:
    spoken = await speak(other, save=True)
    (audio_folder(spare) / f"{spoken.id}.flac").unlink()
    for query in ("", "?format=wav"):
        status, error = await refusal(other, "GET", f"{HISTORY}/{spoken.id}/audio{query}")
        assert (status, error["code"]) == (404, "not_found")
        assert "missing" in error["message"]
    assert [one["id"] for one in await found(other)] == [spoken.id]
    assert (await again(other, spoken.id)).audio == spoken.audio
    await delete(other, f"{HISTORY}/{spoken.id}")


# What is kept


async def test_a_request_says_whether_it_is_kept(http: ClientSession, other: ClientSession) -> None:
    before = (await get(http, f"{HISTORY}/stats"))["entries"]
    assert "X-History-Id" not in (await speak(http, save=False)).headers
    assert (await get(http, f"{HISTORY}/stats"))["entries"] == before
    assert "X-History-Id" not in (await speak(other)).headers
    spoken = await speak(other, save=True)
    assert [one["id"] for one in await found(other)] == [spoken.id]
    assert (await entry(other, spoken.id))["model"] == "standby"
    assert await heard(other, spoken.id) == spoken.audio


async def test_a_listener_who_leaves_leaves_nothing(server: Server, http: ClientSession) -> None:
    stopped = server.log.count("Stopped source=speech")
    async with http.post("/v1/audio/speech", json={"input": LONG, "response_format": "pcm"}) as response:
        left = response.headers["X-History-Id"]
        await response.content.readexactly(48_000)
        assert (await refusal(http, "GET", f"{HISTORY}/{left}"))[0] == 404
        response.close()
    async with asyncio.timeout(HANG_SECONDS):
        while server.log.count("Stopped source=speech") == stopped:
            await asyncio.sleep(0.01)
    await nothing_is_left_of(server, http, left)


async def nothing_is_left_of(server: Server, http: ClientSession, entry_id: str) -> None:
    """Neither an entry nor, by and by, a file."""
    assert (await refusal(http, "GET", f"{HISTORY}/{entry_id}"))[0] == 404
    async with asyncio.timeout(HANG_SECONDS):
        while any(path.name.startswith(entry_id) for path in audio_folder(server).iterdir()):
            await asyncio.sleep(0.01)


# What is found


async def test_what_was_said_is_found(other: ClientSession) -> None:
    say = {"save": True}
    first = (await speak(other, "The zebra sleeps.", voice="Ryan", **say)).id
    second = (await speak(other, "The zebra eats grass all day long, and then it sleeps.", voice="Vivian", **say)).id
    third = (await speak(other, "It is 100% O'Neil's \"Café\", a_b, x*.", voice="Vivian", language="en", **say)).id
    items = [{"input": "Zebra crossing."}]
    await post(other, "/v1/audio/speech/batch", {"items": items, "voice": "Ryan", **say})
    fourth = (await the_entry(other, source="batch"))["id"]
    every = [fourth, third, second, first]
    times = [(await entry(other, one))["created_at"] for one in every[::-1]]
    assert times == sorted(times)
    for query, expected in [
        ({}, every),
        ({"q": "ZEBRA sleeps"}, [second, first]),
        ({"q": "café"}, [third]),
        ({"q": "100%"}, [third]),
        ({"q": '"Café"'}, [third]),
        ({"q": "a_b"}, [third]),
        ({"q": "O'N"}, [third]),
        ({"q": "x*"}, [third]),
        ({"q": "z_b"}, []),
        ({"q": "zebra OR grass"}, []),
        ({"voice": "vivian"}, [third, second]),
        ({"voice": "Vivian", "q": "grass"}, [second]),
        ({"voice": "Viv"}, []),
        ({"source": "batch"}, [fourth]),
        ({"model": "standby"}, every),
        ({"model": MODEL}, []),
        ({"from": times[1]}, [fourth, third, second]),
        ({"to": times[1]}, [first]),
        ({"from": times[1], "to": times[3]}, [third, second]),
        ({"from": times[0][:10], "to": times[3][:10]}, every),
        ({"to": "2026-01-01"}, []),
        ({"from": 1_700_000_000, "to": "9999-12-31"}, every),
        ({"sort": "duration"}, None),
        ({"order": "asc"}, every[::-1]),
        ({"limit": 2}, every[:2]),
        ({"limit": 2, "offset": 3}, every[3:]),
        ({"offset": 4}, []),
        ({"q": "", "voice": "", "from": ""}, every),
    ]:
        items = await found(other, **query)
        if expected is None:
            lengths = [one["duration_ms"] for one in items]
            assert lengths == sorted(lengths, reverse=True)
            assert len(set(lengths)) > 1
        else:
            assert [one["id"] for one in items] == expected, query
    page = await get(other, f"{HISTORY}?q=zebra&limit=1&offset=1")
    assert (page["total"], page["limit"], page["offset"], len(page["items"])) == (3, 1, 1, 1)


async def test_a_checkpoint_is_found_by_its_id_too(http: ClientSession) -> None:
    spoken = await speak(http)
    for name in (MODEL, "qwen3-tts-0.6b-customvoice"):
        assert (await found(http, model=name, limit=1))[0]["id"] == spoken.id
    assert await found(http, model="qwen3-tts-1.7b-customvoice") == []


async def test_favorites_are_found_and_spared(other: ClientSession) -> None:
    first, second, third = [(await speak(other, "One.", save=True)).id for _ in range(3)]
    async with other.patch(f"{HISTORY}/{first}", json={"favorite": True, "mood": 1}) as response:
        assert response.headers["X-Ignored-Fields"] == "mood"
        assert (await response.json())["favorite"] is True
    assert [one["id"] for one in await found(other, favorite=True)] == [first]
    assert [one["id"] for one in await found(other, favorite="false")] == [third, second]
    size = (await entry(other, second))["bytes"]
    stats = await get(other, f"{HISTORY}/stats")
    assert stats == {
        "entries": 3,
        "favorites": 1,
        "bytes": 3 * size,
        "limits": {"days": 30.0, "entries": 10_000, "bytes": 2 * 2**30},
    }
    assert json.loads((await post(other, f"{HISTORY}/cleanup", {"entries": 1})).audio) == {"deleted": 1, "bytes": size}
    assert [one["id"] for one in await found(other)] == [third, first]
    async with other.patch(f"{HISTORY}/{first}", json={"favorite": False}) as response:
        assert (await response.json())["favorite"] is False
    await post(other, f"{HISTORY}/cleanup", {"bytes": 0})
    assert await found(other) == []


async def test_cleaning_up_is_by_the_servers_limits_where_none_are_given(start_server: StartServer) -> None:
    server = start_server("--standby", "only", "--local-files-only", "--history", "--history-entries", "2")
    async with ClientSession(server.url) as http:
        _, second, third = [(await speak(http, "One.")).id for _ in range(3)]
        async with http.post(f"{HISTORY}/cleanup") as response:
            assert (await response.json())["deleted"] == 1
        assert [one["id"] for one in await found(http)] == [third, second]


async def test_what_is_deleted_is_gone(spare: Server, other: ClientSession) -> None:
    first, second, third = [(await speak(other, "One.", save=True)).id for _ in range(3)]
    told = await entry(other, third)
    assert await delete(other, f"{HISTORY}/{first}") == {"id": first, "deleted": True}
    for method, path in {"GET": "", "DELETE": "", "POST": "/regenerate"}.items():
        assert (await refusal(other, method, f"{HISTORY}/{first}{path}"))[0] == 404
    async with other.patch(f"{HISTORY}/{second}", json={"favorite": True}):
        pass
    assert (await delete(other, f"{HISTORY}?before={told['created_at']}"))["deleted"] == 1
    assert [one["id"] for one in await found(other)] == [third]
    assert {path.stem for path in audio_folder(spare).iterdir()} == {third}
    assert await delete(other, f"{HISTORY}?all=true") == {"deleted": 1, "bytes": told["bytes"]}
    assert list(audio_folder(spare).iterdir()) == []


# What is refused


@pytest.mark.parametrize(
    ("method", "path", "param"),
    [
        ("GET", "?limit=0", "limit"),
        ("GET", "?limit=201", "limit"),
        ("GET", "?offset=-1", "offset"),
        ("GET", "?offset=99999999999999999999", "offset"),
        ("GET", "?sort=text", "sort"),
        ("GET", "?sort=duration;DROP TABLE entries", "sort"),
        ("GET", "?order=random()", "order"),
        ("GET", "?favorite=perhaps", "favorite"),
        ("GET", "?from=yesterday", "from"),
        ("GET", "?to=2026-13-01", "to"),
        ("GET", f"?q={'x' * 201}", "q"),
        ("DELETE", "", "before"),
        ("DELETE", "?all=false", "before"),
        ("DELETE", "?before=2026-01-01&all=true", "before"),
        ("DELETE", "?before=now", "before"),
    ],
)
async def test_what_makes_no_sense_is_refused(other: ClientSession, method: str, path: str, param: str) -> None:
    status, error = await refusal(other, method, HISTORY + path)
    assert (status, error["param"]) == (400, param)


@pytest.mark.parametrize(
    "q", ["\0", "%ED%A0%80", "'", '"', '"""', "*", "NEAR(", "^", "a AND", "%25", "_", "\\", "(", "-x", "{}", ":"]
)
async def test_no_search_is_an_error_of_ours(other: ClientSession, q: str) -> None:
    assert await found(other, q=q) == []
    async with other.get(f"{HISTORY}?q={q.replace(chr(0), '%00')}") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "entry_id",
    [
        "nobody",
        "636ef76e-5d6e-4966-9139-f8e9a98e3608",
        "..%2F..%2Fhistory.sqlite3",
        "%00",
        "A" * 36,
        "x" * 5000,
        "-" * 36,
    ],
)
async def test_what_is_no_id_is_not_found(other: ClientSession, entry_id: str) -> None:
    for method, path in [("GET", ""), ("GET", "/audio"), ("DELETE", ""), ("PATCH", ""), ("POST", "/regenerate")]:
        url = URL(f"{HISTORY}/{entry_id}{path}", encoded=True)
        async with other.request(method, url, json={"favorite": True}) as response:
            assert response.status == 404
            assert (await response.json())["error"]["code"] == "not_found"


async def test_a_history_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    """As where its disk can't be written to; there is none in this application."""
    async with serving(quiet_app(tmp_path)) as client:
        for method, path in [
            ("GET", ""),
            ("DELETE", "?all=true"),
            ("POST", "/cleanup"),
            ("GET", "/stats"),
            ("GET", "/x"),
            ("DELETE", "/x"),
            ("GET", "/x/audio"),
            ("POST", "/x/regenerate"),
        ]:
            async with client.request(method, HISTORY + path) as response:
                assert response.status == 507, path
                assert response.headers["X-Should-Retry"] == "false"
                error = (await response.json())["error"]
            assert error["code"] == "storage_failed"
            assert "history can't be used" in error["message"]


# What is large, and what is killed


@contextlib.asynccontextmanager
async def with_many_entries(folder: Path, entries: int) -> AsyncIterator[Client]:
    """The application in this process, over a history of so many entries, whose audio nobody asks for."""
    history = History(folder / "history", Limits())
    await history.open()
    with contextlib.closing(sqlite3.connect(folder / "history" / "history.sqlite3")) as database, database:
        database.execute(
            """
            WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
            INSERT INTO entries (id, created_at, duration, bytes, favorite, voice, model, source, first_audio, wall,
                                 outcome, text, params)
            SELECT printf('%036d', n), n, 1, 1, 0, 'Ryan', 'm', 'speech', 0, 0, 'whole', 'Number ' || n, '{}'
            FROM numbers
            """,
            (entries,),
        )
    app = quiet_app(folder)
    services = app[SERVICES]
    app[SERVICES] = dataclasses.replace(services, store=dataclasses.replace(services.store, history=history))
    try:
        async with serving(app) as client:
            yield client
    finally:
        await history.close()


async def test_others_are_answered_while_many_entries_are_searched(tmp_path: Path) -> None:
    """Sixty pairs of letters are looked for in each of the texts, and meanwhile others ask."""
    async with with_many_entries(tmp_path, 50_000) as client:
        searching = asyncio.create_task(search(client, "nu um mb be er " * 12))
        answered = 0
        while not searching.done():
            async with client.get("/health") as response:
                assert "queue" in await response.json()
            answered += 1
        assert await searching == 50_000
        assert answered > 5
        assert await search(client, "50000") == 1


async def search(client: Client, q: str) -> int:
    async with client.get(HISTORY, params={"q": q}) as response:
        assert response.status == 200
        total: int = (await response.json())["total"]
        return total


async def test_kill_9_among_fifty_generations_leaves_whole_entries_only(
    start_server: StartServer, tmp_path: Path
) -> None:
    options = ("--standby", "only", "--local-files-only", "--history", "--data-dir", str(tmp_path / "data"))
    folder = tmp_path / "data" / "store" / "history" / "audio"
    server = start_server(*options, "--max-waiting", "100")
    async with ClientSession(server.url) as http:
        speaking = [asyncio.create_task(spoken_and_kept(http, f"{number}. {TEXT} " * 3)) for number in range(50)]
        async with asyncio.timeout(HANG_SECONDS):
            while sum(one.done() for one in speaking) < 8 or not list(folder.glob("*.part")):
                await asyncio.sleep(0)
        server.process.send_signal(signal.SIGKILL)
        outcomes = await asyncio.gather(*speaking, return_exceptions=True)
    told = {one for one in outcomes if isinstance(one, str)}
    assert 8 <= len(told) < 50
    assert [one for one in outcomes if not isinstance(one, str | ClientError | OSError)] == []
    assert list(folder.glob("*.part")), "something was half-written"
    async with ClientSession(start_server(*options).url) as http:
        entries = await found(http, limit=200)
        assert told <= {one["id"] for one in entries}, "what was told to be kept is kept"
        assert {path.name for path in folder.iterdir()} == {f"{one['id']}.flac" for one in entries}
        for one in entries:
            assert round(len(await heard(http, one["id"])) / 48) == one["duration_ms"]
        assert await heard(http, (await speak(http)).id)


async def spoken_and_kept(http: ClientSession, text: str) -> str:
    """The id of an entry that was told to be there."""
    return (await speak(http, text)).id


async def test_a_speech_that_fails_leaves_nothing(server: Server, http: ClientSession) -> None:
    """The last test with this engine."""
    async with http.post("/v1/audio/speech", json={"input": LONG, "response_format": "pcm"}) as response:
        failed = response.headers["X-History-Id"]
        await response.content.readexactly(48_000)
        for pid in server.children("engine.host.process"):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ClientError):
            await response.read()
    await nothing_is_left_of(server, http, failed)
