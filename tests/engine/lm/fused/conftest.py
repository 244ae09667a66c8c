"""Triton's kernels on a CPU: its interpreter runs each operation of a program with NumPy."""

import os
from importlib.util import find_spec

import pytest

os.environ.setdefault("TRITON_INTERPRET", "1")  # read when a kernel's module is first imported

NEEDS_TRITON = "Triton is not installed here: the CUDA builds of PyTorch bring it, and -m slow installs it for itself."


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("triton") and find_spec("triton") is None:
        pytest.skip(NEEDS_TRITON)
