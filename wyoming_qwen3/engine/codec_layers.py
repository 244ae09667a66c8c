"""Layers of the 12 Hz codec's decoder, each of which continues where its last call ended.

A signal is [steps, channels]: pieces of one stream or more, of as many steps each, one behind the other. A layer holds
weights only. What it remembers of a stream is a state made by its `new_state()`; each call is given those of its
streams, and writes them in place at fixed addresses, so that a captured CUDA graph can be replayed. Calling a layer on
a signal in pieces gives what calling it once on the whole gives; before its start a signal is zero.

Convolutions are matrix products over rows, because on a few rows a convolution kernel spends its time on reordering
the weights. Knows nothing of codes, frames and checkpoints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True, eq=False)
class History:
    """The last `rows` of a stream, [rows, ...]."""

    rows: Tensor

    def extend(self, signal: Tensor) -> Tensor:
        """Past and `signal` [steps, ...] as one, [rows + steps, ...]; its end is the past of the next call."""
        joined = torch.cat((self.rows, signal))
        self.rows.copy_(joined[signal.shape[0] :])
        return joined


def extend_each(states: Sequence[History], signal: Tensor) -> list[Tensor]:
    """Past and piece of each stream, as History.extend gives them."""
    return [state.extend(piece) for state, piece in zip(states, signal.chunk(len(states)), strict=True)]


def apart(layer: Callable[[Tensor], Tensor], signal: Tensor, streams: int) -> Tensor:
    """What a layer makes of each piece alone: the last bits of a sum in PyTorch depend on how many it makes."""
    return _together([layer(piece) for piece in signal.chunk(streams)])


class Affine(Protocol):
    """An affine map of the channels, however it is computed."""

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, in] -> [steps, out]."""


class Conv(Protocol):
    """A causal convolution, however it is computed."""

    def new_state(self) -> History:
        """State of a stream's start."""

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, in] -> [steps, out]."""


class Linear:
    """Affine map of the channels: a linear layer, and also a convolution of kernel 1."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Weight is [out, in], bias [out]."""
        self._weight = weight.t().contiguous()
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return x @ self._weight if self._bias is None else torch.addmm(self._bias, x, self._weight)


class CausalConv:
    """Convolution that sees this step and (kernel - 1) * dilation steps before it."""

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int = 1) -> None:
        """Weight is [out, in, kernel], bias [out]."""
        self._taps = weight.permute(2, 1, 0).contiguous()
        self._bias = bias
        self._dilation = dilation

    def new_state(self) -> History:
        """State of a stream's start."""
        kernel, channels, _ = self._taps.shape
        return History(self._taps.new_zeros((kernel - 1) * self._dilation, channels))

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        steps = x.shape[0] // len(states)
        return _together([self._convolve(joined, steps) for joined in extend_each(states, x)])

    def _convolve(self, joined: Tensor, steps: int) -> Tensor:
        # Tap by tap: to gather all the rows first, for a single product, costs a CPU more in copies than it saves.
        out = torch.addmm(self._bias, joined[:steps], self._taps[0])
        for i, tap in enumerate(self._taps[1:], start=1):
            out.addmm_(joined[i * self._dilation :][:steps], tap)
        return out


class DepthwiseCausalConv:
    """Convolution of each channel by itself, of this step and kernel - 1 steps before it."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Weight is [channels, 1, kernel], bias [channels]."""
        self._taps = weight[:, 0].t().contiguous()
        self._bias = bias

    def new_state(self) -> History:
        """State of a stream's start."""
        kernel, channels = self._taps.shape
        return History(self._taps.new_zeros(kernel - 1, channels))

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        steps = x.shape[0] // len(states)
        return _together([self._convolve(joined, steps) for joined in extend_each(states, x)])

    def _convolve(self, joined: Tensor, steps: int) -> Tensor:
        out = torch.addcmul(self._bias, joined[:steps], self._taps[0])
        for i, tap in enumerate(self._taps[1:], start=1):
            out.addcmul_(joined[i:][:steps], tap)
        return out


class CausalTransposedConv:
    """Transposed convolution whose kernel is n strides long, without the tail that reaches past the last step.

    Output step t * stride + p is the sum over lags j < n of x[t - j] @ weight[:, :, j * stride + p]: a convolution of
    n taps that makes all phases p of a step at once.
    """

    def __init__(self, conv: "Conv", stride: int) -> None:
        """The convolution is made of what `by_phase` gives."""
        self._conv = conv
        self._stride = stride

    @staticmethod
    def by_phase(weight: Tensor, bias: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Weight [in, out, n * stride] and bias [out] as those of a convolution [stride * out, in, n]."""
        channels, out, kernel = weight.shape
        phases = weight.view(channels, out, kernel // stride, stride).permute(3, 1, 0, 2)
        return torch.stack(phases.unbind(3)[::-1], dim=3).flatten(0, 1), bias.repeat(stride)

    def new_state(self) -> History:
        """State of a stream's start."""
        return self._conv.new_state()

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, in] -> [steps * stride, out]."""
        return self._conv(x, states).view(x.shape[0] * self._stride, -1)


class SnakeBeta:
    """x + gain * sin(frequency * x)**2, per channel (https://arxiv.org/abs/2006.08195, with a gain of its own)."""

    def __init__(self, frequency: Tensor, gain: Tensor) -> None:
        """Both are [channels]."""
        self._frequency = frequency
        self._gain = gain

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        return torch.addcmul(x, (x * self._frequency).sin_().square_(), self._gain)


class LayerNorm:
    """(x - mean(x)) / std(x) * weight + bias over the channels (https://arxiv.org/abs/1607.06450)."""

    def __init__(self, weight: Tensor, bias: Tensor, eps: float) -> None:
        self._weight = weight
        self._bias = bias
        self._eps = eps

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        return F.layer_norm(x, self._weight.shape, self._weight, self._bias, self._eps)


class ConvNeXt:
    """Residual block of a depthwise convolution and a two-layer perceptron (https://arxiv.org/abs/2201.03545)."""

    def __init__(self, conv: DepthwiseCausalConv, norm: LayerNorm, wide: Affine, narrow: Affine) -> None:
        """The block's own scale, gamma, is part of `narrow`."""
        self._conv = conv
        self._norm = norm
        self._wide = wide
        self._narrow = narrow

    def new_state(self) -> History:
        """State of a stream's start."""
        return self._conv.new_state()

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        return x + self._narrow(F.gelu(self._wide(self._norm(self._conv(x, states)))))


class ActivatedConv:
    """A convolution behind an activation."""

    def __init__(self, act: SnakeBeta, conv: CausalConv) -> None:
        self._act = act
        self._conv = conv

    def new_state(self) -> History:
        """State of a stream's start."""
        return self._conv.new_state()

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return self._conv(self._act(x), states)


class ResidualUnit:
    """Residual block of a dilated and a pointwise convolution, each behind an activation."""

    def __init__(self, wide: Conv, narrow: Conv) -> None:
        self._wide = wide
        self._narrow = narrow
        self._no_past = narrow.new_state()

    def new_state(self) -> History:
        """State of a stream's start."""
        return self._wide.new_state()

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        return x + self._narrow(self._wide(x, states), [self._no_past])


@dataclass(frozen=True, eq=False)
class UpsamplingState:
    """What an Upsampling remembers of a stream."""

    up: History
    refine: tuple[History, ...]


class Upsampling:
    """Transposed convolution, and the blocks that refine its output."""

    def __init__(self, up: CausalTransposedConv, refine: Sequence[Conv]) -> None:
        self._up = up
        self._refine = refine

    def new_state(self) -> UpsamplingState:
        """State of a stream's start."""
        return UpsamplingState(self._up.new_state(), tuple(block.new_state() for block in self._refine))

    def __call__(self, x: Tensor, states: Sequence[UpsamplingState]) -> Tensor:
        """[steps, in] -> [steps * stride, out]."""
        x = self._up(x, [state.up for state in states])
        for number, block in enumerate(self._refine):
            x = block(x, [state.refine[number] for state in states])
        return x


class RMSNorm:
    """x / rms(x) * weight, in float32 whatever the signal is, as upstream has it (https://arxiv.org/abs/1910.07467)."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        self._weight = weight
        self._eps = eps

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        wide = x.float()
        return self._weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self._eps)).to(x.dtype)


@dataclass(frozen=True, eq=False)
class Rotation:
    """Rotary position embedding of some steps: cosine and sine of their angles, each [steps, 1, head_dim]."""

    cos: Tensor
    sin: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Queries or keys [steps, heads, head_dim], turned by their positions (https://arxiv.org/abs/2104.09864)."""
        low, high = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat((-high, low), dim=-1) * self.sin


@dataclass(frozen=True, eq=False)
class AttentionState:
    """Turned keys and the values of the last window - 1 steps, each [window - 1, key_heads, head_dim]."""

    keys: History
    values: History


class Attention:
    """Attention over this step and window - 1 steps before it."""

    def __init__(
        self, project: Affine, out: Affine, *, heads: int, key_heads: int, head_dim: int, window: int, like: Tensor
    ) -> None:
        """What `project` puts out is queries, keys, values, head by head; the state is made `like` a tensor."""
        self._like = like
        self._project = project
        self._out = out
        self._heads = heads
        self._key_heads = key_heads
        self._head_dim = head_dim
        self._window = window

    def new_state(self) -> AttentionState:
        """State of a stream's start."""
        shape = (self._window - 1, self._key_heads, self._head_dim)
        return AttentionState(*(History(self._like.new_zeros(shape)) for _ in range(2)))

    def __call__(self, x: Tensor, rotation: Rotation, mask: Tensor, states: Sequence[AttentionState]) -> Tensor:
        """[steps, channels] -> [steps, channels].

        `mask` [streams, 1, own steps, window - 1 + own steps] is true where a step of a stream may look.
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
        return self._out(_together(attended).reshape(x.shape[0], -1))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """One stream's, [own steps, heads, head_dim]."""
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
        """The projection's output is the gate's, then that of `up`."""
        self._gate_up = gate_up
        self._act = act
        self._down = down

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        gate, up = self._gate_up(x).chunk(2, dim=1)
        return self._down(self._act(gate) * up)


class TransformerLayer:
    """Attention and perceptron, each normalised before and added to what came in; layer scales are in their outputs."""

    def __init__(self, attention_norm: RMSNorm, attention: Attention, mlp_norm: RMSNorm, mlp: GatedMLP) -> None:
        self._attention_norm = attention_norm
        self._attention = attention
        self._mlp_norm = mlp_norm
        self._mlp = mlp

    def new_state(self) -> AttentionState:
        """State of a stream's start."""
        return self._attention.new_state()

    def __call__(self, x: Tensor, rotation: Rotation, mask: Tensor, states: Sequence[AttentionState]) -> Tensor:
        """[steps, channels] -> [steps, channels]; `mask` as for Attention."""
        x = x + self._attention(apart(self._attention_norm, x, len(states)), rotation, mask, states)
        return x + self._mlp(apart(self._mlp_norm, x, len(states)))


@dataclass(frozen=True, eq=False)
class TransformerState:
    """What a Transformer remembers of a stream; `position` is how many steps it has seen, int64 []."""

    position: Tensor
    layers: tuple[AttentionState, ...]


class Transformer:
    """Causal transformer with a sliding window.

    Positions count from the stream's start and are turned to angles in float32, because upstream does so and a result
    equal to its own needs the same rounding. They are exact up to 2**24 steps, 15 days at 12.5 a second.
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
        """`frequencies` are the angles of one step, float32 [head_dim / 2]."""
        self._project = project
        self._layers = layers
        self._norm = norm
        self._out = out
        self._frequencies = frequencies
        self._window = window

    def new_state(self) -> TransformerState:
        """State of a stream's start."""
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
        return self._out(apart(self._norm, x, len(states)))

    def _rotation(self, positions: Tensor, dtype: torch.dtype) -> Rotation:
        angles = (positions.float()[:, None] * self._frequencies).repeat(1, 2)[:, None]
        return Rotation(angles.cos().to(dtype), angles.sin().to(dtype))

    def _mask(self, positions: Tensor, steps: Tensor) -> Tensor:
        """Column c is the step c - (window - 1) of this call: the window's other steps, then this call's own."""
        columns = torch.arange(1 - self._window, steps.shape[0], device=steps.device)
        age = steps[:, None] - columns
        return (age >= 0) & (age < self._window) & (columns >= -positions)


def _together(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)
