"""The kernels as functions of tensors, for comparisons with PyTorch."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from wyoming_qwen3.engine.lm.fused.launches import CountedLaunch, KernelBlocks, power_of_two
from wyoming_qwen3.engine.lm.fused.weights import FusedLinear
from wyoming_qwen3.engine.lm.gpu_int8 import GroupedInt8Linear
from wyoming_qwen3.engine.lm.sampling import Warp, WarpTable

EPS = 1e-6

WIDE = KernelBlocks(outputs=512)
"""Few programs, since the interpreter takes milliseconds for each. The order of sums is that of any other blocks."""

ANY_DTYPE = (torch.float32, torch.bfloat16)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
    """Normally distributed numbers, always the same."""
    draw = torch.Generator().manual_seed(seed + prod(shape))
    return (scale * torch.randn(*shape, generator=draw)).to(dtype)


def weight(outputs: int, inputs: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """A weight that keeps the size of what it is multiplied with."""
    return noise(outputs, inputs, seed=seed, dtype=dtype, scale=inputs**-0.5)


def rounded(w: Tensor) -> tuple[FusedLinear, Tensor]:
    """A weight in 8 bits, and the same numbers in float32."""
    layer = GroupedInt8Linear(w)
    return FusedLinear.of(layer), layer.widened(torch.float32)


def call_project(
    x: Tensor,
    w: Tensor | FusedLinear,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    blocks: KernelBlocks = WIDE,
) -> Tensor:
    from wyoming_qwen3.engine.lm.fused.kernels.product import project

    layer = w if isinstance(w, FusedLinear) else FusedLinear(w)
    rows, outputs = len(x), len(layer.weight)
    out = torch.empty(rows, outputs, dtype=x.dtype)
    shape = blocks.of(rows, layer.weight, layer.scales)
    tensors = (x, layer.weight if gain is None else gain, *layer.tensors, layer.weight if bias is None else bias, out)
    flags = {"EPS": EPS, "NORMED": gain is not None, "BIASED": bias is not None}
    CountedLaunch()(project, (outputs // shape["BLOCK_OUTPUTS"],), *tensors, **flags, **shape)
    return out


def call_gated(x: Tensor, w: Tensor | FusedLinear, gain: Tensor, blocks: KernelBlocks = WIDE) -> Tensor:
    from wyoming_qwen3.engine.lm.fused.kernels.product import project_gated

    layer = w if isinstance(w, FusedLinear) else FusedLinear(w)
    rows, both = len(x), len(layer.weight)
    out = torch.empty(rows, both // 2, dtype=x.dtype)
    shape = blocks.of(rows, layer.weight, layer.scales, parts=2)
    CountedLaunch()(project_gated, (both // shape["BLOCK_OUTPUTS"],), x, gain, *layer.tensors, out, EPS=EPS, **shape)
    return out


def call_add(x: Tensor, w: Tensor | FusedLinear, states: Tensor, blocks: KernelBlocks = WIDE) -> Tensor:
    from wyoming_qwen3.engine.lm.fused.kernels.product import add_projection

    layer = w if isinstance(w, FusedLinear) else FusedLinear(w)
    out, shape = states.clone(), blocks.of(len(x), layer.weight, layer.scales)
    CountedLaunch()(add_projection, (len(layer.weight) // shape["BLOCK_OUTPUTS"],), x, *layer.tensors, out, **shape)
    return out


def call_attend(
    qkv: Tensor, gains: Tensor, turns: Sequence[Tensor], cache: tuple[Tensor, Tensor], positions: Tensor, *, splits: int
) -> Tensor:
    """Attention of qkv [rows, heads + 2 * kv_heads, head_dim] over a cache [rows, kv_heads, capacity, head_dim]."""
    from wyoming_qwen3.engine.lm.fused.kernels.attention import attend

    rows, kv_heads, capacity, head_dim = cache[0].shape
    heads = qkv.shape[1] - 2 * kv_heads
    mixed = torch.empty(rows, heads, head_dim, dtype=qkv.dtype)
    parts = torch.empty(rows, kv_heads, splits, heads // kv_heads, head_dim + 2)
    arrivals = torch.zeros(rows, kv_heads, dtype=torch.int32)
    CountedLaunch()(
        attend,
        (splits, kv_heads, rows),
        *(qkv, gains, *turns, *cache, positions, mixed, parts, arrivals),
        EPS=EPS,
        SCALE=head_dim**-0.5,
        HEADS=heads,
        KV_HEADS=kv_heads,
        HEAD_DIM=head_dim,
        CAPACITY=capacity,
        BLOCK=16,
        SPLITS=splits,
    )
    assert not arrivals.any()  # ready for the next launch
    return mixed


def warp_table(warps: Sequence[Warp], ids: int) -> WarpTable:
    """A table with these warps."""
    table = WarpTable(len(warps), ids, torch.device("cpu"))
    for row, warp in enumerate(warps):
        table.put(row, warp)
    return table


def call_draw_residual(logits: Tensor, numbers: Tensor, table: WarpTable, *, last: bool = False) -> dict[str, Tensor]:
    """One draw, with embeddings of 24 features; `numbers` [rows, ids] is the noise. Returns all that was written."""
    from wyoming_qwen3.engine.lm.fused.kernels.draw import draw_residual

    rows, ids = logits.shape
    made = draw_tensors(rows, ids)
    order = ("speaks", "table", "inputs", "totals", "sums", "codes")
    CountedLaunch()(
        draw_residual,
        (rows,),
        *(logits, numbers, table.temperature, table.kept, table.tail, *(made[name] for name in order)),
        LAST=last,
        NOISE_STRIDE=numbers.stride(0),
        **draw_shape(ids),
    )
    return made


def call_draw_first(logits: Tensor, numbers: Tensor, table: WarpTable, **given: Any) -> dict[str, Tensor]:
    """The same for code 0; what is `given` takes the place of tensors, and `end` that of the last id."""
    from wyoming_qwen3.engine.lm.fused.kernels.draw import draw_first

    rows, ids = logits.shape
    end = given.pop("end", ids - 1)
    made = draw_tensors(rows, ids) | given
    order = ("seen", "penalties", "banned", "drawn", "speaks", "table", "inputs", "totals", "codes")
    CountedLaunch()(
        draw_first,
        (rows,),
        *(logits, numbers, table.temperature, table.kept, table.tail, *(made[name] for name in order)),
        END=end,
        FRAMES_BEFORE_END=2,
        NOISE_STRIDE=numbers.stride(0),
        **draw_shape(ids),
    )
    return made


def draw_tensors(rows: int, ids: int, width: int = 24) -> dict[str, Tensor]:
    """What a draw reads and writes beside logits and noise; only the first row does not speak if there are others."""
    return {
        "seen": torch.zeros(rows, ids, dtype=torch.bool),
        "penalties": torch.ones(rows, 1),
        "banned": torch.zeros(ids, dtype=torch.bool),
        "drawn": torch.full((rows,), 5),
        "speaks": torch.tensor([int(row > 0 or rows == 1) for row in range(rows)]),
        "table": noise(ids, width),
        "inputs": torch.zeros(rows, width),
        "totals": torch.ones(rows, width),
        "sums": torch.zeros(rows, width),
        "codes": torch.full((rows, 16), -1),
    }


def draw_shape(ids: int, width: int = 24) -> dict[str, int]:
    shape = {"CODEBOOKS": 16, "IDS": ids, "BLOCK_IDS": power_of_two(ids)}
    return shape | {"WIDTH": width, "BLOCK_WIDTH": power_of_two(width)}


def narrow(blocks: KernelBlocks, outputs: int) -> KernelBlocks:
    """The same blocks with fewer outputs in a program."""
    return replace(blocks, outputs=outputs)
