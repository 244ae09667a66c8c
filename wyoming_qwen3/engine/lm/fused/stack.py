"""A stack of decoder layers in five launches a layer. Knows its weights and its cache, not what its tokens mean."""

import torch
from torch import Tensor

from wyoming_qwen3.engine.lm.transformer import KvCache, Transformer

from .kernels.attention import attend
from .kernels.product import add_projection, project, project_gated
from .launches import Blocks, Launch, power_of_two

_SPLIT_FROM = 64
"""Positions from which attention is split over several programs for each key head."""

_SPLITS, _POSITIONS = 8, 32
"""Programs of a split attention, and the positions that each of them reads at a time."""


class FusedStack:
    """A transformer that advances each of its first rows by one token; its cache [layers, rows, ...] is overwritten."""

    def __init__(self, transformer: Transformer, cache: KvCache, launch: Launch, blocks: Blocks) -> None:
        self._launch, self._blocks = launch, blocks
        self._layers: list[torch.nn.Module] = list(transformer.layers)
        self._cos, self._sin = transformer.cos, transformer.sin
        self._keys, self._values = cache.keys, cache.values
        first, rows = transformer.layers[0], cache.rows
        self._heads: int = first.heads
        self._kv_heads: int = first.kv_heads
        self._head_dim: int = first.head_dim
        self._splits = _SPLITS if cache.capacity >= _SPLIT_FROM else 1
        width = self._heads * self._head_dim
        new = transformer.norm.weight.new_empty
        self._qkv = new(rows, width + 2 * self._kv_heads * self._head_dim)
        self._mixed = new(rows, width)
        self._inner = new(rows, first.down.in_features)
        group = self._heads // self._kv_heads
        parts = (rows, self._kv_heads, self._splits, group, self._head_dim + 2)
        self._parts = torch.empty(parts, dtype=torch.float32, device=self._qkv.device)
        self._arrivals = torch.zeros(rows, self._kv_heads, dtype=torch.int32, device=self._qkv.device)

    def advance(self, rows: int, states: Tensor, positions: Tensor, *, cache_only: bool = False) -> None:
        """Advance the first rows by one token each.

        `states` [>= rows, hidden] are the inputs, and become the outputs before the final norm; `positions` int64
        [>= rows] are the tokens' positions. With `cache_only` the states are left undefined, and only the tokens' keys
        and values count.
        """
        for number, layer in enumerate(self._layers):
            self._attend(rows, layer, number, states, positions)
            if not (cache_only and number == len(self._layers) - 1):
                self._add(rows, layer.out.weight, self._mixed, states)
                self._feed_forward(rows, layer, states)

    def _attend(self, rows: int, layer: torch.nn.Module, number: int, states: Tensor, positions: Tensor) -> None:
        norm, qkv = layer.attention_norm, layer.qkv
        shape = self._blocks.of(rows, qkv.in_features, qkv.out_features)
        grid = (qkv.out_features // shape["BLOCK_OUTPUTS"],)
        tensors = (states, norm.weight, qkv.weight, norm.weight, self._qkv)
        self._launch(project, grid, *tensors, EPS=norm.eps, NORMED=True, BIASED=False, **shape)
        capacity = self._keys.shape[3]
        self._launch(
            attend,
            (self._splits, self._kv_heads, rows),
            *(self._qkv, layer.qk_norm.weight, self._cos, self._sin, self._keys[number], self._values[number]),
            *(positions, self._mixed, self._parts, self._arrivals),
            EPS=layer.qk_norm.eps,
            SCALE=self._head_dim**-0.5,
            HEADS=self._heads,
            KV_HEADS=self._kv_heads,
            HEAD_DIM=self._head_dim,
            CAPACITY=capacity,
            BLOCK=min(_POSITIONS, power_of_two(capacity)),
            SPLITS=self._splits,
        )

    def _feed_forward(self, rows: int, layer: torch.nn.Module, states: Tensor) -> None:
        norm, weight = layer.mlp_norm, layer.gate_up.weight
        shape = self._blocks.of(rows, weight.shape[1], weight.shape[0] // 2)
        grid = (weight.shape[0] // shape["BLOCK_OUTPUTS"],)
        self._launch(project_gated, grid, states, norm.weight, weight, self._inner, EPS=norm.eps, **shape)
        self._add(rows, layer.down.weight, self._inner, states)

    def _add(self, rows: int, weight: Tensor, x: Tensor, states: Tensor) -> None:
        shape = self._blocks.of(rows, weight.shape[1], weight.shape[0])
        self._launch(add_projection, (weight.shape[0] // shape["BLOCK_OUTPUTS"],), x, weight, states, **shape)
