"""IPv6 addresses: where a server can be told to serve, and how it writes them."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.conftest import StartServer, environment, synthesize
from tests.ports import free_port

HEALTHCHECK = Path(__file__).parent.parent / "addon/rootfs/usr/local/bin/wyoming-qwen3-healthcheck"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="This machine has no IPv6")


async def test_http_is_served_at_an_ipv6_address_that_can_be_clicked(start_server: StartServer) -> None:
    server = start_server("--standby", "only", "--http-host", "::1")
    await server.wait_for(rf"Serving HTTP at http://\[::1\]:{server.http_port}\n")
    async with ClientSession() as http, http.get(f"http://[::1]:{server.http_port}/health") as answer:
        assert (await answer.json())["version"]


def test_an_ipv6_address_that_is_taken_is_said_with_its_port_apart(tmp_path: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "wyoming_qwen3", "--uri", f"tcp://127.0.0.1:{free_port()}"]
        command += ["--http-host", "[::1]", "--http-port", str(port), "--data-dir", str(tmp_path), "--standby", "off"]
        ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"wyoming-qwen3: Can't serve HTTP at [::1]:{port}: ")
    assert "in use" in last


@pytest.mark.parametrize("host", ["::1", "::"])
async def test_wyoming_is_served_at_an_ipv6_address_and_announced(tmp_path: Path, host: str) -> None:
    """The healthcheck of the images finds it there too."""
    uri = f"tcp://[{host}]:{free_port()}"
    command = [sys.executable, "-m", "wyoming_qwen3", "--uri", uri, "--no-http", "--standby", "only"]
    command += ["--data-dir", str(tmp_path / "data"), "--zeroconf", "qwen3-ipv6-test"]
    log = tmp_path / "log"
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink, env=environment()) as process:
        try:
            for _ in range(3000):
                if "Announced as " in log.read_text() or process.poll() is not None:
                    break
                await asyncio.sleep(0.02)
            assert f"Serving qwen3-tts at {uri}\n" in log.read_text(), log.read_text()
            assert host == "::" or "Announced as qwen3-ipv6-test._wyoming._tcp.local. on ::1\n" in log.read_text()
            assert (await synthesize(uri.replace("[::]", "[::1]"), "The door is open.")).types[-1] == "audio-stop"
            variables = os.environ | {"TTS_QWEN3_URI": uri}
            checked = subprocess.run(["bash", HEALTHCHECK], env=variables, capture_output=True, check=False, timeout=60)
            assert checked.returncode == 0, checked.stderr
        finally:
            process.terminate()
    assert "Traceback" not in log.read_text()
