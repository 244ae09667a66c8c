"""The compiled kernels, each kind that this processor can run: products exact for the rounded numbers, rows apart."""

import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engine.checkpoint.layouts import layout, separate, unpack
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.engine.kernels import build as build_module
from wyoming_qwen3.engine.kernels.build import (
    FAMILIES,
    build,
    compile_kind,
    find_compiler,
    fitting,
    kinds_here,
    library_file,
)
from wyoming_qwen3.engine.kernels.library import Kernels, load_kernels
from wyoming_qwen3.engine.lm.cpu_packing import BLOCK, interleave, pack

SOURCES = Path(build_module.__file__).parent
KINDS = [kind.name for kind in kinds_here()]
SHAPES = [(64, 32), (70, 48), (1024, 3072)]


@pytest.fixture(scope="module", params=KINDS)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    loaded = load_kernels(2, request.param)
    assert loaded is not None, "script/setup compiles the kernels"
    assert loaded.kind == request.param
    return loaded


def rounded(x: Tensor) -> Tensor:
    """Rows as the kernels round them: 8 bits, a scale for each 32 numbers."""
    groups = torch.nn.functional.pad(x, (0, -x.shape[1] % BLOCK)).view(len(x), -1, BLOCK)
    scale = groups.abs().amax(2, keepdim=True) / 127
    whole = torch.where(scale > 0, groups / scale, groups).round() * scale
    return whole.view(len(x), -1)[:, : x.shape[1]]


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_products_are_those_of_the_rounded_numbers(kernels: Kernels, outputs: int, inputs: int, bits: int) -> None:
    draw = torch.Generator().manual_seed(outputs)
    x, packed = (
        torch.randn(7, inputs, generator=draw),
        pack(kernels, torch.randn(outputs, inputs, generator=draw), bits),
    )
    bias = torch.randn(-(-outputs // BLOCK) * BLOCK, generator=draw)
    expected = rounded(x).double() @ unpack(packed).double().t() + bias[:outputs]
    found = kernels.apply(layout(packed, bias), x)
    assert (found - expected).abs().max() < 1e-5 * expected.std()
    alone = [kernels.apply(layout(packed, bias), row[None].contiguous()) for row in x]
    assert torch.equal(torch.cat(alone), found)


def test_products_are_the_same_while_threads_come_and_go(kernels: Kernels) -> None:
    draw = torch.Generator().manual_seed(0)
    x, packed = torch.randn(2, 512, generator=draw), pack(kernels, torch.randn(1024, 512, generator=draw), 8)
    expected, over = kernels.apply(layout(packed), x), threading.Event()
    crew = load_kernels(4, kernels.kind)
    assert crew

    def change() -> None:
        while not over.is_set():
            for threads in (1, 4, 2, 3):
                crew.limit(threads)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        assert all(torch.equal(crew.apply(layout(packed), x), expected) for _ in range(300))
    finally:
        over.set()
        changing.join()


def test_the_widest_numbers_fit(kernels: Kernels) -> None:
    """All at the end of their range: the largest sums of 16 bits that there can be."""
    packed = pack(kernels, torch.ones(32, 64).index_fill(0, torch.arange(16), -1.0), 8)
    found = kernels.apply(layout(packed), torch.ones(1, 64))
    torch.testing.assert_close(found[0], torch.tensor([-64.0] * 16 + [64.0] * 16))


def test_zeros_stay_zeros(kernels: Kernels) -> None:
    for bits in (8, 4):
        packed = pack(kernels, torch.zeros(32, 32), bits)
        assert not kernels.apply(layout(packed), torch.zeros(2, 32)).any()
        assert not unpack(packed).any()


@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_8_bits_round_to_the_nearest(kernels: Kernels, outputs: int, inputs: int) -> None:
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(1))
    error = (unpack(pack(kernels, weight, 8)) - weight).abs()
    assert (error <= weight.abs().amax(1, keepdim=True) / 254 * 1.0001).all()


def heavy_tailed(outputs: int, inputs: int) -> Tensor:
    """Weights as trained ones: a mixture of Gaussians of several widths, rows of several scales, and wide columns."""
    draw = torch.Generator().manual_seed(outputs)
    weight = torch.randn(outputs, inputs, generator=draw) * (0.4 * torch.randn(outputs, inputs, generator=draw)).exp()
    weight *= 0.02 * (0.3 * torch.randn(outputs, 1, generator=draw)).exp()
    weight[:, torch.randperm(inputs, generator=draw)[: inputs // 16]] *= 8
    return weight


def nearest(weight: Tensor) -> Tensor:
    """Round to the nearest of 16 steps from each group's smallest to its largest weight."""
    groups = torch.nn.functional.pad(weight, (0, -weight.shape[1] % BLOCK)).view(len(weight), -1, BLOCK)
    low, high = groups.amin(2, keepdim=True).clamp(max=0), groups.amax(2, keepdim=True).clamp(min=0)
    step = (high - low) / 15
    return (((groups - low) / step).round() * step + low).view(len(weight), -1)[:, : weight.shape[1]]


@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
@pytest.mark.parametrize("scale", [1e-6, 1, 1e4])
def test_4_bits_are_nearer_than_rounding_to_the_nearest_with_the_full_range(
    kernels: Kernels, outputs: int, inputs: int, scale: float
) -> None:
    weight = scale * heavy_tailed(outputs, inputs)
    error = (unpack(pack(kernels, weight, 4)) - weight).norm() / weight.norm()
    assert error < 0.97 * (nearest(weight) - weight).norm() / weight.norm()


def test_a_few_wide_weights_cost_the_others_nothing(kernels: Kernels) -> None:
    """Groups of one output have scales of their own, up to a hundred times apart."""
    weight = heavy_tailed(32, 256)
    alone = unpack(pack(kernels, weight, 4))[:, 32:]
    weight[:, :32] *= 50
    beside = unpack(pack(kernels, weight, 4))[:, 32:]
    assert (beside - weight[:, 32:]).norm() < 1.05 * (alone - weight[:, 32:]).norm()


def test_weights_that_4_bits_can_hold_stay_what_they_are(kernels: Kernels) -> None:
    numbers = torch.arange(32 * 64).view(32, 64) % 16
    weight = (numbers - 6.0) * 0.25
    torch.testing.assert_close(unpack(pack(kernels, weight, 4)), weight, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_weights_of_one_sign_are_rounded_too(kernels: Kernels, sign: int) -> None:
    weight = sign * torch.rand(32, 64, generator=torch.Generator().manual_seed(2))
    assert (unpack(pack(kernels, weight, 4)) - weight).abs().max() < 0.6 / 15


@pytest.mark.parametrize("inner", [64, 24])
def test_interleaved_rows_come_back(inner: int) -> None:
    gate, up = torch.randn(2, inner, 8).unbind()
    together = interleave(gate, up)
    assert torch.equal(together[16:32], up[:16])
    assert torch.equal(separate(together, inner), torch.cat((gate, up)))


@pytest.mark.parametrize(
    ("features", "first"),
    [
        (
            "avx2 fma avx_vnni avx512f avx512bw avx512vl avx512dq avx512_vnni avx512_bf16 amx_tile amx_bf16",
            "amx",
        ),
        ("avx2 fma avx_vnni avx512f avx512bw avx512vl avx512dq avx512_vnni", "avx512vnni"),
        ("avx2 fma avx_vnni avx512f", "avxvnni"),
        ("avx2 fma ssse3 sse4_1", "avx2"),
        ("avx2 ssse3 sse4_1", "sse41"),
        ("sse2", "plain"),
    ],
)
def test_the_fastest_kind_that_fits_is_chosen(features: str, first: str) -> None:
    assert fitting(FAMILIES["x86_64"], frozenset(features.split()))[0].name == first


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("linear.h", "int32_t outputs, inputs,", "int32_t inputs, outputs,", "Linear.inputs, Linear.outputs"),
        ("sampling.h", "int32_t top_k;", "int64_t top_k;", "Warp, Warp.top_k"),
        ("codec_transformer.h", "    int64_t position;", "    int32_t position;", "Past.position"),
    ],
)
def test_structures_that_differ_are_named_and_the_library_is_not_used(
    tmp_path: Path, file: str, before: str, after: str, said: str
) -> None:
    sources = tmp_path / "kernels"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    text = (sources / file).read_text()
    assert text.count(before) == 1
    (sources / file).write_text(text.replace(before, after))
    plain = FAMILIES[platform.machine()][-1]
    compile_kind(plain, tmp_path / "plain.so", find_compiler(), "-O0", sources)
    with pytest.raises(OSError, match=f"memory layout differs between the library and structures.py: {said}$"):
        Kernels(tmp_path / "plain.so", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_that_runs_out_is_an_error_and_the_next_call_is_served(kind: str) -> None:
    command = [sys.executable, "-m", "tests.engine.short_of_memory", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG_SECONDS)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    assert done.stdout.split() == ["caller", "member", "same"]


def test_without_a_compiler_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineFailed, match="no C\\+\\+ compiler"):
        build(lambda _: None, tmp_path)


def test_what_is_compiled_is_not_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kinds in FAMILIES.values():
        for kind in kinds:
            library_file(kind, tmp_path).touch()
    old = tmp_path / "avx2-0123456789ab.so"
    old.touch()
    monkeypatch.setenv("PATH", "")
    build(lambda _: None, tmp_path)
    assert not old.exists()
