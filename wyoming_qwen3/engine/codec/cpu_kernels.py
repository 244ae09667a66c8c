"""Layers of the codec over compiled kernels, each used as its namesake in layers.py is: exact, and faster on a CPU.

Sums are float32 as there, in an order of their own: results are equal within rounding, and do not depend on pieces,
threads and the signals beside. Knows matrices and what the kernels need.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wyoming_qwen3.engine.checkpoint.config import CodecConfig
from wyoming_qwen3.engine.kernels import structures
from wyoming_qwen3.engine.kernels.library import Kernels

from .layers import Affine, LayerHistory


class FastConv:
    """layers.CausalConv, for a weight [out, in, kernel]; with a frequency and gain, behind a SnakeBeta."""

    def __init__(
        self,
        kernels: Kernels,
        weight: Tensor,
        bias: Tensor | None,
        dilation: int = 1,
        snake: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        outputs, inputs, taps = weight.shape
        kept = [None if tensor is None else tensor.float().contiguous() for tensor in (bias, *(snake or (None, None)))]
        pointers = [None if tensor is None else tensor.data_ptr() for tensor in kept]
        self.kernels = kernels
        self.layout = structures.ConvolutionStruct(None, *pointers, inputs, outputs, taps, dilation)
        packed = kernels.pack(self.layout, weight.float().contiguous())
        self.layout.weights = packed.data_ptr()
        self._kept = [packed, *kept]

    def new_state(self) -> LayerHistory:
        """State of a stream's start."""
        return LayerHistory(self.kernels.history(self.layout))

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return self.kernels.convolve(self.layout, x.contiguous(), [state.rows for state in states])


class FastLinear(FastConv):
    """layers.Linear, for a weight [out, in]."""

    def __init__(self, kernels: Kernels, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(kernels, weight[:, :, None], bias)
        self._no_past = [self.new_state()]

    def __call__(self, x: Tensor, states: Sequence[LayerHistory] = ()) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return super().__call__(x, states or self._no_past)


class FastResidualUnit:
    """layers.ResidualUnit, each activation being part of the convolution behind it."""

    def __init__(self, wide: FastConv, narrow: FastConv) -> None:
        self._kernels = wide.kernels
        self._wide = wide
        self._narrow = narrow

    def new_state(self) -> LayerHistory:
        """State of a stream's start."""
        return self._wide.new_state()

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        return self._kernels.refine(self._wide.layout, self._narrow.layout, x, [state.rows for state in states])


@dataclass(frozen=True, eq=False)
class FastTransformerState:
    """What a FastTransformer remembers of a stream: its place, and turned keys and values as the kernels keep them."""

    position: Tensor
    past: Tensor


class FastLayer:
    """transformer.TransformerLayer, of its products and norms' weights."""

    def __init__(self, attention_norm: Tensor, mlp_norm: Tensor, **products: FastLinear) -> None:
        """The products are `qkv`, `out`, `gate_up` and `down`."""
        norms = {"attention_norm": attention_norm.float().contiguous(), "mlp_norm": mlp_norm.float().contiguous()}
        self.layout = structures.CodecLayerStruct(
            **{name: product.layout for name, product in products.items()},
            **{name: norm.data_ptr() for name, norm in norms.items()},
        )
        self._kept = [norms, products]


class FastTransformer:
    """transformer.CodecTransformer, its layers being one call."""

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
        """`frequencies` are as for Transformer."""
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
        """State of a stream's start."""
        return FastTransformerState(torch.zeros((), dtype=torch.int64), self._kernels.past(self._layout))

    def __call__(self, x: Tensor, states: Sequence[FastTransformerState]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        x = self._project(x)
        self._kernels.transform(self._layout, x, [(state.past, int(state.position)) for state in states])
        for state in states:
            state.position.add_(len(x) // len(states))
        return self._out(x)
