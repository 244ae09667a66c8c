"""A user whom the system does not know, without a home: `docker run --user 12345`, a service without HOME."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.api.clips import data_url
from tests.conftest import Server, environment, synthesize
from tests.ports import free_port
from wyoming_qwen3.core.checkpoints import Checkpoint

UID = 54_321
CHECKPOINTS = (Checkpoint("custom_voice", "0.6B"), Checkpoint("base", "0.6B"))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Only root can become a user that does not exist")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of that user's, which pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="no-home-"))
    os.chown(folder, UID, UID)
    yield folder
    shutil.rmtree(folder)


def without_home(**variables: str) -> dict[str, str]:
    kept = environment(PYTHONPATH=os.pathsep.join(path for path in sys.path if path), **variables)
    dropped = {"USER", "LOGNAME", "LNAME", "USERNAME", "TMPDIR", *({"HOME"} - variables.keys())}
    return {name: value for name, value in kept.items() if name not in dropped and not name.startswith("XDG_")}


def run(*arguments: str, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    command, environ = [sys.executable, "-m", "wyoming_qwen3", *arguments], without_home(**variables)
    return subprocess.run(
        command,
        user=UID,
        group=UID,
        extra_groups=[],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("command", [(), ("say", "Hi", "-o", "out.wav"), ("download", "--model", "0.6B")])
def test_without_a_home_a_folder_is_asked_for(place: Path, command: tuple[str, ...]) -> None:
    ended = run(*command, cwd=place)
    assert ended.returncode == 2
    said = "wyoming-qwen3: There is no home folder; set the folder for all stored data with --data-dir.\n"
    assert ended.stderr == said
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("folder", ["~", "~/data", "~nobody-here/data"])
def test_a_home_that_can_not_be_found_is_said(place: Path, folder: str) -> None:
    ended = run("--data-dir", folder, cwd=place)
    assert (ended.returncode, list(place.iterdir())) == (2, [])
    assert ended.stderr == (
        f"wyoming-qwen3: argument --data-dir: {folder!r} can't be resolved: the home folder is unknown\n"
    )


def test_what_keeps_nothing_needs_no_folder(place: Path) -> None:
    assert "ryan" in run("voices", cwd=place).stdout
    assert run("say", "--show-text", "**Hi**", cwd=place).stdout == "Hi.\n"
    assert run("--help", cwd=place).returncode == 0


@pytest.mark.parametrize("home", ["/", "/nonexistent"])
def test_a_home_that_can_not_be_written_is_one_sentence(place: Path, home: str) -> None:
    ended = run("--uri", f"tcp://127.0.0.1:{free_port()}", "--no-http", cwd=place, HOME=home)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("wyoming-qwen3: The models folder ")
    assert ended.stderr.splitlines()[-1].endswith(
        "can't be used: Permission denied; choose another with --models-dir or --data-dir."
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("home", [None, "/", "/nonexistent"])
async def test_with_a_data_folder_it_speaks_and_clones(place: Path, models_dir: Path, home: str | None) -> None:
    """All processes do: Qwen3's engine with a named and a cloned voice, and the standby voice."""
    for checkpoint in CHECKPOINTS:
        shutil.copytree(models_dir / checkpoint.name, place / "models" / checkpoint.name)
    (here := place / "here").mkdir()
    subprocess.run(["chown", "--recursive", f"{UID}:{UID}", place], check=True)
    port, http_port, log = free_port(), free_port(), place / "log"
    options = ["--uri", f"tcp://127.0.0.1:{port}", "--http-host", "127.0.0.1", "--http-port", str(http_port)]
    options += ["--models-dir", str(place / "models"), "--model", "0.6B", "--history", "--no-download"]
    command = [sys.executable, "-m", "wyoming_qwen3", "--data-dir", str(place / "data"), *options]
    variables = without_home(**({"HOME": home} if home else {}))
    with (
        log.open("wb") as sink,
        subprocess.Popen(
            command, stdout=sink, stderr=sink, user=UID, group=UID, extra_groups=[], env=variables, cwd=here
        ) as process,
    ):
        server = Server(process, port, http_port, log)
        try:
            await server.wait_for(r"0\.6B-CustomVoice is ready")
            assert (await synthesize(server.uri, "Die Haustür ist offen.", "ryan-de")).types[-1] == "audio-stop"
            async with ClientSession(server.url) as http:
                cloned = {
                    "input": "The door.",
                    "ref_audio": data_url(3.0),
                    "ref_text": "The front door is open, and so it has been since noon.",
                }
                for body in (cloned, {"input": "The door.", "model": "standby"}):
                    async with http.post("/v1/audio/speech", json=body) as answer:
                        assert answer.status == 200, (await answer.text(), server.log)
                        assert len(await answer.read()) > 1000
                async with http.get("/health") as answer:
                    assert (await answer.json())["faults"] == []
        finally:
            process.terminate()
    assert "Traceback" not in server.log
    assert list(here.iterdir()) == []
