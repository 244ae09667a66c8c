"""The program, run for one command as a person runs it."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import environment
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.__main__ import main

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


def run_here(tmp_path: Path, capfd: pytest.CaptureFixture[str], *arguments: str, **variables: str) -> Run:
    """The same within this process, which has imported everything already, and without standard input."""
    command = ["wyoming-qwen3", "--data-dir", str(tmp_path / "data"), *arguments]
    capfd.readouterr()
    with mock.patch.object(sys, "argv", command), mock.patch.dict(os.environ, environment(**variables), clear=True):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Run(command, code, *capfd.readouterr())


def everything_in(folder: Path) -> list[str]:
    """Paths of all files and folders in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
