"""Sampling: the draws of WarpTable without a sort, and what follows a draw. A program handles one row.

A cut of a warp is the least logit that is kept. The bits of a float32, with those of negative numbers inverted, have
the order of the numbers. So the cut is found two bits at a time, as the greatest bound with a property that all greater
bounds lack.
"""

import triton
import triton.language as tl


@triton.jit
def draw_first(
    logits: tl.tensor,
    noise: tl.tensor,
    temperatures: tl.tensor,
    kept: tl.tensor,
    tails: tl.tensor,
    seen: tl.tensor,
    penalties: tl.tensor,
    banned: tl.tensor,
    drawn: tl.tensor,
    speaks: tl.tensor,
    table: tl.tensor,
    inputs: tl.tensor,
    totals: tl.tensor,
    codes: tl.tensor,
    END: tl.constexpr,
    FRAMES_BEFORE_END: tl.constexpr,
    NOISE_STRIDE: tl.constexpr,
    CODEBOOKS: tl.constexpr,
    IDS: tl.constexpr,
    BLOCK_IDS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
) -> None:
    """Draw code 0 of each row, mark it as seen where the row speaks, and start the sum of the frame's embeddings.

    logits float32 [rows, IDS]; noise float32, rows NOISE_STRIDE apart; temperatures, kept, tails and penalties [rows];
    seen and banned bool [rows, IDS] and [IDS]; drawn and speaks int64 [rows]; table [ids, WIDTH]; inputs [rows, WIDTH]
    gets the embedding; totals float32 [rows, WIDTH]; codes int64 [rows, CODEBOOKS]. END is not drawn before
    FRAMES_BEFORE_END frames. Grid: rows.
    """
    row = tl.program_id(0).to(tl.int64)
    ids = tl.arange(0, BLOCK_IDS)
    inside = ids < IDS
    values = tl.load(logits + row * IDS + ids, mask=inside, other=-float("inf"))
    was_seen = tl.load(seen + row * IDS + ids, mask=inside, other=0) != 0
    penalty = tl.load(penalties + row)
    values = tl.where(was_seen, tl.where(values < 0, values * penalty, values / penalty), values)
    never = tl.load(banned + ids, mask=inside, other=1) != 0
    never = never | ((ids == END) & (tl.load(drawn + row) < FRAMES_BEFORE_END))
    values = tl.where(never, -float("inf"), values)
    code = _draw(values, noise + row * NOISE_STRIDE, temperatures + row, kept + row, tails + row, IDS, BLOCK_IDS)
    tl.store(codes + row * CODEBOOKS, code.to(tl.int64))
    if tl.load(speaks + row) != 0:
        tl.store(seen + row * IDS + code, 1)
    columns = tl.arange(0, BLOCK_WIDTH)
    embedding = tl.load(table + code * WIDTH + columns, mask=columns < WIDTH, other=0)
    tl.store(inputs + row * WIDTH + columns, embedding, mask=columns < WIDTH)
    tl.store(totals + row * WIDTH + columns, embedding.to(tl.float32), mask=columns < WIDTH)


@triton.jit
def draw_residual(
    logits: tl.tensor,
    noise: tl.tensor,
    temperatures: tl.tensor,
    kept: tl.tensor,
    tails: tl.tensor,
    speaks: tl.tensor,
    table: tl.tensor,
    inputs: tl.tensor,
    totals: tl.tensor,
    sums: tl.tensor,
    codes: tl.tensor,
    LAST: tl.constexpr,
    NOISE_STRIDE: tl.constexpr,
    CODEBOOKS: tl.constexpr,
    IDS: tl.constexpr,
    BLOCK_IDS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
) -> None:
    """Draw a further code of each row, and add its embedding to the frame's sum.

    Arguments are those of draw_first; `codes` begins at the code's column. The LAST code's embedding is no input; where
    the row speaks, the sum then goes to sums [rows, WIDTH]. Grid: rows.
    """
    row = tl.program_id(0).to(tl.int64)
    ids = tl.arange(0, BLOCK_IDS)
    values = tl.load(logits + row * IDS + ids, mask=ids < IDS, other=-float("inf"))
    code = _draw(values, noise + row * NOISE_STRIDE, temperatures + row, kept + row, tails + row, IDS, BLOCK_IDS)
    tl.store(codes + row * CODEBOOKS, code.to(tl.int64))
    columns = tl.arange(0, BLOCK_WIDTH)
    places = row * WIDTH + columns
    embedding = tl.load(table + code * WIDTH + columns, mask=columns < WIDTH, other=0)
    total = tl.load(totals + places, mask=columns < WIDTH, other=0) + embedding.to(tl.float32)
    if LAST:
        if tl.load(speaks + row) != 0:
            tl.store(sums + places, total.to(sums.dtype.element_ty), mask=columns < WIDTH)
    else:
        tl.store(inputs + places, embedding, mask=columns < WIDTH)
        tl.store(totals + places, total, mask=columns < WIDTH)


@triton.jit
def _draw(
    logits: tl.tensor,
    noise: tl.tensor,
    temperature: tl.tensor,
    kept: tl.tensor,
    tail: tl.tensor,
    IDS: tl.constexpr,
    BLOCK_IDS: tl.constexpr,
) -> tl.tensor:
    """Return the id that WarpTable.draw returns for a row's logits [BLOCK_IDS], of which those from IDS on are -inf."""
    ids = tl.arange(0, BLOCK_IDS)
    logits = logits / tl.load(temperature)
    order = tl.where(ids < IDS, _order(logits), 0)
    least = _least_of_top(order, tl.load(kept).to(tl.int32))
    weights = tl.where(order >= least, tl.exp(logits - tl.max(logits, 0)), 0)
    cut = tl.load(tail)
    if cut > 0:
        least = tl.maximum(least, _least_of_head(order, weights, cut))
        weights = tl.where(order >= least, weights, 0)
    numbers = tl.load(noise + ids, mask=ids < IDS, other=1)
    return tl.argmax(tl.where(order >= least, weights / numbers, -1), 0)


@triton.jit
def _least_of_top(order: tl.tensor, kept: tl.tensor) -> tl.tensor:
    """Return the order of the `kept`-th largest value: the greatest bound that at least `kept` values reach."""
    bound = tl.zeros((), tl.uint32)
    for step in range(16):
        higher = _higher(bound, step)
        reached = tl.sum((order[None, :] >= higher[:, None]).to(tl.int32), 1)
        bound = tl.max(tl.where(reached >= kept, higher, bound), 0)
    return bound


@triton.jit
def _least_of_head(order: tl.tensor, weights: tl.tensor, tail: tl.tensor) -> tl.tensor:
    """Return the order of the least value that is not in the `tail`, a share of all weights; the largest never is.

    It is the greatest bound below which the weights are together at most that share.
    """
    allowed = tail * tl.sum(weights, 0)
    bound = tl.zeros((), tl.uint32)
    for step in range(16):
        higher = _higher(bound, step)
        below = tl.sum(tl.where(order[None, :] < higher[:, None], weights[None, :], 0), 1)
        bound = tl.max(tl.where(below <= allowed, higher, bound), 0)
    return tl.minimum(bound, tl.max(order, 0))


@triton.jit
def _higher(bound: tl.tensor, step: tl.tensor) -> tl.tensor:
    """Return the bounds that agree with `bound` in all but the two bits of this step, from the greatest bits on."""
    return bound | (tl.arange(0, 4).to(tl.uint32) << (30 - 2 * step))


@triton.jit
def _order(values: tl.tensor) -> tl.tensor:
    """Return uint32 with the order of float32 values; both zeros are equal, and all are above 0."""
    bits = (values + 0.0).to(tl.uint32, bitcast=True)
    return tl.where(bits >> 31 != 0, bits ^ 0xFFFFFFFF, bits | 0x80000000)
