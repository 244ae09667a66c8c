"""Packed weights as the kernels take them."""

from torch import Tensor

from wyoming_qwen3.engine.kernels.structures import Linear
from wyoming_qwen3.engine.packing import BLOCK, Packed


def layout(packed: Packed, bias: Tensor | None = None) -> Linear:
    return Linear(
        weights=packed.data.data_ptr(),
        scales=None if packed.scales is None else packed.scales.data_ptr(),
        bias=None if bias is None else bias.data_ptr(),
        outputs=packed.outputs,
        inputs=packed.inputs,
        bits=packed.bits,
        blocks=-(-packed.outputs // BLOCK),
    )
