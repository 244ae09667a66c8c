"""Detects what this machine can run models on, without importing torch."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .checkpoints import Size

GB = 10**9

_LARGE_NEEDS = 6 * GB
"""GPU memory in bytes for a 1.7B checkpoint in bfloat16: 3.5 GB of weights, and the codec and caches."""

_SMALL_NEEDS = 3 * GB
"""Memory in bytes for a 0.6B checkpoint in 8 bits on a CPU: at most 1.8 GB was measured, and some is spare."""


@dataclass(frozen=True)
class Hardware:
    """The device to run on. `kind` is "cuda" or "cpu"; `free` is the memory in bytes that a model may use there."""

    kind: str
    free: int


def probe(device: str) -> Hardware:
    """Return what `device` is here: "auto", "cpu", "cuda" or "cuda:1", as set. Blocks for about 50 ms."""
    if device != "cpu" and (free := _nvidia_free(_index(device))) is not None:
        return Hardware("cuda", free)
    return Hardware("cpu", available_memory())


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


def choose_size(hardware: Hardware) -> Size:
    """Return 1.7B for a GPU with enough memory, where it runs in real time; else 0.6B."""
    return "1.7B" if hardware.kind == "cuda" and hardware.free >= _LARGE_NEEDS else "0.6B"


@dataclass(frozen=True)
class Use:
    """A way to run Qwen3, and whether this machine can. `needs` is in bytes; None if it was not measured."""

    size: Size
    device: Literal["cuda", "cpu"]
    needs: int | None
    possible: bool


def uses(gpu_free: int | None, memory: int) -> tuple[Use, ...]:
    """Return all ways, the best first. The arguments are free memory in bytes; `gpu_free` is None without a GPU."""
    return (
        Use("1.7B", "cuda", _LARGE_NEEDS, gpu_free is not None and gpu_free >= _LARGE_NEEDS),
        Use("0.6B", "cuda", None, gpu_free is not None),
        Use("0.6B", "cpu", _SMALL_NEEDS, memory >= _SMALL_NEEDS),
    )


def _index(device: str) -> int:
    _, _, index = device.partition(":")
    return int(index) if index.isdecimal() else 0


def _nvidia_free(index: int) -> int | None:
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    query = [command, "--query-gpu=memory.free", "--format=csv,noheader,nounits", f"--id={index}"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
        return int(answer.strip()) << 20
    except (OSError, ValueError, subprocess.SubprocessError):
        return None  # a driver without a working card counts as no GPU
