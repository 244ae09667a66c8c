"""What is chosen for each kind of machine. Free memory is what a process finds that has its context on the card."""

import re
from pathlib import Path

import pytest

from wyoming_qwen3.core.hardware import (
    Card,
    MachineFacts,
    available_memory,
    by_worth,
    gpu_needs,
    has_kernels,
    select,
    uses,
)

GB = 10**9
WHEEL = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120")
"""As PyTorch's wheels for CUDA 13 have them."""


def facts(*cards: Card, **more: object) -> MachineFacts:
    known: dict[str, object] = {"memory": 16 * GB, "built_for": "CUDA 13.0", "archs": WHEEL, "driver": 13000}
    return MachineFacts(cards=cards, **known | more)  # type: ignore[arg-type]


def card(name: str, arch: str, total: float, free: float | None, index: int = 0, *, shared: bool = False) -> Card:
    return Card(index, name, arch, int(total * GB), None if free is None else int(free * GB), shared)


MACHINES = {
    "H100": (facts(card("H100", "sm_90", 85, 84)), ("cuda:0", "1.7B", "bfloat16", False)),
    "RTX 5090": (facts(card("5090", "sm_120", 34.2, 32)), ("cuda:0", "1.7B", "bfloat16", False)),
    "RTX 3060 12 GB": (facts(card("3060", "sm_86", 12.9, 11.9)), ("cuda:0", "1.7B", "bfloat16", False)),
    "RTX 4060 8 GB": (facts(card("4060", "sm_89", 8.6, 7.6)), ("cuda:0", "1.7B", "bfloat16", False)),
    "GTX 1660 6 GB": (facts(card("1660", "sm_75", 6.4, 5.6)), ("cuda:0", "0.6B", "float32", False)),
    "RTX 2060 6 GB": (facts(card("2060", "sm_75", 6.4, 5.6)), ("cuda:0", "0.6B", "float32", False)),
    "RTX 2080 Ti 11 GB": (facts(card("2080 Ti", "sm_75", 11.8, 10.9)), ("cuda:0", "1.7B", "float32", False)),
    "T4 16 GB": (facts(card("T4", "sm_75", 15.8, 15.2)), ("cuda:0", "1.7B", "float32", False)),
    "GTX 1050 Ti 4 GB": (facts(card("1050 Ti", "sm_61", 4.3, 3.8)), ("cpu", "0.6B", "float32", False)),
    "GTX 1080 8 GB": (facts(card("1080", "sm_61", 8.6, 7.9)), ("cpu", "0.6B", "float32", False)),
    "V100": (facts(card("V100", "sm_70", 34, 33)), ("cpu", "0.6B", "float32", False)),
    "laptop 6 GB with a desktop on it": (
        facts(card("3060 Laptop", "sm_86", 6.4, 4.5)),
        ("cuda:0", "1.7B", "bfloat16", False),
    ),
    "the same with a game on it": (facts(card("3060 Laptop", "sm_86", 6.4, 2.5)), ("cuda:0", "0.6B", "bfloat16", True)),
    "the same with a large game on it": (
        facts(card("3060 Laptop", "sm_86", 6.4, 0.8)),
        ("cpu", "0.6B", "float32", True),
    ),
    "RTX 3050 4 GB": (facts(card("3050", "sm_86", 4.3, 3.7)), ("cuda:0", "0.6B", "bfloat16", False)),
    "GeForce MX570 2 GB": (facts(card("MX570", "sm_86", 2.15, 1.8)), ("cuda:0", "0.6B", "bfloat16", False)),
    "a small one with a desktop on it": (facts(card("MX570", "sm_86", 2.15, 1.4)), ("cpu", "0.6B", "float32", True)),
    "DGX Spark": (
        facts(card("GB10", "sm_121", 128, 3, shared=True), memory=110 * GB),
        ("cuda:0", "1.7B", "bfloat16", False),
    ),
    "Jetson AGX Orin with its own PyTorch": (
        facts(card("Orin", "sm_87", 64, 2, shared=True), memory=50 * GB, built_for="CUDA 12.6", archs=("sm_87",)),
        ("cuda:0", "1.7B", "bfloat16", False),
    ),
    "Jetson Orin Nano 8 GB": (
        facts(card("Orin", "sm_87", 8, 1, shared=True), memory=6 * GB, built_for="CUDA 12.6", archs=("sm_87",)),
        ("cuda:0", "0.6B", "bfloat16", False),
    ),
    "Jetson with PyTorch for servers": (
        facts(card("Orin", "sm_87", 64, 2, shared=True), memory=50 * GB),
        ("cpu", "0.6B", "float32", False),
    ),
    "two cards": (
        facts(card("4090", "sm_89", 25, 24, 1), card("3050", "sm_86", 8, None)),
        ("cuda:1", "1.7B", "bfloat16", False),
    ),
    "two cards, the large one is full": (
        facts(card("4090", "sm_89", 25, 1, 1), card("3060", "sm_86", 12.9, 11)),
        ("cuda:0", "1.7B", "bfloat16", False),
    ),
    "two cards, both nearly full": (
        facts(card("4090", "sm_89", 25, 1, 1), card("3050", "sm_86", 8, 2.5)),
        ("cuda:0", "0.6B", "bfloat16", True),
    ),
    "a new card and an old one": (
        facts(card("1080 Ti", "sm_61", 11.8, 11), card("3050", "sm_86", 8, 7, 1)),
        ("cuda:1", "1.7B", "bfloat16", False),
    ),
    "WSL": (facts(card("4070", "sm_89", 12.9, 11.5), driver=13010), ("cuda:0", "1.7B", "bfloat16", False)),
    "Radeon with ROCm": (
        facts(card("7900 XTX", "gfx1100", 25.7, 25), built_for="ROCm 6.4", archs=("gfx1030", "gfx1100"), driver=None),
        ("cuda:0", "1.7B", "bfloat16", False),
    ),
}
WITHOUT = {
    "none": (facts(driver=None, built_for="", archs=()), "no NVIDIA driver"),
    "none, PyTorch for CUDA": (facts(driver=None), "no NVIDIA driver"),
    "driver too old": (facts(driver=12020), r"driver supports CUDA 12\.2, but this PyTorch is built for CUDA 13\.0"),
    "CPU torch beside a driver": (facts(built_for="", archs=()), "built for CPUs only .*script/setup --cuda"),
    "hidden": (facts(visible=""), "CUDA_VISIBLE_DEVICES is '' and hides all"),
    "hidden by -1": (facts(visible="-1"), "CUDA_VISIBLE_DEVICES is '-1' and hides all"),
    "a driver without a card": (
        facts(error="No CUDA GPUs are available"),
        r"finds no GPU \(No CUDA GPUs are available",
    ),
    "Radeon without its driver": (facts(built_for="ROCm 6.4", driver=None, error="no HIP"), r"finds no GPU \(no HIP\)"),
}


@pytest.mark.parametrize(("found", "expected"), MACHINES.values(), ids=MACHINES)
def test_what_auto_chooses(found: MachineFacts, expected: tuple[str, str, str, bool]) -> None:
    selection = select(found)
    assert (selection.device, selection.size, selection.dtype, selection.again) == expected


IN_8_BITS = {
    "H100": ("1.7B", "none", False),
    "laptop 6 GB with a desktop on it": ("1.7B", "none", False),
    "RTX 3050 4 GB": ("1.7B", "int8", False),
    "GTX 1660 6 GB": ("1.7B", "int8", False),
    "RTX 2060 6 GB": ("1.7B", "int8", False),
    "GeForce MX570 2 GB": ("0.6B", "none", False),
    "the same with a game on it": ("0.6B", "none", True),
    "a small one with a desktop on it": ("0.6B", "int8", False),
    "the same with a large game on it": ("0.6B", "none", True),
    "Jetson Orin Nano 8 GB": ("0.6B", "none", False),
    "two cards, both nearly full": ("0.6B", "none", True),
}


@pytest.mark.parametrize(("machine", "expected"), IN_8_BITS.items(), ids=IN_8_BITS)
def test_8_bits_are_chosen_where_only_they_let_a_larger_size_fit(machine: str, expected: tuple[str, str, bool]) -> None:
    found = MACHINES[machine][0]
    selection = select(found, quantize="auto")
    assert (selection.size, selection.quantize, selection.again) == expected
    assert (selection.device == "cpu") is (machine == "the same with a large game on it")
    for other in ("none", "int4"):
        same = select(found, quantize=other)
        assert (same.device, same.size, same.dtype, same.again) == MACHINES[machine][1]
        assert same.quantize == "none"


@pytest.mark.parametrize("machine", ["H100", "RTX 3050 4 GB", "a small one with a desktop on it"])
def test_8_bits_are_used_where_a_person_asks_for_them(machine: str) -> None:
    selection = select(MACHINES[machine][0], quantize="int8")
    assert selection.quantize == "int8"
    assert selection.size == ("0.6B" if "small" in machine else "1.7B")
    assert select(MACHINES[machine][0], "cpu", quantize="int8").quantize == "none"


def test_weights_in_8_bits_need_half_of_the_memory() -> None:
    for size, wide, rounded in (("1.7B", 4.13, 2.63), ("0.6B", 1.76, 1.21)):
        assert gpu_needs(size, "bfloat16") / GB == pytest.approx(wide, abs=0.01)  # type: ignore[arg-type]
        assert gpu_needs(size, "bfloat16", "int8") / GB == pytest.approx(rounded, abs=0.01)  # type: ignore[arg-type]


@pytest.mark.parametrize(("found", "why"), WITHOUT.values(), ids=WITHOUT)
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
def test_why_there_is_no_gpu(found: MachineFacts, why: str, device: str) -> None:
    selection = select(found, device)
    assert (selection.device, selection.size, selection.again) == ("cpu", "0.6B", False)
    assert re.search(why, selection.why), selection.why
    assert selection.why.endswith(", so speech runs on the CPU.")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            MACHINES["RTX 3060 12 GB"][0],
            "Speech runs on 3060 (cuda:0), which has 11.9 of 12.9 GB free: 1.7B in bfloat16.",
        ),
        (
            MACHINES["the same with a game on it"][0],
            "Speech runs on 3060 Laptop (cuda:0), which has 2.5 of 6.4 GB free: 0.6B in bfloat16, as "
            "1.7B in bfloat16 needs 4.1 GB.",
        ),
        (
            MACHINES["the same with a large game on it"][0],
            "3060 Laptop (cuda:0) has 0.8 of 6.4 GB free, and 0.6B in bfloat16 needs 1.8 GB, so speech "
            "runs on the CPU.",
        ),
        (
            MACHINES["GTX 1080 8 GB"][0],
            "1080 is a GPU of kind sm_61, and this PyTorch (CUDA 13.0) has kernels for sm_75, sm_80, sm_86, "
            "sm_90, sm_100, sm_120, compute_120, so speech runs on the CPU.",
        ),
    ],
)
def test_what_is_chosen_is_told_in_one_sentence(found: MachineFacts, said: str) -> None:
    assert select(found).why == said


def test_why_weights_are_rounded_is_told_in_the_same_sentence() -> None:
    assert select(MACHINES["RTX 3050 4 GB"][0], quantize="auto").why == (
        "Speech runs on 3050 (cuda:0), which has 3.7 of 4.3 GB free: 1.7B in 8 bits, as 1.7B in bfloat16 needs 4.1 GB."
    )
    assert select(MACHINES["a small one with a desktop on it"][0], quantize="auto").why == (
        "Speech runs on MX570 (cuda:0), which has 1.4 of 2.1 GB free: 0.6B in 8 bits, as 0.6B in bfloat16 needs 1.8 GB."
    )


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cpu", "auto", ("cpu", "float32", "Speech runs on the CPU, as --device cpu says.")),
        ("cuda", "auto", ("cuda:0", "bfloat16", "Speech runs on 3050 (cuda:0)")),
        ("cuda:1", "auto", ("cuda:1", "bfloat16", "Speech runs on 4090 (cuda:1)")),
        ("cuda:1", "float32", ("cuda:1", "float32", "1.7B in float32")),
        ("cuda:2", "auto", ("cpu", "float32", "There is no GPU cuda:2, only cuda:0, cuda:1, so")),
        ("mps", "auto", ("mps", "float32", "never tried")),
        ("mps", "bfloat16", ("mps", "bfloat16", "never tried")),
        ("xpu:1", "auto", ("cpu", "float32", "no device xpu:1 here, only auto, cpu, cuda, mps:0, so")),
        ("gpu", "auto", ("cpu", "float32", "no device gpu here, only auto, cpu, cuda, mps:0, so")),
    ],
)
def test_what_a_person_asks_for(device: str, dtype: str, expected: tuple[str, str, str]) -> None:
    both = facts(card("4090", "sm_89", 25, 24, 1), card("3050", "sm_86", 8, 7), others=("mps:0",))
    selection = select(both, device, dtype)
    assert (selection.device, selection.dtype) == expected[:2]
    assert expected[2] in selection.why


@pytest.mark.parametrize(
    ("arch", "archs", "runs"),
    [
        ("sm_86", ("sm_80",), True),
        ("sm_80", ("sm_86",), False),
        ("sm_90", ("sm_86",), False),
        ("sm_90", ("sm_86", "compute_86"), True),
        ("sm_90", ("sm_90a",), True),
        ("sm_103", ("sm_100a",), False),
        ("sm_103", ("sm_100f",), True),
        ("sm_121", ("sm_120",), True),
        ("sm_87", ("sm_80", "sm_86"), False),
        ("sm_86", ("sm_87",), False),
        ("sm_61", ("sm_75", "compute_120"), False),
        ("sm_86", (), False),
        ("gfx1100", ("gfx1030", "gfx1100"), True),
        ("gfx90a:sramecc+:xnack-", ("gfx90a",), True),
        ("gfx1201", ("gfx1100",), False),
    ],
)
def test_which_kernels_run_on_a_card(arch: str, archs: tuple[str, ...], runs: bool) -> None:
    assert has_kernels(arch, archs) is runs


def test_the_card_with_most_memory_is_tried_first() -> None:
    cards = [card("a", "sm_86", 8, None, 0), card("b", "sm_89", 24, None, 1), card("c", "sm_89", 24, None, 2)]
    assert [one.name for one in by_worth(cards)] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("gpu", "memory", "possible"),
    [
        (None, 4 * GB, [False, False, True]),
        (None, 2 * GB, [False, False, False]),
        (3 * GB, 16 * GB, [False, True, True]),
        (24 * GB, 2 * GB, [True, True, False]),
    ],
)
def test_what_a_machine_can_run(gpu: int | None, memory: int, possible: list[bool]) -> None:
    found = list(uses(gpu, memory))
    assert [use.possible for use in found] == possible
    assert [use.needs for use in found[:2]] == [gpu_needs("1.7B", "bfloat16"), gpu_needs("0.6B", "bfloat16")]


@pytest.mark.parametrize(("limit", "free"), [(None, 8 << 20), ("max", 8 << 20), (str(5 << 20), 3 << 20), ("1", 0)])
def test_available_memory_is_the_machines_within_the_containers_limit(
    tmp_path: Path, limit: str | None, free: int
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit + "\n")
        (tmp_path / "memory.current").write_text(f"{2 << 20}\n")
    assert available_memory(tmp_path, tmp_path) == free
