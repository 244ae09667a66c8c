"""A lack of memory is told from other faults, whoever raised it."""

import pytest
import torch

from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.engine.out_of_memory import ran_out


def fail(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (fail(ModelFailed("It could not be loaded."), MemoryError()), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(28, "No space left on device"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_is_a_lack_of_memory(error: Exception, expected: bool) -> None:
    assert ran_out(error) is expected
