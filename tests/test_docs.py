"""What the documents tell people to paste works when it is pasted."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.conftest import Server, StartServer
from tests.tiny import build_checkpoint

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    """One that has the standby voice alone."""
    return start_shared_server("--standby", "only")


@pytest.mark.parametrize("document", ["README.md", "docs/http-api.md"])
def test_the_first_curl_line_writes_an_mp3(document: str, server: Server, tmp_path: Path) -> None:
    found = re.search(r"^curl .*\n.*-o (\S+)$", (ROOT / document).read_text(), re.MULTILINE)
    assert found
    subprocess.run(["bash", "-c", found[0].replace("http://localhost:8880", server.url)], cwd=tmp_path, check=True)
    with av.open(tmp_path / found[1]) as file:
        assert file.format.name == "mp3"
        seconds = sum(frame.samples for frame in file.decode(audio=0)) / 24_000
    assert 1.5 < seconds < 2.5


def test_the_python_lines_write_a_wav(server: Server, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs/http-api.md").read_text(), re.DOTALL)
    assert found
    code = found[1].replace("http://localhost:8880", server.url)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    with av.open(tmp_path / "door.wav") as file:
        assert 1.5 < sum(frame.samples for frame in file.decode(audio=0)) / 24_000 < 2.5


def test_the_dictionary_s_lines_and_its_file_work(start_shared_server: StartServer, tmp_path: Path) -> None:
    """The file is the shared one, in which each line can be used."""
    text = (ROOT / "docs/dictionary.md").read_text()
    file = re.search(r"```\n(.*?)```", text, re.DOTALL)
    lines = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert file
    assert lines
    (tmp_path / "shared.csv").write_text(file[1])
    server = start_shared_server("--standby", "only", "--dictionary", str(tmp_path / "shared.csv"))
    strict = 'set -euo pipefail\ncurl() { command curl --fail-with-body --max-time 60 "$@"; echo; }\n'
    commands = strict + lines[1].replace("http://localhost:8880", server.url)
    ran = subprocess.run(["bash", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    _, tried, *_, imported = [json.loads(line) for line in ran.stdout.splitlines() if line]
    assert tried["text"] == "Is Home Assistant up to date?"
    assert len(imported["entries"]) == 1
    assert len(imported["shared"]) == len(file[1].splitlines()) - 2
    assert imported["problems"] == []


def test_the_studio_s_lines_work_one_after_the_other(
    start_shared_server: StartServer, models_dir: Path, tmp_path: Path
) -> None:
    """All of them, on a server of 1.7B, which follows instructions; curl fails where the server refuses."""
    models = tmp_path / "models"
    shutil.copytree(models_dir, models)
    build_checkpoint(models / "Qwen3-TTS-12Hz-1.7B-Base", "base", "1.7B")
    options = ("--models-dir", str(models), "--model", "1.7B", "--local-files-only", "--standby", "off")
    server = start_shared_server(*options, "--temperature", "0")
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/studio.md").read_text(), re.DOTALL)
    strict = 'set -euo pipefail\ncurl() { command curl --fail-with-body --max-time 60 "$@"; }\n'
    lines = strict + "\n".join(blocks).replace("http://localhost:8880", server.url)
    ran = subprocess.run(["bash", "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{server.log[-2000:]}"
    for name in (
        "preview.wav",
        "commander.mp3",
        "whisper.mp3",
        "kettle.flac",
        "again.mp3",
        "dialogue.wav",
        "hall.wav",
        "mix.wav",
    ):
        with av.open(tmp_path / name) as file:
            assert sum(frame.samples for frame in file.decode(audio=0)) > 0.5 * 24_000, name
