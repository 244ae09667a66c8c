"""What the app's scripts make of options, and the healthcheck. `test_container.py` has them run by s6."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.app.dockerfile import settings
from tests.app.files import CHOSEN, CONFIG, HEALTHCHECK, ROOT, SERVICES
from tests.conftest import StartServer, environment
from tests.ports import free_port
from wyoming_qwen3.cli.options import SupervisorAccess, parse

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed: apt-get install jq")


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A folder with the app's data, and commands that stand in for those of s6."""
    commands = {
        "s6-setuidgid": '[[ "$1" == qwen3 ]]; shift; exec "$@"',
        "chown": 'printf "%s\\n" "$@" >> "${SAID}"',
    }
    (tmp_path / "bin").mkdir()
    for name, body in commands.items():
        file = tmp_path / "bin" / name
        file.write_text(f"#!/usr/bin/env bash\n{body}\n")
        file.chmod(0o755)
    (tmp_path / "data").mkdir()
    return tmp_path


def command(stage: Path, script: str, *arguments: str) -> list[str]:
    return [str(Path(__file__).parent / "bashio"), str(SERVICES / script), *arguments]


def variables(stage: Path, **more: str) -> dict[str, str]:
    path = f"{stage / 'bin'}:{HEALTHCHECK.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return environment(
        PATH=path,
        SAID=str(stage / "said"),
        TTS_QWEN3_DATA_DIR=str(stage / "data"),
        TTS_QWEN3_VOICES_DIR=str(stage / "share/qwen3-tts"),
        **more,
    )


def said(stage: Path) -> str:
    file = stage / "said"
    return file.read_text() if file.exists() else ""


def settings_of(stage: Path, options: Mapping[str, Any], token: str = "token") -> dict[str, str]:
    """The variables that the server is started with."""
    (stage / "data/options.json").write_text(json.dumps(options, indent=2))
    server = stage / "bin/wyoming-qwen3"
    server.write_text(f"#!/bin/sh\nenv -0 > {stage}/environment\n")
    server.chmod(0o755)
    subprocess.run(command(stage, "server/run"), env=variables(stage, SUPERVISOR_TOKEN=token), check=True, timeout=30)
    pairs = (stage / "environment").read_text().split("\0")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs) if name.startswith("TTS_QWEN3_")}


def told(variables: Mapping[str, str]) -> Mapping[str, Any]:
    return parse([], variables).shown_options


def test_all_options_reach_the_program(stage: Path) -> None:
    found = told(settings_of(stage, CHOSEN))
    for name, value in CHOSEN.items():
        wanted = ",".join(value) if isinstance(value, list) else value
        if name in {"api_key", "vllm_api_key", "hf_token", "proxy"}:
            wanted = True
        if name == "log_level":
            wanted = value.upper()
        if name == "history_size":
            wanted = int(1.5 * 1024**3)
        assert str(found[name]) == str(wanted) or float(found[name]) == float(wanted), name


def test_an_app_that_was_just_installed_is_as_the_program_is_anywhere(stage: Path) -> None:
    found, plain = told(settings_of(stage, CONFIG["options"])), parse([], {}).shown_options
    for name in CONFIG["schema"]:
        assert found[name] == plain[name], name


def test_an_option_that_was_emptied_is_as_if_it_were_not_there(stage: Path) -> None:
    emptied = {name: "" for name, element in CONFIG["schema"].items() if str(element).endswith("?")}
    set_ = settings_of(stage, CONFIG["options"] | emptied)
    assert not {f"TTS_QWEN3_{name.upper()}" for name in emptied} & set(set_)
    assert told(set_)["api_key"] is False


def test_a_list_that_was_emptied_is_none(stage: Path) -> None:
    assert parse([], settings_of(stage, CONFIG["options"] | {"preload": []})).preload == ()


@pytest.mark.parametrize(
    "key",
    ["it's", 'a "b" c', "$HOME", "`id`", "$(id)", "\\n", "a\nb", "  spaced  ", "*", "für Elise 鍵", "'; exit 3; '"],
)
def test_no_value_is_taken_for_a_command(stage: Path, key: str) -> None:
    assert settings_of(stage, CONFIG["options"] | {"api_key": key})["TTS_QWEN3_API_KEY"] == key


def test_the_supervisors_token_reaches_the_program(stage: Path) -> None:
    """As the user that the script becomes; so the program can have Home Assistant's cache cleared."""
    found = settings_of(stage, CONFIG["options"], token="a0d7b954")
    inherited = dict(pair.partition("=")[::2] for pair in (stage / "environment").read_text().split("\0"))
    settings = parse([], found | {"SUPERVISOR_TOKEN": inherited["SUPERVISOR_TOKEN"]})
    assert settings.supervisor == SupervisorAccess("http://supervisor", "a0d7b954")
    assert settings.clear_cache
    assert "a0d7b954" not in f"{settings} {settings.shown_options}"
    assert CONFIG["homeassistant_api"]


def test_the_sidebar_and_the_share_are_served(stage: Path) -> None:
    found = settings_of(stage, CONFIG["options"])
    assert found["TTS_QWEN3_INGRESS_PORT"] == "8099"
    assert found["TTS_QWEN3_VOICES_DIR"] == str(stage / "share/qwen3-tts")
    assert found["TTS_QWEN3_DICTIONARY"] == str(stage / "share/qwen3-tts/dictionary.csv")
    assert (stage / "share/qwen3-tts").is_dir()


def test_all_data_but_the_options_becomes_the_servers(stage: Path) -> None:
    (stage / "data/models").mkdir()
    settings_of(stage, CONFIG["options"])
    owner, *paths = said(stage).splitlines()[1:]
    assert owner == "10200:10200"
    assert set(paths) == {str(stage / "data"), str(stage / "data/models")}


def test_under_plain_docker_the_variables_are_the_users(stage: Path) -> None:
    found = settings_of(stage, {"voice": "vivian"}, token="")
    assert "TTS_QWEN3_VOICE" not in found
    assert "TTS_QWEN3_INGRESS_PORT" not in found


def test_options_that_cannot_be_read_start_nothing(stage: Path) -> None:
    (stage / "data/options.json").write_text("{")
    ran = subprocess.run(command(stage, "server/run"), env=variables(stage, SUPERVISOR_TOKEN="t"), check=False)
    assert ran.returncode != 0


@pytest.fixture
def run_app(stage: Path) -> Iterator[Callable[[Mapping[str, Any]], str]]:
    """Start the real server by the app's own script; its HTTP address."""
    started: list[subprocess.Popen[bytes]] = []

    def run(options: Mapping[str, Any]) -> str:
        (stage / "data/options.json").write_text(json.dumps(options))
        port, http_port = free_port(), free_port()
        places = {
            "SUPERVISOR_TOKEN": "token",
            "TTS_QWEN3_URI": f"tcp://127.0.0.1:{port}",
            "TTS_QWEN3_HTTP_PORT": str(http_port),
            "TTS_QWEN3_INGRESS_PORT": str(free_port()),
            "TTS_QWEN3_LOCAL_FILES_ONLY": "true",
        }
        with (stage / "log").open("wb") as log:
            process = subprocess.Popen(
                command(stage, "server/run"), env=variables(stage, **places), stdout=log, stderr=log
            )
        started.append(process)
        for _ in range(500):
            assert process.poll() is None, (stage / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        return f"http://127.0.0.1:{http_port}"

    yield run
    for process in started:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("options", [CHOSEN, CONFIG["options"]], ids=["chosen", "as installed"])
def test_a_running_server_tells_every_option(
    options: Mapping[str, Any], run_app: Callable[[Mapping[str, Any]], str]
) -> None:
    url = run_app(options)
    answer = httpx.get(f"{url}/health", headers={"x-api-key": str(options.get("api_key", ""))})
    found = answer.json()["options"]  # be it well or not: there is no checkpoint
    expected = parse([], {f"TTS_QWEN3_{name.upper()}": _text(value) for name, value in options.items()}).shown_options
    assert {name: found[name] for name in CONFIG["schema"]} == {name: expected[name] for name in CONFIG["schema"]}
    for name, value in options.items():
        if isinstance(value, bool) or name in {"history_days", "sentence_pause", "idle_unload", "history_entries"}:
            assert found[name] == value, name


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def test_the_healthcheck_tells_a_started_server_from_a_stopped_one(start_server: StartServer, stage: Path) -> None:
    server = start_server("--standby", "only")
    check = [str(HEALTHCHECK)]
    plain = environment(TTS_QWEN3_URI=server.uri)
    assert subprocess.run(check, env=plain, check=False, timeout=10).returncode == 0
    server.stop()
    assert subprocess.run(check, env=plain, check=False, timeout=10, capture_output=True).returncode != 0


def test_the_healthcheck_is_not_satisfied_by_any_open_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        check = subprocess.Popen([str(HEALTHCHECK)], env=environment(TTS_QWEN3_URI=f"tcp://127.0.0.1:{port}"))
        connection, _ = listener.accept()
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()
        assert check.wait(10) != 0


def test_the_healthcheck_says_in_a_sentence_that_nothing_answers() -> None:
    check = environment(TTS_QWEN3_URI=f"tcp://127.0.0.1:{(port := free_port())}")
    ran = subprocess.run([str(HEALTHCHECK)], env=check, check=False, capture_output=True, text=True, timeout=10)
    assert ran.stderr == f"Nothing answers at port {port}.\n"


def limit(service: str, name: str) -> int:
    """Milliseconds."""
    return int((SERVICES / service / name).read_text())


def test_no_service_holds_the_lock_that_a_stop_waits_for() -> None:
    """A oneshot holds it until it has ended, a longrun with a notification-fd until it has said that it is ready."""
    for name in ("server", "discovery"):
        assert (SERVICES / name / "type").read_text() == "longrun\n"
        assert not (SERVICES / name / "notification-fd").exists()


def test_the_limits_of_a_stop_are_within_ten_seconds_together() -> None:
    """The services are stopped one after the other; what is left then has S6_KILL_GRACETIME."""
    services = [limit(name, f"timeout-{what}") for name in ("discovery", "server") for what in ("kill", "finish")]
    assert all(services)  # 0 is none
    assert sum(services) + int(settings(ROOT / "Dockerfile")["S6_KILL_GRACETIME"]) < 10_000
    assert CONFIG["timeout"] > 10


def test_the_services_are_those_of_s6() -> None:
    """https://skarnet.org/software/s6-rc/s6-rc-compile.html#source"""
    for name in ("server", "discovery"):
        assert (SERVICES / "user/contents.d" / name).read_bytes() == b""
        assert (SERVICES / name / "run").read_text().startswith("#!/command/with-contenv bashio\n")
        for script in ("run", "finish"):
            assert (SERVICES / name / script).stat().st_mode & 0o111
    assert (SERVICES / "server/dependencies.d/base").read_bytes() == b""
    assert (SERVICES / "discovery/dependencies.d/server").read_bytes() == b""
    assert HEALTHCHECK.stat().st_mode & 0o111
