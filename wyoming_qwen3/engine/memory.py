"""Memory for weights, which are read from one end to the other in each frame."""

import mmap

import torch
from torch import Tensor

_HUGE_PAGE = 2 << 20


def huge_pages(size: int) -> Tensor:
    """Allocate `size` bytes of zeros, uint8, in huge pages if the system has them and `size` fills at least one.

    With ordinary pages a third of the time is spent on address translation.
    """
    if size < _HUGE_PAGE:
        return torch.zeros(size, dtype=torch.uint8)
    memory = mmap.mmap(-1, size + _HUGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    return whole[-whole.data_ptr() % _HUGE_PAGE :][:size]
