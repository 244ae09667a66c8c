"""What this machine can compute on, found out without importing torch."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .checkpoints import Size

GIB = 1 << 30

_LARGE_NEEDS = 6 * GIB
"""GPU memory for a 1.7B checkpoint in bfloat16 with its codec and caches: 3.5 GB of weights, and room to work."""

_SMALL_NEEDS = 3 * GIB
"""Memory for a 0.6B checkpoint in 8 bits on a processor: 1.7 GiB at the most were measured, and room to work."""


@dataclass(frozen=True)
class Hardware:
    """`kind` is "cuda" or "cpu"; `free` is the memory that a model may take there, in bytes."""

    kind: str
    free: int


def probe(device: str) -> Hardware:
    """Look at the machine. `device` is as the user gave it: "auto", "cpu", "cuda", "cuda:1". Blocks for some 50 ms."""
    if device != "cpu" and (free := _nvidia_free(_index(device))) is not None:
        return Hardware("cuda", free)
    return Hardware("cpu", available_memory())


def available_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may take without pushing anybody out.

    Linux's MemAvailable, which counts caches as free, within the limit of a container (cgroup v2); elsewhere the
    machine's free pages.
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
    """The larger checkpoints where they fit and run in real time: on a GPU with room. Else 0.6B."""
    return "1.7B" if hardware.kind == "cuda" and hardware.free >= _LARGE_NEEDS else "0.6B"


@dataclass(frozen=True)
class Use:
    """A way to speak with Qwen3, and whether this machine can. `device` as in Hardware; `needs` None is unmeasured."""

    size: Size
    device: Literal["cuda", "cpu"]
    needs: int | None
    possible: bool


def uses(gpu_free: int | None, memory: int) -> tuple[Use, ...]:
    """All ways, the best first, by what is free on a GPU, None for no GPU, and in this machine's memory, in bytes."""
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
        return None  # a driver without a working card is a machine without a GPU
