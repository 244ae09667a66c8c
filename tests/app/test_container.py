"""The app's container from its start to its stop, under real s6: what fails, what is refused, what is told to end."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.app.container import Container, container, missing
from tests.app.files import CONFIG
from tests.app.supervisor import NOT_LISTED, READY, TOKEN, Supervisor, serving
from tests.ports import free_port

_MISSING = missing()
pytestmark = pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))

SERVING = "Serving qwen3-tts"
LISTED = "The Supervisor lists this server"
AGAIN = "trying again in"


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with serving() as started:
        yield started


class App:
    """What there is to start a container with, and where its Wyoming port will be."""

    def __init__(self, folder: Path, supervisor: Supervisor, stack: ExitStack) -> None:
        self._folder = folder
        self.stack = stack
        self.port = free_port()
        self.variables = {
            "SUPERVISOR_TOKEN": TOKEN,
            "SUPERVISOR_API": supervisor.url,
            "TTS_QWEN3_URI": f"tcp://127.0.0.1:{self.port}",
            "TTS_QWEN3_HTTP_PORT": str(free_port()),
            "TTS_QWEN3_INGRESS_PORT": str(free_port()),
            "TTS_QWEN3_LOCAL_FILES_ONLY": "true",
            "TTS_QWEN3_THREADS": "1",
        }

    def start(self, options: dict[str, Any] | None = None, **variables: str) -> Container:
        """Start it with these options beside those it is installed with."""
        chosen = CONFIG["options"] | {"standby": "off"} | (options or {})
        return self._enter(json.dumps(chosen), variables)

    def start_without_options(self) -> Container:
        """Start it where the options can be read only once somebody writes them."""
        return self._enter(None, {})

    def _enter(self, options: str | None, variables: dict[str, str]) -> Container:
        return self.stack.enter_context(container(self._folder, self.variables | variables, options))


@pytest.fixture
def app(tmp_path: Path, supervisor: Supervisor) -> Iterator[App]:
    with ExitStack() as stack:
        yield App(tmp_path, supervisor, stack)


def starts(running: Container) -> int:
    return running.log.count("Starting Qwen3-TTS")


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"backend": "vllm", "vllm_url": "not a url"}, "'not a url' is not an address"), ({"history_size": "1Q"}, "1Q")],
)
def test_an_option_that_can_not_be_ends_the_container_with_its_reason_last(
    app: App, options: dict[str, Any], reason: str
) -> None:
    running = app.start(options)
    assert running.ended() == 2
    assert reason in running.last_line
    assert starts(running) == 1


def test_a_port_that_is_taken_ends_the_container_with_its_reason_last(app: App) -> None:
    with socket.create_server(("127.0.0.1", app.port)):
        running = app.start()
        assert running.ended() == 1
    assert "address already in use" in running.last_line.lower()
    assert starts(running) == 1


def test_options_that_can_not_be_read_end_the_container_with_their_reason_last(app: App) -> None:
    running = app.start(TTS_QWEN3_DATA_DIR="/nowhere")
    assert running.ended() == 1
    assert "/nowhere/options.json" in running.last_line


def test_a_server_that_is_killed_ends_the_container_and_the_last_line_says_so(app: App) -> None:
    running = app.start()
    running.wait_for_log(SERVING)
    server = running.server()
    assert server is not None
    server.kill()
    assert running.ended() == 137
    assert "signal 9" in running.last_line
    assert starts(running) == 1


def while_options_are_read(app: App, supervisor: Supervisor) -> Container:
    running = app.start_without_options()
    pipe = running.root / "data/options.json"

    def is_read() -> bool:
        with suppress(OSError):  # nobody reads
            app.stack.callback(os.close, os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    running.wait_for(is_read, "the options are read")
    return running


def while_the_server_starts(app: App, supervisor: Supervisor) -> Container:
    running = app.start()
    running.wait_for(running.server, "there is a server")
    return running


def while_the_standby_voice_starts(app: App, supervisor: Supervisor) -> Container:
    running = app.start({"standby": "auto"})
    running.wait_for_log(SERVING)
    return running


def while_it_serves(app: App, supervisor: Supervisor) -> Container:
    running = app.start()
    running.wait_for(lambda: supervisor.messages, "the Supervisor was told")
    return running


def while_it_speaks(app: App, supervisor: Supervisor) -> Container:
    running = app.start({"standby": "only"})
    running.wait_for_log(SERVING)
    with socket.create_connection(("127.0.0.1", app.port)) as client:
        text = "The front door is open. " * 200
        client.sendall(json.dumps({"type": "synthesize", "data": {"text": text}}).encode() + b"\n")
        heard = b""
        while b'"audio-chunk"' not in heard:
            heard = heard[-100:] + client.recv(4096)
    return running


def while_the_supervisor_says_nothing(app: App, supervisor: Supervisor) -> Container:
    supervisor.states = ["mute"]
    running = app.start()
    running.wait_for(lambda: supervisor.asked, "the Supervisor was asked")
    return running


def between_two_tries_to_be_listed(app: App, supervisor: Supervisor) -> Container:
    supervisor.states = ["setup"]
    running = app.start()
    running.wait_for_log(AGAIN)
    return running


@contextmanager
def stuck(process: psutil.Process) -> Iterator[None]:
    """Stop it again and again, for s6 lets it go on when it sends a SIGTERM."""
    over = threading.Event()

    def suspend() -> None:
        with suppress(psutil.NoSuchProcess):
            while not over.wait(0.001):
                process.suspend()

    thread = threading.Thread(target=suspend)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "moment",
    [
        while_options_are_read,
        while_the_server_starts,
        while_the_standby_voice_starts,
        while_it_serves,
        while_it_speaks,
        while_the_supervisor_says_nothing,
        between_two_tries_to_be_listed,
    ],
)
def test_sigterm_stops_the_container_at_any_moment(
    app: App, supervisor: Supervisor, moment: Callable[[App, Supervisor], Container]
) -> None:
    """With 0: a Supervisor takes any other code for a failure of the app."""
    running = moment(app, supervisor)
    assert running.stop(moment.__name__) == 0, running.log


def test_sigterm_stops_the_container_of_a_server_that_is_stuck(app: App) -> None:
    running = app.start()
    running.wait_for_log(SERVING)
    server = running.server()
    assert server is not None
    with stuck(server):
        assert running.stop("while the server is stuck") == 137


def test_home_assistant_is_told_once_the_server_answers(app: App, supervisor: Supervisor) -> None:
    running = app.start()
    running.wait_for_log(LISTED)
    assert list(supervisor.messages.values()) == [
        {"service": "wyoming", "config": {"uri": f"tcp://{socket.gethostname()}:10200"}}
    ]
    assert running.stop("once Home Assistant was told") == 0
    assert supervisor.asked == 1
    for word in ("refused", AGAIN, "ERROR"):
        assert word not in running.log


@pytest.mark.parametrize("state", ["setup", "mute"])
def test_a_supervisor_that_does_not_list_the_server_is_asked_again(
    app: App, supervisor: Supervisor, state: str
) -> None:
    supervisor.states = [state, READY]
    running = app.start()
    running.wait_for_log(LISTED)
    assert supervisor.asked == 2
    (refusal,) = [line for line in running.log.splitlines() if AGAIN in line]
    assert "WARNING" in refusal
    assert {"setup": "System is not ready with state: setup", "mute": "timed out"}[state] in refusal


@pytest.mark.parametrize(
    ("token", "services", "reason"),
    [(TOKEN, (), NOT_LISTED), ("wrong", ("wyoming",), "403: Forbidden")],
    ids=["not listed", "wrong token"],
)
def test_what_a_supervisor_refuses_is_said_ever_less_often_while_the_server_goes_on(
    app: App, supervisor: Supervisor, token: str, services: tuple[str, ...], reason: str
) -> None:
    supervisor.services = services
    running = app.start(SUPERVISOR_TOKEN=token)
    running.wait_for_log(f"{AGAIN} 4 s")
    refusals = [line.partition(AGAIN) for line in running.log.splitlines() if AGAIN in line]
    assert [pause.strip() for _, _, pause in refusals] == ["1 s", "2 s", "4 s"]
    assert all(reason in said for said, _, _ in refusals)
    assert LISTED not in running.log
    assert starts(running) == 1
    socket.create_connection(("127.0.0.1", app.port)).close()


def test_without_a_supervisor_the_server_is_all_there_is(app: App, supervisor: Supervisor) -> None:
    running = app.start(SUPERVISOR_TOKEN="", TTS_QWEN3_STANDBY="off")
    running.wait_for_log(SERVING)
    assert running.stop("without a Supervisor") == 0
    assert supervisor.asked == 0
    assert "refused" not in running.log
