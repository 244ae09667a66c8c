"""The real server as a process, and the checkpoints it speaks with."""

import asyncio
import contextlib
import gc
import importlib.abc
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from wyoming.audio import AudioChunk
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeVoice

from tests.examples import Examples
from tests.ports import free_port
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import Checkpoint

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for the standby voice within this process; the program does so by itself
# The same examples every time; pytest --hypothesis-profile=search looks for new ones. How long an example takes says
# how busy the machine is, and nothing of the code.
_UNTIMED = settings(deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.register_profile("fixed", _UNTIMED, derandomize=True)
settings.register_profile("search", _UNTIMED)
settings.load_profile("fixed")

CUSTOM_VOICE = Checkpoint("custom_voice", "0.6B")


SLOW = (
    *("app/test_image.py", "bench/test_bench.py", "bench/test_wyoming.py"),
    *("engine/kernels/test_arm64.py", "engine/kernels/test_sanitizers.py", "engine/lm/test_gpu_decode.py"),
    *("models/test_memory.py", "tests/test_processors.py"),
)
"""Files that take minutes together: `script/test -m slow` runs them, and each change on GitHub."""


WHOLE_SERVER = (
    *("api/stream/test_connection.py", "app/test_container.py", "app/test_rootfs.py"),
    *("tests/ops/test_slow_clients.py", "tests/ops/test_connection_limit.py"),
    *("tests/wyoming/test_handler.py", "tests/test_setup.py"),
)
"""Files that `--fast` leaves out: they start an engine from within this process, or programs by way of scripts."""

_HEAVY = frozenset({"torch", "transformers", "qwen_tts", "playwright"})


class _Refuse(importlib.abc.MetaPathFinder):
    """Skips what imports a heavy package: the module while it is collected, else the test."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in _HEAVY:
            pytest.skip(f"--fast does without {name}", allow_module_level=True)


def _refuse_processes(event: str, arguments: tuple[object, ...]) -> None:
    """Skip a test that starts a program of ours."""
    if event == "subprocess.Popen" and "'-m', 'wyoming_qwen3" in repr(arguments[1]):
        pytest.skip("--fast does without processes of ours")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out what needs torch, a process of ours, or a browser")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fast"):
        Examples.share = 10
        sys.meta_path.insert(0, _Refuse())
        sys.addaudithook(_refuse_processes)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = config.getoption("--fast") and collection_path.as_posix().endswith(WHOLE_SERVER)
    return True if left_out else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    if config.getoption("--fast"):
        items[:] = [item for item in items if not any(name.startswith("start_") for name in fixtures_of(item))]
    for item in items:
        if item.path.as_posix().endswith(SLOW):
            item.add_marker("slow")
    servers = {item.path for item in items if any(name.startswith("start_") for name in fixtures_of(item))}
    items.sort(key=lambda item: item.path not in servers)  # what takes long is begun first: workers end together


def pytest_collection_finish() -> None:
    gc.freeze()  # what there is of thousands of tests is not looked through again and again


def fixtures_of(item: pytest.Item) -> Sequence[str]:
    """Names of all fixtures that a test uses."""
    return item.fixturenames if isinstance(item, pytest.Function) else ()


def environment(**more: str) -> dict[str, str]:
    """This process's environment without options for the server, and without a hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TTS_QWEN3_", "HF_", "ORT_"))}
    return kept | {"HF_ENDPOINT": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1", "TTS_QWEN3_THREADS": "1"} | more


@dataclass
class Server:
    """A started server. `log` is what it wrote so far."""

    process: subprocess.Popen[bytes]
    port: int
    http_port: int
    log_file: Path

    @property
    def uri(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Of its HTTP server, without a slash at the end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def children(self, module: str) -> list[int]:
        """Process ids of its engine or download processes."""
        found = []
        for entry in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if module.encode() in Path(f"/proc/{entry}/cmdline").read_bytes():
                    found.append(int(entry))
        return found

    async def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until the log holds what the pattern says."""
        async with asyncio.timeout(HANG_SECONDS):
            while not (match := re.search(pattern, self.log)):
                assert self.process.poll() is None, self.log
                await asyncio.sleep(0.02)
        return match

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANG_SECONDS)


StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers with these options; they are stopped at the end of the test."""
    with servers_in(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """The same for servers that all tests of a file ask."""
    with servers_in(tmp_path_factory.mktemp("shared")) as start:
        yield start


_HERE = (sys.executable, "-m", "wyoming_qwen3")


@contextlib.contextmanager
def servers_in(folder: Path, program: Sequence[str | Path] = _HERE, cwd: Path | None = None) -> Iterator[StartServer]:
    """Servers that keep their logs in a folder, and each its data in one of its own there."""
    servers: list[Server] = []

    def start(*options: str, **variables: str) -> Server:
        port, http_port = free_port(), free_port()
        number = len(servers)
        log_file = folder / f"server-{number}.log"
        command = [*map(str, program), "--uri", f"tcp://127.0.0.1:{port}"]
        command += ["--http-port", str(http_port), "--data-dir", str(folder / f"data-{number}"), *options]
        with log_file.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(**variables), cwd=cwd)
        servers.append(server := Server(process, port, http_port, log_file))
        _wait_for_port(server)
        return server

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


def _wait_for_port(server: Server) -> None:
    limit = time.monotonic() + HANG_SECONDS
    while time.monotonic() < limit:
        assert server.process.poll() is None, server.log
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), HANG_SECONDS):
            return
        time.sleep(0.02)
    raise AssertionError(f"The server does not listen: {server.log}")


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with tiny checkpoints of all three kinds, CustomVoice in both sizes."""
    from tests.tiny import build_models_dir

    return build_models_dir(tmp_path_factory.mktemp("models"))


@dataclass
class Answer:
    """All events of one answer."""

    events: list[Event] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        """Event types in order, runs of audio-chunk as one."""
        kinds = [event.type for event in self.events]
        return [kind for i, kind in enumerate(kinds) if i == 0 or kind != "audio-chunk" or kinds[i - 1] != kind]

    @property
    def chunks(self) -> list[AudioChunk]:
        return [AudioChunk.from_event(event) for event in self.events if AudioChunk.is_type(event.type)]

    @property
    def audio(self) -> bytes:
        return b"".join(chunk.audio for chunk in self.chunks)

    @property
    def seconds(self) -> float:
        return len(self.audio) / 2 / 24_000


_LAST = ("audio-stop", "error")


async def collect(client: AsyncClient, *last: str, seconds: float = HANG_SECONDS) -> Answer:
    """Read events until one of the `last` types, or until the server hangs up."""
    answer = Answer()
    async with asyncio.timeout(seconds):
        while (event := await client.read_event()) is not None:
            answer.events.append(event)
            if event.type in (last or _LAST):
                break
    return answer


async def synthesize(uri: str, text: str, voice: str | None = None, **more: str) -> Answer:
    """Ask for a text on a new connection."""
    async with AsyncClient.from_uri(uri) as client:
        wanted = SynthesizeVoice(name=voice, **more) if voice or more else None
        await client.write_event(Synthesize(text=text, voice=wanted).event())
        return await collect(client)


@contextlib.asynccontextmanager
async def connected(uri: str) -> AsyncIterator[AsyncClient]:
    """A client, connected."""
    async with AsyncClient.from_uri(uri) as client:
        yield client
