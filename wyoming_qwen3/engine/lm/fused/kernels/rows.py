"""What is done to whole rows: the talker's input, its final norm, and the start of the code predictor."""

import triton
import triton.language as tl


@triton.jit
def add_rows(first: tl.tensor, second: tl.tensor, out: tl.tensor, WIDTH: tl.constexpr, BLOCK: tl.constexpr) -> None:
    """Compute out = first + second, each [rows, WIDTH]. Grid: rows."""
    columns = tl.arange(0, BLOCK)
    places = tl.program_id(0) * WIDTH + columns
    total = tl.load(first + places, mask=columns < WIDTH, other=0).to(tl.float32)
    total += tl.load(second + places, mask=columns < WIDTH, other=0).to(tl.float32)
    tl.store(out + places, total.to(out.dtype.element_ty), mask=columns < WIDTH)


@triton.jit
def copy_rows(source: tl.tensor, out: tl.tensor, WIDTH: tl.constexpr, BLOCK: tl.constexpr) -> None:
    """Copy source to out, each [rows, WIDTH]. Grid: rows."""
    columns = tl.arange(0, BLOCK)
    places = tl.program_id(0) * WIDTH + columns
    tl.store(out + places, tl.load(source + places, mask=columns < WIDTH), mask=columns < WIDTH)


@triton.jit
def norm_rows(
    x: tl.tensor,
    gain: tl.tensor,
    chosen: tl.tensor,
    out: tl.tensor,
    EPS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Compute out = norm(x) where `chosen` int64 [rows] is not 0; other rows of out keep what they have.

    x and out [rows, WIDTH], gain [WIDTH]. Grid: rows.
    """
    row = tl.program_id(0)
    if tl.load(chosen + row) != 0:
        columns = tl.arange(0, BLOCK)
        inside = columns < WIDTH
        values = tl.load(x + row * WIDTH + columns, mask=inside, other=0).to(tl.float32)
        scale = tl.rsqrt(tl.sum(values * values, 0) / WIDTH + EPS)
        normed = values * scale * tl.load(gain + columns, mask=inside, other=0).to(tl.float32)
        tl.store(out + row * WIDTH + columns, normed.to(out.dtype.element_ty), mask=inside)
