"""Products with what is fused into them, against the layers of the exact path, on Triton's interpreter."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tests.engine.golden import assert_near

from .kernel_calls import ANY_DTYPE, EPS, WIDE, call_add, call_gated, call_project, narrow, noise, rounded, weight

pytestmark = pytest.mark.triton

PUBLISHED = [pytest.param(1024, 4096, marks=pytest.mark.slow), pytest.param(3072, 1024, marks=pytest.mark.slow)]


def normed(x: Tensor, gain: Tensor) -> Tensor:
    return gain * F.rms_norm(x, x.shape[-1:], None, EPS)


def assert_rounded(found: Tensor, exact: Tensor) -> None:
    """Require the float32 result of the same numbers, rounded once: the interpreter cuts a bfloat16's last bits off."""
    if found.dtype == torch.float32:
        assert_near(found, exact)
    else:
        torch.testing.assert_close(found.float(), exact, rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize("dtype", ANY_DTYPE, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), [(48, 40), *PUBLISHED])
@pytest.mark.parametrize("rows", [1, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_a_norm_and_a_product(rows: int, inputs: int, outputs: int, dtype: torch.dtype) -> None:
    x, gain = noise(rows, inputs, dtype=dtype, scale=3), noise(inputs, seed=1, dtype=dtype)
    w, bias = weight(outputs, inputs, dtype), noise(outputs, seed=2, dtype=dtype)
    wide = (x.float(), gain.float(), w.float(), bias.float())
    assert_rounded(call_project(x, w, gain), F.linear(normed(wide[0], wide[1]), wide[2]))
    assert_rounded(call_project(x, w, bias=bias), F.linear(wide[0], wide[2], wide[3]))


@pytest.mark.parametrize("dtype", ANY_DTYPE, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), [(48, 40), *PUBLISHED])
def test_gate_and_up(inputs: int, outputs: int, dtype: torch.dtype) -> None:
    x, gain, w = noise(2, inputs, dtype=dtype), noise(inputs, seed=1, dtype=dtype), weight(2 * outputs, inputs, dtype)
    gate, up = F.linear(normed(x.float(), gain.float()), w.float()).chunk(2, dim=-1)
    assert_rounded(call_gated(x, w, gain), F.silu(gate) * up)


@pytest.mark.parametrize("dtype", ANY_DTYPE, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), [(48, 40), *PUBLISHED])
def test_a_product_and_the_residual(inputs: int, outputs: int, dtype: torch.dtype) -> None:
    x, w, states = noise(2, inputs, dtype=dtype), weight(outputs, inputs, dtype), noise(2, outputs, seed=1, dtype=dtype)
    assert_rounded(call_add(x, w, states), states.float() + F.linear(x.float(), w.float()))


@pytest.mark.parametrize("dtype", ANY_DTYPE, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), [(48, 40), *PUBLISHED])
@pytest.mark.parametrize("rows", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_weights_in_8_bits_are_widened_in_registers(rows: int, inputs: int, outputs: int, dtype: torch.dtype) -> None:
    """The result is that of the same numbers in float32, rounded once."""
    x, gain, states = noise(rows, inputs, dtype=dtype), noise(inputs, seed=1, dtype=dtype), noise(rows, 2 * outputs)
    states = states.to(dtype)
    packed, w = rounded(weight(2 * outputs, inputs))
    product = F.linear(normed(x.float(), gain.float()), w)
    assert_rounded(call_project(x, packed, gain), product)
    gate, up = product.chunk(2, dim=-1)
    assert_rounded(call_gated(x, packed, gain), F.silu(gate) * up)
    assert_rounded(call_add(x, packed, states), states.float() + F.linear(x.float(), w))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ANY_DTYPE, ids=str)
@pytest.mark.parametrize("in_8_bits", [False, True])
def test_rows_are_bit_identical_alone_and_beside_any_others(dtype: torch.dtype, *, in_8_bits: bool) -> None:
    inputs, outputs = 96, 64
    plain, gain = weight(2 * outputs, inputs, dtype), noise(inputs, seed=1, dtype=dtype)
    w = rounded(plain)[0] if in_8_bits else plain
    x, states = noise(8, inputs, dtype=dtype), noise(8, 2 * outputs, seed=2, dtype=dtype)
    alone = [
        [call_project(x[row : row + 1], w, gain) for row in range(8)],
        [call_gated(x[row : row + 1], w, gain) for row in range(8)],
        [call_add(x[row : row + 1], w, states[row : row + 1]) for row in range(8)],
    ]
    for rows in range(1, 9):
        for first in (0, 8 - rows):
            span = slice(first, first + rows)
            found = (call_project(x[span], w, gain), call_gated(x[span], w, gain), call_add(x[span], w, states[span]))
            assert all(torch.equal(one, torch.cat(other[span])) for one, other in zip(found, alone, strict=True))


def test_the_outputs_of_a_program_change_no_bit() -> None:
    x, gain, w = noise(2, 32), noise(32, seed=1), weight(16, 32)
    for outputs in (4, 8):
        blocks = narrow(WIDE, outputs)
        assert torch.equal(call_project(x, w, gain, blocks=blocks), call_project(x, w, gain))
        assert torch.equal(call_gated(x, w, gain, blocks=blocks), call_gated(x, w, gain))
