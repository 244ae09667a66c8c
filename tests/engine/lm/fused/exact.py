"""What kernels are compared with: the exact path's attention, and cases of draws."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.engine.lm.sampling import Warp
from wyoming_qwen3.engine.lm.transformer import attention_of_one, rotary_table

from .kernel_calls import EPS, call_attend, noise

GREEDY = Warp(0.0, 50, 1.0)
WARPS = (
    GREEDY,
    Warp(0.9, 50, 1.0),
    Warp(0.7, 0, 1.0),
    Warp(1.3, 0, 0.8),
    Warp(1.0, 40, 0.5),
    Warp(2.0, 1, 0.9),
    Warp(0.9, 5000, 0.999),
    Warp(1.0, 7, 0.0),
)


def exponential(rows: int, ids: int, seed: int = 0) -> Tensor:
    numbers = torch.empty(rows, ids).exponential_(generator=torch.Generator().manual_seed(seed))
    numbers[0] = 1  # as in a greedy row
    return numbers


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
