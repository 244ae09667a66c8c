"""Attention against the exact path's, on Triton's interpreter: at the edges of positions, blocks and splits."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.engine.lm.transformer import attention_of_one, rotary_table

from .kernel_calls import ANY_DTYPE, EPS, call_attend, noise

pytestmark = pytest.mark.triton

SMALL = (4, 2, 16)
PUBLISHED = pytest.param((16, 8, 128), marks=pytest.mark.slow)


class Case:
    """The new tokens of some rows, and a cache with garbage, as PyTorch leaves it, from each row's position on."""

    def __init__(self, shape: tuple[int, int, int], positions: list[int], capacity: int, dtype: torch.dtype) -> None:
        self.heads, self.kv_heads, head_dim = shape
        rows = len(positions)
        self.positions = torch.tensor(positions)
        self.qkv = noise(rows, self.heads + 2 * self.kv_heads, head_dim, dtype=dtype, scale=2)
        self.gains = 1 + noise(self.heads + self.kv_heads, head_dim, seed=1, dtype=dtype, scale=0.3)
        halves = rotary_table(capacity, head_dim, 1e6)
        self.turns = [torch.cat((half, half), 1).to(dtype) for half in halves]
        self.keys = noise(rows, self.kv_heads, capacity, head_dim, seed=2, dtype=dtype)
        self.values = noise(rows, self.kv_heads, capacity, head_dim, seed=3, dtype=dtype)
        for row, position in enumerate(positions):
            self.keys[row, :, position:] = 1e4
            self.values[row, :, position:] = 1e4

    def expected(self) -> tuple[Tensor, Tensor, Tensor]:
        """The exact path's result in float32, and its keys and values."""
        qkv, keys, values = self.qkv.float(), self.keys.clone(), self.values.clone()
        qk, v = qkv[:, : self.heads + self.kv_heads], qkv[:, self.heads + self.kv_heads :]
        qk = self.gains.float() * F.rms_norm(qk, qk.shape[-1:], None, EPS)
        cos, sin = (table.float()[self.positions][:, None] for table in self.turns)
        first, second = qk.chunk(2, dim=-1)
        qk = qk * cos + torch.cat((-second, first), dim=-1) * sin
        q, k = qk[:, : self.heads], qk[:, self.heads :]
        rows, capacity = len(qkv), keys.shape[2]
        keys[torch.arange(rows), :, self.positions] = k.to(keys.dtype)
        values[torch.arange(rows), :, self.positions] = v.to(values.dtype)
        mask = (torch.arange(capacity) <= self.positions[:, None])[:, None, None]
        return attention_of_one(q[:, :, None], keys.float(), values.float(), mask)[:, 0], keys, values

    def found(self, splits: int) -> tuple[Tensor, Tensor, Tensor]:
        keys, values = self.keys.clone(), self.values.clone()
        mixed = call_attend(self.qkv, self.gains, self.turns, (keys, values), self.positions, splits=splits)
        return mixed.flatten(1), keys, values


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
