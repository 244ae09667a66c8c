"""Faults of the whole house, provoked for real, and the table that tells them: docs/reliability.md."""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from safetensors.torch import load_file, save_file
from wyoming.client import AsyncClient
from wyoming.tts import Synthesize

from tests.conftest import CUSTOM_VOICE, Server, StartServer, collect, synthesize

ROOT = Path(__file__).resolve().parent.parent
SENTENCE = "The front door is open, and the light is on in the kitchen. "
DATES = {
    "voices/watched_folder.py": 1,
    "models/state.py": 1,
    "store/clips.py": 2,
    "store/database.py": 1,
    "store/history/store.py": 1,
    "store/history/recording.py": 1,
    "store/voices/store.py": 3,
}
"""Where, and how often, it is asked what time it is: for dates that are shown, kept, or compared with files'."""

STANDBY = ("--standby", "only", "--local-files-only")


async def health(server: Server) -> dict[str, Any]:
    async with ClientSession() as http, http.get(f"{server.url}/health") as response:
        told: dict[str, Any] = await response.json()
    return told


async def test_a_corrupt_history_is_begun_anew_and_told(start_server: StartServer, tmp_path: Path) -> None:
    folder = tmp_path / "data-0" / "store" / "history"
    folder.mkdir(parents=True)
    (folder / "history.sqlite3").write_bytes(b"nonsense " * 1000)
    server = start_server(*STANDBY, "--history")
    assert (await synthesize(server.uri, SENTENCE)).types[-1] == "audio-stop"
    (fault,) = (await health(server))["faults"]
    assert re.fullmatch(
        r"The history was corrupt: it was moved to history\.sqlite3\.corrupt-\S+, and a new one was created\.", fault
    )
    assert "is corrupt" in server.log


async def test_a_locked_history_costs_the_history_alone_and_is_told(start_server: StartServer, tmp_path: Path) -> None:
    """It is somebody's who uses it: it stays where it is."""
    folder = tmp_path / "data-0" / "store" / "history"
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "history.sqlite3", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("CREATE TABLE mine (x)")
        server = start_server(*STANDBY, "--history")
        assert (await synthesize(server.uri, SENTENCE)).types[-1] == "audio-stop"
        (fault,) = (await health(server))["faults"]
    holder.close()
    assert fault.startswith("The history can't be used: ")
    assert "locked" in fault
    assert fault in server.log
    assert not list(folder.glob("*.corrupt-*"))


async def test_a_data_folder_that_can_not_be_written_costs_what_would_be_kept_alone(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(*STANDBY, "--data-dir", "/proc/nothing", "--models-dir", str(tmp_path))
    assert (await synthesize(server.uri, SENTENCE)).types[-1] == "audio-stop"
    faults = (await health(server))["faults"]
    assert [fault.partition(" can't be used: ")[0] for fault in faults] == ["Kept voices", "Clips", "The history"]


BREAK = """
import sys
if "wyoming_qwen3.engine.host.process" in sys.orig_argv and "native" in sys.orig_argv:
    import os
    import torch
    from wyoming_qwen3.engine.lm.decode import Decoder
    step = Decoder.step
    def broken(self, rows):
        if os.path.exists(os.environ["BREAK"]):
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return step(self, rows)
    Decoder.step = broken
"""


def native(models_dir: Path) -> tuple[str, ...]:
    return ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--no-download")


async def test_a_lost_device_costs_what_is_being_spoken_and_the_engine_comes_again(
    start_server: StartServer, models_dir: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    (tmp_path / "sitecustomize.py").write_text(BREAK)
    server = start_server(*native(models_dir), PYTHONPATH=f"{tmp_path}:{ROOT}", BREAK=str(broken))
    await server.wait_for("is ready")
    (pid,) = server.children("engine.host.process")
    broken.touch()
    answer = await synthesize(server.uri, SENTENCE)
    assert answer.events[-1].type == "error"
    assert answer.events[-1].data["code"] == "engine_failed"
    assert "illegal memory access" in server.log
    broken.unlink()
    assert (await synthesize(server.uri, SENTENCE)).types[-1] == "audio-stop"
    assert pid not in server.children("engine.host.process")


async def test_sigterm_while_the_engine_is_stuck_stops_soon(start_server: StartServer, models_dir: Path) -> None:
    server = start_server(*native(models_dir))
    async with AsyncClient.from_uri(server.uri) as client:
        await client.write_event(Synthesize(text=SENTENCE * 100).event())
        await collect(client, "audio-chunk")
        (pid,) = server.children("engine.host.process")
        os.kill(pid, signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        answer = await collect(client)
    assert answer.events[-1].type == "error"
    # Long before the 90 seconds after which a stuck engine is ended without a SIGTERM.
    assert await asyncio.to_thread(server.process.wait, 60) == 0
    assert not Path(f"/proc/{pid}").exists()


async def test_speech_gone_wrong_is_an_error_and_counted(
    start_server: StartServer, models_dir: Path, tmp_path: Path
) -> None:
    """A codec that makes no sound: speech that never begins."""
    folder = tmp_path / "models" / CUSTOM_VOICE.name
    shutil.copytree(models_dir / CUSTOM_VOICE.name, folder)
    codec = folder / "speech_tokenizer" / "model.safetensors"
    tensors = load_file(codec)
    tensors["decoder.decoder.6.conv.weight"].zero_()
    save_file(tensors, codec, metadata={"format": "pt"})
    server = start_server(*native(tmp_path / "models"))
    answer = await synthesize(server.uri, SENTENCE)
    assert answer.types == ["error"]
    assert answer.events[0].data["code"] == "runaway_speech"
    async with ClientSession() as http:
        spoken = {"input": SENTENCE, "model": "tts-1", "voice": "ryan"}
        async with http.post(f"{server.url}/v1/audio/speech", json=spoken) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (500, "runaway_speech")
        async with http.get(f"{server.url}/metrics") as response:
            metrics = await response.text()
    for outcome in ("retried", "ended"):
        assert f'tts_guarded_total{{fault="silence",outcome="{outcome}"}} 2.0' in metrics


def test_no_deadline_depends_on_the_wall_clock() -> None:
    """What shows or keeps a date may ask what time it is; whoever waits counts by a clock that can't be set."""
    wall = re.compile(
        r"\btime\.(time|time_ns|localtime|gmtime|strftime|ctime)\b|\b(date|datetime)\.(now|today|utcnow)\b"
        r"|\bfrom time import .*\b(time|time_ns|localtime|gmtime|strftime|ctime)\b"
    )
    package = ROOT / "wyoming_qwen3"
    counts = {str(file.relative_to(package)): len(wall.findall(file.read_text())) for file in package.rglob("*.py")}
    assert {file: count for file, count in counts.items() if count} == DATES


def test_each_test_of_the_table_exists() -> None:
    rows = [line for line in (ROOT / "docs" / "reliability.md").read_text().splitlines() if "`test_" in line]
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", file.read_text())
    }
    assert len(rows) > 20
    assert named <= there
