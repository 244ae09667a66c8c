"""The server's first start: the standby voice speaks while Qwen3 is fetched, then Qwen3 does, with no restart."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.conftest import CUSTOM_VOICE, Server, StartServer, synthesize
from tests.hub import Hub

SENTENCE = "The front door is open."


@pytest.fixture
def hub_root(tmp_path: Path, models_dir: Path) -> Path:
    """A hub's content: the tiny 0.6B CustomVoice under its real name."""
    owner = tmp_path / "hub" / "Qwen"
    owner.mkdir(parents=True)
    (owner / CUSTOM_VOICE.name).symlink_to(models_dir / CUSTOM_VOICE.name)
    return tmp_path / "hub"


async def wait_for_qwen3(server: Server) -> None:
    await server.wait_for(f"{CUSTOM_VOICE.name} is ready")


async def test_from_nothing_to_qwen3_over_a_slow_and_cut_connection(start_server: StartServer, hub_root: Path) -> None:
    with Hub(hub_root) as hub:
        hub.faults.bytes_per_second = 150_000
        hub.faults.held = {"model.safetensors"}
        hub.faults.cut_once = {"model.safetensors": 500_000}
        server = start_server("--model", "0.6B", HF_ENDPOINT=hub.url)
        meanwhile = await synthesize(server.uri, SENTENCE)
        assert meanwhile.types == ["audio-start", "audio-chunk", "audio-stop"]
        await server.wait_for("model=standby")
        refused = await synthesize(server.uri, "Hallo.", "ryan-de")
        assert refused.events[-1].type == "error"
        assert refused.events[-1].data["code"] == "model_loading"
        hub.faults.held.clear()
        await server.wait_for(r"Next try in 5 s")
        await server.wait_for(r"resuming at \d")
        await wait_for_qwen3(server)
    assert "Downloading Qwen3-TTS-12Hz-0.6B-CustomVoice: " in server.log
    assert (await synthesize(server.uri, "Hallo.", "ryan-de")).types[-1] == "audio-stop"
    await server.wait_for("voice=ryan language=de model=Qwen3-TTS-12Hz-0.6B-CustomVoice")


async def test_the_mirror_and_its_token_may_be_options(start_server: StartServer, hub_root: Path) -> None:
    with Hub(hub_root) as hub:
        hub.token = "hf_secret"
        server = start_server("--model", "0.6B", "--hf-endpoint", hub.url, "--hf-token", hub.token)
        await wait_for_qwen3(server)
    assert hub.requests
    assert "hf_secret" not in server.log


@pytest.mark.parametrize(
    ("status", "said"), [(401, "set HF_TOKEN"), (404, "has no Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice")]
)
async def test_a_hub_that_refuses_is_asked_once(
    start_server: StartServer, hub_root: Path, status: int, said: str
) -> None:
    with Hub(hub_root) as hub:
        hub.faults.api_status = status
        server = start_server("--model", "0.6B", HF_ENDPOINT=hub.url)
        await server.wait_for(said)
        asked = len(hub.requests)
        answer = await synthesize(server.uri, "Hallo.", "ryan-de")
        await asyncio.sleep(0.5)
        assert len(hub.requests) == asked
    assert answer.events[-1].data["code"] == "download_failed"
    assert said in answer.events[-1].data["text"]
    assert (await synthesize(server.uri, SENTENCE)).types[-1] == "audio-stop"
    assert "Traceback" not in server.log


async def test_the_first_request_for_another_kind_fetches_it(start_server: StartServer, hub_root: Path) -> None:
    with Hub(hub_root) as hub:
        server = start_server("--model", "0.6B", "--preload", "none", HF_ENDPOINT=hub.url)
        await asyncio.sleep(0.5)
        assert hub.requests == []
        await synthesize(server.uri, SENTENCE)
        await wait_for_qwen3(server)


async def test_the_standby_voice_only_asks_nobody(start_server: StartServer, hub_root: Path) -> None:
    with Hub(hub_root) as hub:
        server = start_server("--standby", "only", HF_ENDPOINT=hub.url)
        assert (await synthesize(server.uri, SENTENCE)).types[-1] == "audio-stop"
        refused = await synthesize(server.uri, "Hallo.", "ryan-de")
        assert refused.events[-1].data["code"] == "language_not_supported"
        assert hub.requests == []


async def test_no_download_asks_nobody(start_server: StartServer, hub_root: Path) -> None:
    with Hub(hub_root) as hub:
        server = start_server("--model", "0.6B", "--no-download", HF_ENDPOINT=hub.url)
        await server.wait_for("is not in the models folder")
        answer = await synthesize(server.uri, "Hallo.", "ryan-de")
        assert hub.requests == []
    assert answer.events[-1].data["code"] == "model_missing"


async def test_a_damaged_checkpoint_is_said_and_not_loaded(
    start_server: StartServer, tmp_path: Path, models_dir: Path
) -> None:
    """A config that does not fit the tensors: one clear error, and the standby voice speaks."""
    folder = tmp_path / "models" / CUSTOM_VOICE.name
    shutil.copytree(models_dir / CUSTOM_VOICE.name, folder)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"hidden_size": ', '"hidden_size": 1'))
    server = start_server("--models-dir", str(folder.parent), "--model", "0.6B", "--no-download")
    await server.wait_for("can't be used")
    answer = await synthesize(server.uri, "Hallo.", "ryan-de")
    assert answer.events[-1].data["code"] == "model_failed"
    assert str(tmp_path) not in answer.events[-1].data["text"]
    assert (await synthesize(server.uri, SENTENCE)).types[-1] == "audio-stop"
