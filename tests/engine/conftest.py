"""Tiny checkpoints, each loaded once for all engine tests."""

import os
from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch

from wyoming_qwen3.checkpoints import Kind, Size

from .golden import Pair, load_pair

LoadPair = Callable[[Kind, Size], Pair]


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> LoadPair:
    @cache
    def load(kind: Kind, size: Size) -> Pair:
        return load_pair(tmp_path_factory.mktemp(f"{kind}-{size}"), kind, size)

    return load


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> Iterator[None]:
    """One, if the environment does not say how many: tests run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    yield
    torch.set_num_threads(threads)
