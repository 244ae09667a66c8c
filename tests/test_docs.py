"""What the documents tell people to paste works when it is pasted, one document after the other, at a fresh server."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import pytest

from tests.conftest import Server, StartServer, environment
from tests.documents import DOCUMENTS, ROOT, Command, blocks, commands, inline_commands
from tests.hub import Hub
from tests.tiny import build_checkpoint
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.cli.options import parse
from wyoming_qwen3.core.checkpoints import Checkpoint

NOT_RUN = {
    r"script/run\b": "serves until it is stopped; tests/test_setup.py runs the script",
    r"script/setup\b": "installs packages; tests/test_setup.py runs the script",
    r"script/(test|format)\b": "runs all tests or changes the sources",
    r"script/(bench|fuzz|soak|gpu-check)\b": "measures for minutes; tests/bench and tests/stress run the programs",
    r"\.venv/bin/python -m pytest\b": "runs tests",
    r"(\.venv/bin/)?python -m tests\b": "runs tests, or makes the checkpoints that they use",
    r"docker compose\b": "needs Docker; tests/app reads the files",
    r"sudo apt\b": "changes the system",
    r"python3 -m venv\b": "goes with the next lines",
    r"pipx run\b": "runs a program from PyPI on the sources",
    r"(qwen3/bin/)?pip install\b": "installs from PyPI; tests/test_setup.py builds the wheel and checks the lists",
    r"qwen3/bin/wyoming-qwen3$": "serves until it is stopped, in the environment of the lines before",
    r"(CUDA_VISIBLE_DEVICES=\d )?vllm serve\b": "needs vLLM-Omni and a GPU",
    r"wyoming-qwen3 --backend vllm\b": "serves until it is stopped; tests/vllm has such servers",
    r"python -m wyoming_openai\b": "another program; tests/clients/test_gateways.py runs it",
}
"""Commands that are not run here, by their beginning, and why. Every other command is run."""

NOT_COMMANDS = {"text", "yaml", "nginx", "js", "csv"}
"""Languages of blocks that hold nothing to paste into a terminal."""

FRAGMENTS = {"docs/clients.md": "tests/clients runs the programs that these lines belong to"}
"""Documents whose Python is not complete."""

AUDIO = {".wav", ".mp3", ".flac", ".opus", ".ogg", ".aac"}


def is_run(command: Command) -> bool:
    return not any(re.match(pattern, command.text) for pattern in NOT_RUN)


def needs(document: str, what: str) -> bool:
    return any(what in command.needs for command in commands(document))


RUN = [document for document in DOCUMENTS if any(map(is_run, commands(document)))]


def pasted(document: str, size: str) -> list[Command]:
    """The commands of a document that can be run; for the 1.7B as far as the last one that needs it."""
    found = [one for one in commands(document) if is_run(one)]
    needing = [number for number, one in enumerate(found, 1) if size == "1.7B" and "the 1.7B" in one.needs]
    return found[: max(needing, default=None)]


@dataclass(frozen=True)
class Ran:
    """A command that was pasted: its exit status, all that it printed, and copies of the files that it names."""

    command: Command
    status: int
    printed: str
    files: list[Path]

    @property
    def told(self) -> str:
        """The command, and what a person sees of it."""
        written = (file.read_text(errors="replace")[:300] for file in self.files if file.is_file())
        return "\n".join((self.command.text, *self.faults, self.printed, *written))

    @property
    def faults(self) -> list[str]:
        """What is wrong: its status, an error that it printed, or a file that is not what its name says."""
        found = [f"exit status {self.status}"] if self.status else []
        found += ["it printed an error"] if is_error(self.printed) else []
        return found + [f"{file.name} {fault}" for file in self.files if (fault := fault_of(file))]


def is_error(text: str) -> bool:
    try:
        return "error" in json.loads(text)
    except (ValueError, TypeError):
        return False


def fault_of(file: Path) -> str | None:
    if not file.is_file():
        return "was not written"
    if is_error(file.read_text(errors="replace")):
        return f"holds an error: {file.read_text()[:200]}"
    if file.suffix == ".zip" and not zipfile.is_zipfile(file):
        return "is no archive"
    return "holds no audio" if file.suffix in AUDIO and seconds(file) < 0.1 else None


def seconds(file: Path) -> float:
    try:
        with av.open(file) as opened:
            return sum(frame.samples / frame.sample_rate for frame in opened.decode(audio=0))
    except av.FFmpegError:
        return 0.0


@dataclass(frozen=True)
class Home:
    """A server with a data folder that was fresh, and a hub."""

    server: Server
    data_dir: Path
    hub: str
    size: str
    has_weights: bool

    def paste(self, given: list[Command], folder: Path) -> list[Ran]:
        """Paste commands, in order, into one shell that was opened in `folder`."""
        folder.mkdir()
        lines = [f"cd {folder}", f"cp {ROOT / 'README.md'} ."]
        for number, command in enumerate(given):
            lines += [f"{{ {self.here(command.text)}", f"}} >{number}.out 2>&1", f"echo $? >{number}.status"]
            lines += [f"cp {name} {number}-{name}" for name in command.files]
        subprocess.run(
            ["bash", "-c", "\n".join(lines)],
            env=environment(**self.variables),
            check=False,
            capture_output=True,
            timeout=5 * HANG_SECONDS,
        )
        return [
            Ran(
                command,
                int((folder / f"{number}.status").read_text()),
                (folder / f"{number}.out").read_text(errors="replace"),
                [folder / f"{number}-{name}" for name in command.files],
            )
            for number, command in enumerate(given)
        ]

    def here(self, text: str) -> str:
        """Return a command with this server's address and this checkout's programs; it writes only in its folder."""
        text = text.replace("http://localhost:8880", self.server.url)
        # Its pauses would double each time; without weights nothing would end it.
        text = text.replace("--retry 1000 ", "--retry 1000 --retry-delay 1 " if self.has_weights else "")
        return text.replace(".venv/bin/wyoming-qwen3", '"$PYTHON" -m wyoming_qwen3')

    @property
    def variables(self) -> dict[str, str]:
        """Environment of a shell on the server's machine."""
        options = {"DATA_DIR": str(self.data_dir), "MODEL": self.size, "STANDBY": "auto"}
        return {f"TTS_QWEN3_{name}": value for name, value in options.items()} | {
            "HF_ENDPOINT": self.hub,
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
        }


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Hub]:
    """One that has all five checkpoints."""
    root = tmp_path_factory.mktemp("hub")
    shutil.copytree(models_dir, root / "Qwen")
    build_checkpoint(root / "Qwen" / Checkpoint("base", "1.7B").name, "base", "1.7B")
    with Hub(root) as found:
        yield found


@pytest.fixture(scope="module")
def homes(
    start_shared_server: StartServer, hub: Hub, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Home]:
    """A server of each size that downloads its checkpoint; one without weights or internet for "none"."""

    @cache
    def home(size: str) -> Home:
        data_dir = tmp_path_factory.mktemp("fresh")
        chosen, address = ("0.6B", "http://127.0.0.1:9") if size == "none" else (size, hub.url)
        server = start_shared_server("--data-dir", str(data_dir), "--model", chosen, HF_ENDPOINT=address)
        return Home(server, data_dir, address, chosen, has_weights=size != "none")

    return home


@pytest.mark.parametrize(
    ("document", "size"),
    [(document, "0.6B") for document in RUN] + [(document, "1.7B") for document in RUN if needs(document, "the 1.7B")],
)
async def test_every_command_works_with_weights(
    document: str, size: str, homes: Callable[[str], Home], tmp_path: Path
) -> None:
    """What needs the 1.7B fails on a 0.6B server."""
    home = homes(size)
    await home.server.wait_for("is ready")
    ran = await asyncio.to_thread(home.paste, pasted(document, size), tmp_path / "pasted")
    failing = [one.command for one in ran if size == "0.6B" and "the 1.7B" in one.command.needs]
    assert [one.told for one in ran if one.faults and one.command not in failing] == [], home.server.log[-2000:]
    assert all(one.faults for one in ran if one.command in failing), "The document says that it fails."


@pytest.mark.parametrize("document", RUN)
async def test_every_command_works_without_weights_or_says_beforehand_that_it_does_not(
    document: str, homes: Callable[[str], Home], tmp_path: Path
) -> None:
    """What needs more than there is fails, and the first such command says why."""
    home = homes("none")
    ran = await asyncio.to_thread(home.paste, pasted(document, "none"), tmp_path / "pasted")
    assert [one.told for one in ran if one.faults and not one.command.needs] == [], home.server.log[-2000:]
    if failed := [one for one in ran if one.faults]:
        assert re.search(r"can't be reached|is about to be downloaded", failed[0].told)


async def test_the_python_lines_write_a_wav(homes: Callable[[str], Home], tmp_path: Path) -> None:
    home = homes("0.6B")
    await home.server.wait_for("is ready")
    found = [block for one in DOCUMENTS if one not in FRAGMENTS for block in blocks(one) if block.language == "python"]
    assert found
    for block in found:
        command = [sys.executable, "-c", home.here(block.text)]
        await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, check=True)
        for name in re.findall(r'"(\w+\.wav)"', block.text):
            assert fault_of(tmp_path / name) is None


def test_the_dictionary_that_is_shown_has_no_wrong_line(start_server: StartServer, tmp_path: Path) -> None:
    shown = next(block.text for block in blocks("docs/dictionary.md") if block.language == "csv")
    (tmp_path / "shared.csv").write_text(shown)
    server = start_server("--standby", "off", "--preload", "none", "--dictionary", str(tmp_path / "shared.csv"))
    with urllib.request.urlopen(f"{server.url}/api/dictionary") as answer:
        found = json.load(answer)
    assert found["problems"] == []
    assert len(found["shared"]) == len(shown.splitlines()) - 2


def test_every_block_says_what_it_is() -> None:
    known = NOT_COMMANDS | {"sh", "python"}
    assert [(one.document, one.text) for name in DOCUMENTS for one in blocks(name) if one.language not in known] == []


def test_every_reason_not_to_run_a_command_is_needed() -> None:
    texts = [command.text for document in DOCUMENTS for command in commands(document)]
    texts += [text for document in DOCUMENTS for text in inline_commands(document)]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, text) for text in texts)] == []
    assert all(blocks(document) for document in FRAGMENTS)


def test_every_command_within_a_sentence_is_among_those_that_are_not_run() -> None:
    found = [text for document in DOCUMENTS for text in inline_commands(document)]
    assert [text for text in found if not any(re.match(pattern, text) for pattern in NOT_RUN)] == []


def test_options_of_commands_that_are_not_run_exist() -> None:
    """So a server that is only named in a document would start."""
    for document in DOCUMENTS:
        for command in commands(document):
            if re.match(r"(\.venv/bin/|qwen3/bin/)?wyoming-qwen3\b", command.text) and not is_run(command):
                parse(shlex.split(command.text, comments=True)[1:], {"HOME": "/root"})
