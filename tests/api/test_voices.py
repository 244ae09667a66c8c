"""The voices, as the programs that ask for them read the list; in this process and without an engine."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, InternalServerError

from tests.api.quiet import Client, quiet_app, serving


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(quiet_app(tmp_path)) as client:
        yield client


async def voices(client: Client, query: str = "") -> list[Any]:
    async with client.get(f"/v1/audio/voices{query}") as response:
        assert response.status == 200
        listed: list[Any] = (await response.json())["voices"]
        return listed


async def test_open_webui_finds_ids_and_names(client: Client) -> None:
    names = {voice["id"]: voice["name"] for voice in await voices(client)}
    assert len(names) == 9
    assert names["Ryan"] == "Ryan"
    assert names["Uncle_Fu"] == "Uncle Fu"


async def test_a_voice_says_what_it_speaks(client: Client) -> None:
    ryan = next(voice for voice in await voices(client) if voice["id"] == "Ryan")
    assert (ryan["type"], ryan["language"], len(ryan["languages"])) == ("builtin", "English", 10)
    assert "German" in ryan["languages"]


async def test_older_clients_get_names_alone(client: Client) -> None:
    assert (await voices(client, "?legacy=true"))[:2] == ["Vivian", "Serena"]


@pytest.mark.parametrize(
    ("language", "ids"), [("ja", ["Ono_Anna"]), ("English", ["Ryan", "Aiden"]), ("de", []), ("auto", 9), ("", 9)]
)
async def test_those_at_home_in_a_language(client: Client, language: str, ids: list[str] | int) -> None:
    found = [voice["id"] for voice in await voices(client, f"?language={language}")]
    assert ids in (found, len(found))


@pytest.mark.parametrize(("query", "param"), [("language=xx", "language"), ("legacy=perhaps", "legacy")])
async def test_a_query_that_makes_no_sense_is_refused(client: Client, query: str, param: str) -> None:
    async with client.get(f"/v1/audio/voices?{query}") as response:
        assert response.status == 400
        assert (await response.json())["error"]["param"] == param


async def test_the_openai_sdk_hears_once_that_no_voices_are_kept(client: Client) -> None:
    async with AsyncOpenAI(api_key="none", base_url=str(client.make_url("/v1"))) as openai:
        with pytest.raises(InternalServerError, match="keeps no voices yet") as made:
            await openai.audio.voices.create(name="Mine", audio_sample=b"RIFF" * 200_000, consent="consent_1")
        with pytest.raises(InternalServerError, match="keeps no voices yet"):
            await openai.audio.voices.create(name="Mine", prompt="A deep voice.", type="prompt")
        with pytest.raises(InternalServerError, match="can't be deleted"):
            await openai.audio.voices.delete("voice_1")
    assert made.value.status_code == 501
    assert made.value.code == "not_supported"
    async with client.get("/metrics") as response:
        told = await response.text()
    assert 'tts_http_answers_total{method="POST",route="/v1/audio/voices",status="501"} 2.0' in told
    assert 'tts_http_answers_total{method="DELETE",route="/v1/audio/voices/{id}",status="501"} 1.0' in told
