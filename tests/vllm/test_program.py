"""The started program with servers, without them, and beside its own engine."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.conftest import StartServer, environment, synthesize
from tests.vllm.conftest import serving
from tests.vllm.server import tone, vllm
from wyoming_qwen3.cli.options import Vllm, parse

TEXT = "The front door is open."


async def health(http: ClientSession) -> dict[str, object]:
    async with http.get("/health") as answer:
        told: dict[str, object] = await answer.json()
        return told


async def test_with_a_wrong_address_the_standby_voice_speaks_until_somebody_answers_there(
    start_server: StartServer,
) -> None:
    """One clear line, no engine, no download; and the servers speak when they come, without a restart."""
    server = serving()
    started = start_server("--backend", "vllm", "--vllm-url", f"{server.url}/v1/", "--models-dir", "/nowhere")
    line = f"The vLLM server 127.0.0.1:{server.port} can't be reached \\(Connection refused\\). It will be tried again"
    await started.wait_for(line)
    async with ClientSession(started.url) as http:
        assert (await synthesize(started.uri, TEXT)).types == ["audio-start", "audio-chunk", "audio-stop"]
        await started.wait_for("model=standby")
        told = await health(http)
        assert (told["status"], told["standby"], told["backend"]) == ("degraded", True, "vllm")
        german = await synthesize(started.uri, "Die Haustür ist offen.", "ryan-de")
        assert german.events[0].data["code"] == "backend_unavailable"
        async with vllm(server):
            await started.wait_for("serves Qwen3-TTS-12Hz-1.7B-CustomVoice")
            answer = await synthesize(started.uri, TEXT, "ryan-de")
            assert answer.audio == tone(TEXT, server.heard[0].seed)
            assert (await health(http))["status"] == "ok"
        assert not started.children("--engine\0native")
    assert started.log.count("can't be reached") <= 2
    assert "Traceback" not in started.log
    assert started.stop() == 0


async def test_servers_speak_what_the_native_engine_can_not(start_server: StartServer) -> None:
    """It has no checkpoint and gets none; what it could have spoken at once is never sent away."""
    server = serving("custom_voice", "0.6B", api_key="s3cret")
    async with vllm(server):
        options = ("--vllm-fallback", "--vllm-customvoice-url", server.url, "--no-download", "--local-files-only")
        started = start_server(*options, "--model", "0.6B", TTS_QWEN3_VLLM_API_KEY="s3cret")
        await started.wait_for("serves Qwen3-TTS-12Hz-0.6B-CustomVoice")
        answer = await synthesize(started.uri, TEXT)
        assert answer.audio == tone(TEXT, server.heard[0].seed)
        async with ClientSession(started.url) as http:
            told = await health(http)
            assert (told["status"], told["backend"]) == ("ok", "native")
    answer = await synthesize(started.uri, TEXT)
    assert answer.types == ["audio-start", "audio-chunk", "audio-stop"]
    await started.wait_for("model=standby")


async def test_an_engine_that_is_ready_speaks_itself(start_server: StartServer, models_dir: Path) -> None:
    server = serving()
    async with vllm(server):
        options = ("--models-dir", str(models_dir), "--model", "0.6B", "--vllm-fallback", "--vllm-url", server.url)
        started = start_server(*options, "--standby", "off")
        await started.wait_for("Qwen3-TTS-12Hz-0.6B-CustomVoice is ready")
        await synthesize(started.uri, TEXT)
        await started.wait_for("model=Qwen3-TTS-12Hz-0.6B-CustomVoice")
        assert not server.heard
        async with ClientSession(started.url) as http:
            body = {"input": TEXT, "voice": "ryan", "instructions": "sad", "response_format": "pcm", "seed": 3}
            async with http.post(
                "/v1/audio/speech", json=body
            ) as answer:  # 0.6B follows no instruction; the server does
                assert await answer.read() == tone(TEXT, 3)


async def test_the_say_command_speaks_through_a_server(tmp_path: Path) -> None:
    server = serving()
    async with vllm(server):
        command = (
            sys.executable,
            "-m",
            "wyoming_qwen3",
            "say",
            TEXT,
            "-o",
            str(tmp_path / "x.wav"),
            "--standby",
            "off",
        )
        options = ("--backend", "vllm", "--vllm-url", server.url, "--data-dir", str(tmp_path))
        said = await asyncio.create_subprocess_exec(*command, *options, env=environment(), stderr=subprocess.PIPE)
        _, errors = await said.communicate()
    assert said.returncode == 0, errors
    assert (tmp_path / "x.wav").read_bytes()[44:] == tone(TEXT, server.heard[0].seed)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--backend vllm", "--backend vllm needs the address"),
        ("--vllm-fallback", "--vllm-fallback needs the address"),
        ("--vllm-url http://a", "not used without --backend vllm or --vllm-fallback"),
        ("--backend vllm --vllm-fallback --vllm-url http://a", "needs --backend native"),
        ("--backend vllm --vllm-url gpu:8091", "'gpu:8091' is not an address such as http://gpu:8091"),
        ("--backend vllm --vllm-url http://u:p@a", "is not an address"),
        ("--backend vllm --vllm-url http://a --temperature 1", "vLLM servers do not support --temperature"),
        ("--backend vllm --vllm-url http://a --text-streaming token", "needs --backend native"),
        ("--backend other", "'other' is not one of native, vllm"),
    ],
)
def test_options_that_do_not_go_together(options: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(options.split(), {})
    assert said in capsys.readouterr().err


def test_addresses_may_be_many_and_of_kinds() -> None:
    urls = {"TTS_QWEN3_VLLM_URL": "http://a:1, https://b/tts/v1/", "TTS_QWEN3_VLLM_BASE_URL": "http://c:2/"}
    settings = parse(["--backend", "vllm"], urls | {"TTS_QWEN3_VLLM_API_KEY": "k"})
    assert settings.vllm == Vllm(((None, "http://a:1"), (None, "https://b/tts"), ("base", "http://c:2")), "k")
    assert (settings.max_active, parse([], {}).max_active) == (64, 16)
