"""The decoder stack that talker and code predictor have in common, and its KV cache.

Knows only tensors; does NOT know text, codes or embeddings. Each layer computes the same numbers as upstream's, whose
multimodal rotary embedding equals the plain one-dimensional one, because its three rows of positions are equal.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.engine.checkpoint.config import StackConfig
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader

MakeLinear = Callable[[Tensor], nn.Module]


class _EmptyLinear(nn.Linear):
    def reset_parameters(self) -> None:
        """Skip initialisation: the weight is set afterwards, and initialising a meta tensor imports half of torch."""


class _EmptyEmbedding(nn.Embedding):
    def reset_parameters(self) -> None:
        """Skip initialisation, as in _EmptyLinear."""


def linear_layer(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """Return a linear layer with a given weight [outputs, inputs] and bias [outputs], without copying them."""
    outputs, inputs = weight.shape
    layer = _EmptyLinear(inputs, outputs, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def embedding_layer(table: Tensor) -> nn.Embedding:
    """Return an embedding with a given table [ids, features], without copying it."""
    ids, features = table.shape
    layer = _EmptyEmbedding(ids, features, device="meta")
    layer.weight = nn.Parameter(table, requires_grad=False)
    return layer


class Past(Protocol):
    """The earlier keys and values of some rows, as attention uses them."""

    @property
    def rows(self) -> int:
        """Number of sequences."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store the keys and values of new tokens, [rows, kv_heads, tokens, head_dim], and compute their attention.

        `q` is [rows, heads, tokens, head_dim]; returns [rows, tokens, heads * head_dim].
        """


class KvCache:
    """Keys and values of `rows` sequences of the same length: each [layers, rows, kv_heads, capacity, head_dim].

    The first `length` positions are valid. `reserve` at least doubles the capacity when it has to grow.
    """

    def __init__(self, keys: Tensor, values: Tensor, length: int = 0) -> None:
        self.keys = keys
        self.values = values
        self.length = length

    @property
    def rows(self) -> int:
        """Number of sequences."""
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        """Number of positions that fit without growing."""
        return self.keys.shape[3]

    def restore(self, other: "KvCache") -> None:
        """Become a copy of another cache with the same number of rows; there must be room for its positions."""
        self.keys[:, :, :, : other.length] = other.keys[:, :, :, : other.length]
        self.values[:, :, :, : other.length] = other.values[:, :, :, : other.length]
        self.length = other.length

    def reserve(self, length: int) -> None:
        """Make room for `length` positions in total."""
        if length > self.capacity:
            capacity = max(length, 2 * self.capacity)
            self.keys = self._grown(self.keys, capacity)
            self.values = self._grown(self.values, capacity)

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [rows, kv_heads, tokens, head_dim] after the valid positions; return views of all, [..., total, ...].

        Does not change `length`: the caller adds the tokens once all layers are written.
        """
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend as Past.attend says; the tokens follow the valid positions and attend to all of them."""
        return _attention(q, *self.write(layer, k, v))

    def _grown(self, old: Tensor, capacity: int) -> Tensor:
        new = old.new_empty(*old.shape[:3], capacity, old.shape[4])
        new[:, :, :, : self.length] = old[:, :, :, : self.length]
        return new


class Transformer(nn.Module):
    """A stack of Qwen3 decoder layers and its final norm, read layer by layer.

    `positions` is the maximum length of a sequence; `linear` builds a linear layer from its weight. Raises ModelFailed
    if the layers are of a variant that no published checkpoint has.
    """

    splits_exactly = False
    """False, because the size of a matrix product changes its rounding."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self, read: TensorReader, config: StackConfig, positions: int, linear: MakeLinear = linear_layer
    ) -> None:
        super().__init__()
        if config.attention_bias or config.sliding_window is not None or config.hidden_act != "silu":
            raise ModelFailed("The checkpoint has decoder layers of a kind that is not supported.")
        self.kv_heads: int = config.num_key_value_heads
        self.head_dim: int = config.head_dim
        self.layers = nn.ModuleList(
            _Layer(read.below(f"layers.{number}."), config, linear) for number in range(config.num_hidden_layers)
        )
        self.norm = _Norm(read("norm.weight", config.hidden_size), config.rms_norm_eps)
        cos, sin = (torch.cat((half, half), 1) for half in rotary_table(positions, self.head_dim, config.rope_theta))
        self.register_buffer("cos", cos.to(self.norm.weight), persistent=False)
        self.register_buffer("sin", sin.to(self.norm.weight), persistent=False)

    def new_cache(self, capacity: int, rows: int = 1) -> KvCache:
        """Return an empty cache for `rows` sequences."""
        shape = (len(self.layers), rows, self.kv_heads, capacity, self.head_dim)
        keys = self.norm.weight.new_empty(shape)
        return KvCache(keys, torch.empty_like(keys))

    def forward(self, x: Tensor, caches: Sequence[KvCache]) -> Tensor:
        """Advance sequences by some tokens: [rows, tokens, hidden] -> the same shape, after the final norm.

        The rows are those of the caches, in order. Linear layers run over all rows at once; attention runs per cache,
        as caches differ in length.
        """
        tokens = x.shape[1]
        for cache in caches:
            cache.reserve(cache.length + tokens)
        states = self._run(x, caches, *self._rotation(caches, tokens))
        for cache in caches:
            cache.length += tokens
        return states

    def step(self, x: Tensor, past: Past, positions: Tensor) -> Tensor:
        """Advance each row by one token: [rows, hidden] -> the same shape, after the final norm.

        `positions` int64 [rows] are the positions of the tokens. Does not wait for the device or read a value back, so
        that it can be captured.
        """
        cos, sin = self.cos[positions][:, None, None], self.sin[positions][:, None, None]
        return self._run(x[:, None], (past,), cos, sin)[:, 0]

    def _run(self, x: Tensor, pasts: Sequence[Past], cos: Tensor, sin: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            x = layer(x, number, pasts, cos, sin)
        normed: Tensor = self.norm(x)
        return normed

    def _rotation(self, caches: Sequence[KvCache], tokens: int) -> tuple[Tensor, Tensor]:
        """Return cosines and sines for the next positions of all rows: [rows or 1, tokens, 1, head_dim]."""
        starts = [cache.length for cache in caches for _ in range(cache.rows)]
        if min(starts) == max(starts):
            span = slice(starts[0], starts[0] + tokens)
            return self.cos[None, span, None], self.sin[None, span, None]
        first = torch.tensor(starts, device=self.cos.device)[:, None]
        places = first + torch.arange(tokens, device=self.cos.device)
        return self.cos[places][:, :, None], self.sin[places][:, :, None]


class _Norm(nn.Module):
    """RMS norm over the last dimension, in float32; weighted in the dtype of the input, as upstream does.

    `weight` is [..., features]: one set of weights, or one for each head.
    """

    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * F.rms_norm(x, x.shape[-1:], None, self.eps)


class _Layer(nn.Module):
    """One decoder layer with fused projections; queries and keys are normed and rotated together."""

    def __init__(self, read: TensorReader, config: StackConfig, linear: MakeLinear) -> None:
        super().__init__()
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.head_dim: int = config.head_dim
        hidden, inner, eps = config.hidden_size, config.intermediate_size, config.rms_norm_eps
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        outputs = {"q": queries, "k": keys, "v": keys}
        self.attention_norm = _Norm(read("input_layernorm.weight", hidden), eps)
        self.qkv = linear(torch.cat([read(f"self_attn.{part}_proj.weight", n, hidden) for part, n in outputs.items()]))
        head_weights = [
            read("self_attn.q_norm.weight", self.head_dim).expand(self.heads, -1),
            read("self_attn.k_norm.weight", self.head_dim).expand(self.kv_heads, -1),
        ]
        self.qk_norm = _Norm(torch.cat(head_weights), eps)
        self.out = linear(read("self_attn.o_proj.weight", hidden, queries))
        self.mlp_norm = _Norm(read("post_attention_layernorm.weight", hidden), eps)
        self.gate_up = linear(torch.cat([read(f"mlp.{part}_proj.weight", inner, hidden) for part in ("gate", "up")]))
        self.down = linear(read("mlp.down_proj.weight", hidden, inner))

    def forward(self, x: Tensor, number: int, pasts: Sequence[Past], cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self._attend(self.attention_norm(x), number, pasts, cos, sin)
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)  # type: ignore[no-any-return]

    def _attend(self, x: Tensor, number: int, pasts: Sequence[Past], cos: Tensor, sin: Tensor) -> Tensor:
        rows, tokens, _ = x.shape
        qkv = self.qkv(x).view(rows, tokens, -1, self.head_dim)
        qk, v = qkv.split((self.heads + self.kv_heads, self.kv_heads), dim=2)
        qk = self.qk_norm(qk)
        first, second = qk.chunk(2, dim=-1)
        qk = qk * cos + torch.cat((-second, first), dim=-1) * sin
        q, k = qk.transpose(1, 2).split((self.heads, self.kv_heads), dim=1)
        v = v.transpose(1, 2)
        parts, start = [], 0
        for past in pasts:
            span = slice(start, start + past.rows)
            parts.append(past.attend(number, q[span], k[span], v[span]))
            start += past.rows
        mixed = parts[0] if len(parts) == 1 else torch.cat(parts)
        return self.out(mixed)  # type: ignore[no-any-return]


def rotary_table(positions: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, float32 [positions, head_dim / 2], the same for both halves (Su et al., 2021)."""
    frequencies = 1.0 / theta ** (torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.arange(positions).float()[:, None] * frequencies
    return angles.cos(), angles.sin()


def attention_of_one(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute attention of one token per row over `k` and `v` [rows, kv_heads, total, head_dim], where `mask` is true.

    `q` is [rows, heads, 1, head_dim], `mask` [rows, 1, 1, total]; returns [rows, 1, heads * head_dim].
    """
    rows, heads, _, head_dim = q.shape
    # The query heads of one key head are passed as query positions, so that keys need not be copied.
    grouped = q.reshape(rows, k.shape[1], heads // k.shape[1], head_dim)
    return F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask).reshape(rows, 1, heads * head_dim)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Compute causal attention of the last tokens over all of `k` and `v` [rows, kv_heads, total, head_dim].

    `q` is [rows, heads, tokens, head_dim]; returns [rows, tokens, heads * head_dim].
    """
    rows, heads, tokens, head_dim = q.shape
    total = k.shape[2]
    if tokens == 1:
        return attention_of_one(q, k, v)
    if total == tokens:
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    else:
        mask = torch.ones(tokens, total, dtype=torch.bool, device=q.device).tril(total - tokens)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    return mixed.transpose(1, 2).reshape(rows, tokens, heads * head_dim)
