"""Rounds weights of linear layers to 8 or 4 bits, in the layout that kernels/linear.h reads.

8 bits: one scale per output, numbers from -127 to 127. 4 bits: a scale and a zero point for each output and group of
32 inputs, found by least squares (kernels/rounding.h). Knows matrices only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.engine.kernels.library import Kernels

BLOCK = 32
"""How many outputs are stored together, and how many inputs share a scale."""

_HALF = BLOCK // 2

_ROWS_AT_ONCE = 16 * BLOCK
"""How many rows are rounded at a time: the numbers on the way take many times the memory of the result."""


@dataclass(frozen=True, eq=False)
class PackedLinear:
    """A rounded matrix [outputs, inputs]: its bytes, uint8 [n], and its scales, float32 [padded outputs]."""

    data: Tensor
    scales: Tensor
    outputs: int
    inputs: int
    bits: int


def pack(kernels: Kernels, weight: Tensor, bits: int) -> PackedLinear:
    """Round a matrix [outputs, inputs] to 8 or 4 bits."""
    outputs, inputs = weight.shape
    size, count = packed_sizes(outputs, inputs, bits)
    packed = PackedLinear(torch.empty(size, dtype=torch.uint8), torch.empty(count), outputs, inputs, bits)
    for first in range(0, outputs, _ROWS_AT_ONCE):
        rows = weight[first : first + _ROWS_AT_ONCE].float()
        rows = F.pad(rows, (0, -inputs % BLOCK, 0, -len(rows) % BLOCK)).contiguous()
        scales = packed.scales[first : first + len(rows)]
        begin, end = (packed_sizes(n, inputs, bits)[0] for n in (first, first + len(rows)))
        if bits == 4:
            kernels.round(rows, packed.data[begin:end], scales)
        else:
            packed.data[begin:end] = _to_8_bits(rows, scales)
    return packed


def _to_8_bits(weight: Tensor, scales: Tensor) -> Tensor:
    """Round rows, whose numbers are multiples of 32, to bytes [n], and write their scales."""
    torch.div(weight.abs().amax(1), 127, out=scales)
    numbers = (weight / torch.where(scales == 0, 1.0, scales)[:, None]).round_().clamp_(-127, 127).add_(128)
    shaped = numbers.to(torch.uint8).view(len(weight) // BLOCK, BLOCK, -1, BLOCK // 4, 4)
    return shaped.permute(0, 2, 3, 1, 4).flatten()


def packed_sizes(outputs: int, inputs: int, bits: int) -> tuple[int, int]:
    """Return how many bytes of data and how many scales a packed matrix has."""
    blocks, groups = -(-outputs // BLOCK), -(-inputs // BLOCK)
    return blocks * groups * (BLOCK * BLOCK * bits // 8 + (2 * BLOCK if bits == 4 else 0)), blocks * BLOCK


def interleave(gate: Tensor, up: Tensor) -> Tensor:
    """Interleave the rows of both in groups of 16: 16 of `gate`, then the same 16 of `up`; padded with zero rows."""
    halves = [F.pad(part, (0, 0, 0, -len(part) % _HALF)).view(-1, _HALF, part.shape[1]) for part in (gate, up)]
    return torch.stack(halves, dim=1).flatten(0, 2)


def interleaved(inner: int) -> int:
    """Return how many rows `interleave` returns for two matrices of `inner` rows each."""
    return 2 * (inner + -inner % _HALF)
