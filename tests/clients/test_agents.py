"""Frameworks for voice agents: OpenAI's, Pipecat and LiveKit."""

import pytest

from .checks import PROMPT, check_realtime, check_spoken
from .conftest import RunClient
from .packages import NODE, Packages, Python

pytestmark = pytest.mark.slow

OPENAI = Python("openai-agents", ("openai-agents[voice]==0.24.0",))
PIPECAT = Python("pipecat", ("pipecat-ai[openai]==1.14.0",))
LIVEKIT = Python("livekit", ("livekit-agents==1.8.9", "livekit-plugins-openai==1.8.9"))
STYLE = "Speak in a cheerful and positive tone."


async def test_the_voice_pipeline_of_openai_agents(run_client: RunClient) -> None:
    ran = await run_client("agents_voice.py", OPENAI)
    assert ran.said["events"] == ["turn_started", "turn_ended", "session_ended"]
    assert all(exchange.fields["instructions"] for exchange in ran.spoken), "it sends instructions by itself"
    await check_spoken(ran, "said.pcm")


async def test_a_realtime_session_of_openai_agents(run_client: RunClient) -> None:
    ran = await run_client("agents_realtime.mjs", NODE, PROMPT)
    assert ran.said == {"errors": [], "history": ["user", "assistant"]}
    await check_realtime(ran, "said.pcm", prompt=True)


@pytest.mark.parametrize("instructions", [(), (STYLE,)], ids=["plain", "styled"])
async def test_pipecat(run_client: RunClient, instructions: tuple[str, ...]) -> None:
    ran = await run_client("pipecat_tts.py", PIPECAT, *instructions)
    assert ran.said["errors"] == []
    await check_spoken(ran, "said.pcm")


@pytest.mark.parametrize("instructions", [(), (STYLE,)], ids=["plain", "styled"])
async def test_livekit(run_client: RunClient, instructions: tuple[str, ...]) -> None:
    ran = await run_client("livekit_tts.py", LIVEKIT, *instructions)
    assert ran.said["rate"] == 24_000
    await check_spoken(ran, "said.pcm")


@pytest.mark.parametrize(("script", "packages"), [("pipecat_realtime.py", PIPECAT), ("livekit_realtime.py", LIVEKIT)])
async def test_a_realtime_service(run_client: RunClient, script: str, packages: Packages) -> None:
    ran = await run_client(script, packages, PROMPT)
    assert ran.said["errors"] == []
    await check_realtime(ran, "said.pcm", prompt=True)
