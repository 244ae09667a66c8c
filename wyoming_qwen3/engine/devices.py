"""Finds the devices of this machine, and their memory, as PyTorch and the NVIDIA driver know them.

Knows PyTorch's modules for devices; does NOT know what is run there or what is chosen.
"""

import ctypes
import os
from collections.abc import Sequence

import torch

from wyoming_qwen3.core.hardware import Card, MachineFacts, available_memory, by_worth, gpu_needs, has_kernels


def find_facts(device: str = "auto") -> MachineFacts:
    """Return what there is, for the option `--device`. Takes some 0.3 GB of each GPU that is asked for its memory.

    That is the one that `device` names; with "auto" the largest one, and others only while none before has room.
    """
    cards, error = _find_cards(device)
    return MachineFacts(
        memory=available_memory(),
        built_for=_built_for(),
        archs=tuple(torch.cuda.get_arch_list()) if cards else (),
        cards=cards,
        driver=_driver(),
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        error=error,
        others=_other_devices(),
    )


def enter(device: str) -> None:
    """Make a GPU the current one of this thread: what PyTorch allocates without being told where goes there."""
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)


def free_memory(device: str) -> int:
    """Return the bytes that are free on a device. Where a GPU shares the processor's memory, caches count as free."""
    kind = torch.device(device).type
    if kind == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        shared = torch.cuda.get_device_properties(device).is_integrated
        return max(free, min(available_memory(), total)) if shared else free
    if kind != "cpu":
        try:
            return torch.accelerator.get_memory_info(device)[0]
        except (RuntimeError, NotImplementedError, AttributeError):  # most kinds of devices can't say
            return available_memory()
    return available_memory()


def release(device: str) -> None:
    """Return freed memory of a device to the system, which PyTorch keeps otherwise."""
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
    elif device != "cpu":
        torch.accelerator.empty_cache()


def _built_for() -> str:
    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else ""


def _find_cards(device: str) -> tuple[tuple[Card, ...], str]:
    """Return all GPUs, those with most memory first, or why PyTorch finds none."""
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cuda") or not _built_for():
        return (), ""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        cards = [_describe(number) for number in range(torch.cuda.device_count())]
    except (RuntimeError, AssertionError) as error:
        return (), str(error).partition("\n")[0].rstrip(".")
    if kind == "cuda":
        wanted = int(index or 0)
        return tuple(_asked(card) if card.index == wanted else card for card in by_worth(cards)), ""
    return tuple(_asked_in_turn(by_worth(cards))), ""


def _asked_in_turn(cards: Sequence[Card]) -> list[Card]:
    """Ask the cards for their free memory until one has enough for the largest checkpoint."""
    archs, found = torch.cuda.get_arch_list(), False
    asked = []
    for card in cards:
        new = card if found or not has_kernels(card.arch, archs) else _asked(card)
        found = found or (new.free or 0) >= gpu_needs("1.7B", "bfloat16")
        asked.append(new)
    return asked


def _describe(index: int) -> Card:
    properties = torch.cuda.get_device_properties(index)
    arch = properties.gcnArchName if torch.version.hip else f"sm_{properties.major}{properties.minor}"
    return Card(index, properties.name, arch, properties.total_memory, free=None, shared=bool(properties.is_integrated))


def _asked(card: Card) -> Card:
    try:
        free = torch.cuda.mem_get_info(card.index)[0]
    except RuntimeError:  # not even the context fits
        free = 0
    return Card(card.index, card.name, card.arch, card.total, free, card.shared)


def _driver() -> int | None:
    """Return the CUDA version that the NVIDIA driver supports, such as 13000; None without a driver.

    The driver's library is the same on WSL and on Jetson modules, and a container gets it from its host.
    """
    version = ctypes.c_int()
    try:
        failed = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else version.value


def _other_devices() -> tuple[str, ...]:
    """Return the devices of the accelerator, apart from CUDA, that PyTorch was built for, such as "mps:0"."""
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None or found.type == "cuda":
        return ()
    return tuple(f"{found.type}:{number}" for number in range(torch.accelerator.device_count()))
