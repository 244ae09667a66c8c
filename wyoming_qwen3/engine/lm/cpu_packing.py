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
    weight = F.pad(weight.float(), (0, -inputs % BLOCK, 0, -outputs % BLOCK)).contiguous()
    if bits == 4:
        size, count = packed_sizes(outputs, inputs, bits)
        packed = PackedLinear(torch.empty(size, dtype=torch.uint8), torch.empty(count), outputs, inputs, bits)
        kernels.round(weight, packed.data, packed.scales)
        return packed
    scales = weight.abs().amax(1) / 127
    numbers = (weight / torch.where(scales == 0, 1.0, scales)[:, None]).round().clamp(-127, 127) + 128
    shaped = numbers.to(torch.uint8).view(len(weight) // BLOCK, BLOCK, -1, BLOCK // 4, 4)
    return PackedLinear(shaped.permute(0, 2, 3, 1, 4).flatten(), scales, outputs, inputs, bits)


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
