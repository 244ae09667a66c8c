"""The kernels of arm64, in an arm64 Python with PyTorch under QEMU's user mode; on arm64 as they are.

Needs Debian's qemu-user and g++-aarch64-linux-gnu, and fetches Debian's Python and PyTorch for arm64.
"""

import platform
import subprocess
from pathlib import Path

import pytest

from wyoming_qwen3.engine.kernels.build import FAMILIES, compile_kind, find_compiler

from . import arm64


def test_the_kernels_compute_there_what_they_do_here(tmp_path: Path) -> None:
    if lacking := arm64.missing_tools():
        pytest.skip(f"{', '.join(lacking)}: apt-get install qemu-user g++-aarch64-linux-gnu")
    compiler = find_compiler() if platform.machine() == "aarch64" else "aarch64-linux-gnu-g++"
    for kind in FAMILIES["aarch64"]:
        compile_kind(kind, tmp_path / f"{kind.name}.so", compiler)
    # QEMU's /proc/cpuinfo may be that of the machine it runs on.
    variables = arm64.environment() | {"KERNELS": str(tmp_path), "FEATURES": "asimddp"}
    command = [*arm64.command(), "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-p", "tests.engine.kernels.other_kernels", "tests/engine/kernels/test_kernels.py"]
    command += ["tests/engine/kernels/test_convolutions.py"]
    chosen = ("products", "widest", "zeros", "bits", "wide", "sign", "interleaved", "residual", "history", "phases")
    command += ["-k", " or ".join(chosen)]
    done = subprocess.run(command, cwd=arm64.ROOT, env=variables, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dotprod" in done.stdout or " passed" in done.stdout
