"""Runs the tests of the fused kernels with a Triton of their own, where the environment has none."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.triton_package import environment_with_triton

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is not None, reason="Triton is installed, so these tests run by themselves.")
def test_fused_kernels_agree_with_the_exact_path(pytestconfig: pytest.Config) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "triton", "tests/engine/lm/fused"]
    environment = environment_with_triton(pytestconfig)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"\d+ passed", ran.stdout)
    assert "skipped" not in ran.stdout
