"""Linear layers in 8 bits on a GPU, as the fused kernels read them.

A weight is an integer from -127 to 127 times the scale of its group: up to 256 inputs of one output, as many as a
kernel sums at a time. Scales are bfloat16, so a weight is exact in float32 and is rounded once in bfloat16. Integers
are stored with 128 added, as on a CPU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

_GROUP = 256
_ZERO = 128
_ROWS_AT_ONCE = 1024
"""Outputs that are rounded together, which bounds the memory that this takes beside the weights."""


class GroupedInt8Linear(nn.Module):
    """A linear layer with 8-bit weights; the inputs of one output share a scale in groups.

    `weight` is uint8 [outputs, inputs] and `scales` bfloat16 [outputs, groups].
    """

    weight: Tensor
    scales: Tensor
    bias = None

    def __init__(self, weight: Tensor) -> None:
        """Round a weight [outputs, inputs] of any float dtype."""
        super().__init__()
        parts = [_rounded(part) for part in weight.split(_ROWS_AT_ONCE)]  # type: ignore[no-untyped-call]
        self.register_buffer("weight", torch.cat([numbers for numbers, _ in parts]), persistent=False)
        self.register_buffer("scales", torch.cat([scales for _, scales in parts]), persistent=False)

    def widened(self, dtype: torch.dtype) -> Tensor:
        """Return the weight as numbers [outputs, inputs] of a float dtype."""
        numbers = self.weight.to(dtype).sub_(_ZERO)
        numbers.view(*self.scales.shape, -1).mul_(self.scales[:, :, None])
        return numbers

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs], with PyTorch's product; widens the whole weight in each call."""
        return F.linear(x, self.widened(x.dtype))


def group_size(inputs: int) -> int:
    """Return how many inputs share a scale: at most 256, a power of two that divides `inputs`."""
    return min(_GROUP, inputs & -inputs)


def _rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers uint8 [outputs, inputs] and scales bfloat16 [outputs, groups]."""
    groups = weight.float().view(len(weight), -1, group_size(weight.shape[1]))
    scales = (groups.abs().amax(2) / 127).bfloat16()
    scales = torch.where(scales == 0, 1.0, scales)
    numbers = (groups / scales.float()[:, :, None]).round().clamp(-127, 127) + _ZERO
    return numbers.to(torch.uint8).view(weight.shape), scales
