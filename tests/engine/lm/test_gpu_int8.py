"""Weights in 8 bits on a GPU: what is stored, and PyTorch's product of it."""

import pytest
import torch

from wyoming_qwen3.engine.lm.gpu_int8 import GroupedInt8Linear, group_size


@pytest.mark.parametrize(("inputs", "expected"), [(1024, 256), (3072, 256), (384, 128), (48, 16), (7, 1)])
def test_a_group_is_a_power_of_two_that_divides_the_inputs(inputs: int, expected: int) -> None:
    assert group_size(inputs) == expected


def test_weights_are_rounded_to_the_scale_of_their_group() -> None:
    weight = torch.randn(1100, 512, generator=torch.Generator().manual_seed(0))
    weight[3, 256:] *= 1000  # makes no other group coarser
    weight[4, :256] = 0
    layer = GroupedInt8Linear(weight)
    assert layer.weight.dtype == torch.uint8
    assert layer.scales.shape == (1100, 2)
    error = (layer.widened(torch.float32) - weight).abs().view(1100, 2, 256).amax(2)
    largest = weight.abs().view(1100, 2, 256).amax(2)
    assert (error <= 0.504 * largest / 127).all()  # half a step, and the rounding of a bfloat16 scale
    assert (layer.widened(torch.float32)[4, :256] == 0).all()
    assert layer.weight.nbytes + layer.scales.nbytes == 1100 * (512 + 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_product_is_that_of_the_same_numbers(dtype: torch.dtype) -> None:
    layer = GroupedInt8Linear(torch.randn(24, 48, generator=torch.Generator().manual_seed(1)).to(dtype))
    x = torch.randn(2, 3, 48, generator=torch.Generator().manual_seed(2)).to(dtype)
    wide = (layer.weight.double() - 128).view(24, 3, 16) * layer.scales.double()[:, :, None]
    expected = (x.double() @ wide.view(24, 48).T).to(dtype)
    tolerance = 0.06 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(layer(x), expected, rtol=tolerance, atol=tolerance)
    assert torch.equal(layer.widened(torch.float32).double(), wide.view(24, 48))  # exact, not rounded again
