"""The weights of a model as the kernels take them: plain tensors, contiguous, none of them copied."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wyoming_qwen3.engine.lm.transformer import Transformer


@dataclass(frozen=True, eq=False)
class FusedLinear:
    """A weight [outputs, inputs] with a bias [outputs], if it has one.

    With `scales` [outputs, groups] the weight is in 8 bits, as in GroupedInt8Linear.
    """

    weight: Tensor
    bias: Tensor | None = None
    scales: Tensor | None = None

    @classmethod
    def of(cls, layer: Any) -> "FusedLinear":
        """Take the tensors of an nn.Linear or a GroupedInt8Linear."""
        return cls(layer.weight, layer.bias, getattr(layer, "scales", None))

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """The weight and its scales; without scales the weight takes their place, and is not read there."""
        return self.weight, self.weight if self.scales is None else self.scales


@dataclass(frozen=True, eq=False)
class NormWeight:
    """The weight of an RMS norm, [features] or one for each head [heads, head_dim], and its epsilon."""

    weight: Tensor
    eps: float

    @classmethod
    def of(cls, norm: Any) -> "NormWeight":
        """Take the tensors of a norm of Transformer's."""
        return cls(norm.weight, norm.eps)


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """One decoder layer, with hidden size H, inner size I, Q query heads and K key heads of D numbers.

    attention_gain [H], qkv [(Q + 2 * K) * D, H], head_gains [Q + K, D], out [H, Q * D], mlp_gain [H],
    gate_up [2 * I, H], down [H, I].
    """

    attention_gain: NormWeight
    qkv: FusedLinear
    head_gains: NormWeight
    out: FusedLinear
    mlp_gain: NormWeight
    gate_up: FusedLinear
    down: FusedLinear


@dataclass(frozen=True, eq=False)
class StackWeights:
    """A stack of decoder layers and its final norm; cos and sin are [positions, head_dim]."""

    layers: tuple[LayerWeights, ...]
    gain: NormWeight
    cos: Tensor
    sin: Tensor
    heads: int
    kv_heads: int
    head_dim: int


def stack_weights(transformer: Transformer) -> StackWeights:
    """Take the tensors of a transformer."""
    layers: list[Any] = list(transformer.layers)
    return StackWeights(
        layers=tuple(_layer(layer) for layer in layers),
        gain=NormWeight.of(transformer.norm),
        cos=transformer.cos,
        sin=transformer.sin,
        heads=layers[0].heads,
        kv_heads=transformer.kv_heads,
        head_dim=transformer.head_dim,
    )


def _layer(layer: Any) -> LayerWeights:
    return LayerWeights(
        attention_gain=NormWeight.of(layer.attention_norm),
        qkv=FusedLinear.of(layer.qkv),
        head_gains=NormWeight.of(layer.qk_norm),
        out=FusedLinear.of(layer.out),
        mlp_gain=NormWeight.of(layer.mlp_norm),
        gate_up=FusedLinear.of(layer.gate_up),
        down=FusedLinear.of(layer.down),
    )
