"""The three servers that each client is tried with, and how a client is run."""

import asyncio
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, servers_in
from tests.ports import free_port
from tests.waiting import HANG_SECONDS

from .packages import Node, Packages
from .recorder import Exchange, recording

SCRIPTS = Path(__file__).parent / "scripts"

_QUIET = {
    "DO_NOT_TRACK": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
"""What keeps clients from sending anything about themselves to their makers."""


@dataclass(frozen=True)
class Form:
    """One of the servers: what X-Model-Used says, and what X-Warning says, if anything."""

    name: str
    model: str
    warning: str | None = None
    """About every request."""

    style_warning: str | None = None
    """About a request with instructions."""


FORMS = (
    Form(
        "0.6B",
        "Qwen3-TTS-12Hz-0.6B-CustomVoice",
        style_warning="The instructions were left out. Qwen3-TTS-12Hz-0.6B-CustomVoice does not follow instructions;",
    ),
    Form("1.7B", "Qwen3-TTS-12Hz-1.7B-CustomVoice"),
    Form(
        "no weights",
        "standby",
        warning="The standby voice spoke, because Qwen3-TTS-12Hz-0.6B-CustomVoice is not downloaded.",
        style_warning="The instructions were left out. The standby voice does not follow instructions.",
    ),
)


@pytest.fixture(scope="session", params=FORMS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Form:
    """The kind of server that this test is run with."""
    chosen: Form = request.param
    return chosen


@pytest.fixture(scope="session")
def server(form: Form, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of that form, with its model loaded if it has one."""
    folder = tmp_path_factory.mktemp("server")
    options = ["--local-files-only", "--model", "1.7B" if form.name == "1.7B" else "0.6B"]
    if form.model != "standby":
        models = folder / "models"
        models.mkdir()
        for path in models_dir.glob("*" if form.name == "1.7B" else "*-0.6B-*"):
            (models / path.name).symlink_to(path)
        options += ["--models-dir", str(models), "--temperature", "0"]
    with servers_in(folder) as start:
        started = start(*options)
        if form.model != "standby":
            asyncio.run(started.wait_for(f"{form.model} is ready"))
        yield started


@dataclass
class Ran:
    """What a client did: its line of JSON, the files it wrote in its folder, and what it exchanged with the server."""

    said: dict[str, Any]
    folder: Path
    exchanges: list[Exchange]
    server: Server
    form: Form

    @property
    def spoken(self) -> list[Exchange]:
        """The requests for speech over HTTP."""
        return [one for one in self.exchanges if one.method == "POST" and "/audio/speech" in one.path]

    @property
    def sockets(self) -> list[Exchange]:
        """The WebSockets."""
        return [one for one in self.exchanges if one.status == 101]


RunClient = Callable[..., Awaitable[Ran]]


@pytest.fixture
def run_client(server: Server, form: Form, tmp_path: Path, pytestconfig: pytest.Config) -> RunClient:
    """Run a script with its client's packages, installed first if necessary, and this server's base URL.

    With `tls` the server has the certificate of a private authority that the client trusts.
    """
    assert pytestconfig.cache
    cache = Path(pytestconfig.cache.mkdir("clients"))

    async def run(script: str, packages: Packages, *arguments: str, tls: bool = False) -> Ran:
        programs, file, port = packages.install(cache), tmp_path / script, free_port()
        file.write_text((SCRIPTS / script).read_text())
        if isinstance(packages, Node):  # node looks for packages beside a script
            (tmp_path / "node_modules").symlink_to(programs.parent)
        command = [str(programs / ("node" if isinstance(packages, Node) else "python")), str(file)]
        command += [f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1", *arguments]
        async with recording(server.url, port, _certified(tmp_path) if tls else None) as exchanges:
            said = await _last_line(command, tmp_path)
        return Ran(said, tmp_path, exchanges, server, form)

    return run


def _certified(folder: Path) -> ssl.SSLContext:
    """Write a certificate for this machine to cert.pem, and return the context of a server that has it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing, so there is no certificate.")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def _last_line(command: list[str], folder: Path) -> dict[str, Any]:
    """Run a command in a folder, and return the last line that it prints, which is JSON."""
    variables = {name: value for name, value in os.environ.items() if name in ("LANG", "PATH", "TMPDIR")}
    variables |= _QUIET | {"HOME": str(folder), "OPENAI_API_KEY": "none"}
    variables["NODE_EXTRA_CA_CERTS"] = str(folder / "cert.pem")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=variables, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(HANG_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{output.decode()[-2000:]}\n{errors.decode()[-4000:]}"
    said: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return said
