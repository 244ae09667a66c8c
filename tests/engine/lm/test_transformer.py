"""The decoder stack gives the same states however its tokens are grouped, and caches can be shared and grown."""

import pytest
import torch
from torch import Tensor

from tests.engine.conftest import LoadPair
from wyoming_qwen3.engine.lm.talker import Layers


@pytest.fixture
def transformer(pairs: LoadPair) -> Layers:
    return pairs("custom_voice", "0.6B").decoder._talker.transformer


def tokens(count: int, rows: int = 1) -> Tensor:
    return torch.randn(rows, count, 32, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("cuts", [(12,), (1, 11), (5, 4, 3), (1,) * 12])
def test_pieces_give_the_states_of_the_whole(transformer: Layers, cuts: tuple[int, ...]) -> None:
    x = tokens(12)
    whole = transformer(x, [transformer.new_cache(12)])
    cache = transformer.new_cache(1)
    pieces = torch.cat([transformer(piece, [cache]) for piece in x.split(cuts, dim=1)], dim=1)  # type: ignore[no-untyped-call]
    assert cache.length == 12
    torch.testing.assert_close(pieces, whole, rtol=1e-4, atol=1e-4)


def test_rows_of_one_cache_and_of_several_are_alike(transformer: Layers) -> None:
    x = tokens(3, rows=4)
    together = transformer(x, [transformer.new_cache(3, rows=4)])
    apart = transformer(x, [transformer.new_cache(3, rows=1), transformer.new_cache(3, rows=3)])
    torch.testing.assert_close(apart, together, rtol=1e-4, atol=1e-4)


def test_growing_doubles_and_keeps_what_is_there(transformer: Layers) -> None:
    cache = transformer.new_cache(4)
    transformer(tokens(4), [cache])
    kept = cache.keys[:, :, :, :4].clone()
    transformer(tokens(1), [cache])
    assert cache.capacity == 8
    assert torch.equal(cache.keys[:, :, :, :4], kept)
