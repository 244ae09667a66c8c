"""Layers of the codec on compiled kernels: each is used like its namesake in layers.py, and is faster on a CPU.

Sums are float32 as there, but in another order, so results are equal within rounding. They do not depend on how a
signal is split, on threads, or on other streams in the call. Knows matrices and what the kernels need.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wyoming_qwen3.engine.checkpoint.config import CodecConfig
from wyoming_qwen3.engine.kernels import structures
from wyoming_qwen3.engine.kernels.library import Kernels

from .layers import Affine, CausalTransposedConv, LayerHistory

_PACKED_AT_ONCE = 1 << 20
"""About how many weights are copied at a time when a weight is packed: all at once would take too much memory."""


class FastConv:
    """layers.CausalConv for a weight [out, in, kernel]; `snake` (frequency, gain) applies a SnakeBeta first.

    With a `stride` it is the convolution in a layers.CausalTransposedConv with a weight [in, out, kernel]. With a
    `period`, each piece must have a multiple of so many steps, and a kernel of 7 needs fewer products. `bits` is how
    many each weight takes in memory, 32, 16 or 8; see `stored_bits` of kernels/convolution.h.
    """

    def __init__(
        self,
        kernels: Kernels,
        weight: Tensor,
        bias: Tensor | None,
        dilation: int = 1,
        snake: tuple[Tensor, Tensor] | None = None,
        *,
        stride: int = 0,
        period: int = 0,
        bits: int = 32,
    ) -> None:
        outputs, inputs, taps = weight.shape
        weights: Iterable[Tensor] = [weight]
        if stride:
            inputs, outputs, taps = weight.shape[0], stride * weight.shape[1], taps // stride
            weights = CausalTransposedConv.phases(weight, stride)
            bias = None if bias is None else bias.repeat(stride)
        kept = [None if tensor is None else tensor.float().contiguous() for tensor in (bias, *(snake or (None, None)))]
        pointers = [None if tensor is None else tensor.data_ptr() for tensor in kept]
        self.kernels = kernels
        self.layout = structures.ConvolutionStruct(None, None, *pointers, inputs, outputs, taps, dilation, period, bits)
        count = max(_PACKED_AT_ONCE // (inputs * taps), 1)
        parts = (part.float().contiguous() for phase in weights for part in phase.split(count))  # type: ignore[no-untyped-call]
        packed, scales = kernels.pack(self.layout, parts)
        self.layout.weights, self.layout.scales = packed.data_ptr(), scales.data_ptr()
        self._kept = [packed, scales, *kept]

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""
        return LayerHistory(self.kernels.history(self.layout))

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return self.kernels.convolve(self.layout, x.contiguous(), [state.rows for state in states])


class FastLinear(FastConv):
    """layers.Linear for a weight [out, in]."""

    def __init__(self, kernels: Kernels, weight: Tensor, bias: Tensor | None, *, bits: int = 32) -> None:
        super().__init__(kernels, weight[:, :, None], bias, bits=bits)
        self._no_past = [self.new_state()]

    def __call__(self, x: Tensor, states: Sequence[LayerHistory] = ()) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return super().__call__(x, states or self._no_past)


class FastResidualUnit:
    """layers.ResidualUnit; each activation is part of the convolution that follows it."""

    def __init__(self, wide: FastConv, narrow: FastConv) -> None:
        self._kernels = wide.kernels
        self._wide = wide
        self._narrow = narrow

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""
        return self._wide.new_state()

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, channels] -> [steps, channels], in place."""
        self._kernels.refine(self._wide.layout, self._narrow.layout, x, [state.rows for state in states])
        return x


@dataclass(frozen=True, eq=False)
class FastTransformerState:
    """One stream's state in a FastTransformer: steps so far, and rotated keys and values in the kernels' layout."""

    position: Tensor
    past: Tensor


class FastLayer:
    """transformer.TransformerLayer, built from its packed projections and the weights of its norms."""

    def __init__(self, attention_norm: Tensor, mlp_norm: Tensor, **products: FastLinear) -> None:
        """`products` are the projections `qkv`, `out`, `gate_up` and `down`."""
        norms = {"attention_norm": attention_norm.float().contiguous(), "mlp_norm": mlp_norm.float().contiguous()}
        self.layout = structures.CodecLayerStruct(
            **{name: product.layout for name, product in products.items()},
            **{name: norm.data_ptr() for name, norm in norms.items()},
        )
        self._kept = [norms, products]


class FastTransformer:
    """transformer.CodecTransformer with all layers in one kernel call."""

    def __init__(
        self,
        kernels: Kernels,
        project: Affine,
        layers: Sequence[FastLayer],
        norm: Tensor,
        out: Affine,
        *,
        frequencies: Tensor,
        config: CodecConfig,
    ) -> None:
        """`frequencies` are as for transformer.CodecTransformer."""
        norm = norm.float().contiguous()
        self._kernels = kernels
        self._project = project
        self._out = out
        self._layout = structures.CodecTransformerStruct(
            layers=(structures.CodecLayerStruct * len(layers))(*(layer.layout for layer in layers)),
            norm=norm.data_ptr(),
            frequencies=frequencies.data_ptr(),
            count=len(layers),
            hidden=config.hidden_size,
            inner=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            window=config.sliding_window,
            eps=config.rms_norm_eps,
        )
        self._kept = [layers, norm, frequencies]

    def new_state(self) -> FastTransformerState:
        """Return the state at the start of a stream."""
        return FastTransformerState(torch.zeros((), dtype=torch.int64), self._kernels.past(self._layout))

    def __call__(self, x: Tensor, states: Sequence[FastTransformerState]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        x = self._project(x)
        self._kernels.transform(self._layout, x, [(state.past, int(state.position)) for state in states])
        for state in states:
            state.position.add_(len(x) // len(states))
        return self._out(x)
