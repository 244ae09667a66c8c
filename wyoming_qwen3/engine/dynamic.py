"""The language model in 8 bits with PyTorch's own products, where the kernels are not compiled: the slower way.

Knows the modules of the exact model, whose linear layers it replaces.
"""

import warnings

import torch
from torch import Tensor, nn

from .decode import LanguageModel
from .predictor import CodePredictor
from .talker import Talker
from .transformer import Transformer
from .upstream import Upstream

_LINEARS = ("qkv", "out", "gate_up", "down")


class RoundedLinear(nn.Module):
    """A linear layer with weights in 8 bits, one scale for each output; its input is rounded row by row."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(1) / 127).clamp(min=1e-12)
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        with warnings.catch_warnings():  # of their removal from a later PyTorch
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        # One row at a time: all rows of a call share a scale, and a row must not depend on the rows beside it.
        rows = [self._one(row[None]) for row in x.flatten(0, -2)]
        return torch.cat(rows).view(*x.shape[:-1], -1)

    def _one(self, row: Tensor) -> Tensor:
        out: Tensor = torch.ops.quantized.linear_dynamic(row, self._packed, True)  # reduced range: fits without VNNI
        return out


def rounded_model(upstream: Upstream) -> LanguageModel:
    """The language model of a checkpoint in float32, with its layers and heads in 8 bits."""
    talker, predictor = Talker(upstream.model.talker), CodePredictor(upstream.model.talker)
    for transformer in (talker.transformer, predictor.transformer):
        assert isinstance(transformer, Transformer)
        for layer in transformer.layers:
            for name in _LINEARS:
                setattr(layer, name, RoundedLinear(getattr(layer, name)))
    predictor.heads = nn.ModuleList(RoundedLinear(head) for head in predictor.heads if isinstance(head, nn.Linear))
    return LanguageModel(talker, predictor)
