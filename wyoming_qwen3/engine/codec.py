"""Streaming decoder of the 12 Hz codec: codes to samples, frame by frame, at a constant cost per frame.

Upstream's decoder reads a whole utterance at once; its own chunked decoding gives the same samples up to 300 frames
and approximates them afterwards. This one takes over its weights, remembers what each layer needs of the past, and
gives the samples of one whole decode whatever the pieces and the length are. Knows nothing of text, voices, devices
and threads.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.errors import EngineFailed

from .codec_kernels import FastConv, FastLinear, FastResidualUnit
from .codec_layers import (
    ActivatedConv,
    Affine,
    Attention,
    CausalConv,
    CausalTransposedConv,
    Conv,
    ConvNeXt,
    DepthwiseCausalConv,
    GatedMLP,
    History,
    LayerNorm,
    Linear,
    ResidualUnit,
    RMSNorm,
    SnakeBeta,
    Transformer,
    TransformerLayer,
    TransformerState,
    Upsampling,
    UpsamplingState,
)
from .kernels.library import Kernels

_FRAMES_AT_ONCE = 16
"""Frames of all streams that run through the layers at once: more are hardly faster and need memory for each frame."""


@dataclass(frozen=True, eq=False)
class CodecState:
    """All that a stream's past means for its next frame; of a constant size, some 5 MB in float32."""

    widen: History
    transformer: TransformerState
    upsamplings: tuple[UpsamplingState, ...]
    decode_in: History
    decode_blocks: tuple[UpsamplingState, ...]
    decode_out: History

    @property
    def frames(self) -> int:
        """Frames decoded so far. Reading it waits for the device."""
        return int(self.transformer.position)

    def copy(self) -> "CodecState":
        """Independent state of the same past: two streams can go on from here."""
        return deepcopy(self)


class CodecDecoder:
    """Weights of the decoder; any number of streams, each with a state of its own, can share it."""

    samples_per_frame: int
    """1,920 for the published codec."""

    def __init__(self, upstream: nn.Module, dtype: torch.dtype | None = None, kernels: Kernels | None = None) -> None:
        """Take over the weights of `upstream`, a Qwen3TTSTokenizerV2Decoder, where they are.

        `dtype` is what to compute in, the parameters' own by default; kernels compute in float32, on a CPU. `upstream`
        is left as it was and not needed afterwards.
        """
        read = _Reader(upstream, dtype, kernels)
        first, *blocks, act, last = read.source.decoder
        self.samples_per_frame = int(read.source.total_upsample)
        self._codebooks: int = read.source.config.num_quantizers
        self._tables, self._project = read.quantizer()
        self._widen = read.conv(read.source.pre_conv)
        self._transformer = read.transformer()
        self._upsamplings = [read.upsampling(stage) for stage in read.source.upsample]
        self._decode_in = read.conv(first)
        self._decode_blocks = [read.decode_block(block) for block in blocks]
        self._decode_out = read.conv(last, act)

    def new_state(self) -> CodecState:
        """State of a stream's start."""
        return CodecState(
            self._widen.new_state(),
            self._transformer.new_state(),
            tuple(stage.new_state() for stage in self._upsamplings),
            self._decode_in.new_state(),
            tuple(block.new_state() for block in self._decode_blocks),
            self._decode_out.new_state(),
        )

    def decode(self, codes: Tensor, state: CodecState) -> Tensor:
        """Samples of the next frames: codes int64 [frames, codebooks] -> float32 [frames * samples_per_frame].

        As decode_together does it for one stream.
        """
        return self.decode_together(codes[None], [state])[0]

    @torch.inference_mode()
    def decode_together(self, codes: Tensor, states: Sequence[CodecState]) -> Tensor:
        """Samples of as many next frames of each stream: codes int64 [streams, frames, codebooks] -> float32 [streams, -1].

        Faster than one after the other, because weights are read once; what a stream gives does not depend on the
        others. Samples are clamped to [-1, 1], and float64 where that is what is computed in. States move on by these
        frames. Raises EngineFailed for codes of another shape, before a state is touched; each code must be in its
        codebook.
        """
        if codes.ndim != 3 or codes.shape[1] < 1 or codes.shape[2] != self._codebooks or len(codes) != len(states):
            raise EngineFailed(
                f"The codec decodes one frame or more of {self._codebooks} codes each, but got {tuple(codes.shape[1:])}."
            )
        pieces = torch.split(codes, max(1, _FRAMES_AT_ONCE // len(states)), dim=1)
        return torch.cat([self._decode(piece, states) for piece in pieces], dim=1)

    def _decode(self, codes: Tensor, states: Sequence[CodecState]) -> Tensor:
        x = self._widen(self._embed(codes.flatten(0, 1)), [state.widen for state in states])
        x = self._transformer(x, [state.transformer for state in states])
        for number, stage in enumerate(self._upsamplings):
            x = stage(x, [state.upsamplings[number] for state in states])
        x = self._decode_in(x, [state.decode_in for state in states])
        for number, block in enumerate(self._decode_blocks):
            x = block(x, [state.decode_blocks[number] for state in states])
        x = self._decode_out(x, [state.decode_out for state in states])
        return x.view(len(states), -1).to(torch.promote_types(x.dtype, torch.float32)).clamp_(-1, 1)

    def _embed(self, codes: Tensor) -> Tensor:
        """Sum of the codes' vectors, the first codebook's (meaning) and the others' (sound) projected apart."""
        vectors = [F.embedding(column, table) for column, table in zip(codes.unbind(1), self._tables, strict=True)]
        return self._project(torch.cat((vectors[0], torch.stack(vectors[1:]).sum(0)), dim=1))


class _Reader:
    """Makes the layers from upstream's modules; knows upstream's names, so that nothing else does.

    What is computed of weights alone is computed here, once, in the parameters' own precision.
    """

    def __init__(self, source: Any, dtype: torch.dtype | None, kernels: Kernels | None) -> None:
        self.source = source
        self._dtype = dtype
        self._kernels = kernels

    def _weight(self, weight: Tensor) -> Tensor:
        # With kernels a copy: a view of what the kernels have in another order would keep all of it in memory.
        return weight.detach().to(self._dtype or weight.dtype, copy=self._kernels is not None)

    def quantizer(self) -> tuple[list[Tensor], Affine]:
        """Table [codes, dim] of each codebook, and the projection of [first, sum of the others]."""
        parts = (self.source.quantizer.rvq_first, self.source.quantizer.rvq_rest)
        books = [layer._codebook for part in parts for layer in part.vq.layers]
        tables = [book.embedding_sum / book.cluster_usage.clamp(min=book.epsilon)[:, None] for book in books]
        project = torch.cat([part.output_proj.weight[:, :, 0] for part in parts], dim=1)
        return [self._weight(table) for table in tables], self._affine(project, None)

    def conv(self, module: Any, act: Any = None) -> Conv:
        """A convolution, behind an activation if there is one."""
        return self._conv(module.conv.weight, module.conv.bias, module.dilation, act)

    def transposed(self, module: Any, act: Any = None) -> CausalTransposedConv:
        stride = module.conv.stride[0]
        weight, bias = CausalTransposedConv.by_phase(module.conv.weight, module.conv.bias, stride)
        return CausalTransposedConv(self._conv(weight, bias, 1, act), stride)

    def _conv(self, weight: Tensor, bias: Tensor, dilation: int, act: Any) -> Conv:
        weight, bias = self._weight(weight), self._weight(bias)
        if self._kernels:
            return FastConv(self._kernels, weight, bias, dilation, None if act is None else self._snake(act))
        conv = CausalConv(weight, bias, dilation)
        return conv if act is None else ActivatedConv(SnakeBeta(*self._snake(act)), conv)

    def _affine(self, weight: Tensor, bias: Tensor | None) -> Affine:
        weight, bias = self._weight(weight), None if bias is None else self._weight(bias)
        return FastLinear(self._kernels, weight, bias) if self._kernels else Linear(weight, bias)

    def _snake(self, module: Any) -> tuple[Tensor, Tensor]:
        """Frequency and gain of an activation."""
        gain = 1.0 / (module.beta.exp() + module.no_div_by_zero)
        return self._weight(module.alpha.exp()), self._weight(gain)

    def linear(self, *modules: Any, scale: Tensor | None = None) -> Affine:
        """One layer for several of the same input; `scale` multiplies each channel of the output."""
        weight = torch.cat([module.weight for module in modules])
        biases = [module.bias for module in modules if module.bias is not None]
        bias = torch.cat(biases) if biases else None
        if scale is not None:
            weight = weight * scale[:, None]
            bias = None if bias is None else bias * scale
        return self._affine(weight, bias)

    def upsampling(self, stage: Any) -> Upsampling:
        up, block = stage
        conv = block.dwconv.conv
        return Upsampling(
            self.transposed(up),
            [
                ConvNeXt(
                    DepthwiseCausalConv(self._weight(conv.weight), self._weight(conv.bias)),
                    LayerNorm(self._weight(block.norm.weight), self._weight(block.norm.bias), block.norm.eps),
                    self.linear(block.pwconv1),
                    self.linear(block.pwconv2, scale=block.gamma),
                )
            ],
        )

    def decode_block(self, module: Any) -> Upsampling:
        act, up, *units = module.block
        return Upsampling(self.transposed(up, act), [self.residual_unit(unit) for unit in units])

    def residual_unit(self, unit: Any) -> Conv:
        wide, narrow = self.conv(unit.conv1, unit.act1), self.conv(unit.conv2, unit.act2)
        if isinstance(wide, FastConv) and isinstance(narrow, FastConv):
            return FastResidualUnit(wide, narrow)
        return ResidualUnit(wide, narrow)

    def norm(self, module: Any) -> RMSNorm:
        return RMSNorm(self._weight(module.weight), module.variance_epsilon)

    def transformer(self) -> Transformer:
        model = self.source.pre_transformer
        rope = model.rotary_emb
        # Computed anew: the module's own copy was rounded when the module was cast to half precision.
        frequencies, _ = rope.rope_init_fn(rope.config, model.norm.weight.device)
        return Transformer(
            self.linear(model.input_proj),
            [self.transformer_layer(layer) for layer in model.layers],
            self.norm(model.norm),
            self.linear(model.output_proj),
            frequencies=frequencies,
            window=model.window_size,
        )

    def transformer_layer(self, layer: Any) -> TransformerLayer:
        attention, mlp, config = layer.self_attn, layer.mlp, layer.self_attn.config
        return TransformerLayer(
            self.norm(layer.input_layernorm),
            Attention(
                self.linear(attention.q_proj, attention.k_proj, attention.v_proj),
                self.linear(attention.o_proj, scale=layer.self_attn_layer_scale.scale),
                heads=config.num_attention_heads,
                key_heads=config.num_key_value_heads,
                head_dim=attention.head_dim,
                window=attention.sliding_window,
                like=self._weight(attention.o_proj.weight),
            ),
            self.norm(layer.post_attention_layernorm),
            GatedMLP(
                self.linear(mlp.gate_proj, mlp.up_proj),
                mlp.act_fn,
                self.linear(mlp.down_proj, scale=layer.mlp_layer_scale.scale),
            ),
        )
