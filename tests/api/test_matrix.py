"""Who speaks what clients send by themselves: model, voice, instructions, language, and how ready the server is.

One table, asked of three real servers: with the 0.6B checkpoints alone, with all of them, and without any.
"""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import Server, StartServer

SMALL, LARGE = "Qwen3-TTS-12Hz-0.6B-CustomVoice", "Qwen3-TTS-12Hz-1.7B-CustomVoice"
TEXT, GERMAN = "The front door is open.", "Die Haustür ist offen."
LEFT_OUT, STOOD_IN = "The instructions were left out.", "The standby voice spoke, because"
STYLE = {"instructions": "Speak cheerfully."}


@pytest.fixture(scope="module")
def servers(
    start_shared_server: StartServer, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Server]:
    small = tmp_path_factory.mktemp("small")
    (small / SMALL).symlink_to(models_dir / SMALL)
    common = ("--local-files-only", "--temperature", "0")
    servers = {
        "0.6B": start_shared_server(*common, "--models-dir", str(small), "--model", "0.6B"),
        "1.7B": start_shared_server(*common, "--models-dir", str(models_dir), "--model", "1.7B"),
        "both": start_shared_server(*common, "--models-dir", str(models_dir), "--model", "0.6B"),
        "none": start_shared_server(*common, "--models-dir", str(tmp_path_factory.mktemp("none"))),
    }
    for name in ("0.6B", "1.7B", "both"):
        asyncio.run(servers[name].wait_for("is ready"))
    return servers


@pytest.mark.parametrize(
    ("server", "body", "spoken", "warnings"),
    [
        # The server's own model is ready.
        ("0.6B", {"model": "tts-1", "voice": "alloy"}, SMALL, []),
        ("0.6B", {"model": "tts-1", "voice": "alloy", **STYLE}, SMALL, [LEFT_OUT]),
        ("0.6B", {"model": "gpt-4o-mini-tts", "voice": "coral", **STYLE}, SMALL, [LEFT_OUT]),
        ("0.6B", {"model": "gpt-4o-mini-tts", "voice": "coral", "instructions": "x " * 2000}, SMALL, ["at most 2,000"]),
        ("0.6B", {"model": "qwen3-tts", "voice": "ryan", "language": "de"}, SMALL, []),
        ("0.6B", {"model": "qwen3-tts", "voice": "ryan", "voice_design": "A calm man."}, SMALL, [LEFT_OUT]),
        ("0.6B", {"model": "qwen3-tts-0.6b", "voice": "ryan", **STYLE, "strict": True}, 400, ["does not follow"]),
        ("0.6B", {"model": "qwen3-tts-1.7b", "voice": "ryan", **STYLE}, 503, ["1.7B-CustomVoice is not in"]),
        ("0.6B", {"model": "tts-1", "voice": "af_heart"}, SMALL, ["Serena speaks instead"]),
        ("0.6B", {"model": "tts-1", "voice": "en_US-amy-medium"}, SMALL, ["There is no voice 'en_US-amy-medium'"]),
        ("0.6B", {"model": "tts-1", "voice": "nobody"}, 400, ["--voice-fallback on"]),
        ("0.6B", {"model": "kokoro", "voice": "alloy"}, 404, ["--voice-fallback on"]),
        ("0.6B", {"model": "standby", "voice": "alloy", **STYLE}, "standby", [LEFT_OUT]),
        ("1.7B", {"model": "tts-1", "voice": "alloy", **STYLE}, LARGE, []),
        ("1.7B", {"model": "tts-1", "voice": "alloy", **STYLE, "strict": True}, LARGE, []),
        ("1.7B", {"model": "qwen3-tts-0.6b", "voice": "alloy", **STYLE}, SMALL, [LEFT_OUT]),
        # The 0.6B speaks by itself; the 1.7B is on disk, and follows what the 0.6B does not.
        ("both", {"model": "tts-1", "voice": "alloy"}, SMALL, []),
        ("both", {"model": "tts-1", "voice": "alloy", **STYLE}, LARGE, []),
        ("both", {"model": "qwen3-tts", "voice": "ryan", **STYLE, "strict": True}, LARGE, []),
        ("both", {"model": "qwen3-tts-0.6b", "voice": "ryan", **STYLE}, SMALL, [LEFT_OUT]),
        # No checkpoint is there, and none will be.
        ("none", {"model": "tts-1", "voice": "alloy"}, "standby", [STOOD_IN]),
        ("none", {"voice": "alloy"}, "standby", [STOOD_IN]),
        ("none", {"model": "tts-1-hd", "voice": "nova", **STYLE}, "standby", [STOOD_IN, LEFT_OUT]),
        ("none", {"model": "tts-1", "voice": "alloy", "language": "en"}, "standby", [STOOD_IN]),
        ("none", {"model": "tts-1", "voice": "alloy", "language": "de"}, 503, ["is not in the models folder"]),
        ("none", {"model": "tts-1", "voice": "alloy", "input": GERMAN}, 503, ["is not in the models folder"]),
        ("none", {"model": "tts-1", "voice": "alloy", "standby": "off"}, 503, ["send the model standby"]),
        ("none", {"model": "tts-1", "voice": "alloy", **STYLE, "strict": True}, 400, ["does not follow"]),
        ("none", {"model": "qwen3-tts", "voice": "ryan"}, 503, ["send the model standby", '"standby": "auto"']),
        ("none", {"model": "qwen3-tts", "voice": "ryan", "standby": "auto"}, "standby", [STOOD_IN]),
        ("none", {"model": "tts-1", "voice": "design", "instructions": "A calm man."}, 503, ["VoiceDesign is not in"]),
        ("none", {"model": "standby", "voice": "alloy"}, "standby", []),
        ("none", {"model": "standby", "voice": "alloy", "language": "de"}, 400, ["speaks English only"]),
    ],
)
async def test_who_speaks(
    servers: dict[str, Server], server: str, body: dict[str, Any], spoken: str | int, warnings: list[str]
) -> None:
    """`spoken` is the model that does, or an error's status; each of `warnings` is told, and no other of these."""
    wish = {"input": TEXT, "response_format": "pcm"} | body
    async with aiohttp.ClientSession(servers[server].url) as http, http.post("/v1/audio/speech", json=wish) as answer:
        if isinstance(spoken, int):
            message = (await answer.json())["error"]["message"]
            assert answer.status == spoken, message
        else:
            assert answer.status == 200, await answer.text()
            assert len(await answer.read()) > 24_000
            assert answer.headers["X-Model-Used"] == spoken
            message = answer.headers.get("X-Warning", "")
    assert all(warning in message for warning in warnings), message
    if isinstance(spoken, str):
        assert [known in message for known in (LEFT_OUT, STOOD_IN)] == [
            any(known in warning for warning in warnings) for known in (LEFT_OUT, STOOD_IN)
        ]
