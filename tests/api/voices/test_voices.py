"""The voices, as the programs that ask for them read the list, OpenAI's custom ones, and the default one."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types.audio.speech_create_params import VoiceID

from tests.api.clips import data_url
from tests.api.quiet import Client
from tests.api.voices.house import House, ask
from tests.conftest import Server, StartServer
from wyoming_qwen3.api.speech_request import SpeechFields, understand
from wyoming_qwen3.audio.decode import parse_data_url
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.store.voices.voice import Manner

VOICES = "/v1/audio/voices"
DEFAULT = "/api/voices/default"
CLIP = parse_data_url(data_url(4.0), 1_000_000, "clip")
SAID = "The front door is open, and somebody has left the light on."


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    async with house.serving() as client:
        yield client


async def listed(client: Client, query: str = "", **options: Any) -> list[Any]:
    async with client.get(f"{VOICES}{query}", **options) as response:
        assert response.status == 200
        found: list[Any] = (await response.json())["voices"]
        return found


# Who there is.


async def test_a_voice_that_can_not_speak_yet_is_in_no_list(house: House, client: Client) -> None:
    await house.keep("Anna", clips=1)
    await house.keep("Nobody")
    await house.keep("Nobody German", language=find_language("de"))
    for query in ("", "?legacy=true", "?language=de", "?language=de&legacy=true"):
        names = [voice if isinstance(voice, str) else voice["name"] for voice in await listed(client, query)]
        assert [name for name in names if name in ("Anna", "Nobody", "Nobody German")] == ["Anna"]
    status, told = await ask(client, "GET", "/api/profiles")
    assert {one["name"]: one["status"] for one in told["profiles"]} == {
        "Anna": "pending",
        "Nobody": "empty",
        "Nobody German": "empty",
    }
    status, told = await ask(client, "POST", "/v1/audio/speech", json={"input": "Hi.", "voice": "nosuch"})
    assert status == 400
    assert "Kept voices: Anna. With --voice-fallback on" in told["error"]["message"]


async def test_open_webui_finds_ids_and_names(client: Client) -> None:
    names = {voice["id"]: voice["name"] for voice in await listed(client)}
    assert len(names) == 9
    assert names["Ryan"] == "Ryan"
    assert names["Uncle_Fu"] == "Uncle Fu"


async def test_a_voice_says_what_it_speaks(client: Client) -> None:
    ryan = next(voice for voice in await listed(client) if voice["id"] == "Ryan")
    assert (ryan["type"], ryan["language"], len(ryan["languages"])) == ("builtin", "English", 10)
    assert "German" in ryan["languages"]


async def test_older_clients_get_names_alone(house: House, client: Client) -> None:
    await house.keep("Grandma", clips=1)
    names = await listed(client, "?legacy=true")
    assert (names[:2], names[-1]) == (["Vivian", "Serena"], "Grandma")


@pytest.mark.parametrize(
    ("language", "ids"), [("ja", ["Ono_Anna"]), ("English", ["Ryan", "Aiden"]), ("de", []), ("auto", 9), ("", 9)]
)
async def test_those_at_home_in_a_language(client: Client, language: str, ids: list[str] | int) -> None:
    found = [voice["id"] for voice in await listed(client, f"?language={language}")]
    assert ids in (found, len(found))


@pytest.mark.parametrize(("query", "param"), [("language=xx", "language"), ("legacy=perhaps", "legacy")])
async def test_a_query_that_makes_no_sense_is_refused(client: Client, query: str, param: str) -> None:
    status, answer = await ask(client, "GET", f"{VOICES}?{query}")
    assert (status, answer["error"]["param"]) == (400, param)


async def test_kept_voices_are_among_them(house: House, client: Client) -> None:
    voice_id = await house.keep("Großmutter", clips=1, language=find_language("de"), description="My granny")
    await house.keep("Anybody", speaker=find_voice("ryan")[0])
    *_, anybody, granny = await listed(client)
    assert (granny["id"], granny["name"]) == ("Großmutter", "Großmutter")
    assert (granny["type"], granny["language"], granny["gender"]) == ("profile", "German", None)
    assert granny["description"] == "My granny"
    assert (anybody["language"], anybody["preview_url"]) == ("Auto", None)
    async with client.get(granny["preview_url"]) as response:
        assert (response.status, response.content_type) == (200, "audio/wav")
    assert voice_id in granny["preview_url"]
    assert [voice["id"] for voice in await listed(client, "?language=de")] == ["Anybody", "Großmutter"]
    assert "Großmutter" not in [voice["id"] for voice in await listed(client, "?language=ja")]


async def test_without_the_key_a_kept_voice_is_no_more_than_a_name(tmp_path: Path) -> None:
    house = House(tmp_path, api_key="secret")
    await house.keep("Granny", clips=1, description="Recorded at Christmas")
    async with house.serving() as client:
        assert (await listed(client))[-1]["description"] == ""
        known = await listed(client, headers={"Authorization": "Bearer secret"})
        assert known[-1]["description"] == "Recorded at Christmas"


# Who is the default.


async def test_any_voice_can_be_the_default(house: House, client: Client) -> None:
    assert await ask(client, "GET", DEFAULT) == (200, {"voice": "Ryan", "configured": "Ryan"})
    granny = await house.keep("Granny", clips=1)
    for voice, name in (("GRANNY", "Granny"), ("alloy", "Aiden"), (granny, "Granny"), ("uncle fu", "Uncle_Fu")):
        assert await ask(client, "PUT", DEFAULT, json={"voice": voice}) == (200, {"voice": name, "configured": "Ryan"})
        assert (await ask(client, "GET", DEFAULT))[1]["voice"] == name
    request = await understand(SpeechFields.model_validate({}), house.config)
    assert request.voice == find_voice("uncle_fu")[0]
    assert (await ask(client, "PUT", DEFAULT, json={"voice": None}))[1]["voice"] == "Ryan"


async def test_a_default_that_is_deleted_gives_way_to_the_configured_one(house: House, client: Client) -> None:
    await house.keep("Granny", clips=1)
    await ask(client, "PUT", DEFAULT, json={"voice": "granny"})
    await ask(client, "DELETE", f"{VOICES}/granny")
    assert (await ask(client, "GET", DEFAULT))[1]["voice"] == "Ryan"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"voice": "nobody"}, 400, "voice_not_found"),
        ({"voice": "empty"}, 400, "invalid_request"),
        ({"voice": "ryan-de"}, 400, "invalid_request"),
        ({"voice": ""}, 400, "voice_not_found"),
        ({}, 400, "invalid_request"),
    ],
)
async def test_what_can_not_speak_is_not_the_default(
    house: House, client: Client, body: dict[str, str], status: int, code: str
) -> None:
    await house.keep("Empty")
    answered, told = await ask(client, "PUT", DEFAULT, json=body)
    assert (answered, told["error"]["code"], told["error"]["param"]) == (status, code, "voice")
    assert (await ask(client, "GET", DEFAULT))[1]["voice"] == "Ryan"


# OpenAI's custom voices.


@contextlib.asynccontextmanager
async def sdk(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0) as openai:
        yield openai


@pytest.fixture
async def openai(client: Client) -> AsyncIterator[AsyncOpenAI]:
    async with sdk(str(client.make_url("")).rstrip("/")) as openai:
        yield openai


async def test_the_openai_sdk_keeps_a_clip_as_a_profile(house: House, openai: AsyncOpenAI) -> None:
    raw = await openai.audio.voices.with_raw_response.create(name="Mine", audio_sample=CLIP, consent="cons_1234")
    made = raw.parse()
    assert (raw.http_response.status_code, made.object, made.name, made.type) == (
        201,
        "audio.voice",
        "Mine",
        "audio_sample",
    )
    assert raw.headers["X-Warning"].startswith("Without ref_text")
    voice = house.voices.get(made.id)
    assert (voice.type, voice.manner.consent, made.created_at) == ("profile", "cons_1234", int(voice.created_at))
    assert [(sample.text, round(sample.seconds, 2)) for sample in voice.samples] == [(None, 4.0)]
    gone = await openai.audio.voices.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "audio.voice.deleted")
    assert house.voices.all() == []


async def test_what_the_clip_says_is_kept_with_it(house: House, openai: AsyncOpenAI) -> None:
    raw = await openai.audio.voices.with_raw_response.create(
        name="Mine", audio_sample=CLIP, consent="", extra_body={"ref_text": SAID, "color": "blue"}
    )
    assert house.voices.get("Mine").samples[0].text == SAID
    assert raw.headers["X-Ignored-Fields"] == "color"
    assert "Without ref_text" not in raw.headers.get("X-Warning", "")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": "Mine"}, "audio_sample"),
        ({"name": "Ryan", "audio_sample": CLIP}, "name"),
        ({"name": "Mine", "audio_sample": b"RIFF" * 1000}, "audio_sample"),
        ({"name": "Mine", "audio_sample": parse_data_url(data_url(0.5), 1_000_000, "clip")}, "audio_sample"),
        ({"name": "Mine", "audio_sample": CLIP, "ref_text": "x" * 1000}, "audio_sample"),
        ({"name": "Mine", "audio_sample": CLIP, "prompt": "A voice.", "type": "prompt"}, "prompt"),
        ({"name": "Mine", "audio_sample": CLIP, "prompt": "A voice.", "type": "audio_sample"}, "audio_sample"),
        ({"name": "Mine", "prompt": " ", "type": "prompt"}, "prompt"),
        ({"name": "Mine", "type": "telepathy"}, "type"),
        ({"audio_sample": CLIP}, "name"),
    ],
)
async def test_a_form_that_makes_no_voice_is_told_why(
    house: House, client: Client, fields: dict[str, Any], param: str
) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value, filename="clip" if isinstance(value, bytes) else None)
    status, answer = await ask(client, "POST", VOICES, data=form)
    assert (status, answer["error"]["param"]) == (400, param), answer
    assert house.voices.all() == []


async def test_a_clip_of_more_than_10_mib_is_too_large(client: Client) -> None:
    form = aiohttp.FormData()
    form.add_field("name", "Mine")
    form.add_field("audio_sample", bytes(10 * 1024 * 1024 + 1), filename="clip.wav")
    status, answer = await ask(client, "POST", VOICES, data=form)
    assert (status, answer["error"]["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize("body", [{"name": "Mine"}, {"name": "Mine", "type": "audio_sample", "prompt": "A voice."}])
async def test_json_has_a_prompt(client: Client, body: dict[str, Any]) -> None:
    status, answer = await ask(client, "POST", VOICES, json=body)
    assert (status, answer["error"]["param"]) == (400, "audio_sample")


async def test_a_name_is_taken_once(house: House, openai: AsyncOpenAI) -> None:
    await house.keep("Mine")
    with pytest.raises(BadRequestError) as refused:
        await openai.audio.voices.create(name="mine", audio_sample=CLIP, consent="")
    assert refused.value.code == "name_exists"
    with pytest.raises(BadRequestError) as refused:
        await openai.audio.voices.create(name="mine", prompt="A voice.", type="prompt")
    assert refused.value.code == "name_exists"


async def test_what_can_not_be_deleted(house: House, openai: AsyncOpenAI) -> None:
    for name in ("Ryan", "alloy", "ryan-de"):
        with pytest.raises(BadRequestError, match="built in"):
            await openai.audio.voices.delete(name)
    with pytest.raises(NotFoundError) as unknown:
        await openai.audio.voices.delete("voice_1234")
    assert unknown.value.code == "voice_not_found"
    await house.voices.create("Dropped", "profile", Manner(), [], folder="dropped", digest="0")
    with pytest.raises(BadRequestError, match="folder"):
        await openai.audio.voices.delete("dropped")


# With an engine.


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0", "--preload", "none")


async def test_both_kinds_of_the_openai_sdk_speak(server: Server, http: aiohttp.ClientSession) -> None:
    """A clip is read when it first speaks, and never again."""
    async with sdk(server.url) as openai:
        worded = await openai.audio.voices.create(
            name="Worded", prompt="A deep voice.", type="prompt", script_hint="Hello. Is anybody there?"
        )
        clipped = await openai.audio.voices.create(
            name="Clipped", audio_sample=CLIP, consent="me", extra_body={"ref_text": SAID}
        )
        assert worded.to_dict() == {
            "id": worded.id,
            "object": "audio.voice",
            "created_at": worded.created_at,
            "name": "Worded",
            "type": "prompt",
            "prompt": "A deep voice.",
        }
        for voice in (worded, clipped):
            spoken = [
                await openai.audio.speech.create(
                    model="qwen3-tts", input="The door is open.", voice=wanted, response_format="pcm"
                )
                for wanted in (voice.name, VoiceID(id=voice.id))
            ]
            assert spoken[0].content == spoken[1].content
            assert len(spoken[0].content) > 24_000
    status, preset = await ask(http, "GET", "/api/voice-presets/worded")
    assert (status, preset["id"], preset["sample_text"]) == (200, worded.id, "Hello. Is anybody there?")
    async with http.get("/metrics") as response:
        assert "tts_clips_read_total 2.0" in await response.text()
