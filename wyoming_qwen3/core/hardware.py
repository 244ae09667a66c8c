"""What this machine can run models on, and what is chosen. Pure functions over facts; the engine process finds these.

Needs are estimates from the published sizes; nothing here was tried on a GPU.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from .checkpoints import Size

Dtype = Literal["float32", "bfloat16"]

GpuQuantize = Literal["none", "int8"]
"""How a GPU has the language model's matrices: in its dtype, or in 8 bits."""

GB = 10**9
_ITEM_BYTES = {"float32": 4, "bfloat16": 2}

_WEIGHTS = {"1.7B": 1.61e9, "0.6B": 0.6e9}
"""Weights of talker and code predictor on the device. Text embeddings stay in the files."""

_MATRICES = {"1.7B": 1.52e9, "0.6B": 0.55e9}
"""Those of them that `--quantize int8` rounds: all decoder layers and the code predictor's heads."""

_INT8_BYTES = 1 + 2 / 256
"""Bytes of such a weight: 256 share a scale of two bytes."""

_CODEC_BYTES = 0.46e9
"""The codec's decoder, in float32."""

_BESIDE = {"1.7B": 0.45e9, "0.6B": 0.1e9}
"""What else is needed: slots, captured steps and the workspaces of math libraries; the small size also runs without
the first two."""

_LARGEST_FIRST: tuple[Size, ...] = ("1.7B", "0.6B")

_GPU_WAYS: Mapping[str, tuple[GpuQuantize, ...]] = MappingProxyType({"auto": ("none", "int8"), "int8": ("int8",)})
"""What `--quantize` allows on a GPU, the best first; other values allow only "none"."""

_CONTEXT_BYTES = 0.3e9
"""What the process itself takes of a GPU; it is not part of `Card.free`."""

CPU_NEEDS = {"0.6B": 3 * GB, "1.7B": 4 * GB}
"""Memory in bytes for a checkpoint in 8 bits on a CPU: at most 1.8 and 2.5 GB were measured, and some is spare."""

_SLOW_MEMORY = 16e9
"""Total memory in bytes below which a GPU that shares the processor's is too slow for 1.7B: about 100 GB a second."""

_TEGRA = {(5, 3), (6, 2), (7, 2), (8, 7), (10, 1), (11, 0)}
"""Compute capabilities of Jetson modules, which need kernels built for exactly these."""


@dataclass(frozen=True)
class Card:
    """A GPU as PyTorch describes it. `arch` is "sm_86" for compute capability 8.6, or AMD's name, such as "gfx1100".

    `free` is None if it was not asked: asking takes 0.3 GB of a card. It is measured after the process has its context
    there. A `shared` memory is the processor's, as on a DGX Spark and a Jetson.
    """

    index: int
    name: str
    arch: str
    total: int
    free: int | None
    shared: bool = False


@dataclass(frozen=True)
class MachineFacts:
    """What the engine process found on this machine.

    `built_for` is what PyTorch was built for: "CUDA 13.0", "ROCm 6.4" or "" for CPUs only; `archs` are the kernels that
    it has. `driver` is the CUDA version that the NVIDIA driver supports, as 1000 * major + 10 * minor; None without a
    driver. `visible` is CUDA_VISIBLE_DEVICES, if it is set. `error` is what PyTorch said instead of listing cards.
    `others` are the other devices that this PyTorch can use, such as "mps:0".
    """

    memory: int
    built_for: str = ""
    archs: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    driver: int | None = None
    visible: str | None = None
    error: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """The device to run on, as PyTorch spells it, what runs there, and one sentence about why.

    `quantize` is for a GPU; what a CPU does is decided where its kernels are. `again` is set if more would be chosen
    with more free memory on a GPU, so that it should be asked again later.
    """

    device: str
    size: Size
    dtype: Dtype
    why: str
    again: bool = False
    quantize: GpuQuantize = "none"


def select(facts: MachineFacts, device: str = "auto", dtype: str = "auto", quantize: str = "none") -> Selection:
    """Choose for the options `--device` and `--dtype`. What can't be used gives way to the CPU, and `why` says so.

    `quantize` is "int8" for 8-bit weights on a GPU, "auto" for them where only they let a larger size fit, and
    otherwise nothing is rounded there.
    """
    kind, _, index = device.partition(":")
    if device == "cpu":
        return _cpu("Speech runs on the CPU, as --device cpu says.", dtype)
    if (device if index else f"{kind}:0") in facts.others:
        why = f"Speech runs on {device}, without CUDA graphs. This was never tried on any device of this kind."
        return Selection(device, "0.6B", "bfloat16" if dtype == "bfloat16" else "float32", why)
    if kind not in ("auto", "cuda"):
        there = ", ".join(("auto", "cpu", *(["cuda"] if facts.cards else []), *facts.others))
        return _cpu(f"This PyTorch has no device {device} here, only {there}, so speech runs on the CPU.", dtype)
    if fault := _no_cards(facts):
        return _cpu(f"{fault}, so speech runs on the CPU.", dtype)
    cards = facts.cards
    if kind == "cuda":
        cards = tuple(card for card in cards if card.index == int(index or 0))
        if not cards:
            there = ", ".join(sorted(f"cuda:{card.index}" for card in facts.cards))
            return _cpu(f"There is no GPU {device}, only {there}, so speech runs on the CPU.", dtype)
    usable = [card for card in cards if has_kernels(card.arch, facts.archs)]
    if not usable:
        return _cpu(f"{_too_old(cards[0], facts)}, so speech runs on the CPU.", dtype)
    selections = [_on_card(card, facts, dtype, quantize) for card in usable]
    fitting = [one for one in selections if one.device != "cpu"]
    best = max(fitting or selections, key=lambda one: one.size == "1.7B")
    return replace(best, again=best.size == "0.6B" and any(one.again for one in selections))


def by_worth(cards: Sequence[Card]) -> list[Card]:
    """Return the cards in the order in which they are tried: those with most memory first."""
    return sorted(cards, key=lambda card: (-card.total, card.index))


def gpu_needs(size: Size, dtype: Dtype, quantize: GpuQuantize = "none") -> int:
    """Return the bytes of a GPU's memory that must be free for a checkpoint and its codec."""
    weights = _WEIGHTS[size] * _ITEM_BYTES[dtype]
    if quantize == "int8":
        weights -= _MATRICES[size] * (_ITEM_BYTES[dtype] - _INT8_BYTES)
    return int(weights + _CODEC_BYTES + _BESIDE[size])


def gpu_budget(free: int) -> int:
    """Return how many of a GPU's free bytes checkpoints may take; the rest is for kernels, speech and clips."""
    return max(int(free - max(0.1e9, 0.04 * free)), 0)


def has_kernels(arch: str, archs: Sequence[str]) -> bool:
    """Return whether a card can run one of these kinds of kernels.

    "sm_80" runs on 8.x from 8.0 on, "sm_90a" on 9.0 alone, "sm_100f" on 10.x, and "compute_80" is compiled for any
    later card when it is first used. Jetson modules need their own.
    """
    card = _capability(arch)
    if card is None:
        return arch.partition(":")[0] in archs
    return any(_runs(card, built) for built in archs)


def has_bfloat16(arch: str) -> bool:
    """Return whether a card computes in bfloat16; Turing (7.5) widens it, at a fraction of its speed."""
    card = _capability(arch)
    return card is None or card >= (8, 0)


def free_on(card: Card, facts: MachineFacts) -> int:
    """Return the bytes that a card has left. Where memory is shared, caches of the system count as free."""
    free = card.free or 0
    return max(free, min(facts.memory, card.total)) if card.shared else free


def _on_card(card: Card, facts: MachineFacts, dtype: str, quantize: str) -> Selection:
    """Choose what runs on a card with kernels for it: the largest size that fits, or the CPU."""
    free = free_on(card, facts)
    wanted: Dtype = "bfloat16" if has_bfloat16(card.arch) else "float32"
    if dtype in _ITEM_BYTES:
        wanted = "float32" if dtype == "float32" else "bfloat16"
    slow = card.shared and card.total < _SLOW_MEMORY
    ways = [(size, way) for size in _LARGEST_FIRST for way in _GPU_WAYS.get(quantize, ("none",))]
    ways = [(size, way) for size, way in ways if not (slow and size == "1.7B")]
    possible = [one for one in ways if gpu_needs(one[0], wanted, one[1]) + _CONTEXT_BYTES <= card.total]
    fitting = [one for one in possible if gpu_needs(one[0], wanted, one[1]) <= free]
    name, room = f"{card.name} (cuda:{card.index})", f"{free / 1e9:.1f} of {card.total / 1e9:.1f} GB free"
    if not fitting:
        why = f"{name} has {room}, and {_needs(*ways[-1], wanted)}, so speech runs on the CPU."
        return replace(_cpu(why, "auto"), again=bool(possible))
    size, way = fitting[0]
    why = f"Speech runs on {name}, which has {room}: {size} {_form(way, wanted)}"
    if better := ways[: ways.index(fitting[0])]:
        why += f", as {_needs(*better[-1], wanted)}"
    again = size != possible[0][0]
    return Selection(f"cuda:{card.index}", size, wanted, f"{why}.", again, way)


def _needs(size: Size, way: GpuQuantize, dtype: Dtype) -> str:
    return f"{size} {_form(way, dtype)} needs {gpu_needs(size, dtype, way) / 1e9:.1f} GB"


def _form(way: GpuQuantize, dtype: Dtype) -> str:
    return "in 8 bits" if way == "int8" else f"in {dtype}"


def _cpu(why: str, dtype: str) -> Selection:
    return Selection("cpu", "0.6B", "bfloat16" if dtype == "bfloat16" else "float32", why)


def _no_cards(facts: MachineFacts) -> str | None:
    """Return why there is no GPU to choose from, as the beginning of a sentence; None if there is one."""
    if facts.cards:
        return None
    if facts.driver is None and not facts.built_for.startswith("ROCm"):
        return "This machine has no NVIDIA driver"
    if not facts.built_for:
        return (
            "There is an NVIDIA driver, but this PyTorch is built for CPUs only (script/setup --cuda installs another)"
        )
    if facts.visible is not None and not re.match(r"\s*(\d|GPU-|MIG-)", facts.visible):
        return f"CUDA_VISIBLE_DEVICES is {facts.visible!r} and hides all GPUs"
    if facts.built_for.startswith("CUDA"):
        needed = int(facts.built_for.removeprefix("CUDA ").partition(".")[0])
        if facts.driver and facts.driver // 1000 < needed:
            had = f"{facts.driver // 1000}.{facts.driver % 1000 // 10}"
            return f"The NVIDIA driver supports CUDA {had}, but this PyTorch is built for {facts.built_for}"
    return f"PyTorch finds no GPU ({facts.error})" if facts.error else "PyTorch finds no GPU"


def _too_old(card: Card, facts: MachineFacts) -> str:
    kinds = ", ".join(facts.archs) or "no GPU at all"
    return f"{card.name} is a GPU of kind {card.arch}, and this PyTorch ({facts.built_for}) has kernels for {kinds}"


def _capability(arch: str) -> tuple[int, int] | None:
    """Return the compute capability of an NVIDIA arch such as "sm_86" or "compute_120"; None for another maker's."""
    match = re.fullmatch(r"(?:sm|compute)_(\d+)(\d)[af]?", arch)
    return (int(match[1]), int(match[2])) if match else None


def _runs(card: tuple[int, int], built: str) -> bool:
    kernels = _capability(built)
    if kernels is None:
        return False
    if built.startswith("compute"):
        return kernels <= card
    if built.endswith("a") or card in _TEGRA or kernels in _TEGRA:
        return kernels == card
    return kernels[0] == card[0] and kernels[1] <= card[1]


@dataclass(frozen=True)
class Use:
    """A way to run Qwen3, and whether this machine can. `needs` is in bytes."""

    size: Size
    device: Literal["cuda", "cpu"]
    needs: int
    possible: bool


def uses(gpu_free: int | None, memory: int, dtype: Dtype = "bfloat16", quantize: GpuQuantize = "none") -> Iterator[Use]:
    """Yield all ways, the best first. The arguments are free memory in bytes; `gpu_free` is None without a GPU."""
    for size in _LARGEST_FIRST:
        needs = gpu_needs(size, dtype, quantize)
        yield Use(size, "cuda", needs, gpu_free is not None and gpu_free >= needs)
    yield Use("0.6B", "cpu", CPU_NEEDS["0.6B"], memory >= CPU_NEEDS["0.6B"])


def available_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that this process may allocate without taking memory from others.

    On Linux this is MemAvailable, which counts caches as free, or what is left of the container's limit (cgroup v2) if
    that is less. Elsewhere it is the machine's free pages.
    """
    try:
        machine = int(re.search(r"MemAvailable:\s+(\d+) kB", (proc / "meminfo").read_text())[1]) << 10  # type: ignore[index]
    except (OSError, TypeError):
        machine = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit, used = ((cgroup / name).read_text() for name in ("memory.max", "memory.current"))
        return max(min(machine, int(limit) - int(used)), 0)
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return machine
