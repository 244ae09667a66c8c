"""Attention of one token for each row: norm of queries and keys, rotary embedding, cache write and softmax.

A program handles one row and one key head, so a row's result can't depend on the other rows. Positions are read from
a tensor, so there is no mask and no limit on lengths but the cache's.
"""

import triton
import triton.language as tl


@triton.jit
def attend(
    qkv: tl.tensor,
    gains: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    positions: tl.tensor,
    mixed: tl.tensor,
    parts: tl.tensor,
    arrivals: tl.tensor,
    EPS: tl.constexpr,
    SCALE: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
) -> None:
    """Write the new token's key and value to the cache, and compute its attention over all positions up to its own.

    qkv [rows, HEADS + 2 * KV_HEADS, HEAD_DIM]; gains of the norms [HEADS + KV_HEADS, HEAD_DIM]; cos and sin
    [positions, HEAD_DIM], equal in both halves; keys and values [slots, KV_HEADS, CAPACITY, HEAD_DIM]; positions of the
    tokens int64 [rows]; mixed [rows, HEADS, HEAD_DIM].
    Each of SPLITS programs attends to every SPLITS-th block of BLOCK positions. The last one to finish combines the
    results of all, in their order: `parts` is float32 [rows, KV_HEADS, SPLITS, GROUP, HEAD_DIM + 2] and `arrivals`
    int32 [rows, KV_HEADS], zero before and after. Grid: (SPLITS, KV_HEADS, rows).
    """
    split, kv_head, row = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    GROUP: tl.constexpr = HEADS // KV_HEADS
    HALF: tl.constexpr = HEAD_DIM // 2
    half = tl.arange(0, HALF)[None, :]
    heads = kv_head * GROUP + tl.arange(0, GROUP)[:, None]
    position = tl.load(positions + row).to(tl.int32)
    turns = position * HEAD_DIM + half
    cosines, sines = tl.load(cos + turns).to(tl.float32), tl.load(sin + turns).to(tl.float32)
    token = qkv + row * (HEADS + 2 * KV_HEADS) * HEAD_DIM
    q1, q2 = _turned(token, gains, heads, cosines, sines, EPS, HEAD_DIM)
    k1, k2 = _turned(token, gains, HEADS + kv_head + tl.zeros((1, 1), tl.int32), cosines, sines, EPS, HEAD_DIM)
    k1, k2 = k1.to(keys.dtype.element_ty).to(tl.float32), k2.to(keys.dtype.element_ty).to(tl.float32)
    v1, v2 = _load_halves(token + (HEADS + KV_HEADS + kv_head) * HEAD_DIM + half, half >= 0, HALF)
    past = (row * KV_HEADS + kv_head) * CAPACITY * HEAD_DIM + half
    if split == 0:
        _store_halves(keys + past + position * HEAD_DIM, k1, k2, HALF)
        _store_halves(values + past + position * HEAD_DIM, v1, v2, HALF)

    # Split 0 begins with the new token, which is not read from the cache; the others begin with nothing.
    highest = tl.where(split == 0, (tl.sum(q1 * k1, 1) + tl.sum(q2 * k2, 1)) * SCALE, -float("inf"))
    total = tl.where(split == 0, tl.full((GROUP,), 1.0, tl.float32), 0.0)
    out1, out2 = total[:, None] * v1, total[:, None] * v2
    for start in range(split * BLOCK, position, SPLITS * BLOCK):
        at = start + tl.arange(0, BLOCK)[:, None]
        inside = at < position
        block1, block2 = _load_halves(keys + past + at * HEAD_DIM, inside, HALF)
        scores = (tl.sum(q1[:, None] * block1[None], 2) + tl.sum(q2[:, None] * block2[None], 2)) * SCALE
        scores = tl.where(tl.trans(inside), scores, -float("inf"))
        higher = tl.maximum(highest, tl.max(scores, 1))
        kept, shares = tl.exp(highest - higher), tl.exp(scores - higher[:, None])
        block1, block2 = _load_halves(values + past + at * HEAD_DIM, inside, HALF)
        out1 = out1 * kept[:, None] + tl.sum(shares[:, :, None] * block1[None], 1)
        out2 = out2 * kept[:, None] + tl.sum(shares[:, :, None] * block2[None], 1)
        total, highest = total * kept + tl.sum(shares, 1), higher

    result = mixed + row * HEADS * HEAD_DIM + heads * HEAD_DIM + half
    if SPLITS == 1:
        _store_halves(result, out1 / total[:, None], out2 / total[:, None], HALF)
    else:
        WIDTH: tl.constexpr = HEAD_DIM + 2
        first = parts + (row * KV_HEADS + kv_head) * SPLITS * GROUP * WIDTH
        mine = first + (split * GROUP + tl.arange(0, GROUP)) * WIDTH
        _store_halves(mine[:, None] + half, out1, out2, HALF)
        tl.store(mine + HEAD_DIM, highest)
        tl.store(mine + HEAD_DIM + 1, total)
        tl.debug_barrier()  # the parts of all threads are written before this program counts as finished
        arrival = arrivals + row * KV_HEADS + kv_head
        if tl.atomic_add(arrival, 1, sem="acq_rel") == SPLITS - 1:
            tl.store(arrival, 0)
            _combine(first, result, SPLITS, GROUP, HEAD_DIM)


@triton.jit
def _load_halves(places: tl.tensor, inside: tl.tensor, HALF: tl.constexpr) -> tl.tensor:
    """Return the numbers at `places` and those HALF further on, in float32, and 0 outside."""
    first = tl.load(places, mask=inside, other=0).to(tl.float32)
    return first, tl.load(places + HALF, mask=inside, other=0).to(tl.float32)


@triton.jit
def _store_halves(places: tl.tensor, first: tl.tensor, second: tl.tensor, HALF: tl.constexpr) -> None:
    """Store `first` at `places` and `second` HALF further on, in the dtype there."""
    tl.store(places, first.to(places.dtype.element_ty))
    tl.store(places + HALF, second.to(places.dtype.element_ty))


@triton.jit
def _turned(
    token: tl.tensor,
    gains: tl.tensor,
    heads: tl.tensor,
    cosines: tl.tensor,
    sines: tl.tensor,
    EPS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
) -> tl.tensor:
    """Return both halves of some heads [heads, HEAD_DIM / 2] of a token, normed, weighted and rotated, in float32."""
    HALF: tl.constexpr = HEAD_DIM // 2
    at = heads * HEAD_DIM + tl.arange(0, HALF)[None, :]
    first, second = tl.load(token + at).to(tl.float32), tl.load(token + at + HALF).to(tl.float32)
    square = tl.sum(first * first, 1) + tl.sum(second * second, 1)
    scale = tl.rsqrt(square / HEAD_DIM + EPS)[:, None]
    first = first * scale * tl.load(gains + at).to(tl.float32)
    second = second * scale * tl.load(gains + at + HALF).to(tl.float32)
    return first * cosines - second * sines, second * cosines + first * sines


@triton.jit
def _combine(
    parts: tl.tensor, result: tl.tensor, SPLITS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr
) -> None:
    """Combine the parts of all splits, float32 [SPLITS, GROUP, HEAD_DIM + 2], into the places of `result`.

    A part is the sum of values, the highest score and the sum of shares. Read past the first-level cache, which does
    not see the writes of other programs.
    """
    HALF: tl.constexpr = HEAD_DIM // 2
    WIDTH: tl.constexpr = HEAD_DIM + 2
    split, group = tl.arange(0, SPLITS)[:, None], tl.arange(0, GROUP)[None, :]
    each = parts + (split * GROUP + group) * WIDTH
    highest = tl.load(each + HEAD_DIM, cache_modifier=".cg")
    shares = tl.exp(highest - tl.max(highest, 0)[None, :])
    total = tl.sum(shares * tl.load(each + HEAD_DIM + 1, cache_modifier=".cg"), 0)[:, None]
    places = each[:, :, None] + tl.arange(0, HALF)[None, None, :]
    first = tl.sum(shares[:, :, None] * tl.load(places, cache_modifier=".cg"), 0)
    second = tl.sum(shares[:, :, None] * tl.load(places + HALF, cache_modifier=".cg"), 0)
    _store_halves(result, first / total, second / total, HALF)
