"""A process of its own for each thing that is measured: nothing is warm, and memory is what it alone takes."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from wyoming_qwen3.core.errors import EngineFailed

_Result = TypeVar("_Result")


def in_fresh_process(function: Callable[..., _Result], *given: Any) -> _Result:
    """What the function returns or raises there. Raises EngineFailed where the process dies."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *given).result()
        except BrokenProcessPool as error:
            raise EngineFailed("A measuring process died; most likely the memory does not suffice.") from error
