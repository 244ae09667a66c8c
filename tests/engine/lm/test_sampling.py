"""Draws are those of transformers' own processors, in its order, from a generator of their own."""

from typing import Any

import pytest
import torch
from torch import Tensor

from wyoming_qwen3.core.request import Sampling
from wyoming_qwen3.engine.lm.sampling import Choice, Sampler, Warp, WarpTable, choose, draw_residual

VOCABULARY, END = 40, 33
DEFAULTS: dict[str, Any] = {
    "do_sample": True,
    "temperature": 0.7,
    "top_k": 20,
    "top_p": 0.9,
    "repetition_penalty": 1.1,
    "subtalker_dosample": True,
    "subtalker_temperature": 0.6,
    "subtalker_top_k": 10,
    "subtalker_top_p": 0.8,
}


def sampler(talker: Warp, predictor: Warp | None = None, penalty: float = 1.0, seed: int = 3) -> Sampler:
    banned = torch.zeros(VOCABULARY, dtype=torch.bool)
    banned[30:] = True
    banned[END] = False
    return Sampler(Choice(talker, predictor or talker, penalty, seed), banned, END)


def logits(count: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(count, VOCABULARY, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("warp", "penalty"),
    [
        (Warp(0.9, 50, 1.0), 1.05),
        (Warp(0.9, 8, 1.0), 1.5),
        (Warp(1.0, 0, 0.7), 1.0),
        (Warp(2.0, 12, 0.9), 0.8),
        (Warp(0.3, 1, 0.01), 1.3),
    ],
)
def test_draws_are_those_of_transformers(warp: Warp, penalty: float) -> None:
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        SuppressTokensLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    banned = [number for number in range(30, VOCABULARY) if number != END]
    processors = LogitsProcessorList(
        [SuppressTokensLogitsProcessor(banned, "cpu"), TemperatureLogitsWarper(warp.temperature)]
    )
    if penalty != 1.0:
        processors.insert(0, RepetitionPenaltyLogitsProcessor(penalty))
    if warp.top_k:
        processors.append(TopKLogitsWarper(warp.top_k))
    if warp.top_p < 1:
        processors.append(TopPLogitsWarper(warp.top_p))
    ours = sampler(warp, penalty=penalty)
    generator = torch.Generator().manual_seed(3)
    history = torch.zeros(1, 0, dtype=torch.long)
    for step, row in enumerate(logits(60)):
        scores = row[None].clone()
        if step < 2:
            scores[0, END] = -torch.inf
        probabilities = processors(history, scores).softmax(-1)
        golden = torch.multinomial(probabilities, 1, generator=generator)
        assert ours.draw(row).item() == golden.item()
        history = torch.cat((history, golden), dim=1)


def test_a_table_of_warps_draws_as_each_of_them() -> None:
    """The same numbers of a generator give the ids that torch.multinomial draws, each row by its own warp."""
    warps = [Warp(0.9, 50, 1.0), Warp(0.9, 8, 1.0), Warp(1.0, 0, 0.7), Warp(2.0, 12, 0.9), Warp(0.3, 1, 0.01)]
    table = WarpTable(len(warps) + 1, VOCABULARY, torch.device("cpu"))
    for row, warp in enumerate([*warps, Warp(0.0, 50, 0.5)]):
        table.put(row, Warp(1.0, 3, 0.5))
        table.put(row, warp)
    for seed in range(50):
        given = logits(len(warps) + 1, seed)
        given[:, 7] = -torch.inf
        noise = torch.ones_like(given)
        for row in range(len(warps)):
            noise[row].exponential_(generator=torch.Generator().manual_seed(row + 100 * seed))
        golden = [
            torch.multinomial(
                warp.probabilities(given[row][None])[0],
                1,
                generator=torch.Generator().manual_seed(row + 100 * seed),
            ).item()
            for row, warp in enumerate(warps)
        ]
        assert table.draw(given, noise).tolist() == [*golden, given[-1].argmax().item()]
        assert table.draw(given[:2], noise[:2]).tolist() == golden[:2]


def test_greedy_draw_comes_after_penalty_and_bans() -> None:
    ours = sampler(Warp(0.0, 50, 1.0), penalty=2.0)
    row = torch.zeros(VOCABULARY)
    row[[31, END, 5, 6]] = torch.tensor([9.0, 8.0, 3.0, 2.0])
    assert [ours.draw(row).item() for _ in range(3)] == [5, 6, END]
    row[END] = 0
    assert ours.draw(row).item() == 5


def test_penalty_pushes_negative_logits_down_too() -> None:
    ours = sampler(Warp(0.0, 0, 1.0), penalty=2.0)
    row = torch.full((VOCABULARY,), -9.0)
    row[[5, 6]] = torch.tensor([-2.0, -3.0])
    assert [ours.draw(row).item() for _ in range(2)] == [5, 6]


def test_end_is_not_drawn_in_the_first_two_steps() -> None:
    ours = sampler(Warp(1.0, 0, 1.0))
    row = torch.zeros(VOCABULARY)
    row[END] = 100
    assert [ours.draw(row).item() == END for _ in range(4)] == [False, False, True, True]


def test_rows_draw_from_their_own_generators() -> None:
    warp, other = Warp(0.9, 5, 1.0), Warp(0.0, 5, 1.0)

    def samplers() -> list[Sampler]:
        return [sampler(warp, seed=1), sampler(warp, seed=2), sampler(warp, other, seed=3)]

    alone = [[draw_residual(row[None], [each]).item() for row in logits(20)] for each in samplers()]
    for count in (2, 3):
        together = samplers()[:count]
        drawn = torch.stack([draw_residual(row.expand(count, -1), together) for row in logits(20)], dim=1)
        assert drawn.tolist() == alone[:count]


def test_open_values_are_the_checkpoints() -> None:
    choice = choose(Sampling(seed=4), DEFAULTS)
    assert choice == Choice(Warp(0.7, 20, 0.9), Warp(0.6, 10, 0.8), 1.1, 4)


def test_given_values_go_to_talker_and_predictor() -> None:
    choice = choose(Sampling(temperature=0.2, top_k=0, top_p=0.5, repetition_penalty=1.4), DEFAULTS)
    assert choice == Choice(Warp(0.2, 0, 0.5), Warp(0.2, 0, 0.5), 1.4, None)


def test_checkpoint_that_does_not_sample_is_greedy_unless_asked() -> None:
    defaults = DEFAULTS | {"do_sample": False, "subtalker_dosample": False}
    greedy, asked = choose(Sampling(), defaults), choose(Sampling(temperature=0.4), defaults)
    assert (greedy.talker.temperature, greedy.predictor.temperature) == (0, 0)
    assert (asked.talker.temperature, asked.predictor.temperature) == (0.4, 0.4)


def test_constants_where_the_checkpoint_says_nothing() -> None:
    assert choose(Sampling(), {}) == Choice(Warp(0.9, 50, 1.0), Warp(0.9, 50, 1.0), 1.05, None)


def test_without_a_seed_draws_differ() -> None:
    row = torch.zeros(VOCABULARY)
    drawn = []
    for _ in range(2):
        ours = Sampler(choose(Sampling(), {}), torch.zeros(VOCABULARY, dtype=torch.bool), END)
        drawn.append([ours.draw(row).item() for _ in range(20)])
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("temperature", [0.0, 1e-12, 5e-324])
def test_a_temperature_that_no_logit_can_be_divided_by_is_greedy(temperature: float) -> None:
    choice = choose(Sampling(temperature=temperature), DEFAULTS)
    sampler = Sampler(choice, torch.zeros(4, dtype=torch.bool), end=3)
    assert sampler.draw(torch.tensor([1.0, 90.0, -90.0, 0.0])) == 1
    assert draw_residual(torch.tensor([[1.0, 90.0, -90.0]]), [sampler]).tolist() == [1]
