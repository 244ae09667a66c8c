"""Layers of the codec over compiled kernels, each used as its namesake in codec_layers is: exact, and faster on a CPU.

Sums are float32 as there, in an order of their own: results are equal within rounding, and do not depend on pieces,
threads and the signals beside. Knows matrices and what the kernels need.
"""

from collections.abc import Sequence

from torch import Tensor

from .codec_layers import History
from .kernels import library
from .kernels.library import Kernels


class FastConv:
    """codec_layers.CausalConv, for a weight [out, in, kernel]; with a frequency and gain, behind a SnakeBeta."""

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
        self.layout = library.Convolution(None, *pointers, inputs, outputs, taps, dilation)
        packed = kernels.pack(self.layout, weight.float().contiguous())
        self.layout.weights = packed.data_ptr()
        self._kept = [packed, *kept]

    def new_state(self) -> History:
        """State of a stream's start."""
        return History(self.kernels.history(self.layout))

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return self.kernels.convolve(self.layout, x.contiguous(), [state.rows for state in states])


class FastLinear(FastConv):
    """codec_layers.Linear, for a weight [out, in]."""

    def __init__(self, kernels: Kernels, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(kernels, weight[:, :, None], bias)
        self._no_past = [self.new_state()]

    def __call__(self, x: Tensor, states: Sequence[History] = ()) -> Tensor:
        """[steps, in] -> [steps, out]."""
        return super().__call__(x, states or self._no_past)


class FastResidualUnit:
    """codec_layers.ResidualUnit, each activation being part of the convolution behind it."""

    def __init__(self, wide: FastConv, narrow: FastConv) -> None:
        self._kernels = wide.kernels
        self._wide = wide
        self._narrow = narrow

    def new_state(self) -> History:
        """State of a stream's start."""
        return self._wide.new_state()

    def __call__(self, x: Tensor, states: Sequence[History]) -> Tensor:
        """[steps, channels] -> [steps, channels]."""
        return self._kernels.refine(self._wide.layout, self._narrow.layout, x, [state.rows for state in states])
