"""What SECURITY.md and docs/observability.md say, held against the program."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from tests.conftest import Server, StartServer, synthesize
from tests.ports import free_port

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "wyoming_qwen3").rglob("*.py"))


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    """One with all that can listen."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--local-files-only", "--history")
    return start_shared_server(*options, "--ingress-port", str(free_port()), "--zeroconf", "fuzz")


async def test_nothing_listens_that_is_not_named(server: Server) -> None:
    """Three ports for all that connect, mDNS, and no connection to anybody else."""
    await synthesize(server.uri, "Hi.", "ryan-de")
    httpx.post(f"{server.url}/v1/audio/speech", json={"input": "Hi."}).raise_for_status()
    process = psutil.Process(server.process.pid)
    family = [process, *process.children(recursive=True)]
    assert len(family) > 2  # both engines
    sockets = [one for member in family for one in member.net_connections("inet")]
    listening = {one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN}
    command = process.cmdline()
    ingress = int(command[command.index("--ingress-port") + 1])
    assert listening == {server.port, server.http_port, ingress}
    assert {one.laddr.port for one in sockets if one.status == psutil.CONN_NONE} <= {5353}
    assert all(one.laddr.port in listening for one in sockets if one.status == psutil.CONN_ESTABLISHED)


async def test_every_metric_is_documented(server: Server) -> None:
    await synthesize(server.uri, "Hi.", "ryan-de")
    told = httpx.get(f"{server.url}/metrics").text
    kinds = dict(re.findall(r"^# TYPE (tts_\w+) (\w+)$", told, re.MULTILINE))
    names = {name for name in kinds if not name.endswith("_created")}
    documented = set(re.findall(r"`(tts_\w+)", (ROOT / "docs/observability.md").read_text()))
    assert documented == names | {"tts_vllm_servers_up"}


def test_every_test_that_security_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 40
    missing = [(file, name) for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """All calls in a file by the last part of what is called."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(name) | ast.Attribute(attr=name):
                    yield name, node


def test_nothing_runs_what_it_reads() -> None:
    """No pickle but those of the pipe to our own process, no evaluated text, no unpacked archive, no shell."""
    for file in FILES:
        source = file.read_text()
        where = str(file.relative_to(ROOT))
        imported = re.findall(r"^\s*(?:import|from) (pickle|marshal|shelve|joblib|dill)\b", source, re.MULTILINE)
        assert not imported or where == "wyoming_qwen3/engine/wire.py", where
        assert not re.search(r"torch\.load\(|\.extractall\(|yaml\.load\(", source), where
        for name, call in calls(file):
            plain = isinstance(call.func, ast.Name)
            assert not (plain and name in {"eval", "exec", "compile", "__import__"}), where
            assert not any(keyword.arg == "shell" for keyword in call.keywords), where


def test_checkpoints_bring_no_code() -> None:
    """What speaks has loaders of its own, for safetensors; upstream's are for measuring alone, and run no code."""
    for file in FILES:
        source = file.read_text()
        if "bench" not in file.parts:
            assert "from_pretrained" not in source, file
        assert "trust_remote_code=True" not in source, file
        assert "use_safetensors=False" not in source, file
