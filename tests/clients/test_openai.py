"""OpenAI's own SDKs, for Python and for node."""

import pytest

from .checks import PROMPT, check_realtime, check_spoken, check_warnings
from .conftest import RunClient
from .packages import NODE, Packages, Python

pytestmark = pytest.mark.slow

PYTHON = Python("openai", ("openai[realtime]==3.57.0",))
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


@pytest.mark.parametrize(("script", "packages"), [("openai_speech.py", PYTHON), ("openai_speech.mjs", NODE)])
async def test_speech(run_client: RunClient, script: str, packages: Packages) -> None:
    ran = await run_client(script, packages)
    await check_spoken(ran, *[f"whole.{name}" for name in FORMATS], "streamed.mp3", "events.mp3")
    check_warnings(ran.form, ran.said["warning"], instructions=True)
    assert ran.said["last"]["type"] == "speech.audio.done"
    check_warnings(ran.form, " ".join(ran.said["last"].get("warnings", [])), instructions=True)


@pytest.mark.parametrize(
    ("script", "packages", "tls"),
    [("openai_realtime.py", PYTHON, False), ("openai_realtime.mjs", NODE, True)],  # the latter can do no other
)
@pytest.mark.parametrize("instructions", [PROMPT, "Speak cheerfully."], ids=["prompt", "style"])
async def test_realtime(run_client: RunClient, script: str, packages: Packages, tls: bool, instructions: str) -> None:
    ran = await run_client(script, packages, instructions, tls=tls)
    assert (ran.said["status"], ran.said["errors"]) == ("completed", [])
    prompt = instructions == PROMPT
    await check_realtime(ran, "said.pcm", prompt=prompt, style=None if prompt else instructions)
