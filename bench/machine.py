"""The machine that figures were measured on."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

_INSTRUCTIONS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
"""Of an x86 processor, those that make a difference here."""


def describe_machine(device: str) -> dict[str, Any]:
    """The machine as it is now, with what else it is busy with."""
    found: dict[str, Any] = {
        "cpu": _from_cpuinfo("model name") or platform.machine(),
        "instructions": " ".join(name for name in _INSTRUCTIONS if name in _from_cpuinfo("flags").split()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
    }
    if device != "cpu":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def _from_cpuinfo(field: str) -> str:
    """What it says of the first processor; "" where it does not say."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
