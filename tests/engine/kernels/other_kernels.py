"""A plugin of pytest's, `-p tests.engine.kernels.other_kernels`: the kernels are those in the folder $KERNELS.

Where $FEATURES is set, it is what the processor can do, as /proc/cpuinfo would name it.
"""

import os
from pathlib import Path

from wyoming_qwen3.engine.kernels import build, library
from wyoming_qwen3.engine.kernels.build import ProcessorKind


def _library_file(kind: ProcessorKind) -> Path:
    return Path(os.environ["KERNELS"]) / f"{kind.name}.so"


def _features() -> frozenset[str]:
    return frozenset(os.environ["FEATURES"].split())


library.library_file = _library_file  # type: ignore[assignment, attr-defined]
if "FEATURES" in os.environ:
    build._features = _features
