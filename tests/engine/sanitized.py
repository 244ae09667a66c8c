"""A plugin of pytest's, `-p tests.engine.sanitized`: the kernels are those in the folder $KERNELS."""

import os
from pathlib import Path

from wyoming_qwen3.engine.kernels import library
from wyoming_qwen3.engine.kernels.build import Kind


def _library_file(kind: Kind) -> Path:
    return Path(os.environ["KERNELS"]) / f"{kind.name}.so"


library.library_file = _library_file  # type: ignore[assignment, attr-defined]
