"""Triton for the slow tests: 1 GB, installed by exact version into pytest's cache unless it is installed here."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.clients.packages import Python

_TRITON = Python("triton", ("triton==3.7.1",))


def environment_with_triton(config: pytest.Config) -> dict[str, str]:
    """The environment of a process that can import Triton, and compiles its kernels. Skips the test without one."""
    paths = [path for path in sys.path if path]
    if find_spec("triton") is None:
        assert config.cache
        folder = _TRITON.install(Path(config.cache.mkdir("clients"))).parent
        paths += map(str, folder.glob("lib/python*/site-packages"))
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}
