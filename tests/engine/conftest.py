"""Tiny checkpoints, each loaded once for all engine tests."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import pytest

from wyoming_qwen3.core.checkpoints import Kind, Size

if TYPE_CHECKING:
    from .golden import Pair

LoadPair = Callable[[Kind, Size], "Pair"]


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> LoadPair:
    from .golden import load_pair

    @cache
    def load(kind: Kind, size: Size) -> "Pair":
        return load_pair(tmp_path_factory.mktemp(f"{kind}-{size}"), kind, size)

    return load


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> Iterator[None]:
    """One, if the environment does not say how many: tests run side by side."""
    if not (torch := sys.modules.get("torch")):
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    yield
    torch.set_num_threads(threads)
