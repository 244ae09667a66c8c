"""Requests of all kinds, made from /openapi.json: none is answered with what the document does not name, or not at all.

`FUZZ_EXAMPLES=300 script/test tests/api/test_fuzz.py` asks more than 10,000 times.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from tests.conftest import Server, StartServer, environment
from tests.waiting import HANG_SECONDS

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "5")
"""For each operation, besides the borders of its fields."""

CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
)


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    """One that knows no hub, and speaks short texts alone."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--local-files-only")
    return start_shared_server(*options, "--temperature", "0", "--max-input", "200")


async def test_no_request_harms_the_server(server: Server, tmp_path: Path) -> None:
    """Every answer is described; afterwards the server speaks, waits for nothing, and holds what it held before."""
    process = psutil.Process(server.process.pid)
    speak(server)
    files = process.num_fds()
    code, said = await fuzz(server, tmp_path)
    assert code == 0, said
    assert httpx.put(f"{server.url}/api/dictionary", json={"entries": []}).status_code == 200  # it may silence words
    settle(server)
    speak(server)
    settle(server)
    assert "its log says why" not in server.log, server.log
    assert process.num_fds() <= files + 4


async def fuzz(server: Server, folder: Path) -> tuple[int | None, str]:
    """What schemathesis says of the API; 0 if it found nothing.

    Without the one answer that never ends, and the one that takes what others take but speaks a sentence each time.
    """
    command = (
        *("run", f"{server.url}/openapi.json", "--seed", "1", "--no-color"),
        *("--exclude-path", "/api/models/events", "--exclude-path", "/api/effects/preview"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--checks", ",".join(CHECKS)),
        *("--continue-on-failure", "--request-timeout", "60"),
    )
    program = Path(sys.executable).parent / "schemathesis"
    process = await asyncio.create_subprocess_exec(
        program, *command, cwd=folder, env=environment(), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def speak(server: Server) -> None:
    body = {"input": "The front door is open.", "response_format": "pcm"}
    answer = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=HANG_SECONDS)
    assert answer.status_code == 200, answer.text
    assert len(answer.content) > 24_000


def settle(server: Server) -> None:
    """Wait until nothing is spoken or waits any more."""
    for _ in range(200):
        health = httpx.get(f"{server.url}/health").json()
        if health["active"] == health["queue"] == 0:
            return
        time.sleep(0.05)
    raise AssertionError(f"Something still goes on: {health}")
