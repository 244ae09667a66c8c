"""Packed weights as the kernels take them."""

from torch import Tensor

from wyoming_qwen3.engine.kernels.structures import Linear
from wyoming_qwen3.engine.packing import BLOCK, Packed


def layout(packed: Packed, bias: Tensor | None = None) -> Linear:
    """A linear layer of these weights."""
    return Linear(
        weights=packed.data.data_ptr(),
        scales=None if packed.scales is None else packed.scales.data_ptr(),
        bias=None if bias is None else bias.data_ptr(),
        outputs=packed.outputs,
        inputs=packed.inputs,
        bits=packed.bits,
        blocks=-(-packed.outputs // BLOCK),
    )


def separate(rows: Tensor, inner: int) -> Tensor:
    """Undo `interleave`: all `inner` rows of the first, then all of the other."""
    return rows.view(-1, 2, BLOCK // 2, rows.shape[1]).transpose(0, 1).flatten(1, 2)[:, :inner].flatten(0, 1)
