"""Rounds weights of linear layers to 8 or 4 bits, in the layout that kernels/linear.h reads.

8 bits: one scale per output, numbers from -127 to 127. 4 bits: one scale for each output and group of 32 inputs,
numbers from -8 to 7; the weight of the group with the largest magnitude becomes -8. Knows matrices only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

BLOCK = 32
"""How many outputs are stored together, and how many inputs share a scale."""

_HALF = BLOCK // 2


@dataclass(frozen=True, eq=False)
class PackedLinear:
    """A rounded matrix [outputs, inputs]: its bytes, uint8 [n], and for 8 bits the scales, float32 [padded outputs]."""

    data: Tensor
    scales: Tensor | None
    outputs: int
    inputs: int


def pack(weight: Tensor, bits: int) -> PackedLinear:
    """Round a matrix [outputs, inputs] to 8 or 4 bits."""
    outputs, inputs = weight.shape
    weight = F.pad(weight.float(), (0, -inputs % BLOCK, 0, -outputs % BLOCK))
    if bits == 8:
        scales = weight.abs().amax(1) / 127
        numbers = (weight / _divisor(scales[:, None])).round().clamp(-127, 127)
        return PackedLinear(_bytes_in_order((numbers + 128).to(torch.uint8), 4).flatten(), scales, outputs, inputs)
    groups = weight.view(len(weight), -1, BLOCK)
    largest = groups.gather(2, groups.abs().argmax(2, keepdim=True))
    scale = (largest / -8).bfloat16()
    numbers = (groups / _divisor(scale.float())).round().clamp(-8, 7) + 8
    ordered = _bytes_in_order(numbers.flatten(1).to(torch.uint8), 8)
    nibbles = ordered[..., :4] | ordered[..., 4:] << 4
    beside = scale.view(-1, BLOCK, groups.shape[1]).transpose(1, 2).contiguous().view(torch.uint8)
    return PackedLinear(torch.cat((beside, nibbles.flatten(2)), dim=2).flatten(), None, outputs, inputs)


def packed_sizes(outputs: int, inputs: int, bits: int) -> tuple[int, int]:
    """Return how many bytes of data and how many scales a packed matrix has."""
    blocks, groups = -(-outputs // BLOCK), -(-inputs // BLOCK)
    if bits == 8:
        return blocks * groups * BLOCK * BLOCK, blocks * BLOCK
    return blocks * groups * (2 * BLOCK + BLOCK * _HALF), 0


def interleave(gate: Tensor, up: Tensor) -> Tensor:
    """Interleave the rows of both in groups of 16: 16 of `gate`, then the same 16 of `up`; padded with zero rows."""
    halves = [F.pad(part, (0, 0, 0, -len(part) % _HALF)).view(-1, _HALF, part.shape[1]) for part in (gate, up)]
    return torch.stack(halves, dim=1).flatten(0, 2)


def interleaved(inner: int) -> int:
    """Return how many rows `interleave` returns for two matrices of `inner` rows each."""
    return 2 * (inner + -inner % _HALF)


def _divisor(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def _bytes_in_order(numbers: Tensor, together: int) -> Tensor:
    """Reorder [outputs, inputs] to [blocks, groups, steps, 32 outputs, `together` inputs]."""
    rows, columns = numbers.shape
    shaped = numbers.view(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK // together, together)
    return shaped.permute(0, 2, 3, 1, 4).contiguous()
