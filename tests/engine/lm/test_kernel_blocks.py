"""The blocks in which a product of the fused kernels is computed."""

import pytest
import torch

from wyoming_qwen3.engine.lm.fused.launches import KernelBlocks, power_of_two
from wyoming_qwen3.engine.lm.gpu_int8 import GroupedInt8Linear


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs", "expected"),
    [
        (1, 1024, 4096, (1, 4, 256, 4)),
        (3, 6144, 2048, (4, 4, 256, 1)),
        (8, 48, 1088, (8, 4, 16, 1)),
        (2, 64, 2, (2, 2, 64, 4)),
    ],
)
def test_blocks_divide_a_shape(rows: int, inputs: int, outputs: int, expected: tuple[int, ...]) -> None:
    found = KernelBlocks().of(rows, torch.empty(outputs, inputs, device="meta"))
    names = ("BLOCK_ROWS", "BLOCK_OUTPUTS", "BLOCK_INPUTS", "UNROLL")
    assert tuple(found[name] for name in names) == expected


@pytest.mark.parametrize(("inputs", "block"), [(1024, 256), (3072, 256), (48, 16), (6, 2)])
def test_a_block_of_inputs_has_one_scale(inputs: int, block: int) -> None:
    layer = GroupedInt8Linear(torch.ones(8, inputs))
    shape = KernelBlocks().of(1, layer.weight, layer.scales, parts=2)
    assert (shape["BLOCK_INPUTS"], shape["OUTPUTS"], shape["SCALED"]) == (block, 4, True)


@pytest.mark.parametrize(("number", "expected"), [(1, 1), (2, 2), (3, 4), (1024, 1024), (1025, 2048)])
def test_powers_of_two(number: int, expected: int) -> None:
    assert power_of_two(number) == expected
