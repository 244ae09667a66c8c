"""Packed weights as the kernels take them."""

import torch
from torch import Tensor

from wyoming_qwen3.engine.kernels.structures import LinearStruct
from wyoming_qwen3.engine.lm.cpu_packing import BLOCK, PackedLinear


def layout(packed: PackedLinear, bias: Tensor | None = None) -> LinearStruct:
    """A linear layer of these weights."""
    return LinearStruct(
        weights=packed.data.data_ptr(),
        scales=packed.scales.data_ptr(),
        bias=None if bias is None else bias.data_ptr(),
        outputs=packed.outputs,
        inputs=packed.inputs,
        bits=packed.bits,
        blocks=-(-packed.outputs // BLOCK),
    )


def separate(rows: Tensor, inner: int) -> Tensor:
    """Undo `interleave`: all `inner` rows of the first, then all of the other."""
    return rows.view(-1, 2, BLOCK // 2, rows.shape[1]).transpose(0, 1).flatten(1, 2)[:, :inner].flatten(0, 1)


def unpack(packed: PackedLinear) -> Tensor:
    """The matrix that the packed numbers mean, float32 [outputs, inputs]."""
    blocks, groups = -(-packed.outputs // BLOCK), -(-packed.inputs // BLOCK)
    if packed.bits == 8:
        ordered = packed.data.view(blocks, groups, 8, BLOCK, 4)
        weight = ordered.permute(0, 3, 1, 2, 4).reshape(blocks * BLOCK, -1).float() - 128
    else:
        whole = packed.data.view(blocks, groups, -1)
        beside = whole[:, :, : 2 * BLOCK].float().view(blocks, groups, 2, BLOCK)
        codes, zero = (part.transpose(1, 2)[..., None] for part in beside.unbind(2))
        exponent = (codes / 32).floor()
        scale = 2.0 ** (exponent - 7) * (1 + codes / 32 - exponent)
        nibbles = whole[:, :, 2 * BLOCK :].reshape(blocks, groups, 4, BLOCK, 4)
        ordered = torch.cat((nibbles & 15, nibbles >> 4), dim=4)
        numbers = ordered.permute(0, 3, 1, 2, 4).reshape(blocks, BLOCK, groups, BLOCK)
        weight = (scale * (numbers - zero / 16)).reshape(blocks * BLOCK, -1)
    weight = weight * packed.scales[:, None]
    return weight[: packed.outputs, : packed.inputs]
