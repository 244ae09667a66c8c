"""Streams of a device have one holder at a time: there are 32 for all loads of a process, however many these are."""

from collections import deque
from typing import Any

import pytest
import torch
from torch import Tensor

from wyoming_qwen3.engine.cuda_graphs import Staging, Streams


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


class Copies:
    """The events of copies that are done only when somebody waits, and the buffers that they are made from."""

    def __init__(self) -> None:
        self.allocated: list[Tensor] = []
        self.begun = 0
        self.waited: list[int] = []

    def allocate(self, size: int) -> Tensor:
        self.allocated.append(torch.empty(size, dtype=torch.uint8))
        return self.allocated[-1]

    def record(self) -> Any:
        number, self.begun = self.begun, self.begun + 1
        copies = self

        class Copied:
            def synchronize(self) -> None:
                copies.waited.append(number)

        return Copied()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("elements", [1, 15, 16, 17, 70])
def test_a_staged_copy_is_the_tensor(elements: int, dtype: torch.dtype) -> None:
    copies = Copies()
    staging = Staging(torch.device("cpu"), 16 * dtype.itemsize, copies.allocate, copies.record)
    source = torch.randn(elements, 3, generator=torch.Generator().manual_seed(0)).bfloat16()[:, 1:]
    copied = staging.copy(source, dtype)
    assert copied.is_contiguous()
    assert torch.equal(copied, source.to(dtype))
    assert len(copies.allocated) == 2


def test_a_buffer_is_filled_again_only_when_its_copy_is_done() -> None:
    copies = Copies()
    staging = Staging(torch.device("cpu"), 16, copies.allocate, copies.record)
    staging.copy(torch.arange(16.0), torch.float32)  # four parts
    assert (copies.begun, copies.waited) == (4, [0, 1])
    staging.copy(torch.arange(4.0), torch.float32)
    assert (copies.begun, copies.waited) == (5, [0, 1, 2])
    assert len(copies.allocated) == 2
