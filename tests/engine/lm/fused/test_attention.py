"""Attention against the exact path's, on Triton's interpreter: at the edges of positions, blocks and splits."""

import pytest
import torch

from .exact import Case
from .kernel_calls import ANY_DTYPE

pytestmark = pytest.mark.triton

SMALL = (4, 2, 16)
PUBLISHED = pytest.param((16, 8, 128), marks=pytest.mark.slow)


@pytest.mark.parametrize("dtype", ANY_DTYPE, ids=str)
@pytest.mark.parametrize("shape", [SMALL, PUBLISHED], ids=["small", "published"])
@pytest.mark.parametrize(
    ("positions", "splits", "capacity"),
    [
        ([0, 15], 1, 16),
        pytest.param([1, 7, 14], 1, 16, marks=pytest.mark.slow),
        pytest.param([0, 1, 15, 16, 17], 4, 80, marks=pytest.mark.slow),
        pytest.param([63, 64, 65, 79], 4, 80, marks=pytest.mark.slow),
        pytest.param([33, 40], 1, 80, marks=pytest.mark.slow),
    ],
)
def test_attention(
    shape: tuple[int, int, int], positions: list[int], splits: int, capacity: int, dtype: torch.dtype
) -> None:
    case = Case(shape, positions, capacity, dtype)
    (found, *written), (expected, *exact) = case.found(splits), case.expected()
    for one, other in zip(written, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5 if dtype == torch.float32 else 2**-7, atol=1e-5)
        untouched = torch.ones(one.shape[:3], dtype=torch.bool)
        untouched[torch.arange(len(positions)), :, case.positions] = False
        assert torch.equal(one[untouched], other[untouched])
    tolerance = 2e-5 if dtype == torch.float32 else 2**-6
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_a_row_does_not_depend_on_the_others() -> None:
    case = Case(SMALL, [3, 30, 60], 80, torch.float32)
    together = case.found(4)[0]
    turned = Case(SMALL, [3, 30, 60], 80, torch.float32)
    order = [2, 0, 1]
    for name in ("qkv", "keys", "values", "positions"):
        setattr(turned, name, getattr(turned, name)[order].contiguous())
    assert torch.equal(turned.found(4)[0], together[order])
