"""What is asked of PyTorch and of the driver, both played by this test: the facts, and a device's memory."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from wyoming_qwen3.core.hardware import MachineFacts
from wyoming_qwen3.engine import chosen_device, devices
from wyoming_qwen3.engine.chosen_device import ChosenDevice, taken
from wyoming_qwen3.engine.devices import find_facts, free_memory
from wyoming_qwen3.engine.lm.gpu_slots import Buckets

GB = 10**9


@dataclass
class Gpu:
    """A GPU as PyTorch describes it; `full` ones have no memory for a context."""

    name: str
    capability: tuple[int, int]
    total: float
    free: float
    integrated: int = 0
    full: bool = False


@dataclass
class Cuda:
    """PyTorch's module for some GPUs."""

    gpus: Sequence[Gpu]
    asked: list[int] = field(default_factory=list)
    """Those that were asked for their memory."""

    def init(self) -> None:
        if not self.gpus:
            raise RuntimeError("No CUDA GPUs are available.\nMore about it.")

    def device_count(self) -> int:
        return len(self.gpus)

    def get_arch_list(self) -> list[str]:
        return ["sm_75", "sm_80", "sm_90"]

    def get_device_properties(self, device: int | str) -> Any:
        gpu = self.gpus[number(device)]
        major, minor = gpu.capability
        return SimpleNamespace(
            name=gpu.name, major=major, minor=minor, total_memory=int(gpu.total * GB), is_integrated=gpu.integrated
        )

    def mem_get_info(self, device: int | str) -> tuple[int, int]:
        self.asked.append(number(device))
        gpu = self.gpus[number(device)]
        if gpu.full:
            raise RuntimeError("CUDA error: out of memory")
        return int(gpu.free * GB), int(gpu.total * GB)

    def set_device(self, device: str) -> None:
        assert number(device) < len(self.gpus)


def number(device: int | str) -> int:
    return device if isinstance(device, int) else int(device.partition(":")[2])


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make PyTorch find some GPUs."""

    def play(*gpus: Gpu, built_for: str | None = "13.0", driver: int | None = 13000, memory: float = 16) -> Cuda:
        cuda = Cuda(gpus)
        for name in (
            "init", "device_count", "get_arch_list", "get_device_properties", "mem_get_info", "set_device",
        ):  # fmt: skip
            monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
        monkeypatch.setattr(torch.version, "cuda", built_for)
        monkeypatch.setattr(devices, "_driver", lambda: driver)
        monkeypatch.setattr(devices, "available_memory", lambda: int(memory * GB))
        monkeypatch.setattr(devices, "_other_devices", tuple)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return cuda

    return play


SMALL, LARGE, OLD = Gpu("3050", (8, 6), 8.6, 7.5), Gpu("4090", (8, 9), 25.8, 24), Gpu("1080 Ti", (6, 1), 11.8, 11)


def test_all_cards_are_described_and_the_largest_one_is_asked(play: Any) -> None:
    """Asking one takes memory of it, so the small card keeps all of its own."""
    cuda = play(SMALL, LARGE)
    facts = find_facts()
    assert [(card.name, card.index, card.arch) for card in facts.cards] == [("4090", 1, "sm_89"), ("3050", 0, "sm_86")]
    assert [card.free for card in facts.cards] == [24 * GB, None]
    assert (facts.built_for, facts.driver, facts.error) == ("CUDA 13.0", 13000, "")
    assert cuda.asked == [1]


@pytest.mark.parametrize(
    ("gpus", "device", "asked"),
    [
        ([SMALL, Gpu("4090", (8, 9), 25.8, 2)], "auto", [1, 0]),
        ([SMALL, Gpu("4090", (8, 9), 25.8, 0, full=True)], "auto", [1, 0]),
        ([SMALL, OLD], "auto", [0]),
        ([SMALL, LARGE], "cuda", [0]),
        ([SMALL, LARGE], "cuda:1", [1]),
        ([SMALL, LARGE], "cuda:7", []),
        ([SMALL, LARGE], "cpu", []),
        ([SMALL, LARGE], "xpu", []),
    ],
)
def test_which_cards_are_asked(play: Any, gpus: list[Gpu], device: str, asked: list[int]) -> None:
    cuda = play(*gpus)
    find_facts(device)
    assert cuda.asked == asked


def test_a_card_without_memory_for_a_context_has_none_free(play: Any) -> None:
    play(Gpu("4090", (8, 9), 25.8, 0, full=True))
    assert [card.free for card in find_facts().cards] == [0]


def test_why_there_are_no_cards_is_what_pytorch_says(play: Any) -> None:
    play()
    facts = find_facts()
    assert (facts.cards, facts.error) == ((), "No CUDA GPUs are available")


def test_a_pytorch_for_cpus_is_not_asked(play: Any) -> None:
    play(LARGE, built_for=None)
    assert find_facts() == MachineFacts(memory=16 * GB, driver=13000)


def test_this_machine_has_facts_too() -> None:
    facts = find_facts()
    assert facts.memory > 0
    assert isinstance(facts.cards, tuple)


@pytest.mark.parametrize(("gpu", "free"), [(LARGE, 24), (Gpu("GB10", (12, 1), 128, 3, integrated=1), 110)])
def test_memory_that_is_shared_with_the_processor_counts_caches_as_free(play: Any, gpu: Gpu, free: int) -> None:
    play(gpu, memory=110)
    assert free_memory("cuda:0") == free * GB
    assert free_memory("cpu") == 110 * GB


def test_what_is_chosen_is_logged(play: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        play(LARGE)
        assert ChosenDevice("auto", "auto", "auto").name == "cuda:0"
        play()
        assert ChosenDevice("cuda", "auto", "auto").name == "cpu"
    assert [(one.levelname, one.message) for one in caplog.records if one.name == chosen_device.__name__] == [
        ("INFO", "Speech runs on 4090 (cuda:0), which has 24.0 of 25.8 GB free: 1.7B in bfloat16."),
        ("WARNING", "PyTorch finds no GPU (No CUDA GPUs are available), so speech runs on the CPU."),
    ]


@pytest.mark.parametrize(
    ("before", "now", "held", "better"),
    [(1, 1, 0, False), (1, 6, 0, True), (1, 3, 0, True), (3, 3, 0, False), (3, 3, 1.5, True), (3, 1, 1, False)],
)
def test_a_gpu_that_was_full_is_asked_again(play: Any, before: float, now: float, held: float, better: bool) -> None:
    """What this process holds of it would be free for the next one."""
    play(Gpu("4060", (8, 9), 8.6, before))
    device = ChosenDevice("auto", "auto", "none")
    play(Gpu("4060", (8, 9), 8.6, now))
    room = device.room(int(held * GB))
    assert room.better is better
    assert (room.free == now * GB) is (device.name != "cpu")
    assert room.checkpoints > held * GB


@pytest.mark.parametrize(
    ("counted", "before", "after", "expected"),
    [(100, 1000, 880, 120), (100, 1000, 950, 100), (100, 1000, 1200, 100), (100, 1000, 100, 200)],
    ids=["with graphs", "of what was cached", "others left", "others came"],
)
def test_what_a_load_took(counted: int, before: int, after: int, expected: int) -> None:
    assert taken(counted, before, after) == expected


POSITION = 114_688
"""Bytes of a position of the published checkpoints: 28 layers, 8 heads of 128 keys and values in bfloat16."""


@pytest.mark.parametrize(
    ("free", "slots"), [(0.2, 0), (0.25, 1), (0.48, 2), (0.65, 2), (0.95, 4), (1.87, 4), (1.9, 8), (80, 8)]
)
def test_there_are_as_many_slots_as_half_of_the_memory_holds(free: float, slots: int) -> None:
    buckets = Buckets().within(int(free * GB), POSITION)
    assert (buckets.slots if buckets else 0) == slots
    assert not buckets or buckets.lengths == Buckets().lengths
