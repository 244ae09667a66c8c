"""The prefill on a GPU: steps for a few numbers of positions, which can be captured and write into a slot.

A shorter part of a prompt is padded with copies of its last position. These compute and write what that position does,
at the same place, so they change nothing, and the last one has the part's hidden state.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.engine.cuda_graphs import Graphs, Step, upload

from .transformer import KvCache, Transformer

PARTS = (16, 64, 128)
"""Positions of the steps. A longer prompt is computed in parts; up to about 100 positions the time is that of reading
the weights."""


class SlotPrefill:
    """Prefills the slots of a cache [layers, slots, ...]; all steps are captured when it is created."""

    def __init__(
        self, transformer: Transformer, cache: KvCache, hidden: Tensor, lengths: Sequence[int], graphs: Graphs
    ) -> None:
        """`hidden` [slots, hidden] gets the hidden states. The first and last of `lengths` are what is attended to.

        Raises CaptureFailed.
        """
        self._transformer, self._cache, self._hidden = transformer, cache, hidden
        self._lengths = sorted({lengths[0], lengths[-1]})
        self._prompt = hidden.new_zeros(PARTS[-1], hidden.shape[1])
        self._place = torch.tensor([[0, 0, 1]], device=hidden.device)
        """Slot, first position and number of positions of the next part, int64 [1, 3]."""

        each = product(PARTS[::-1], self._lengths[::-1])
        steps: dict[tuple[int, int], Step] = {(part, length): partial(self._run, part, length) for part, length in each}
        self._steps = graphs.capture("the prefill", steps)

    def run(self, slot: int, start: int, embeddings: Tensor) -> Tensor:
        """Advance a slot by embeddings [positions, hidden] from position `start` on; there must be room for them.

        Returns the slot's hidden state [hidden], a view. The result does not depend on the slot or on other slots.
        """
        for part in embeddings.split(PARTS[-1]):  # type: ignore[no-untyped-call]
            self._prompt[: len(part)] = part
            upload([[slot, start, len(part)]], into=self._place)
            start += len(part)
            positions = PARTS[bisect_left(PARTS, len(part))]
            self._steps[positions, self._lengths[bisect_left(self._lengths, start)]]()
        return self._hidden[slot]

    def _run(self, part: int, length: int) -> None:
        slot, start, count = self._place[0].split(1)  # type: ignore[no-untyped-call]
        places = torch.minimum(torch.arange(part, device=slot.device), count - 1)
        past = _SlotPast(self._cache, slot, start + places, length)
        states = self._transformer.step(self._prompt[places], past, start + places)
        self._hidden.index_copy_(0, slot, states[-1:])


class _SlotPast:
    """A slot as the past of a prompt's positions: to a transformer each of these is a row of one token."""

    def __init__(self, cache: KvCache, slot: Tensor, positions: Tensor, length: int) -> None:
        self.rows = len(positions)
        self._cache, self._length = cache, length
        self._slot, self._positions = slot, positions
        self._mask = torch.arange(length, device=slot.device) <= positions[:, None]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend as Past.attend does; all keys and values are written first, and the mask hides the later ones."""
        keys, values = self._write(self._cache.keys[layer], k), self._write(self._cache.values[layer], v)
        mixed = F.scaled_dot_product_attention(q.transpose(0, 2), keys, values, attn_mask=self._mask, enable_gqa=True)
        return mixed[0].transpose(0, 1).reshape(self.rows, 1, -1)

    def _write(self, cache: Tensor, new: Tensor) -> Tensor:
        """Write [rows, kv_heads, 1, head_dim] to the slot, and return a copy of what is attended to, [1, ...]."""
        cache[self._slot.expand(self.rows), :, self._positions] = new[:, :, 0]
        return cache[:, :, : self._length].index_select(0, self._slot)
