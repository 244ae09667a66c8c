"""Linear layers in 8 bits with PyTorch's own products: the slower fallback if the kernels are not compiled."""

import warnings

import torch
from torch import Tensor, nn


class RoundedLinear(nn.Module):
    """A linear layer with 8-bit weights and one scale per output; its input is rounded row by row."""

    def __init__(self, weight: Tensor) -> None:
        """Round a float32 weight [outputs, inputs]."""
        super().__init__()
        scales = (weight.abs().amax(1) / 127).clamp(min=1e-12)
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        with warnings.catch_warnings():  # they say that a later PyTorch removes this function
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        # One row at a time: all rows of a call share a scale, but a row must not depend on the rows beside it.
        rows = [self._one(row[None]) for row in x.flatten(0, -2)]
        return torch.cat(rows).view(*x.shape[:-1], -1)

    def _one(self, row: Tensor) -> Tensor:
        out: Tensor = torch.ops.quantized.linear_dynamic(row, self._packed, True)  # reduced range: fits without VNNI
        return out
