"""A stack of decoder layers in five launches a layer. Knows its weights and its cache, not what its tokens mean."""

import torch
from torch import Tensor

from wyoming_qwen3.engine.lm.transformer import KvCache

from .kernels.attention import attend
from .kernels.product import add_projection, project, project_gated
from .launches import KernelBlocks, Launch, power_of_two
from .weights import FusedLinear, LayerWeights, StackWeights

_SPLIT_FROM = 64
"""Cache positions from which attention is split over several programs for each key head."""

_SPLITS, _POSITIONS = 8, 32
"""Programs of a split attention, and the positions that each of them reads at a time."""


class FusedStack:
    """Decoder layers that advance each of the first rows of a cache [layers, rows, ...] by one token."""

    def __init__(self, weights: StackWeights, cache: KvCache, launch: Launch, blocks: KernelBlocks) -> None:
        self._weights, self._launch, self._blocks = weights, launch, blocks
        self._keys, self._values = cache.keys, cache.values
        self._splits = _SPLITS if cache.capacity >= _SPLIT_FROM else 1
        rows, width, like = cache.rows, weights.heads * weights.head_dim, weights.gain.weight
        self._qkv = like.new_empty(rows, width + 2 * weights.kv_heads * weights.head_dim)
        self._mixed = like.new_empty(rows, width)
        self._inner = like.new_empty(rows, weights.layers[0].down.weight.shape[1])
        group = weights.heads // weights.kv_heads
        parts = (rows, weights.kv_heads, self._splits, group, weights.head_dim + 2)
        self._parts = torch.empty(parts, dtype=torch.float32, device=like.device)
        self._arrivals = torch.zeros(rows, weights.kv_heads, dtype=torch.int32, device=like.device)

    def advance(self, rows: int, states: Tensor, positions: Tensor, *, cache_only: bool = False) -> None:
        """Advance the first rows by one token each.

        `states` [>= rows, hidden] are the inputs, and become the outputs before the final norm; `positions` int64
        [>= rows] are the tokens' positions. With `cache_only` only the tokens' keys and values are of use, and the
        states are left undefined.
        """
        for number, layer in enumerate(self._weights.layers):
            self._attend(rows, layer, number, states, positions)
            if not (cache_only and number == len(self._weights.layers) - 1):
                self._add(rows, layer.out, self._mixed, states)
                self._feed_forward(rows, layer, states)

    def _attend(self, rows: int, layer: LayerWeights, number: int, states: Tensor, positions: Tensor) -> None:
        gain, qkv, weights = layer.attention_gain, layer.qkv, self._weights
        shape = self._blocks.of(rows, qkv.weight, qkv.scales)
        grid = (len(qkv.weight) // shape["BLOCK_OUTPUTS"],)
        tensors = (states, gain.weight, *qkv.tensors, gain.weight, self._qkv)
        self._launch(project, grid, *tensors, EPS=gain.eps, NORMED=True, BIASED=False, **shape)
        capacity = self._keys.shape[3]
        self._launch(
            attend,
            (self._splits, weights.kv_heads, rows),
            *(self._qkv, layer.head_gains.weight, weights.cos, weights.sin, self._keys[number], self._values[number]),
            *(positions, self._mixed, self._parts, self._arrivals),
            EPS=layer.head_gains.eps,
            SCALE=weights.head_dim**-0.5,
            HEADS=weights.heads,
            KV_HEADS=weights.kv_heads,
            HEAD_DIM=weights.head_dim,
            CAPACITY=capacity,
            BLOCK=min(_POSITIONS, power_of_two(capacity)),
            SPLITS=self._splits,
        )

    def _feed_forward(self, rows: int, layer: LayerWeights, states: Tensor) -> None:
        gain, both = layer.mlp_gain, layer.gate_up
        shape = self._blocks.of(rows, both.weight, both.scales, parts=2)
        grid = (len(both.weight) // shape["BLOCK_OUTPUTS"],)
        self._launch(project_gated, grid, states, gain.weight, *both.tensors, self._inner, EPS=gain.eps, **shape)
        self._add(rows, layer.down, self._inner, states)

    def _add(self, rows: int, layer: FusedLinear, x: Tensor, states: Tensor) -> None:
        shape = self._blocks.of(rows, layer.weight, layer.scales)
        grid = (len(layer.weight) // shape["BLOCK_OUTPUTS"],)
        self._launch(add_projection, grid, x, *layer.tensors, states, **shape)
