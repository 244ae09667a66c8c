"""Streams of a device have one holder at a time: there are 32 for all loads of a process, however many these are."""

from collections import deque
from typing import Any

import pytest

from wyoming_qwen3.engine.cuda_graphs import Streams


class Holder:
    pass


def test_no_two_holders_have_the_same_stream() -> None:
    """A hundred loads, of which three are there at a time."""
    made: list[Any] = []

    def make() -> Any:
        made.append(f"stream {len(made)}")
        return made[-1]

    streams = Streams(make)
    held: deque[tuple[Holder, Any]] = deque(maxlen=3)
    for _ in range(100):
        holder = Holder()
        held.append((holder, streams.lend(holder)))
        del holder
        assert len({stream for _, stream in held}) == len(held)
    assert len(made) == 4


def test_a_stream_that_cant_be_had_is_an_error_of_who_asks() -> None:
    def make() -> Any:
        raise RuntimeError("CUDA error: out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        Streams(make).lend(Holder())
