"""Builds the codec's layers from a checkpoint's tensors; the only module that knows upstream's names and shapes.

What depends on weights alone is computed here, once, in the precision in which they are read.
"""

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.engine.checkpoint.config import CodecConfig
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader
from wyoming_qwen3.engine.kernels.library import Kernels

from .cpu_kernels import FastConv, FastLayer, FastLinear, FastResidualUnit, FastTransformer
from .layers import (
    ActivatedConv,
    Affine,
    CausalConv,
    CausalTransposedConv,
    Conv,
    ConvNeXt,
    DepthwiseCausalConv,
    LayerNorm,
    Linear,
    ResidualUnit,
    SnakeBeta,
    Upsampling,
)
from .transformer import AnyTransformer, Attention, CodecTransformer, GatedMLP, RMSNorm, TransformerLayer

_KERNEL = 7
"""Kernel size of all convolutions that keep the number of steps, except pointwise ones and `widen`."""

_WIDENING_KERNEL = 3
_DILATIONS = (1, 3, 9)
_CONV_NEXT_EPS = 1e-6
_MIN_USAGE = 1e-5
_NO_DIVISION_BY_ZERO = 1e-9

Shape = tuple[int, int, int]
Snake = tuple[Tensor, Tensor]


class _LayerParts(NamedTuple):
    """The weights of a transformer layer's norms, and its packed projections."""

    attention_norm: Tensor
    qkv: Affine
    out: Affine
    mlp_norm: Tensor
    gate_up: Affine
    down: Affine


class CodecWeights:
    """Builds the decoder's layers from `read`. They compute in its dtype, or in float32 with kernels."""

    def __init__(self, read: TensorReader, config: CodecConfig, kernels: Kernels | None, bits: int) -> None:
        """`bits` is as for FastConv."""
        if config.hidden_act != "silu":
            raise ModelFailed("The codec has an activation function that is not supported.")
        self._read = read
        self._config = config
        self._kernels = kernels
        self._bits = bits

    def quantizer(self) -> tuple[list[Tensor], Affine]:
        """Return the table [codes, dim] of each codebook, and the projection of [first, sum of the others]."""
        dim, half = self._config.codebook_dim, self._config.codebook_dim // 2
        counts = {"rvq_first": 1, "rvq_rest": self._config.num_quantizers - 1}
        parts = [self._read.below(f"quantizer.{part}.") for part in counts]
        tables = [
            self._table(part.below(f"vq.layers.{number}._codebook."))
            for part, count in zip(parts, counts.values(), strict=True)
            for number in range(count)
        ]
        project = torch.cat([part("output_proj.weight", dim, half, 1)[:, :, 0] for part in parts], dim=1)
        return tables, self._affine(project, None)

    def widen(self) -> Conv:
        """Build the convolution from code vectors to the transformer's channels."""
        config = self._config
        return self._conv(self._read.below("pre_conv."), (config.latent_dim, config.codebook_dim, _WIDENING_KERNEL))

    def transformer(self) -> AnyTransformer:
        """Build the transformer, in which frames attend to earlier frames."""
        config, read = self._config, self._read.below("pre_transformer.")
        hidden, latent = config.hidden_size, config.latent_dim
        powers = torch.arange(0, config.head_dim, 2, device=read.device).float() / config.head_dim
        project = self._affine(read("input_proj.weight", hidden, latent), read("input_proj.bias", hidden))
        parts = [self._layer_parts(read.below(f"layers.{n}.")) for n in range(config.num_hidden_layers)]
        out = self._affine(read("output_proj.weight", latent, hidden), read("output_proj.bias", latent))
        norm, frequencies = self._norm(read, "norm.weight"), 1.0 / config.rope_theta**powers
        if self._kernels:
            fast = [FastLayer(**part._asdict()) for part in parts]
            return FastTransformer(self._kernels, project, fast, norm, out, frequencies=frequencies, config=config)
        layers = [self._transformer_layer(part) for part in parts]
        eps, window = config.rms_norm_eps, config.sliding_window
        return CodecTransformer(project, layers, RMSNorm(norm, eps), out, frequencies=frequencies, window=window)

    def upsamplings(self) -> list[Upsampling]:
        """Build the stages that raise the number of steps per frame, each with a block that refines its output."""
        latent, ratios = self._config.latent_dim, self._config.upsampling_ratios
        return [
            Upsampling(
                self._transposed(self._read.below(f"upsample.{number}.0."), (latent, latent, ratio), ratio),
                [self._conv_next(self._read.below(f"upsample.{number}.1."))],
            )
            for number, ratio in enumerate(ratios)
        ]

    def decode_in(self) -> Conv:
        """Build the first convolution of the waveform decoder."""
        config = self._config
        return self._conv(self._read.below("decoder.0."), (config.decoder_dim, config.latent_dim, _KERNEL))

    def decode_blocks(self) -> list[Upsampling]:
        """Build the stages from steps to samples, each with half the channels of the one before."""
        dim, blocks, steps = self._config.decoder_dim, [], prod(self._config.upsampling_ratios)
        for number, rate in enumerate(self._config.upsample_rates):
            steps *= rate
            read, inputs, outputs = self._read.below(f"decoder.{number + 1}.block."), dim >> number, dim >> number + 1
            act = self._snake(read.below("0."), inputs)
            units = enumerate(_DILATIONS, start=2)
            blocks.append(
                Upsampling(
                    self._transposed(read.below("1."), (inputs, outputs, 2 * rate), rate, act),
                    [self._residual_unit(read.below(f"{unit}."), outputs, dilation, steps) for unit, dilation in units],
                )
            )
        return blocks

    def decode_out(self) -> Conv:
        """Build the last convolution, from channels to the waveform."""
        blocks = len(self._config.upsample_rates)
        channels = self._config.decoder_dim >> blocks
        act = self._snake(self._read.below(f"decoder.{blocks + 1}."), channels)
        return self._conv(self._read.below(f"decoder.{blocks + 2}."), (1, channels, _KERNEL), act=act)

    def _table(self, read: TensorReader) -> Tensor:
        codes, half = self._config.codebook_size, self._config.codebook_dim // 2
        usage = read("cluster_usage", codes).clamp(min=_MIN_USAGE)
        return read("embedding_sum", codes, half) / usage[:, None]

    def _conv(
        self, read: TensorReader, shape: Shape, dilation: int = 1, act: Snake | None = None, period: int = 0
    ) -> Conv:
        """Build a convolution with a weight of `shape`: [outputs, inputs, kernel]; `period` is as for FastConv."""
        weight, bias = self._weight(read, shape), read("conv.bias", shape[0])
        if self._kernels:
            return FastConv(self._kernels, weight, bias, dilation, act, period=period, bits=self._bits)
        return self._plain_conv(weight, bias, dilation, act)

    def _transposed(
        self, read: TensorReader, shape: Shape, stride: int, act: Snake | None = None
    ) -> CausalTransposedConv:
        """Build a transposed convolution with a weight of `shape`: [inputs, outputs, kernel]."""
        weight, bias = self._weight(read, shape), read("conv.bias", shape[1])
        conv: Conv
        if self._kernels:
            conv = FastConv(self._kernels, weight, bias, snake=act, stride=stride, bits=self._bits)
        else:
            conv = self._plain_conv(*CausalTransposedConv.by_phase(weight, bias, stride), 1, act)
        return CausalTransposedConv(conv, stride)

    def _weight(self, read: TensorReader, shape: Shape) -> Tensor:
        """Return a convolution's weight; as it is in the file for kernels, which copy it part by part."""
        return read.view("conv.weight", *shape) if self._kernels else read("conv.weight", *shape)

    def _plain_conv(self, weight: Tensor, bias: Tensor, dilation: int, act: Snake | None) -> Conv:
        conv = CausalConv(weight, bias, dilation)
        return conv if act is None else ActivatedConv(SnakeBeta(*act), conv)

    def _affine(self, weight: Tensor, bias: Tensor | None) -> Affine:
        return FastLinear(self._kernels, weight, bias, bits=self._bits) if self._kernels else Linear(weight, bias)

    def _snake(self, read: TensorReader, channels: int) -> Snake:
        """Return an activation's frequency and gain, each [channels]."""
        gain = 1.0 / (read("beta", channels).exp() + _NO_DIVISION_BY_ZERO)
        return read("alpha", channels).exp(), gain

    def _conv_next(self, read: TensorReader) -> ConvNeXt:
        dim, scale = self._config.latent_dim, read("gamma", self._config.latent_dim)
        taps, bias = read("dwconv.conv.weight", dim, 1, _KERNEL), read("dwconv.conv.bias", dim)
        norm = read("norm.weight", dim), read("norm.bias", dim)
        narrow = read("pwconv2.weight", dim, 4 * dim) * scale[:, None], read("pwconv2.bias", dim) * scale
        return ConvNeXt(
            DepthwiseCausalConv(taps, bias),
            LayerNorm(*norm, _CONV_NEXT_EPS),
            self._affine(read("pwconv1.weight", 4 * dim, dim), read("pwconv1.bias", 4 * dim)),
            self._affine(*narrow),
        )

    def _residual_unit(self, read: TensorReader, channels: int, dilation: int, steps: int) -> Conv:
        """Build a unit of a signal with so many steps per frame."""
        acts = [self._snake(read.below(f"act{number}."), channels) for number in (1, 2)]
        wide = self._conv(read.below("conv1."), (channels, channels, _KERNEL), dilation, acts[0], steps)
        narrow = self._conv(read.below("conv2."), (channels, channels, 1), 1, acts[1])
        if isinstance(wide, FastConv) and isinstance(narrow, FastConv):
            return FastResidualUnit(wide, narrow)
        return ResidualUnit(wide, narrow)

    def _norm(self, read: TensorReader, name: str) -> Tensor:
        return read(name, self._config.hidden_size)

    def _layer_parts(self, read: TensorReader) -> _LayerParts:
        config = self._config
        hidden, inner = config.hidden_size, config.intermediate_size
        attention, mlp = read.below("self_attn."), read.below("mlp.")
        queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        scales = [read(f"{part}_layer_scale.scale", hidden) for part in ("self_attn", "mlp")]
        return _LayerParts(
            self._norm(read, "input_layernorm.weight"),
            self._linear(attention, {"q_proj": queries, "k_proj": keys, "v_proj": keys}, hidden),
            self._linear(attention, {"o_proj": hidden}, queries, scales[0]),
            self._norm(read, "post_attention_layernorm.weight"),
            self._linear(mlp, {"gate_proj": inner, "up_proj": inner}, hidden),
            self._linear(mlp, {"down_proj": hidden}, inner, scales[1]),
        )

    def _transformer_layer(self, parts: _LayerParts) -> TransformerLayer:
        config = self._config
        attention = Attention(
            parts.qkv,
            parts.out,
            heads=config.num_attention_heads,
            key_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            window=config.sliding_window,
            like=parts.attention_norm,
        )
        norms = [RMSNorm(weight, config.rms_norm_eps) for weight in (parts.attention_norm, parts.mlp_norm)]
        return TransformerLayer(norms[0], attention, norms[1], GatedMLP(parts.gate_up, F.silu, parts.down))

    def _linear(self, read: TensorReader, parts: dict[str, int], inputs: int, scale: Tensor | None = None) -> Affine:
        """Combine layers with the same input into one; `scale` multiplies each output channel."""
        weight = torch.cat([read(f"{part}.weight", outputs, inputs) for part, outputs in parts.items()])
        biased = self._config.attention_bias and read.prefix.endswith("self_attn.")
        bias = torch.cat([read(f"{part}.bias", outputs) for part, outputs in parts.items()]) if biased else None
        if scale is not None:
            weight = weight * scale[:, None]
            bias = None if bias is None else bias * scale
        return self._affine(weight, bias)
