"""Compiles all kernels of some steps before the first launch, so that it is known how many there are."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wyoming_qwen3.engine.wire import OnProgress

from .launches import OPTIONS, Launch
from .slot_tensors import SlotSteps

_ALIGNMENT = 16
"""Bytes; for an address that is a multiple of it Triton compiles another kernel."""


@dataclass(frozen=True, eq=False)
class Variant:
    """A kernel with all that makes it another one for the compiler; `tensors` are of the launch that it is known by."""

    kernel: Any
    grid: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    constants: dict[str, Any]


def compile_steps(
    make: Callable[[Launch], SlotSteps],
    rows: Sequence[int],
    report: OnProgress,
    compile_one: Callable[[Variant], object] | None = None,
) -> int:
    """Compile each kernel that the steps launch for these numbers of rows, and return how many there are.

    `make` returns the steps for a launcher. `report` is called before each kernel and at the end.
    """
    found = _variants(make, rows)
    for done, variant in enumerate(found):
        report(done, len(found))
        (compile_one or _compile)(variant)
    report(len(found), len(found))
    return len(found)


def _variants(make: Callable[[Launch], SlotSteps], rows: Sequence[int]) -> list[Variant]:
    found: dict[Hashable, Variant] = {}

    def note(kernel: Any, grid: Sequence[int], *tensors: Tensor, **constants: Any) -> None:
        aligned = tuple(tensor.storage_offset() * tensor.itemsize % _ALIGNMENT == 0 for tensor in tensors)
        dtypes = tuple(tensor.dtype for tensor in tensors)
        key = (kernel.__name__, dtypes, aligned, tuple(constants.items()))
        found.setdefault(key, Variant(kernel, tuple(grid), tensors, constants))

    steps = make(note)
    for number in rows:
        steps.talk(number)
        steps.frame(number)
    return list(found.values())


def _compile(variant: Variant) -> object:
    """Compile with Triton, or read from its cache, without a launch."""
    return variant.kernel.warmup(*variant.tensors, grid=variant.grid, **variant.constants, **OPTIONS)
