"""A folder of kept things belongs to one server, and what can't be kept costs no speech."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from wyoming_qwen3.core.errors import StorageFailed
from wyoming_qwen3.store.folder_lock import claimed

HOLDER = """
import pathlib, sys
from wyoming_qwen3.store.folder_lock import claimed
with claimed(pathlib.Path(sys.argv[1])):
    print(1, flush=True)
    input()
"""


def test_another_process_is_refused_until_the_holder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "store"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"1\n"
        with pytest.raises(StorageFailed, match="in use by another server"), claimed(folder):
            pass
        holder.kill()
        holder.wait()
        with claimed(folder):
            pass
    with claimed(folder):
        pass


def test_a_folder_that_can_not_be_made_is_only_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING), claimed(tmp_path / "file" / "store"):
        assert "nothing is kept" in caplog.text
