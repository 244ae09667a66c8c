"""Layers of the 12 Hz codec's decoder, each of which continues where its last call ended.

A signal is [steps, channels]: the pieces of one or more streams, concatenated, with the same number of steps each. A
layer holds only weights. What it remembers of a stream is a state that `new_state()` creates. Each call gets the states
of its streams and updates them in place at fixed addresses, so that a captured CUDA graph can be replayed. Calling a
layer on a signal in pieces gives the same as calling it once on the whole; before its start a signal is zero.

Convolutions are matrix products over rows, because on a few rows a convolution kernel spends its time reordering the
weights. Knows nothing of codes, frames and checkpoints; the transformer is in transformer.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True, eq=False)
class LayerHistory:
    """The last `rows` of a stream, [rows, ...]."""

    rows: Tensor

    def extend(self, signal: Tensor) -> Tensor:
        """Return past and `signal` [steps, ...] joined, [rows + steps, ...], and keep the end for the next call."""
        joined = torch.cat((self.rows, signal))
        self.rows.copy_(joined[signal.shape[0] :])
        return joined


def extend_each(states: Sequence[LayerHistory], signal: Tensor) -> list[Tensor]:
    """Split a signal by stream and return each stream's past and piece; see LayerHistory.extend."""
    return [state.extend(piece) for state, piece in zip(states, signal.chunk(len(states)), strict=True)]


def together(pieces: list[Tensor]) -> Tensor:
    """Join the pieces of all streams into one signal."""
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


class Affine(Protocol):
    """An affine map of the channels, however it is computed."""

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, in] -> [steps, out]."""


class Conv(Protocol):
    """A causal convolution, however it is computed."""

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, in] -> [steps, out]."""


class Linear:
    """Affine map of the channels: a linear layer, or a convolution with kernel size 1."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Weight is [out, in], bias [out]."""
        self._weight = weight.t().contiguous()
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return x @ self._weight if self._bias is None else torch.addmm(self._bias, x, self._weight)


class CausalConv:
    """Convolution over this step and the (kernel - 1) * dilation steps before it."""

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int = 1) -> None:
        """Weight is [out, in, kernel], bias [out]."""
        self._taps = weight.permute(2, 1, 0).contiguous()
        self._bias = bias
        self._dilation = dilation

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""
        kernel, channels, _ = self._taps.shape
        return LayerHistory(self._taps.new_zeros((kernel - 1) * self._dilation, channels))

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        steps = x.shape[0] // len(states)
        return together([self._convolve(joined, steps) for joined in extend_each(states, x)])

    def _convolve(self, joined: Tensor, steps: int) -> Tensor:
        # Tap by tap: gathering all rows for a single product would cost a CPU more in copies than it saves.
        out = torch.addmm(self._bias, joined[:steps], self._taps[0])
        for i, tap in enumerate(self._taps[1:], start=1):
            out.addmm_(joined[i * self._dilation :][:steps], tap)
        return out


class DepthwiseCausalConv:
    """Convolution of each channel by itself over this step and the kernel - 1 steps before it."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Weight is [channels, 1, kernel], bias [channels]."""
        self._taps = weight[:, 0].t().contiguous()
        self._bias = bias

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""
        kernel, channels = self._taps.shape
        return LayerHistory(self._taps.new_zeros(kernel - 1, channels))

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        steps = x.shape[0] // len(states)
        return together([self._convolve(joined, steps) for joined in extend_each(states, x)])

    def _convolve(self, joined: Tensor, steps: int) -> Tensor:
        out = torch.addcmul(self._bias, joined[:steps], self._taps[0])
        for i, tap in enumerate(self._taps[1:], start=1):
            out.addcmul_(joined[i:][:steps], tap)
        return out


class CausalTransposedConv:
    """Transposed convolution whose kernel is n strides long, without the tail that reaches past the last step.

    Output step t * stride + p is the sum over lags j < n of x[t - j] @ weight[:, :, j * stride + p]: a convolution of
    n taps that computes all phases p of a step at once.
    """

    def __init__(self, conv: "Conv", stride: int) -> None:
        """`conv` must be built from the weight and bias that `by_phase` returns."""
        self._conv = conv
        self._stride = stride

    @staticmethod
    def phases(weight: Tensor, stride: int) -> Iterator[Tensor]:
        """Yield the weight of each phase's convolution, [out, in, n], of a weight [in, out, n * stride]."""
        for phase in range(stride):
            yield weight[:, :, phase::stride].flip(2).transpose(0, 1)

    @classmethod
    def by_phase(cls, weight: Tensor, bias: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Convert weight [in, out, n * stride] and bias [out] to those of a convolution: [stride * out, in, n]."""
        return torch.cat(list(cls.phases(weight, stride))), bias.repeat(stride)

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""
        return self._conv.new_state()

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
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

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""
        return self._conv.new_state()

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        return x + self._narrow(F.gelu(self._wide(self._norm(self._conv(x, states)))))


class ActivatedConv:
    """An activation followed by a convolution."""

    def __init__(self, act: SnakeBeta, conv: CausalConv) -> None:
        self._act = act
        self._conv = conv

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""
        return self._conv.new_state()

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return self._conv(self._act(x), states)


class ResidualUnit:
    """Residual block of a dilated and a pointwise convolution, each after an activation."""

    def __init__(self, wide: Conv, narrow: Conv) -> None:
        self._wide = wide
        self._narrow = narrow
        self._no_past = narrow.new_state()

    def new_state(self) -> LayerHistory:
        """Return the state at the start of a stream."""
        return self._wide.new_state()

    def __call__(self, x: Tensor, states: Sequence[LayerHistory]) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        return x + self._narrow(self._wide(x, states), [self._no_past])


@dataclass(frozen=True, eq=False)
class UpsamplingState:
    """The state of one stream in an Upsampling."""

    up: LayerHistory
    refine: tuple[LayerHistory, ...]


class Upsampling:
    """A transposed convolution followed by blocks that refine its output."""

    def __init__(self, up: CausalTransposedConv, refine: Sequence[Conv]) -> None:
        self._up = up
        self._refine = refine

    def new_state(self) -> UpsamplingState:
        """Return the state at the start of a stream."""
        return UpsamplingState(self._up.new_state(), tuple(block.new_state() for block in self._refine))

    def __call__(self, x: Tensor, states: Sequence[UpsamplingState]) -> Tensor:
        """[steps, in] -> [steps * stride, out]."""
        x = self._up(x, [state.up for state in states])
        for number, block in enumerate(self._refine):
            x = block(x, [state.refine[number] for state in states])
        return x
