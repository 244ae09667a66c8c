import asyncio
from collections.abc import Callable
from pathlib import Path

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.wire import Loaded
from wyoming_qwen3.models.files import ModelFiles
from wyoming_qwen3.models.state import CheckpointStates, State

CUSTOM = Checkpoint("custom_voice", "0.6B")


async def no_download(job: wire.Download, report: Callable[[int, int], None]) -> None:
    raise AssertionError("Nothing is to be downloaded.")


async def test_what_changes_while_the_disk_is_looked_at_is_not_overruled(tmp_path: Path) -> None:
    """A look that began before a load ended, and saw no files, does not say that what is ready is missing."""
    states = CheckpointStates()
    model = states.find(CUSTOM)
    states.change(model, "found", State.ON_DISK)
    looking = asyncio.create_task(ModelFiles(states, tmp_path, "main", no_download).look([model]))
    await asyncio.sleep(0)
    states.change(model, "ready", State.READY, loaded=Loaded(1, "int8"))
    await looking
    assert (model.state, model.footprint) == (State.READY, 1)


async def test_bytes_of_a_download_that_was_begun_are_counted(tmp_path: Path) -> None:
    states = CheckpointStates()
    model = states.find(CUSTOM)
    files = ModelFiles(states, tmp_path, "main", no_download)
    parts = files.path(model) / ".download"
    parts.mkdir(parents=True)
    (parts / "abc.part").write_bytes(bytes(70))
    (files.path(model) / "config.json").write_bytes(b"{" + b" " * 28 + b"}")
    await files.look([model])
    assert (model.state, model.disk) == (State.MISSING, 100)
