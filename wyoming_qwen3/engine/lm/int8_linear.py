"""Linear layers in 8 bits with PyTorch's own product: the slower fallback if the kernels are not compiled."""

import torch
from torch import Tensor, nn

from wyoming_qwen3.core.errors import ModelFailed

_LANES = 16
"""PyTorch's kernel reads the inputs in groups of this many; other sizes would make it read beyond the weights."""


class Int8Linear(nn.Module):
    """A linear layer with 8-bit weights and one scale per output; it computes in bfloat16 with sums in float32.

    A row's outputs do not depend on the rows beside it.
    """

    weight: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor) -> None:
        """Round a float32 weight [outputs, inputs]. Raises ModelFailed if the inputs are not a multiple of 16."""
        super().__init__()
        if weight.shape[1] % _LANES:
            raise ModelFailed("The checkpoint has matrices of a size that can't be quantized; use --quantize none.")
        scales = (weight.abs().amax(1) / 127).clamp(min=1e-12).bfloat16()
        rounded = (weight / scales[:, None]).round().clamp(-127, 127).to(torch.int8)
        self.register_buffer("weight", rounded, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [..., inputs] -> [..., outputs]."""
        rows = x.flatten(0, -2).bfloat16()
        out = torch._weight_int8pack_mm(rows, self.weight, self.scales)
        return out.view(*x.shape[:-1], -1).float()
