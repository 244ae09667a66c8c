"""The codec's convolutions of seven taps, on each kind of kernels that can run here, with all products and fewer."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.engine.codec.cpu_kernels import FastConv, FastResidualUnit
from wyoming_qwen3.engine.codec.layers import LayerHistory
from wyoming_qwen3.engine.kernels.build import kinds_here
from wyoming_qwen3.engine.kernels.library import Kernels, load_kernels

PERIOD = 30
"""A multiple of no tile's length, so that there are tiles of all sizes."""

TOLERANCE = {"amx": 6e-5}
"""Of the result's standard deviation, for one standard deviation of the error; 1e-5 if the sums are all float32."""


@pytest.fixture(scope="module", params=[kind.name for kind in kinds_here()])
def kernels(request: pytest.FixtureRequest) -> Kernels:
    loaded = load_kernels(2, request.param)
    assert loaded is not None, "script/setup compiles the kernels"
    return loaded


def drawn(channels: int, outputs: int) -> tuple[Tensor, Tensor]:
    """A weight [outputs, channels, 7] and a bias."""
    draw = torch.Generator().manual_seed(channels)
    weight = torch.randn(outputs, channels, 7, generator=draw) * (7 * channels) ** -0.5
    return weight, torch.randn(outputs, generator=draw)


def signal(steps: int, channels: int) -> Tensor:
    return torch.randn(steps, channels, generator=torch.Generator().manual_seed(steps))


def exact(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    padded = F.pad(x.double().t()[None], (6 * dilation, 0))
    return F.conv1d(padded, weight.double(), bias.double(), dilation=dilation)[0].t()


@pytest.mark.parametrize("dilation", [1, 3, 9])
@pytest.mark.parametrize(("channels", "outputs"), [(16, 16), (96, 96), (32, 70), (768, 40)])
@pytest.mark.parametrize("period", [PERIOD, 0])
def test_sums_are_those_of_all_taps(kernels: Kernels, channels: int, outputs: int, dilation: int, period: int) -> None:
    weight, bias = drawn(channels, outputs)
    conv = FastConv(kernels, weight, bias, dilation, period=period)
    x = signal(5 * PERIOD, channels)
    expected = exact(x, weight, bias, dilation)
    error = conv(x, [conv.new_state()]) - expected
    assert error.std() < TOLERANCE.get(kernels.kind, 1e-5) * expected.std()
    assert error.abs().max() < 10 * TOLERANCE.get(kernels.kind, 1e-5) * expected.std()


@pytest.mark.parametrize("steps", [5, 200])
@pytest.mark.parametrize("shape", [(96, 64, 1), (64, 96, 2), (32, 160, 7), (40, 50, 2)], ids=str)
@pytest.mark.parametrize(("bits", "noise"), [(16, 1e-4), (8, 2e-2)])
def test_fewer_bits_add_a_little_noise(
    kernels: Kernels, bits: int, noise: float, shape: tuple[int, int, int], steps: int
) -> None:
    inputs, outputs, taps = shape
    weight, bias = drawn(inputs, outputs)
    conv = FastConv(kernels, weight[:, :, -taps:], bias, bits=bits)
    expected = exact(signal(steps, inputs), F.pad(weight[:, :, -taps:], (7 - taps, 0)), bias, 1)
    error = conv(signal(steps, inputs), [conv.new_state()]) - expected
    assert error.std() < noise * expected.std()
    if bits == 8 and inputs == 32 and kernels.kind not in {"amx", "plain"}:
        assert error.std() > 1e-3 * expected.std()  # it does have fewer bits


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_a_transposed_convolution_has_all_phases(kernels: Kernels, bits: int) -> None:
    draw = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(64, 32, 10, generator=draw) / 8, torch.randn(32, generator=draw)
    conv = FastConv(kernels, weight, bias, stride=5, bits=bits)
    x = signal(40, 64)
    expected = F.conv_transpose1d(x.t()[None], weight, bias, stride=5)[0].t()[:200]
    found = conv(x, [conv.new_state()]).view(200, 32)
    assert (found - expected).std() < {32: 1e-4, 16: 1e-4, 8: 2e-2}[bits] * expected.std()


@pytest.mark.parametrize("dilation", [1, 3, 9])
def test_no_bit_depends_on_the_pieces_or_on_other_streams(kernels: Kernels, dilation: int) -> None:
    conv = FastConv(kernels, *drawn(48, 48), dilation, period=PERIOD)
    streams = [signal(12 * PERIOD, 48).roll(number, 0) for number in range(3)]
    whole = [conv(x, [conv.new_state()]) for x in streams]
    states = [conv.new_state() for _ in streams]
    parts = [torch.split(x, [PERIOD, 4 * PERIOD, 7 * PERIOD]) for x in streams]
    found = [conv(torch.cat(pieces), states).chunk(3) for pieces in zip(*parts, strict=True)]
    for number, expected in enumerate(whole):
        assert torch.equal(torch.cat([piece[number] for piece in found]), expected)


def test_history_is_that_of_a_convolution_with_all_products(kernels: Kernels) -> None:
    """So that a state can be kept whatever is chosen to compute."""
    states: list[LayerHistory] = []
    for period in (PERIOD, 0):
        conv = FastConv(kernels, *drawn(32, 32), 3, period=period)
        states.append(conv.new_state())
        conv(signal(PERIOD, 32), states[-1:])
    assert states[0].rows.any()
    assert torch.equal(states[0].rows, states[1].rows)


@pytest.mark.parametrize("dilation", [1, 9])
def test_a_residual_unit_adds_two_activated_convolutions(kernels: Kernels, dilation: int) -> None:
    weight, bias = drawn(96, 96)
    narrow, x = weight[:, :, :1].contiguous(), signal(3 * PERIOD, 96)
    frequency, gain = torch.full((96,), 1.5), torch.full((96,), 0.5)
    wide = FastConv(kernels, weight, bias, dilation, (frequency, gain), period=PERIOD)
    unit = FastResidualUnit(wide, FastConv(kernels, narrow, bias, 1, (frequency, gain)))

    def activated(y: Tensor) -> Tensor:
        return y + gain * torch.sin(frequency * y) ** 2

    between = activated(exact(activated(x.double()), weight, bias, dilation))
    expected = x + between @ narrow[:, :, 0].double().t() + bias
    error = unit(x.clone(), [unit.new_state()]) - expected
    assert error.std() < TOLERANCE.get(kernels.kind, 1e-5) * expected.std()
