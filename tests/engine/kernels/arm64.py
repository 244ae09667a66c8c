"""An arm64 Python with PyTorch in a folder, and what runs it: QEMU's user mode, Debian's packages, and wheels."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".cache" / "arm64"
TOOLS = ("qemu-aarch64", "aarch64-linux-gnu-g++", "apt-get", "dpkg-deb")
DEBIAN = ("python3", "libstdc++6", "libgomp1")
WHEELS = ("numpy", "safetensors", "psutil", "pytest", "pluggy", "iniconfig", "packaging", "Pygments")
MORE_WHEELS = ("filelock", "typing_extensions", "sympy", "mpmath")
"""What `import torch` asks for besides, of what is pinned."""

UNPINNED = ("torch==2.8.0", "jinja2", "markupsafe", "networkx", "fsspec")
"""PyTorch is the oldest that is taken: later wheels for arm64 at PyPI can't be imported without CUDA's libraries."""


def missing_tools() -> list[str]:
    """What this machine lacks to run arm64 programs; nothing where it is one itself."""
    return [] if platform.machine() == "aarch64" else [tool for tool in TOOLS if not shutil.which(tool)]


def command() -> list[str]:
    """What runs Python there. Fetches some 150 MB at first."""
    if platform.machine() == "aarch64":
        return [sys.executable]
    pins = _pins()
    stamp, wanted = FOLDER / "stamp", hashlib.sha256(repr((DEBIAN, pins, UNPINNED)).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(FOLDER, ignore_errors=True)
        _debian(FOLDER / "root", FOLDER / "apt")
        _wheels(FOLDER / "site", [*pins, *UNPINNED])
        stamp.write_text(wanted)
    [python] = (FOLDER / "root/usr/bin").glob("python3.[0-9]*[0-9]")
    return ["qemu-aarch64", "-L", str(FOLDER / "root"), str(python)]


def environment() -> dict[str, str]:
    """What Python there finds its packages by."""
    path = [str(ROOT)] if platform.machine() == "aarch64" else [str(ROOT), str(FOLDER / "site")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


def _pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text() + (ROOT / "constraints-dev.txt").read_text()
    names = {*WHEELS, *MORE_WHEELS}
    return [line.split(";")[0].strip() for line in lines.splitlines() if line.split("==")[0] in names]


def _debian(root: Path, apt: Path) -> None:
    """Debian's packages for arm64, unpacked, from where this machine has its own."""
    (apt / "lists/partial").mkdir(parents=True)
    (apt / "cache/archives/partial").mkdir(parents=True)
    (apt / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Debug::NoLocking": "1",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    _run("apt-get", *options, "update")
    _run("apt-get", *options, "install", "--download-only", "--yes", "--no-install-recommends", *DEBIAN)
    for package in (apt / "cache/archives").glob("*.deb"):
        _run("dpkg-deb", "--extract", str(package), str(root))


def _wheels(folder: Path, requirements: list[str]) -> None:
    [python] = (FOLDER / "root/usr/bin").glob("python3.[0-9]*[0-9]")
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in (17, 24, 26, 27, 28)] + ["manylinux2014_aarch64"]
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--target", str(folder), "--python-version", python.name.removeprefix("python")),
        *(part for name in platforms for part in ("--platform", name)),
        *requirements,
    )


def _run(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}:\n{done.stdout}{done.stderr}")
