"""Draws without a sort against those of WarpTable and Slots, on Triton's interpreter."""

import pytest
import torch

from wyoming_qwen3.engine.lm.sampling import penalised

from .exact import GREEDY, WARPS, exponential
from .kernel_calls import call_draw_first, call_draw_residual, draw_tensors, noise, warp_table

pytestmark = pytest.mark.triton


@pytest.mark.parametrize("ids", [64, pytest.param(2048, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_each_warp_draws_what_a_sort_draws(ids: int, seed: int) -> None:
    logits, numbers, table = (
        noise(len(WARPS), ids, seed=seed, scale=3),
        exponential(8, ids, seed),
        warp_table(WARPS, ids),
    )
    assert torch.equal(call_draw_residual(logits, numbers, table)["codes"][:, 0], table.draw(logits, numbers))


@pytest.mark.slow
def test_ties_zeros_and_infinities_are_cut_as_by_a_sort() -> None:
    ids = 48
    coarse = noise(len(WARPS), ids).round()  # many are equal, and some are a zero of either sign
    coarse[coarse == 0] = -0.0
    coarse[:, ::5] = 0.0
    coarse[:, 7] = -torch.inf
    for seed in range(3):
        numbers, table = exponential(8, ids, seed), warp_table(WARPS, ids)
        assert torch.equal(call_draw_residual(coarse, numbers, table)["codes"][:, 0], table.draw(coarse, numbers))


def test_a_draw_embeds_its_code_and_adds_it_to_the_sum() -> None:
    logits, numbers, table = noise(2, 64), exponential(2, 64), warp_table([GREEDY, WARPS[1]], 64)
    for last in (False, True):
        before, made = draw_tensors(2, 64), call_draw_residual(logits, numbers, table, last=last)
        embedded = made["table"][made["codes"][:, 0]]
        sums = before["totals"] + embedded
        sums[0] = 0  # which does not speak
        assert torch.equal(made["inputs"], before["inputs"] if last else embedded)
        assert torch.equal(made["totals"], before["totals"] if last else before["totals"] + embedded)
        assert torch.equal(made["sums"], sums if last else before["sums"])
        assert (made["codes"][:, 1:] == -1).all()


@pytest.mark.parametrize("ids", [64, pytest.param(3072, marks=pytest.mark.slow)])
def test_the_first_code_is_penalised_and_never_a_banned_one(ids: int) -> None:
    rows, end = 4, ids - 3
    seen = torch.rand(rows, ids, generator=torch.Generator().manual_seed(0)) < 0.5
    banned = torch.zeros(ids, dtype=torch.bool)
    banned[-8:] = True
    banned[end] = False
    logits, numbers = noise(rows, ids, scale=3), exponential(rows, ids)
    logits[:, end] = 20
    logits[:, -1] = 30
    penalties, drawn = torch.tensor([[1.0], [1.3], [2.0], [1.1]]), torch.tensor([0, 1, 2, 3])
    table = warp_table(WARPS[:rows], ids)
    was_seen = seen.clone()
    made = call_draw_first(logits, numbers, table, seen=seen, banned=banned, penalties=penalties, drawn=drawn, end=end)
    expected = penalised(logits, was_seen, penalties).masked_fill(banned, -torch.inf)
    expected[:2, end] = -torch.inf
    codes = table.draw(expected, numbers)
    assert torch.equal(made["codes"][:, 0], codes)
    assert (codes[2:] == end).all()
    assert torch.equal(made["inputs"], made["table"][codes])
    assert torch.equal(made["totals"], made["table"][codes])
    was_seen[torch.arange(1, rows), codes[1:]] = True  # the first row does not speak
    assert torch.equal(made["seen"], was_seen)
