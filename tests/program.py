"""The program, run for one command as a person runs it."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import environment
from tests.waiting import HANG_SECONDS

Run = subprocess.CompletedProcess[str]


def run(tmp_path: Path, *arguments: str, text: str = "", **variables: str) -> Run:
    """Run it with its data in `tmp_path`, and `text` for its standard input, until it ends."""
    command = [sys.executable, "-m", "wyoming_qwen3", "--data-dir", str(tmp_path / "data"), *arguments]
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
        env=environment(**variables),
    )


def everything_in(folder: Path) -> list[str]:
    """Paths of all files and folders in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
