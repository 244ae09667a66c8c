"""How far products of rounded weights are from exact ones: ours in 8 and 4 bits beside the formats of ggml.

Real weights are not needed: they are drawn with the tails that trained ones have. Knows formulas of formats; does NOT
know checkpoints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.engine.kernels.library import Kernels, load_kernels
from wyoming_qwen3.engine.kernels.structures import LinearStruct
from wyoming_qwen3.engine.lm.cpu_packing import BLOCK, pack

_SHAPE = (1024, 3072)
_TOKENS = 64
_OUTLIERS = 1e-3
_OUTLIER_SIZE = 1000.0
_SUPERBLOCK = 256

Product = Callable[[Tensor, Tensor], Tensor]
"""Activations [tokens, inputs] and a weight [outputs, inputs] -> [tokens, outputs]."""


@dataclass(frozen=True)
class Errors:
    """Of each product, by the weights or activations and by the format, relative to the exact product's size."""

    weights: Mapping[str, Mapping[str, float]]
    activations: Mapping[str, Mapping[str, float]]
    kurtosis: Mapping[str, float]


def measure() -> Errors:
    """Measure all combinations. Raises EngineFailed if there are no kernels."""
    kernels = load_kernels(torch.get_num_threads())
    if kernels is None:
        raise EngineFailed("The CPU kernels are not compiled: run python -m wyoming_qwen3.engine.kernels.")
    drawn, x = weights(), torch.randn(_TOKENS, _SHAPE[1], generator=torch.Generator().manual_seed(1))
    four = {"ours int4": _ours(kernels, 4), "nearest": _nearest_4, "Q4_0": _q4_0, "Q4_K": _q4_k}
    both = {"ours int8": _ours(kernels, 8), "Q8_0": _q8_0, "ours int4": _ours(kernels, 4), "Q4_0": _q4_0, "Q4_K": _q4_k}
    inputs = {"Gaussian": x, "massive outliers": with_outliers(x)}
    return Errors(
        {name: {kind: _error(product, x, weight) for kind, product in four.items()} for name, weight in drawn.items()},
        {
            name: {kind: _error(product, given, drawn["scale mixture"]) for kind, product in both.items()}
            for name, given in inputs.items()
        },
        {name: float((weight**4).mean() / (weight**2).mean() ** 2) for name, weight in drawn.items()},
    )


def weights() -> Mapping[str, Tensor]:
    """Draw weights float32 [outputs, inputs].

    Gaussian; Gaussian with a log-normal scale for each weight (sigma 0.5); Student's t with 4 degrees of freedom; and a
    mixture (sigma 0.35) with log-normal scales of outputs (0.3), in which 1 % of the inputs are 8 times as wide.
    """
    draw = torch.Generator().manual_seed(0)
    outputs, inputs = _SHAPE
    normal = 0.02 * torch.randn(_SHAPE, generator=draw)
    widths = torch.randn(_SHAPE, generator=draw)
    chi_squared = (torch.randn(4, *_SHAPE, generator=draw) ** 2).mean(0)
    columns = normal * (0.35 * widths).exp() * (0.3 * torch.randn(outputs, 1, generator=draw)).exp()
    columns[:, torch.randperm(inputs, generator=draw)[: inputs // 100]] *= 8
    return {
        "Gaussian": normal,
        "scale mixture": normal * (0.5 * widths).exp(),
        "Student's t": normal / chi_squared.sqrt(),
        "outlier columns": columns,
    }


def with_outliers(x: Tensor) -> Tensor:
    """Make one number in 1,000, at random places, 1,000 times as large as the median magnitude."""
    chosen = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < _OUTLIERS
    return torch.where(chosen, x.sign() * _OUTLIER_SIZE * x.abs().median(), x)


def to_text(errors: Errors) -> str:
    """Return both tables, in Markdown."""
    lines = ["Error of products by weights, % (activations Gaussian):", ""]
    lines += _table({f"{name}, kurtosis {errors.kurtosis[name]:.0f}": row for name, row in errors.weights.items()})
    lines += ["", "Error of products by activations, % (weights a scale mixture):", ""]
    return "\n".join([*lines, *_table(errors.activations), ""])


def _table(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    kinds = next(iter(rows.values()))
    head = [f"| | {' | '.join(kinds)} |", f"|---|{'---|' * len(kinds)}"]
    return head + [
        f"| {name} | {' | '.join(f'{100 * row[kind]:.2f}' for kind in kinds)} |" for name, row in rows.items()
    ]


def _error(product: Product, x: Tensor, weight: Tensor) -> float:
    exact = x.double() @ weight.double().t()
    return float((product(x, weight) - exact).norm() / exact.norm())


def _ours(kernels: Kernels, bits: int) -> Product:
    def product(x: Tensor, weight: Tensor) -> Tensor:
        packed = pack(kernels, weight, bits)
        pointers = {"weights": packed.data.data_ptr(), "scales": packed.scales.data_ptr()}
        sizes = {"outputs": packed.outputs, "inputs": packed.inputs, "blocks": -(-packed.outputs // BLOCK)}
        return kernels.apply(LinearStruct(**pointers, **sizes, bits=bits), x)

    return product


def _groups(x: Tensor, size: int = BLOCK) -> Tensor:
    return x.view(len(x), -1, size)


def _half(x: Tensor) -> Tensor:
    return x.half().float()


def _as_q8_0(x: Tensor) -> Tensor:
    """Groups of 32: a float16 scale, and numbers from -127 to 127."""
    scale = _groups(x).abs().amax(2, keepdim=True) / 127
    return ((_groups(x) / scale).round() * _half(scale)).view_as(x)


def _as_q8_k(x: Tensor) -> Tensor:
    """Groups of 256, as Q4_K's activations: a float32 scale, by which the largest magnitude is -127."""
    groups = _groups(x, _SUPERBLOCK)
    scale = groups.gather(2, groups.abs().argmax(2, keepdim=True)) / -127
    return ((groups / scale).round().clamp(max=127) * scale).view_as(x)


def _q8_0(x: Tensor, weight: Tensor) -> Tensor:
    return _as_q8_0(x) @ _as_q8_0(weight).t()


def _signed_largest(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weights in groups of 32, and the scales by which each group's largest magnitude becomes -8."""
    groups = _groups(weight)
    return groups, groups.gather(2, groups.abs().argmax(2, keepdim=True)) / -8


def _nearest_4(x: Tensor, weight: Tensor) -> Tensor:
    """Rounding to the nearest with a bfloat16 scale for 32 weights, which was this project's first format."""
    groups, scale = _signed_largest(weight)
    scale = scale.bfloat16().float()
    return _as_q8_0(x) @ ((groups / scale).round().clamp(-8, 7) * scale).view_as(weight).t()


def _q4_0(x: Tensor, weight: Tensor) -> Tensor:
    groups, scale = _signed_largest(weight)
    return _as_q8_0(x) @ (((groups / scale + 8.5).floor().clamp(0, 15) - 8) * _half(scale)).view_as(weight).t()


def _q4_k(x: Tensor, weight: Tensor) -> Tensor:
    """Groups of 32 with a 6-bit scale and minimum, for 8 groups relative to two float16, searched in 21 steps."""
    groups = weight.view(len(weight), -1, _SUPERBLOCK // BLOCK, BLOCK)
    scale, minimum = _weighted_fit(groups)
    scale, minimum = (
        _half(part.amax(2, keepdim=True) / 63) * (63 * part / part.amax(2, keepdim=True)).round()
        for part in (scale, minimum)
    )
    numbers = ((groups + minimum) / scale.clamp(min=torch.finfo().tiny)).round().clamp(0, 15)
    return _as_q8_k(x) @ (scale * numbers - minimum).view_as(weight).t()


def _weighted_fit(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return Q4_K's scales and minimums, subtracted and at least 0, of groups [..., 32], before they are rounded.

    An error counts by its weight's magnitude plus the group's root mean square.
    """
    importance = groups.abs() + groups.square().mean(-1, keepdim=True).sqrt()
    low, high = groups.amin(-1, keepdim=True).clamp(max=0), groups.amax(-1, keepdim=True)

    def total(x: Tensor) -> Tensor:
        return (importance * x).sum(-1, keepdim=True)

    ones, weights = total(torch.ones_like(groups)), total(groups)
    scale, minimum = (high - low) / 15, low
    least = total((scale * ((groups - low) / scale).round().clamp(0, 15) + minimum - groups).square())
    for step in range(21):
        numbers = ((groups - low) * (14 + 0.1 * step) / (high - low)).round().clamp(0, 15)
        sum_, squares, products = total(numbers), total(numbers.square()), total(numbers * groups)
        spread = ones * squares - sum_.square()
        fitted, offset = (ones * products - weights * sum_) / spread, (squares * weights - sum_ * products) / spread
        fitted, offset = torch.where(offset > 0, products / squares, fitted), offset.clamp(max=0)
        error = total((fitted * numbers + offset - groups).square())
        scale, minimum = torch.where(error < least, fitted, scale), torch.where(error < least, offset, minimum)
        least = error.minimum(least)
    return scale, -minimum
