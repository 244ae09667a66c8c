"""The data folder: one server's alone, and not worth a word of speech."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.conftest import StartServer, environment, synthesize
from tests.ports import free_port
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.__main__ import _find_room_for_caches

STYLE = {"name": "Slow Ryan", "voice": "Ryan", "speed": 0.9}


async def test_a_second_server_on_the_same_folder_says_why_it_ends(start_server: StartServer, tmp_path: Path) -> None:
    start_server("--standby", "only", "--data-dir", str(tmp_path / "kept"))
    command = [sys.executable, "-m", "wyoming_qwen3", "--uri", f"tcp://127.0.0.1:{free_port()}", "--no-http"]
    command += ["--standby", "only", "--data-dir", str(tmp_path / "kept")]
    ended = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert ended.returncode == 1
    assert "in use by another server; stop that one, or give this one another --data-dir" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_where_nothing_can_be_kept_there_is_speech_and_a_sentence(
    start_server: StartServer, tmp_path: Path
) -> None:
    """A file lies where the folder would."""
    data = tmp_path / "kept"
    data.mkdir()
    (data / "store").touch()
    server = start_server("--standby", "only", "--history", "--data-dir", str(data))
    assert (await synthesize(server.uri, "The door is open.")).seconds > 0.5
    async with ClientSession(server.url) as http:
        for method, path, body in (
            ("POST", "/api/voice-presets/create", STYLE),
            ("GET", "/api/history", None),
            ("POST", "/v1/audio/speech", {"input": "Hello.", "model": "standby", "save": True}),
        ):
            async with http.request(method, path, json=body) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (507, "storage_failed"), path
        async with http.post("/v1/audio/speech", json={"input": "Hello.", "model": "standby"}) as answer:
            assert answer.status == 200
    assert "nothing is kept" in server.log
    assert "Traceback" not in server.log


async def test_what_is_kept_is_there_for_the_next_server(start_server: StartServer, tmp_path: Path) -> None:
    """Ended by kill -9, with the data folder elsewhere than the voices folder."""
    options = ("--standby", "only", "--data-dir", str(tmp_path / "kept"), "--voices-dir", os.devnull)
    first = start_server(*options)
    async with ClientSession(first.url) as http, http.post("/api/voice-presets/create", json=STYLE) as answer:
        assert answer.status == 201
    first.process.kill()
    first.process.wait()
    async with ClientSession(start_server(*options).url) as http, http.get("/api/voice-presets/slow ryan") as answer:
        assert (await answer.json())["speed"] == 0.9


def test_a_gpus_compiled_kernels_are_kept_there_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", "elsewhere")  # also so that what is set below is undone
    _find_room_for_caches(tmp_path)
    assert os.environ["TRITON_CACHE_DIR"] == "elsewhere"
    monkeypatch.delenv("TRITON_CACHE_DIR")
    _find_room_for_caches(tmp_path)
    assert os.environ["TRITON_CACHE_DIR"] == str(tmp_path / "cache" / "triton")
