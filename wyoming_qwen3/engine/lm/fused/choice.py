"""Chooses whether a GPU's steps are fused, and says why not. Imports Triton only if they are."""

import logging
import os
import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import torch

from wyoming_qwen3.engine.lm.predictor import CodePredictor
from wyoming_qwen3.engine.lm.talker import Talker
from wyoming_qwen3.engine.wire import OnProgress, ignore_progress

from .check import check_steps, numbers_of_rows
from .compiling import compile_steps
from .launches import CountedLaunch, Launch
from .slot_tensors import FuseSteps, SlotSteps, SlotTensors, Talk

_LOGGER = logging.getLogger(__name__)

OLDEST = (7, 5)
"""The oldest compute capability that Triton compiles for."""


def choose_fused(device: str) -> FuseSteps | None:
    """Return what makes fused steps on a device, or None if they can't be had there; log which, and why."""
    reason = why_not_fused(device)
    if reason is None:
        _LOGGER.info("Steps on the GPU use fused kernels, which are compiled when a checkpoint is first loaded")
        return _fused_steps
    if device != "cpu":
        _LOGGER.warning("Steps on the GPU use PyTorch's kernels, about five times as many launches: %s", reason)
    return None


def why_not_fused(device: str) -> str | None:
    """Return in a few words why steps can't be fused on a device, or None if they can."""
    if torch.device(device).type != "cuda":
        return f"fused kernels run on NVIDIA and AMD GPUs, not on {device}"
    if reason := why_no_kernels():
        return reason
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < OLDEST:
        return f"Triton needs a GPU of compute capability {OLDEST[0]}.{OLDEST[1]}"
    return None


def why_no_kernels() -> str | None:
    """Return in a few words why this machine can't compile fused kernels for any GPU, or None if it can."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if compiler_missing():
        return "Triton needs a C compiler (gcc, clang, or the one that CC names), and there is none"
    if headers_missing():
        return "Triton needs Python's header files (python3-dev), which are missing"
    return None


def compiler_missing() -> bool:
    """Return whether there is no C compiler where Triton looks for one."""
    names = [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]
    return not any(shutil.which(name) for name in names)


def headers_missing() -> bool:
    """Return whether Python's header files are not where Triton looks: Debian's own scheme is for other packages."""
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    return not (Path(sysconfig.get_path("include", scheme)) / "Python.h").exists()


def _fused_steps(
    talker: Talker, predictor: CodePredictor, slots: SlotTensors, talk: Talk, *, report: OnProgress = ignore_progress
) -> SlotSteps:
    from .steps import FusedSteps  # noqa: PLC0415  imports Triton

    def make(launch: Launch) -> SlotSteps:
        return FusedSteps(talker, predictor, slots, launch)

    kept = os.environ.get("TRITON_CACHE_DIR", "Triton's cache")
    _LOGGER.info("Compiling the GPU kernels, which takes minutes on a slow processor; they are kept in %s", kept)
    start = perf_counter()
    with torch.cuda.device(talker.device):  # where Triton launches, whichever GPU has the tensors
        number = compile_steps(make, numbers_of_rows(slots), report)
        compiled, steps = perf_counter(), make(CountedLaunch())
        check_steps(slots, steps, talk)
    _LOGGER.info(
        "Compiled %d GPU kernels in %.1f s, and compared them with PyTorch's in %.1f s",
        *(number, compiled - start, perf_counter() - compiled),
    )
    return steps
