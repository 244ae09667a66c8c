"""Programs between a person's program and this server, and Vercel's AI SDK."""

import pytest

from .checks import check_realtime, check_spoken
from .conftest import Ran, RunClient
from .packages import NODE, Python

pytestmark = pytest.mark.slow

LITELLM = Python("litellm", ("litellm[proxy]==1.108.0",))
WYOMING_OPENAI = Python("wyoming-openai", ("wyoming-openai==0.8.0",), oldest=(3, 12))
REALTIME = ("--tts-realtime-models", "gpt-realtime-2.1-mini")
STYLE = ("--tts-instructions", "Speak in a cheerful and positive tone.")


async def test_litellm(run_client: RunClient) -> None:
    await check_spoken(await run_client("litellm_speech.py", LITELLM), "plain.mp3", "styled.mp3")


async def test_an_unknown_voice_does_not_stop_litellm_s_proxy(run_client: RunClient) -> None:
    ran = await run_client("litellm_proxy.py", LITELLM)
    wrong = [one for one in ran.spoken if one.fields["voice"] == "nobody"]
    assert [one.status for one in wrong] == [400] * 3
    assert [one["status"] for one in ran.said["said"]] == [200, 400, 200, 400, 400, 200]
    assert all("There is no voice 'nobody'" in one["error"] for one in ran.said["said"] if one["error"])
    ran.exchanges[:] = [one for one in ran.exchanges if one not in wrong]
    await check_spoken(ran, "0.mp3", "2.mp3", "5.mp3")


async def test_the_ai_sdk(run_client: RunClient) -> None:
    ran = await run_client("ai_sdk.mjs", NODE)
    assert ran.said == {"warnings": []}
    await check_spoken(ran, "plain.mp3", "styled.mp3")


@pytest.mark.parametrize("style", [(), STYLE], ids=["plain", "styled"])
@pytest.mark.parametrize("option", ["--tts-models", "--tts-streaming-models"])
async def test_wyoming_openai(run_client: RunClient, option: str, style: tuple[str, ...]) -> None:
    ran = await run_client("wyoming_proxy.py", WYOMING_OPENAI, option, "gpt-4o-mini-tts", *style)
    check_events(ran)
    await check_spoken(ran, "said.pcm")


async def test_wyoming_openai_over_realtime(run_client: RunClient) -> None:
    ran = await run_client("wyoming_proxy.py", WYOMING_OPENAI, *REALTIME)
    check_events(ran)
    await check_realtime(ran, "said.pcm", prompt=True)


async def test_wyoming_openai_s_style_over_realtime(run_client: RunClient) -> None:
    ran = await run_client("wyoming_proxy.py", WYOMING_OPENAI, *REALTIME, *STYLE)
    check_events(ran)
    await check_realtime(ran, "said.pcm", style=STYLE[1])


@pytest.mark.parametrize("backend", ["KOKORO_FASTAPI", "SPEACHES"])
async def test_wyoming_openai_lists_our_voices(run_client: RunClient, backend: str) -> None:
    ran = await run_client("wyoming_proxy.py", WYOMING_OPENAI, "--tts-models", "tts-1", "--tts-backend", backend)
    check_events(ran)
    assert "Ryan" in ran.said["voices"]
    await check_spoken(ran, "said.pcm")


def check_events(ran: Ran) -> None:
    """What Home Assistant gets of an answer."""
    assert ran.said["types"] == ["audio-start", "audio-chunk", "audio-stop"]
    assert ran.said["rate"] == 24_000
