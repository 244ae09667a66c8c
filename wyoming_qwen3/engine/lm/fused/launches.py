"""Launches of Triton kernels: how they are made and counted, and in which blocks a product is computed.

Knows nothing of the kernels, and imports no Triton.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

WARPS = 4
"""Warps of a program, for all kernels."""


OPTIONS = MappingProxyType({"num_warps": WARPS, "enable_fp_fusion": False})
"""How all kernels are compiled: products and sums are not fused unless a kernel says so, so that all variants agree."""


class Launch(Protocol):
    """Launches a kernel, or does something else with the launch: counts it, or compiles it for a device elsewhere."""

    def __call__(self, kernel: Any, grid: Sequence[int], *tensors: Any, **constants: Any) -> None:
        """Launch `kernel` over `grid`, with tensors as its first arguments and constants by name."""


class CountedLaunch:
    """Launches kernels on the device of their tensors, and counts the launches of each by its name.

    A replay of a captured step launches what the last call of the step did, and is not counted again.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, kernel: Any, grid: Sequence[int], *tensors: Any, **constants: Any) -> None:
        """Launch a kernel, which is compiled if it was not yet."""
        self.counts[kernel.__name__] += 1
        kernel[tuple(grid)](*tensors, **constants, **OPTIONS)


@dataclass(frozen=True)
class KernelBlocks:
    """The greatest blocks in which products are computed.

    A sum's order depends on both numbers, so they must be the same for all numbers of rows. With these each of the 4
    warps reads 512 contiguous bytes of one output's bfloat16 weights at a time, or 256 in 8 bits.
    """

    outputs: int = 4
    inputs: int = 256

    def of(self, rows: int, weight: Tensor, scales: Tensor | None = None, *, parts: int = 1) -> dict[str, int]:
        """Return the constants of a product with `weight` [parts * outputs, inputs]: its shape, and blocks dividing it.

        With `scales` [parts * outputs, groups] a block of inputs is a group. Few rows leave registers for several
        blocks of inputs at once, which hides the latency of memory.
        """
        outputs, inputs = len(weight) // parts, weight.shape[1]
        return {
            "ROWS": rows,
            "INPUTS": inputs,
            "OUTPUTS": outputs,
            "SCALED": scales is not None,
            "BLOCK_ROWS": power_of_two(rows),
            "BLOCK_OUTPUTS": min(self.outputs, _even_part(outputs)),
            "BLOCK_INPUTS": min(self.inputs, _even_part(inputs)) if scales is None else inputs // scales.shape[1],
            "UNROLL": 4 if rows <= 2 else 1,
        }


def power_of_two(number: int) -> int:
    """Return the least power of two that is not below a positive number."""
    return 1 << (number - 1).bit_length()


def _even_part(number: int) -> int:
    """Return the greatest power of two that divides a positive number."""
    return number & -number
