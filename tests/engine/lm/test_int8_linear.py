"""The 8-bit linear layer without the compiled kernels."""

import pytest
import torch

from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.engine.lm.int8_linear import Int8Linear


@pytest.mark.parametrize(("outputs", "inputs"), [(3072, 1024), (2048, 6144), (70, 48), (64, 32)])
def test_outputs_are_near_the_exact_ones_and_a_row_does_not_depend_on_the_others(outputs: int, inputs: int) -> None:
    draw = torch.Generator().manual_seed(outputs)
    weight, x = torch.randn(outputs, inputs, generator=draw), torch.randn(3, 4, inputs, generator=draw)
    layer = Int8Linear(weight)
    found = layer(x)
    expected = x @ weight.t()
    assert found.dtype == torch.float32
    assert (found - expected).std() < 0.02 * expected.std()
    alone = torch.stack([layer(row[None])[0] for row in x.flatten(0, 1)])
    assert torch.equal(alone.view_as(found), found)


def test_zeros_stay_zeros() -> None:
    assert not Int8Linear(torch.zeros(32, 32))(torch.ones(2, 32)).any()


def test_sizes_that_pytorch_would_read_beyond_are_refused() -> None:
    with pytest.raises(ModelFailed, match="--quantize none"):
        Int8Linear(torch.randn(64, 40))
