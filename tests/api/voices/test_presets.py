"""Voices made from words and built-in ones with a style: made, kept over a restart, spoken with, changed, deleted."""

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx2 as httpx
import numpy as np
import pytest
import soundfile
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info

from tests.api.quiet import Client, serving
from tests.conftest import Server, StartServer, synthesize
from tests.engine.golden import GREEDY, load_golden, upstream_prompt
from tests.parts import make_services
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.api.app import make_app
from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.api.speech_request import SpeechFields, understand
from wyoming_qwen3.core.checkpoints import Checkpoint, Size
from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.speakers import find_voice
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Manner
from wyoming_qwen3.voices.resolver import VoiceResolver

CREATE = "/api/voice-presets/create"
SENTENCE = "The front door is open."
STOPPED = "Stopped source=design"
COMMANDER = {"name": "Commander", "description": " A deep, calm voice. ", "language": "en"}


@dataclass
class Kept:
    """A server that was started again after it had made a preset, and what it had told while it made it."""

    server: Server
    events: list[dict[str, Any]]
    data: Path

    @property
    def preset(self) -> dict[str, Any]:
        preset: dict[str, Any] = self.events[-1]["preset"]
        return preset


@pytest.fixture(scope="module")
def kept(start_shared_server: StartServer, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """There is memory for one checkpoint at a time, so that VoiceDesign has to make room for Base."""
    options = ["--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only"]
    data = tmp_path_factory.mktemp("data")
    options += ["--temperature", "0", "--memory-budget", "4M", "--quantize", "none", "--preload", "none"]
    options += ["--data-dir", str(data)]
    first = start_shared_server(*options)
    with httpx.stream(
        "POST", first.url + CREATE, params={"stream": "true"}, json=COMMANDER, timeout=HANG_SECONDS
    ) as answer:
        assert answer.status_code == 200
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: ")]
    assert first.stop() == 0
    return Kept(start_shared_server(*options), events, data)


@pytest.fixture
def server(kept: Kept) -> Server:
    return kept.server


async def speak(http: aiohttp.ClientSession, voice: Any, text: str = SENTENCE) -> bytes:
    body = {"input": text, "voice": voice, "response_format": "pcm", "language": "en"}
    async with http.post("/v1/audio/speech", json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()


async def ask(http: aiohttp.ClientSession | Client, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with http.request(method, path, **options) as answer:
        return answer.status, await answer.json()


async def create(http: aiohttp.ClientSession | Client, **body: Any) -> tuple[int, Any]:
    return await ask(http, "POST", CREATE, json=body)


async def count(http: aiohttp.ClientSession, metric: str) -> float:
    """The sum of all metrics that begin so."""
    async with http.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(metric))


async def clips_read(http: aiohttp.ClientSession) -> float:
    return await count(http, "tts_clips_read_total")


async def designs(http: aiohttp.ClientSession) -> float:
    """How many voices were begun to be made from words."""
    return await count(http, 'tts_requests_total{model="Qwen3-TTS-12Hz-1.7B-VoiceDesign"')


async def test_it_speaks_after_a_restart_without_reading_its_clip(
    kept: Kept, http: aiohttp.ClientSession, models_dir: Path, tmp_path: Path
) -> None:
    """By whatever it is called, over HTTP and over Wyoming, and exactly as upstream speaks with the kept prompt."""
    read = await clips_read(http)
    first = await speak(http, "Commander")
    for voice in ("COMMANDER", kept.preset["id"], {"id": kept.preset["id"]}):
        assert await speak(http, voice) == first
    assert (await synthesize(kept.server.uri, SENTENCE, "commander-en")).audio == first
    assert await clips_read(http) == read

    shutil.copytree(kept.data / "store" / "voices", tmp_path / "voices")
    voices = VoiceStore(tmp_path / "voices")
    await voices.open()
    voice = voices.get("Commander")
    prompt = await voices.prompt(voice.id, voice.revision, "0.6B")
    assert prompt is not None
    assert prompt.codes is not None
    (expected,), _ = load_golden(models_dir / Checkpoint("base", "0.6B").name).generate_voice_clone(
        SENTENCE, "english", voice_clone_prompt=[upstream_prompt(prompt)], **GREEDY
    )
    spoken = np.frombuffer(first, "<i2") / 32767
    assert abs(spoken.size - expected.size) <= 1  # upstream cuts the reference off by a share in floating point
    np.testing.assert_allclose(spoken[-expected.size :], expected[-spoken.size :], atol=1e-4)


async def test_it_is_a_voice_of_wyomings_info(server: Server, http: aiohttp.ClientSession) -> None:
    """From the next Describe on, and until it is deleted."""
    assert "Commander" in await described(server)
    status, _ = await create(http, name="Narrator", voice="ryan", speed=1.5)
    assert status == 201
    assert {"Commander", "Narrator"} <= await described(server)
    await ask(http, "DELETE", "/api/voice-presets/narrator")
    assert "Narrator" not in await described(server)


async def described(server: Server) -> set[str]:
    async with AsyncClient.from_uri(server.uri) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
    assert event is not None
    return {voice.name for program in Info.from_event(event).tts for voice in program.voices}


def test_progress_is_told_in_order(kept: Kept) -> None:
    """VoiceDesign is unloaded before Base is loaded, as there is no room for both."""
    told = [event["stage"] + model_event(event) for event in kept.events[:-1]]
    assert told == [
        "loading",
        "loading: qwen3-tts-1.7b-voicedesign loading",
        "loading: qwen3-tts-1.7b-voicedesign ready",
        "speaking",
        "loading",
        "loading: qwen3-tts-0.6b-base loading",
        "loading: qwen3-tts-1.7b-voicedesign evicted",
        "loading: qwen3-tts-0.6b-base ready",
        "cloning",
        "saving",
    ]
    assert {event["type"] for event in kept.events[:-1]} == {"preset.progress"}
    assert kept.events[-1]["type"] == "preset.created"


def model_event(event: dict[str, Any]) -> str:
    return f": {event['model']['id']} {event['model']['event']}" if "model" in event else ""


async def test_it_is_shown_as_it_was_made(kept: Kept, http: aiohttp.ClientSession) -> None:
    preset = kept.preset
    assert (preset["name"], preset["description"], preset["language"]) == (
        "Commander",
        "A deep, calm voice.",
        "English",
    )
    assert (preset["status"], preset["type"]) == ("ready", "preset")
    assert (preset["model"], preset["size"]) == ("Qwen3-TTS-12Hz-1.7B-VoiceDesign", "1.7B")
    assert preset["sample_text"].startswith("The kettle is warm")
    assert isinstance(preset["seed"], int)
    for name in (preset["id"], "commander"):
        assert await ask(http, "GET", f"/api/voice-presets/{name}") == (200, preset)
    assert preset in (await ask(http, "GET", "/api/voice-presets"))[1]["presets"]


async def test_its_sample_can_be_heard(kept: Kept, http: aiohttp.ClientSession) -> None:
    async with http.get(kept.preset["preview_url"]) as answer:
        assert (answer.status, answer.content_type) == (200, "audio/wav")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "inline; filename*=UTF-8''Commander.wav"
        whole = await answer.read()
    assert 1 <= soundfile.info(io.BytesIO(whole)).duration <= 30
    async with http.get(kept.preset["preview_url"], headers={"Range": "bytes=4-11"}) as answer:
        assert (answer.status, await answer.read()) == (206, whole[4:12])


async def test_a_preview_is_kept_as_it_was_heard(http: aiohttp.ClientSession) -> None:
    status, preview = await create(http, preview=True, description="A bright voice.", sample_text="Hello. How are you?")
    assert (status, preview["status"]) == (200, "preview")
    assert preview["preview_url"] == f"/api/clips/{preview['preview_id']}"
    async with http.get(preview["preview_url"]) as answer:
        heard = await answer.read()
    assert preview["duration_ms"] == round(1000 * soundfile.info(io.BytesIO(heard)).duration)
    spoken = await designs(http)

    status, preset = await create(http, name="Bright", preview_id=preview["preview_id"], effects=[{"type": "reverb"}])
    assert status == 201
    assert await designs(http) == spoken
    for same in ("description", "sample_text", "seed", "language"):
        assert preset[same] == preview[same]
    assert preset["effects"][0]["type"] == "reverb"
    async with http.get(preset["preview_url"]) as answer:
        assert await answer.read() == heard
    read = await clips_read(http)
    assert await speak(http, "bright")
    assert await clips_read(http) == read


async def test_a_preview_is_kept_as_nothing_else(http: aiohttp.ClientSession) -> None:
    _, preview = await create(http, preview=True, description="A voice.", sample_text="Hello. How are you?", seed=7)
    preview_id = preview["preview_id"]
    for field, value in {"description": "Another.", "sample_text": "Bye.", "seed": 8, "preview": True}.items():
        status, answer = await create(http, name="Mine", preview_id=preview_id, **{field: value})
        assert (status, answer["error"]["param"]) == (400, field)
    status, _ = await create(
        http, name="Seven", preview_id=preview_id, description="A voice.", sample_text="Hello. How are you?", seed=7
    )
    assert status == 201
    status, answer = await create(http, name="Mine", preview_id="nobody-knows")
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (404, "not_found", "preview_id")


async def test_the_same_seed_and_words_give_the_same_voice(http: aiohttp.ClientSession) -> None:
    asked = {
        "description": "A calm voice.",
        "sample_text": "Hello.",
        "seed": 1234,
        "temperature": 0.2,
        "language": "de",
    }
    for name in ("One", "Two"):
        status, preset = await create(http, name=name, **asked)
        assert (status, preset["seed"], preset["language"]) == (201, 1234, "German")
    assert await speak(http, "One") == await speak(http, "Two")


async def test_one_is_overwritten_only_where_that_is_asked_for(http: aiohttp.ClientSession) -> None:
    _, old = await create(http, name="Twice", voice="ryan", speed=1.5)
    status, answer = await create(http, name=" twice", description="A voice.")
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "name_exists", "name")
    status, new = await create(http, name="Twice", description="A voice.", sample_text="Hello.", overwrite=True)
    assert (status, new["voice"], new["speed"]) == (201, None, 1.0)
    assert (await ask(http, "GET", f"/api/voice-presets/{old['id']}"))[0] == 404
    assert (await ask(http, "GET", "/api/voice-presets/twice"))[1] == new


@pytest.mark.parametrize("text", ["...", "  [pause] 🙂 "])
async def test_a_sample_text_that_says_nothing_is_refused(http: aiohttp.ClientSession, text: str) -> None:
    spoken = await designs(http)
    status, answer = await create(http, name="Silent", description="A voice.", sample_text=text)
    assert (status, answer["error"]["param"]) == (400, "sample_text")
    assert await designs(http) == spoken


@pytest.mark.parametrize("stage", ["loading", "speaking", None])
async def test_a_client_that_leaves_leaves_nothing_behind(
    server: Server, http: aiohttp.ClientSession, stage: str | None
) -> None:
    """In the middle of whichever stage; None is a client that gets no events."""
    await speak(http, "Commander")  # so that VoiceDesign has to be loaded
    before = (await ask(http, "GET", "/v1/audio/voices?legacy=true"))[1]["voices"]
    stopped = server.log.count(STOPPED)
    body = {"name": "Unheard", "description": "A voice.", "sample_text": SENTENCE * 20}
    asking = asyncio.create_task(until_stage(http, body, stage))
    if stage is None:
        await active(http, 1)
        asking.cancel()
    await asyncio.wait([asking])
    await active(http, 0)
    assert server.log.count(STOPPED) == stopped + 1
    assert (await ask(http, "GET", "/v1/audio/voices?legacy=true"))[1]["voices"] == before
    assert len(await speak(http, "Commander")) > 24_000
    assert "its log says why" not in server.log


async def until_stage(http: aiohttp.ClientSession, body: dict[str, Any], stage: str | None) -> None:
    headers = {"Accept": "text/event-stream"} if stage else {}
    async with http.post(CREATE, json=body, headers=headers) as answer:
        async for line in answer.content:
            if f'"stage": "{stage}"'.encode() in line:
                break
        answer.close()


async def active(http: aiohttp.ClientSession, wanted: int) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while (await ask(http, "GET", "/health"))[1]["active"] != wanted:
            await asyncio.sleep(0.02)


async def test_what_fails_is_the_last_event(http: aiohttp.ClientSession) -> None:
    """What is known beforehand has a status of its own."""
    body = {"name": "Silent", "description": "A voice.", "sample_text": "..."}
    async with http.post(CREATE, json=body, headers={"Accept": "text/event-stream"}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        *_, last = [json.loads(line.removeprefix(b"data: ")) async for line in answer.content if line[:5] == b"data:"]
    assert (last["type"], last["error"]["param"]) == ("error", "sample_text")
    status, answer_body = await ask(http, "POST", CREATE, json=body | {"name": "Ryan"}, params={"stream": "true"})
    assert (status, answer_body["error"]["param"]) == (400, "name")


async def test_one_that_is_deleted_finishes_its_sentence(http: aiohttp.ClientSession) -> None:
    _, preset = await create(http, name="Leaver", description="A voice.", sample_text="Hello.")
    whole = await speak(http, "Leaver")
    body = {"input": SENTENCE, "voice": "Leaver", "response_format": "pcm", "language": "en"}
    async with http.post("/v1/audio/speech", json=body) as answer:
        begun = await answer.content.readexactly(1000)
        deleted = await ask(http, "DELETE", f"/api/voice-presets/{preset['id']}")
        assert begun + await answer.read() == whole
    assert deleted == (200, {"id": preset["id"], "deleted": True})
    for path, options in (("/v1/audio/speech", {"json": body}), (CREATE.replace("create", "leaver"), {})):
        status, told = await ask(http, "POST" if options else "GET", path, **options)
        assert (status, told["error"]["code"]) == (400 if options else 404, "voice_not_found")


async def test_one_can_be_changed(http: aiohttp.ClientSession) -> None:
    _, preset = await create(http, name="Plain", description="A voice.", sample_text="Hello.", language="en")
    slow = await speak(http, "Plain")
    path = f"/api/voice-presets/{preset['id']}"
    status, changed = await ask(http, "PUT", path, json={"name": "Brisk", "language": None, "speed": 2.0, "color": 1})
    assert (status, changed["name"], changed["language"], changed["speed"]) == (200, "Brisk", "Auto", 2.0)
    for same in ("id", "description", "sample_text", "seed", "created_at"):
        assert changed[same] == preset[same]
    assert len(await speak(http, "Brisk")) == pytest.approx(len(slow) / 2, rel=0.1)
    assert (preset["former_names"], changed["former_names"]) == ([], ["Plain"])
    assert await speak(http, "plain") == await speak(http, "Brisk")
    status, changed = await ask(http, "PUT", path, json={"former_names": []})
    assert (status, changed["former_names"]) == (200, [])
    for body, param in (
        ({"name": "Commander"}, "name"),
        ({"instructions": "whispering"}, "instructions"),
        ({"voice": "ryan"}, "voice"),
        ({"speed": 9}, "speed"),
        ({"former_names": ["Plain"]}, "former_names"),
    ):
        status, answer = await ask(http, "PUT", path, json=body)
        assert (status, answer["error"]["param"]) == (400, param)


# Without an engine.


@pytest.fixture(params=["1.7B"])
async def client(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A server of that size whose models folder is empty."""
    async with serving(make_app(*quiet(tmp_path, request.param))) as client:
        yield client


def quiet(folder: Path, size: Size) -> tuple[Any, Config]:
    services = make_services(folder, "--standby", "off", size=size)
    return services, Config(VoiceResolver(Defaults(find_voice("ryan")[0]), services.store.voices))


WHISPERER = {"name": "Whisperer", "voice": "ryan-de", "instructions": "whispering", "description": "My Ryan"}


async def test_a_style_is_kept_without_a_word(tmp_path: Path) -> None:
    services, config = quiet(tmp_path, "1.7B")
    async with serving(make_app(services, config)) as client:
        status, preset = await create(client, **WHISPERER, speed=0.9)
        assert status == 201
        assert (preset["voice"], preset["instructions"], preset["language"]) == ("Ryan", "whispering", "German")
        assert (preset["sample_text"], preset["seed"], preset["preview_url"]) == (None, None, None)
        assert preset["model"] == "Qwen3-TTS-12Hz-1.7B-CustomVoice"
        status, answer = await ask(client, "GET", "/api/voice-presets/whisperer/audio")
        assert (status, answer["error"]["code"]) == (404, "not_found")
        request = await understand(SpeechFields.model_validate({"voice": "WHISPERER", "instructions": "tired"}), config)
        assert (request.voice, request.instruct) == (find_voice("ryan")[0], "whispering tired")
        assert (request.speed, request.language and request.language.code) == (0.9, "de")
        status, changed = await ask(client, "PUT", "/api/voice-presets/whisperer", json={"voice": "serena"})
        assert (status, changed["voice"], changed["instructions"]) == (200, "Serena", "whispering")
        status, answer = await ask(client, "PUT", "/api/voice-presets/whisperer", json={"voice": None})
        assert (status, answer["error"]["param"]) == (400, "voice")


@pytest.mark.parametrize("client", ["0.6B"], indirect=True)
async def test_a_style_that_the_model_does_not_follow_is_refused(client: Client) -> None:
    status, answer = await create(client, **WHISPERER)
    assert (status, answer["error"]["code"]) == (400, "instructions_not_supported")
    assert (await ask(client, "GET", "/api/voice-presets"))[1] == {"presets": []}


HOSTILE = (
    *("", " ", "../../etc/passwd", ".hidden", "a/b", "a\0b", "x\r\nSet-Cookie: a", "<script>", "a" * 65),
    *("Ryan", "ryan-de", "uncle fu", "alloy", "design", "00000000-0000-4000-8000-000000000000"),
)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_that_no_voice_can_have_is_refused_before_anything_else(client: Client, name: str) -> None:
    for body in ({"description": "A voice."}, {"voice": "ryan", "instructions": "tired"}):
        status, answer = await create(client, name=name, **body)
        assert (status, answer["error"]["param"]) == (400, "name")
        assert answer["error"]["type"] == "invalid_request_error"
    assert (await ask(client, "GET", "/api/voice-presets"))[1] == {"presets": []}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "description"),
        ({"description": "  "}, "description"),
        ({"instructions": "tired"}, "instructions"),
        ({"description": "A voice.", "instructions": "tired"}, "instructions"),
        ({"voice": ""}, "voice"),
        ({"voice": "ryan-de", "language": "en"}, "language"),
        ({"voice": "ryan", "preview": True}, "preview"),
        ({"voice": "ryan", "seed": 0}, "seed"),
        ({"voice": "ryan", "sample_text": "Hello."}, "sample_text"),
        ({"voice": "ryan", "effects": [{"type": "echo"}]}, "effects[0].type"),
        ({"voice": "ryan", "speed": 0}, "speed"),
        ({"description": "A voice.", "language": "xx"}, "language"),
        ({"description": "A voice.", "sample_text": "x" * 1001}, "sample_text"),
        ({"description": "A voice.", "name": None}, "name"),
        ({"voice": "ryan", "name": None}, "name"),
    ],
)
async def test_what_makes_no_sense_is_told_by_its_field(client: Client, body: dict[str, Any], param: str) -> None:
    status, answer = await create(client, **({"name": "Mine"} | body))
    assert (status, answer["error"]["param"]) == (400, param)


async def test_a_voice_that_is_none_is_not_found(client: Client) -> None:
    status, answer = await create(client, name="Mine", voice="nobody")
    assert (status, answer["error"]["code"]) == (400, "voice_not_found")


async def test_what_a_folder_brings_is_left_to_the_folder(tmp_path: Path) -> None:
    services, config = quiet(tmp_path, "1.7B")
    await services.store.voices.create("Dropped", "preset", Manner(), [], folder="dropped", digest="0")
    async with serving(make_app(services, config)) as client:
        for body in ({"voice": "ryan"}, {"description": "A voice."}):
            status, answer = await create(client, name="dropped", overwrite=True, **body)
            assert (status, "folder" in answer["error"]["message"]) == (400, True)
        assert (await ask(client, "DELETE", "/api/voice-presets/dropped"))[0] == 400
    assert services.store.voices.get("dropped").folder == "dropped"


async def test_a_profile_is_no_preset(tmp_path: Path) -> None:
    services, config = quiet(tmp_path, "1.7B")
    await services.store.voices.create("Granny", "profile", Manner(), [])
    async with serving(make_app(services, config)) as client:
        assert (await ask(client, "GET", "/api/voice-presets"))[1] == {"presets": []}
        for method in ("GET", "PUT", "DELETE"):
            options = {"json": {"speed": 2}} if method == "PUT" else {}
            status, answer = await ask(client, method, "/api/voice-presets/granny", **options)
            assert (status, answer["error"]["code"]) == (404, "voice_not_found")
    assert services.store.voices.get("granny").manner.speed == 1.0


async def test_without_its_models_nothing_is_begun(client: Client) -> None:
    """Base is looked for before VoiceDesign speaks, unless it is a preview, which needs none."""
    status, answer = await create(client, name="Mine", description="A voice.")
    assert (status, answer["error"]["code"]) == (503, "model_missing")
    status, answer = await create(client, preview=True, description="A voice.")
    assert (status, answer["error"]["code"]) == (503, "model_missing")
    assert "VoiceDesign" in answer["error"]["message"]
