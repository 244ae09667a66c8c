"""The transformer of the 12 Hz codec's decoder; signals and states are as in layers.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .layers import Affine, LayerHistory, extend_each, together


class RMSNorm:
    """x / rms(x) * weight, normalised in float32 whatever x is, as upstream does (https://arxiv.org/abs/1910.07467)."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        self._weight = weight
        self._eps = eps

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        wide = x.float()
        return self._weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self._eps)).to(x.dtype)


@dataclass(frozen=True, eq=False)
class Rotation:
    """Rotary position embedding of some steps: cosines and sines of their angles, each [steps, 1, head_dim]."""

    cos: Tensor
    sin: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate queries or keys [steps, heads, head_dim] by their positions (https://arxiv.org/abs/2104.09864)."""
        low, high = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat((-high, low), dim=-1) * self.sin


@dataclass(frozen=True, eq=False)
class AttentionState:
    """Rotated keys and values of the last window - 1 steps, each [window - 1, key_heads, head_dim]."""

    keys: LayerHistory
    values: LayerHistory


class Attention:
    """Attention over this step and the window - 1 steps before it."""

    def __init__(
        self, project: Affine, out: Affine, *, heads: int, key_heads: int, head_dim: int, window: int, like: Tensor
    ) -> None:
        """`project` returns queries, keys, then values, head by head; states get the dtype and device of `like`."""
        self._like = like
        self._project = project
        self._out = out
        self._heads = heads
        self._key_heads = key_heads
        self._head_dim = head_dim
        self._window = window

    def new_state(self) -> AttentionState:
        """Return the state at the start of a stream."""
        shape = (self._window - 1, self._key_heads, self._head_dim)
        return AttentionState(*(LayerHistory(self._like.new_zeros(shape)) for _ in range(2)))

    def __call__(self, x: Tensor, rotation: Rotation, mask: Tensor, states: Sequence[AttentionState]) -> Tensor:
        """[steps, channels] -> [steps, channels].

        `mask` [streams, 1, own steps, window - 1 + own steps] is true where a step may attend.
        """
        heads = self._project(x).view(x.shape[0], -1, self._head_dim)
        queries, keys, values = torch.split(heads, [self._heads, self._key_heads, self._key_heads], dim=1)
        streams = zip(
            rotation(queries).chunk(len(states)),
            extend_each([state.keys for state in states], rotation(keys)),
            extend_each([state.values for state in states], values),
            mask,
            strict=True,
        )
        attended = [self._attend(*stream) for stream in streams]
        return self._out(together(attended).reshape(x.shape[0], -1))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Attend within one stream; returns [own steps, heads, head_dim]."""
        attended = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None],
            keys.transpose(0, 1)[None],
            values.transpose(0, 1)[None],
            attn_mask=mask[None],
            enable_gqa=self._heads != self._key_heads,
        )
        return attended[0].transpose(0, 1)


class GatedMLP:
    """down(act(gate(x)) * up(x)) (https://arxiv.org/abs/2002.05202)."""

    def __init__(self, gate_up: Affine, act: Callable[[Tensor], Tensor], down: Affine) -> None:
        """`gate_up` returns the channels of the gate, then those of `up`."""
        self._gate_up = gate_up
        self._act = act
        self._down = down

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        gate, up = self._gate_up(x).chunk(2, dim=1)
        return self._down(self._act(gate) * up)


class TransformerLayer:
    """Attention and MLP, each with a norm before it and a residual connection; their weights include layer scales."""

    def __init__(self, attention_norm: RMSNorm, attention: Attention, mlp_norm: RMSNorm, mlp: GatedMLP) -> None:
        self._attention_norm = attention_norm
        self._attention = attention
        self._mlp_norm = mlp_norm
        self._mlp = mlp

    def new_state(self) -> AttentionState:
        """Return the state at the start of a stream."""
        return self._attention.new_state()

    def __call__(self, x: Tensor, rotation: Rotation, mask: Tensor, states: Sequence[AttentionState]) -> Tensor:
        """[steps, channels] -> [steps, channels]; `mask` as for Attention."""
        x = x + self._attention(self._attention_norm(x), rotation, mask, states)
        return x + self._mlp(self._mlp_norm(x))


class AnyTransformer(Protocol):
    """A transformer, however it is computed."""

    def new_state(self) -> "AnyTransformerState":
        """Return the state at the start of a stream."""

    def __call__(self, x: Tensor, states: Sequence[Any]) -> Tensor:
        """[steps, in] -> [steps, out]; `states` come from its own `new_state`."""


class AnyTransformerState(Protocol):
    """The state of one stream in a transformer."""

    @property
    def position(self) -> Tensor:
        """Number of steps processed so far, int64 []."""


@dataclass(frozen=True, eq=False)
class TransformerState:
    """The state of one stream in a CodecTransformer."""

    position: Tensor
    layers: tuple[AttentionState, ...]


class CodecTransformer:
    """Causal transformer with a sliding window.

    Positions count from the stream's start and are converted to angles in float32, because upstream does so and equal
    results need the same rounding. They are exact up to 2**24 steps, 15 days at 12.5 per second.
    """

    def __init__(
        self,
        project: Affine,
        layers: Sequence[TransformerLayer],
        norm: RMSNorm,
        out: Affine,
        *,
        frequencies: Tensor,
        window: int,
    ) -> None:
        """`frequencies` are the angles per step in radians, float32 [head_dim / 2]."""
        self._project = project
        self._layers = layers
        self._norm = norm
        self._out = out
        self._frequencies = frequencies
        self._window = window

    def new_state(self) -> TransformerState:
        """Return the state at the start of a stream."""
        position = torch.zeros((), dtype=torch.int64, device=self._frequencies.device)
        return TransformerState(position, tuple(layer.new_state() for layer in self._layers))

    def __call__(self, x: Tensor, states: Sequence[TransformerState]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        x = self._project(x)
        steps = torch.arange(x.shape[0] // len(states), device=x.device)
        positions = torch.stack([state.position for state in states])[:, None]
        rotation = self._rotation((positions + steps).flatten(), x.dtype)
        mask = self._mask(positions[:, :, None], steps)[:, None]
        for state in states:
            state.position.add_(steps.shape[0])
        for number, layer in enumerate(self._layers):
            x = layer(x, rotation, mask, [state.layers[number] for state in states])
        return self._out(self._norm(x))

    def _rotation(self, positions: Tensor, dtype: torch.dtype) -> Rotation:
        angles = (positions.float()[:, None] * self._frequencies).repeat(1, 2)[:, None]
        return Rotation(angles.cos().to(dtype), angles.sin().to(dtype))

    def _mask(self, positions: Tensor, steps: Tensor) -> Tensor:
        """Return the attention mask: column c is step c - (window - 1) of this call; those below 0 are past steps."""
        columns = torch.arange(1 - self._window, steps.shape[0], device=steps.device)
        age = steps[:, None] - columns
        return (age >= 0) & (age < self._window) & (columns >= -positions)
