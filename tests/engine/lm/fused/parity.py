"""`TRITON_INTERPRET=1 python -m tests.engine.lm.fused.parity` prints how far each kernel is from the exact path.

An error is the greatest difference from the float32 result of the same numbers, relative to the greatest of these.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .exact import WARPS, Case, exponential
from .kernel_calls import (
    ANY_DTYPE,
    EPS,
    call_add,
    call_draw_residual,
    call_gated,
    call_project,
    noise,
    rounded,
    warp_table,
    weight,
)

_SHAPES = {"tiny": (48, 64, (4, 2, 16)), "published": (1024, 2048, (16, 8, 128))}
"""Inputs and outputs of a product; query heads, key heads and their size."""


def error(found: Tensor, exact: Tensor) -> float:
    return float((found.float() - exact).abs().max() / exact.abs().max())


def errors(shape: str, dtype: torch.dtype, rows: int) -> Iterator[tuple[str, float]]:
    """The error of each kernel."""
    inputs, outputs, heads = _SHAPES[shape]
    x, gain, w = noise(rows, inputs, dtype=dtype), noise(inputs, seed=1, dtype=dtype), weight(outputs, inputs, dtype)
    states = noise(rows, outputs, seed=2, dtype=dtype)
    normed = gain.float() * F.rms_norm(x.float(), (inputs,), None, EPS)
    product = F.linear(normed, w.float())
    yield "project", error(call_project(x, w, gain), product)
    gate, up = product.chunk(2, dim=-1)
    yield "project_gated", error(call_gated(x, w, gain), F.silu(gate) * up)
    yield "add_projection", error(call_add(x, w, states), states.float() + F.linear(x.float(), w.float()))
    packed, wide = rounded(w)
    product = F.linear(normed, wide)
    yield "project, 8 bits", error(call_project(x, packed, gain), product)
    gate, up = product.chunk(2, dim=-1)
    yield "project_gated, 8 bits", error(call_gated(x, packed, gain), F.silu(gate) * up)
    residual = states.float() + F.linear(x.float(), wide)
    yield "add_projection, 8 bits", error(call_add(x, packed, states), residual)
    case: Any = Case(heads, [13 * row + 3 for row in range(rows)], 128, dtype)
    yield "attend", error(case.found(4)[0], case.expected()[0])
    logits, numbers, table = noise(8, 2048, scale=3), exponential(8, 2048), warp_table(WARPS, 2048)
    if dtype == torch.float32:
        codes = call_draw_residual(logits, numbers, table)["codes"][:, 0]
        yield "draw_residual", float((codes != table.draw(logits, numbers)).float().mean())


def main() -> None:
    """Print a table in Markdown."""
    cases = [(shape, dtype, rows) for shape in _SHAPES for dtype in ANY_DTYPE for rows in (1, 8)]
    columns = [dict(errors(*case)) for case in cases]
    heads = [f"{shape}, {str(dtype).removeprefix('torch.')}, {rows}" for shape, dtype, rows in cases]
    print(f"| Kernel | {' | '.join(heads)} |\n| --- |{' --- |' * len(cases)}")
    for name in columns[0]:
        cells = (f"{column[name]:.0e}" if name in column else "" for column in columns)
        print(f"| `{name}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
