"""Padded prefills into a slot against the unpadded ones of the exact path."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.conftest import LoadPair
from tests.engine.golden import Pair
from tests.engine.replay import Replays
from wyoming_qwen3.engine.lm.gpu_prefill import SlotPrefill
from wyoming_qwen3.engine.lm.transformer import KvCache

SLOTS, CAPACITY = 3, 320


@pytest.fixture(scope="module")
def pair(pairs: LoadPair) -> Pair:
    return pairs("custom_voice", "0.6B")


@pytest.fixture(scope="module")
def slots(pair: Pair) -> tuple[SlotPrefill, KvCache, Tensor]:
    """All steps recorded, over slots that have numbers of others."""
    stack: Any = pair.decoder.model.talker.transformer
    with torch.inference_mode():
        cache, hidden = stack.new_cache(CAPACITY, SLOTS), torch.zeros(SLOTS, 32)
        cache.keys.normal_()
        cache.values.normal_()
        graphs = Replays()
        prefill = SlotPrefill(stack, cache, hidden, (64, 128, CAPACITY), graphs)
    assert graphs.captured == {
        "the prefill": [(128, 320), (128, 64), (64, 320), (64, 64), (16, 320), (16, 64)],
    }
    return prefill, cache, hidden


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Padding gives products another shape, and so another order of sums, in each layer."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def exact(pair: Pair, embeddings: Tensor) -> tuple[Tensor, KvCache]:
    talker = pair.decoder.model.talker
    cache = talker.transformer.new_cache(len(embeddings))
    return talker.advance(embeddings[None], (cache,))[0], cache


@pytest.mark.parametrize("length", [1, 16, 17, 65, 129, 320])
@pytest.mark.parametrize("head", [0, 9])
@torch.inference_mode()
def test_a_padded_prefill_is_the_unpadded_one(
    pair: Pair, slots: tuple[SlotPrefill, KvCache, Tensor], length: int, head: int
) -> None:
    prefill, cache, hidden = slots
    slot = length % SLOTS
    before = [tensor.clone() for tensor in (cache.keys, cache.values, hidden)]
    embeddings = 0.5 * torch.randn(length, 32, generator=torch.Generator().manual_seed(length))
    start = min(head, length - 1)
    if start:
        prefill.run(slot, 0, embeddings[:start])
    found = prefill.run(slot, start, embeddings[start:])
    expected, written = exact(pair, embeddings)
    assert_near(found, expected)
    assert found.data_ptr() == hidden[slot].data_ptr()
    for mine, its, was in zip((cache.keys, cache.values), (written.keys, written.values), before, strict=False):
        assert_near(mine[:, slot, :, :length], its[:, 0])
        was[:, slot, :, :length] = mine[:, slot, :, :length]
        assert torch.equal(mine, was)  # nothing after the prompt, and nothing of another slot
    before[2][slot] = found
    assert torch.equal(hidden, before[2])


@torch.inference_mode()
def test_a_prefill_is_the_same_in_any_slot(slots: tuple[SlotPrefill, KvCache, Tensor]) -> None:
    prefill, cache, _ = slots
    embeddings = torch.randn(23, 32, generator=torch.Generator().manual_seed(0))
    states = [prefill.run(slot, 0, embeddings).clone() for slot in range(SLOTS)]
    assert all(torch.equal(state, states[0]) for state in states)
    assert torch.equal(cache.keys[:, 0, :, :23], cache.keys[:, 2, :, :23])
