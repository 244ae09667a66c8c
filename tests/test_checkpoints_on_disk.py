"""Checkpoints as people have them: damaged ones are said on every surface, and a Hugging Face cache is read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from aiohttp import ClientSession

from tests.conftest import CUSTOM_VOICE, StartServer, synthesize
from tests.engine.checkpoint.checkpoint_files import write_cache
from tests.engine.checkpoint.damage import POINTER, cut, holding
from tests.program import everything_in, run

Harm: TypeAlias = Callable[[Path], object]

NAME = CUSTOM_VOICE.name
OPTIONS = ("--model", "0.6B", "--no-download")


@pytest.mark.parametrize(
    ("file", "harm", "said"),
    [
        ("model.safetensors", cut, f"{NAME} is damaged: model.safetensors is incomplete: "),
        ("model.safetensors", holding(POINTER), f"{NAME} is damaged: model.safetensors is a Git LFS pointer"),
        ("speech_tokenizer", shutil.rmtree, f"{NAME} is damaged: the folder speech_tokenizer is missing. "),
        ("config.json", holding(b"{"), f"{NAME} is damaged: config.json is incomplete or not a JSON object. "),
    ],
)
async def test_every_surface_says_which_file_is_damaged(
    start_server: StartServer, tmp_path: Path, models_dir: Path, *, file: str, harm: Harm, said: str
) -> None:
    folder = Path(shutil.copytree(models_dir / NAME, tmp_path / "models" / NAME))
    harm(folder / file)
    server = start_server("--models-dir", str(folder.parent), *OPTIONS)
    await server.wait_for(f"{said.replace('(', '.')}.* Its folder is {folder}\n")
    refused = await synthesize(server.uri, "Hallo.", "ryan-de")
    assert refused.events[-1].data["code"] == "model_failed"
    async with ClientSession(server.url) as http:
        async with http.get("/health") as answer:
            reason = (await answer.json())["reason"]
        async with http.get("/api/models") as answer:
            (model,) = [one for one in (await answer.json())["models"] if one["name"] == NAME]
        async with http.post("/v1/audio/speech", json={"input": "Hallo.", "model": "qwen3-tts"}) as answer:
            assert answer.status == 503
            error = (await answer.json())["error"]
    told = [refused.events[-1].data["text"], reason, model["error"]["message"], error["message"]]
    assert all(text.startswith(said) and "models/download over HTTP)." in text for text in told), told
    assert (model["state"], model["error"]["code"], error["code"]) == ("failed", "model_failed", "model_failed")
    assert (await synthesize(server.uri, "The door is open.")).types[-1] == "audio-stop"
    assert server.log.count("Its folder is") == 1
    shutil.rmtree(folder)
    shutil.copytree(models_dir / NAME, folder)
    assert (await synthesize(server.uri, "Hallo.", "ryan-de")).types[-1] == "audio-stop"


def test_say_says_which_file_is_damaged(tmp_path: Path, models_dir: Path) -> None:
    folder = Path(shutil.copytree(models_dir / NAME, tmp_path / "models" / NAME))
    os.truncate(folder / "vocab.json", 100)
    result = run(
        tmp_path, *OPTIONS, "--models-dir", str(folder.parent), "say", "Guten Tag.", "-o", str(tmp_path / "x.wav")
    )
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(
        f"wyoming-qwen3: {NAME} is damaged: vocab.json is incomplete or not a JSON object. Copy it again"
    )
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("below", ["", "hub"])
async def test_a_server_speaks_from_a_hugging_face_cache(
    start_server: StartServer, tmp_path: Path, models_dir: Path, below: str
) -> None:
    home = tmp_path / "huggingface"
    write_cache(home / "hub", CUSTOM_VOICE, source=models_dir / NAME)
    folder = home if below else home / "hub"
    server = start_server("--models-dir", str(folder), *OPTIONS, "--standby", "off", "--quantize", "none")
    await server.wait_for(f"{NAME} is ready")
    assert (await synthesize(server.uri, "Hallo.", "ryan-de")).types[-1] == "audio-stop"
    async with ClientSession(server.url) as http, http.get("/api/models") as answer:
        (model,) = [one for one in (await answer.json())["models"] if one["name"] == NAME]
    size = sum(file.stat().st_size for file in (models_dir / NAME).rglob("*") if file.is_file())
    assert model["disk_bytes"] == size
    server.stop()
    before = everything_in(home)
    output = str(tmp_path / "out.wav")
    said = run(
        tmp_path,
        *OPTIONS,
        "--standby",
        "off",
        "--quantize",
        "none",
        "--models-dir",
        str(folder),
        "say",
        "Hi",
        "-o",
        output,
    )
    assert said.returncode == 0, said.stderr
    assert f"Spoken by {NAME}" in said.stderr
    assert everything_in(home) == before
