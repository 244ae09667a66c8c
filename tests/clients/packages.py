"""Clients' packages, installed by exact version into folders of their own, which later runs use again."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_INSTALL_SECONDS = 900.0
_NODE = "node@22.23.3"
"""The npm package that holds node itself: the clients need a newer one than Debian's."""


@dataclass(frozen=True)
class Python:
    """A virtual environment with these packages, of Python `oldest` or newer."""

    name: str
    requirements: Sequence[str]
    oldest: tuple[int, int] = (3, 11)

    def install(self, cache: Path) -> Path:
        """Return the folder with the environment's programs. Skips the test if it can't be installed."""
        with _made(cache / self.name, [*self.requirements, f"Python {self.oldest}"]) as (folder, there):
            if not there:
                _run([_python(self.oldest), "-m", "venv", str(folder)])
                python = str(folder / "bin" / "python")
                _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.requirements])
        return folder / "bin"


@dataclass(frozen=True)
class Node:
    """A folder with these npm packages, and node."""

    name: str
    packages: Sequence[str]

    def install(self, cache: Path) -> Path:
        """Return the folder with the packages' programs. Skips the test if they can't be installed."""
        if shutil.which("npm") is None:
            pytest.skip("npm is missing, so no client for node can be installed.")
        packages = [*self.packages, _NODE]
        with _made(cache / self.name, packages) as (folder, there):
            if not there:
                (folder / "package.json").write_text('{"private": true, "type": "module"}')
                _run(["npm", "install", "--silent", "--prefix", str(folder), *packages])
        return folder / "node_modules" / ".bin"


@dataclass(frozen=True)
class Installed:
    """The packages of this project, for clients of which only the requests are copied."""

    def install(self, _: Path) -> Path:
        """Return the folder with Python."""
        return Path(sys.executable).parent


Packages = Python | Node | Installed

NODE = Node(
    "node",
    (
        *("openai@7.59.0", "ws@8.23.0"),
        *("@openai/agents-realtime@0.20.0", "zod@4.6.7"),
        *("ai@7.0.173", "@ai-sdk/openai@4.0.118"),
    ),
)
"""All clients for node in one folder, because node itself takes 200 MB."""


@contextmanager
def _made(folder: Path, packages: Sequence[str]) -> Iterator[tuple[Path, bool]]:
    """Yield the folder and whether it holds these packages already; one process at a time may change it."""
    wanted, stamp = "\n".join(packages), folder / "installed.txt"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        there = stamp.exists() and stamp.read_text() == wanted
        if not there:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        yield folder, there
        stamp.write_text(wanted)


def _python(oldest: tuple[int, int]) -> str:
    """Return a Python that is new enough: this one, or one of pyenv's or the system's. Skips the test without one."""
    if sys.version_info >= oldest:
        return sys.executable
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = [f"python3.{minor}" for minor in range(oldest[1], 15)]
    for path in [shutil.which(name) for name in named] + [str(one) for one in sorted(kept.glob("3.*/bin/python3"))]:
        code = f"import sys; sys.exit(sys.version_info < {oldest})"
        if path and subprocess.run([path, "-c", code], check=False, capture_output=True).returncode == 0:
            return path
    pytest.skip(f"The client needs Python {oldest[0]}.{oldest[1]} or newer, and there is none here.")


def _run(command: Sequence[str]) -> None:
    try:
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"The client could not be installed within {_INSTALL_SECONDS:.0f} s: {' '.join(command)}")
    if ran.returncode:
        last = (ran.stderr.strip() or ran.stdout.strip()).splitlines()[-1:]
        pytest.skip(f"The client can't be installed: {' '.join(command)}: {' '.join(last)}")
