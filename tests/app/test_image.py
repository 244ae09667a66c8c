"""The image's Python, installed by the Dockerfile's own commands into a fresh folder, and a server started from it."""

import asyncio
import base64
import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.dockerfile import recipe
from tests.app.files import HEALTHCHECK, ROOT
from tests.conftest import Server, environment, servers_in, synthesize
from tests.waiting import HANG_SECONDS

IMAGE = ROOT / ".venv-image"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, kept from run to run while what it is made of stays the same; the project is put in each time."""
    found = recipe(ROOT / "Dockerfile")
    build = tmp_path_factory.mktemp("build")
    for name in found.copied:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, build / name)
    variables = found.variables | {"VENV": str(IMAGE)}
    variables["TORCH_INDEX"] = variables["TORCH_INDEX"] if _reachable(variables["TORCH_INDEX"].split()[-1]) else ""
    variables["PIP"] = variables["PIP"].replace("${VENV}", str(IMAGE)).replace("--no-cache-dir", "--quiet")
    *lasting, project = found.steps
    made_of = repr((lasting, variables, (ROOT / "constraints.txt").read_text()))
    digest = hashlib.sha256(made_of.encode()).hexdigest()
    stamp = IMAGE / "made-of"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(IMAGE, ignore_errors=True)
        for step in lasting:
            _run(step, variables, build)
        stamp.write_text(digest)
    _run(project.replace("--no-deps .", "--no-deps --force-reinstall ."), variables, build)
    return IMAGE


def _reachable(url: str) -> bool:
    """Whether PyTorch's own index is; a machine that can't reach it has to have a build without CUDA of its own."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def _run(step: str, variables: dict[str, str], cwd: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["bash", "-o", "pipefail", "-c", step], env=environment(PATH=path) | variables, cwd=cwd, check=True)


@pytest.fixture(scope="module")
def server(image: Path, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It says of each module that it imports, in each of its processes, so in its log."""
    folder = tmp_path_factory.mktemp("image")
    with servers_in(folder, [image / "bin/wyoming-qwen3"], folder) as start:
        options = ("--models-dir", str(models_dir), "--model", "0.6B", "--zeroconf", "--history")
        yield start(*options, PYTHONPROFILEIMPORTTIME="1")


def _ask(server: Server, path: str, body: Any) -> bytes:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=HANG_SECONDS) as answer:
            content: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path}: {error.read().decode()}") from error
    return content


def test_it_speaks_and_answers_the_healthcheck(server: Server) -> None:
    answer = asyncio.run(synthesize(server.uri, "The front door is open.", "ryan-en"))
    assert answer.types == ["audio-start", "audio-chunk", "audio-stop"]
    assert answer.seconds > 0.3
    plain = environment(TTS_QWEN3_URI=server.uri)
    assert subprocess.run([str(HEALTHCHECK)], env=plain, check=False, timeout=HANG_SECONDS).returncode == 0


def test_nothing_is_in_it_that_is_never_imported(server: Server, image: Path) -> None:
    """Everything is asked of the server once that brings packages of its own along."""
    short: dict[str, Any] = {"input": "The front door is open.", "max_new_tokens": 4}
    door = {"model": "standby", "input": "The front door is open.", "response_format": "wav"}
    wav = _ask(server, "/v1/audio/speech", door)
    clip = "data:audio/wav;base64," + base64.b64encode(_slower(wav)).decode()
    effects = [{"type": "reverb"}, {"type": "loudness", "target_lufs": -20}]
    _ask(server, "/v1/audio/speech", short | {"voice": "ryan", "effects": effects})
    _ask(server, "/v1/audio/speech", short | {"task_type": "Base", "ref_audio": clip, "ref_text": door["input"]})
    _ask(server, "/v1/audio/speech", short | {"task_type": "VoiceDesign", "instructions": "A deep voice."})
    _ask(server, "/api/audio/encode", {"audio": clip})
    _ask(server, "/api/models/download", {"model": "Qwen3-TTS-12Hz-1.7B-Base"})  # from a hub that is not there
    asyncio.run(server.wait_for("can't be reached"))
    imported = set(re.findall(r"import time:.*\| +(\w+)", server.log))
    never = {
        package.metadata["Name"]
        for package in importlib.metadata.distributions(path=[str(image / "lib/python3.11/site-packages")])
        if not _top_level(package) & imported
    }
    assert never == set()


def _slower(wav: bytes) -> bytes:
    """A sound that has to be resampled before it is read."""
    slower = io.BytesIO()
    with wave.open(io.BytesIO(wav)) as source, wave.open(slower, "wb") as target:
        target.setparams(
            source.getparams()._replace(framerate=16_000, nframes=0)
        )  # a streamed file does not know its length
        target.writeframes(source.readframes(source.getnframes()))
    return slower.getvalue()


def _top_level(package: importlib.metadata.Distribution) -> set[str]:
    names = {str(file).split("/")[0] for file in package.files or []}
    return {name.partition(".")[0] for name in names if not name.endswith((".dist-info", "..", ".libs"))}


def test_the_image_for_gpus_is_made_of_the_same() -> None:
    """But for PyTorch, which there is built for CUDA and brings CUDA along."""
    plain, cuda = recipe(ROOT / "Dockerfile"), recipe(ROOT / "docker/Dockerfile.cuda")
    assert plain.copied == cuda.copied
    assert [step for step in plain.steps if "torch" not in step] == [step for step in cuda.steps if "torch" not in step]
