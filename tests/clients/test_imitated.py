"""Clients that can't be run here: their requests, as their sources send them."""

import pytest

from .checks import check_realtime, check_spoken
from .conftest import RunClient
from .packages import Installed

pytestmark = pytest.mark.slow


async def test_openai_tts_of_hacs(run_client: RunClient) -> None:
    ran = await run_client("hacs_openai_tts.py", Installed())
    assert ran.said == {"check": 200}, "its set-up wants the speech of a full stop"
    del ran.exchanges[0]
    await check_spoken(ran, "plain.mp3", "styled.mp3")


async def test_open_webui(run_client: RunClient) -> None:
    ran = await run_client("open_webui.py", Installed())
    assert ran.said["models"] > 1
    assert ran.said["voices"] >= 9
    await check_spoken(ran, "speech.mp3")
    await check_realtime(ran, "realtime.wav", prompt=True)
