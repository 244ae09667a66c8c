"""Products of a few rows with a weight, fused with the norm before them and with what follows them.

All tensors are contiguous. A program computes BLOCK_OUTPUTS outputs of all rows and reads their weights once. Weights
are widened to float32 in registers and summed in float32. With SCALED they are bytes, and each output has a scale for
every BLOCK_INPUTS inputs: scales [outputs, INPUTS / BLOCK_INPUTS], which are not read otherwise. The layout of a sum
over threads depends on BLOCK_OUTPUTS and BLOCK_INPUTS alone, so the result of a row is the same to the last bit for any
number of rows.
"""

import triton
import triton.language as tl


@triton.jit
def project(
    x: tl.tensor,
    gain: tl.tensor,
    weight: tl.tensor,
    scales: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    EPS: tl.constexpr,
    NORMED: tl.constexpr,
    BIASED: tl.constexpr,
    ROWS: tl.constexpr,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    SCALED: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr,
    BLOCK_INPUTS: tl.constexpr,
    UNROLL: tl.constexpr,
) -> None:
    """Compute out = norm(x) @ weight.T + bias; without NORMED, x itself; without BIASED, no bias.

    x [ROWS, INPUTS], gain [INPUTS], weight [OUTPUTS, INPUTS], bias [OUTPUTS], out [ROWS, OUTPUTS] in any float dtype.
    Grid: OUTPUTS / BLOCK_OUTPUTS.
    """
    outputs = tl.program_id(0) * BLOCK_OUTPUTS + tl.arange(0, BLOCK_OUTPUTS)
    sums = _sums(x, gain, weight, scales, outputs, EPS, NORMED, ROWS, INPUTS, SCALED, BLOCK_ROWS, BLOCK_INPUTS, UNROLL)
    if BIASED:
        sums += tl.load(bias + outputs).to(tl.float32)[None, :]
    rows = tl.arange(0, BLOCK_ROWS)[:, None]
    tl.store(out + rows * OUTPUTS + outputs[None, :], sums.to(out.dtype.element_ty), mask=rows < ROWS)


@triton.jit
def project_gated(
    x: tl.tensor,
    gain: tl.tensor,
    weight: tl.tensor,
    scales: tl.tensor,
    out: tl.tensor,
    EPS: tl.constexpr,
    ROWS: tl.constexpr,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    SCALED: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr,
    BLOCK_INPUTS: tl.constexpr,
    UNROLL: tl.constexpr,
) -> None:
    """Compute out = silu(norm(x) @ gate.T) * (norm(x) @ up.T).

    x [ROWS, INPUTS], gain [INPUTS], weight [2 * OUTPUTS, INPUTS] with the rows of gate before those of up,
    out [ROWS, OUTPUTS]. A program computes BLOCK_OUTPUTS / 2 outputs. Grid: 2 * OUTPUTS / BLOCK_OUTPUTS.
    """
    HALF: tl.constexpr = BLOCK_OUTPUTS // 2
    each = tl.arange(0, BLOCK_OUTPUTS)
    outputs = tl.program_id(0) * HALF + each // 2 + each % 2 * OUTPUTS  # gate and up of one output side by side
    sums = _sums(x, gain, weight, scales, outputs, EPS, True, ROWS, INPUTS, SCALED, BLOCK_ROWS, BLOCK_INPUTS, UNROLL)
    gate, up = tl.split(tl.reshape(sums, (BLOCK_ROWS, HALF, 2)))
    gated = gate / (1 + tl.exp(-gate)) * up
    rows = tl.arange(0, BLOCK_ROWS)[:, None]
    columns = tl.program_id(0) * HALF + tl.arange(0, HALF)[None, :]
    tl.store(out + rows * OUTPUTS + columns, gated.to(out.dtype.element_ty), mask=rows < ROWS)


@triton.jit
def add_projection(
    x: tl.tensor,
    weight: tl.tensor,
    scales: tl.tensor,
    states: tl.tensor,
    ROWS: tl.constexpr,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    SCALED: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr,
    BLOCK_INPUTS: tl.constexpr,
    UNROLL: tl.constexpr,
) -> None:
    """Compute states += x @ weight.T, in place.

    x [ROWS, INPUTS], weight [OUTPUTS, INPUTS], states [ROWS, OUTPUTS]. Grid: OUTPUTS / BLOCK_OUTPUTS.
    """
    outputs = tl.program_id(0) * BLOCK_OUTPUTS + tl.arange(0, BLOCK_OUTPUTS)
    sums = _sums(x, x, weight, scales, outputs, 0.0, False, ROWS, INPUTS, SCALED, BLOCK_ROWS, BLOCK_INPUTS, UNROLL)
    rows = tl.arange(0, BLOCK_ROWS)[:, None]
    places = states + rows * OUTPUTS + outputs[None, :]
    sums += tl.load(places, mask=rows < ROWS, other=0).to(tl.float32)
    tl.store(places, sums.to(states.dtype.element_ty), mask=rows < ROWS)


@triton.jit
def _sums(
    x: tl.tensor,
    gain: tl.tensor,
    weight: tl.tensor,
    scales: tl.tensor,
    outputs: tl.tensor,
    EPS: tl.constexpr,
    NORMED: tl.constexpr,
    ROWS: tl.constexpr,
    INPUTS: tl.constexpr,
    SCALED: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_INPUTS: tl.constexpr,
    UNROLL: tl.constexpr,
) -> tl.tensor:
    """Return norm(x) @ weight[outputs].T as float32 [BLOCK_ROWS, len(outputs)]; without NORMED, of x itself.

    Rows from ROWS on repeat the last one. The scale of the norm is the same for all inputs of a row, so it is applied
    to the sum, and x is read once. INPUTS must be a multiple of BLOCK_INPUTS.
    """
    columns = outputs[None, :, None]
    rows = tl.minimum(tl.arange(0, BLOCK_ROWS), ROWS - 1)[:, None, None] + columns * 0
    sums = tl.zeros((BLOCK_ROWS, outputs.shape[0], BLOCK_INPUTS), tl.float32)
    squares = tl.zeros((BLOCK_ROWS, outputs.shape[0]), tl.float32)
    for start in tl.range(0, INPUTS, BLOCK_INPUTS, loop_unroll_factor=UNROLL):
        inputs = start + tl.arange(0, BLOCK_INPUTS)[None, None, :]
        weights = tl.load(weight + columns * INPUTS + inputs)
        if SCALED:
            group = columns * (INPUTS // BLOCK_INPUTS) + start // BLOCK_INPUTS
            weights = _centred(weights) * tl.load(scales + group).to(tl.float32)
        else:
            weights = weights.to(tl.float32)
        values = tl.load(x + rows * INPUTS + inputs).to(tl.float32)
        if NORMED:
            squares += tl.sum(values * values, 2)
            values *= tl.load(gain + columns * 0 + inputs).to(tl.float32)
        sums = tl.fma(values, tl.broadcast_to(weights, values.shape), sums)
    total = tl.sum(sums, 2)
    if NORMED:
        total *= tl.rsqrt(squares / INPUTS + EPS)
    return total


@triton.jit
def _centred(numbers: tl.tensor) -> tl.tensor:
    """Return `numbers` uint8 less 128, in float32.

    As the last bits of a float32 of 2^23 they need no conversion, of which a multiprocessor makes 16 in a cycle.
    """
    return (numbers.to(tl.int32) | 0x4B000000).to(tl.float32, bitcast=True) - 8388736.0
