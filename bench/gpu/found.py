"""What a step is given, and what it finds, which is on disk at any time: a lost GPU takes the process along."""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.systems import Weights
from wyoming_qwen3.core.hardware import GpuQuantize


@dataclass(frozen=True)
class Run:
    """The options of a run. `folder` has the random checkpoints, by size; `out` gets the results."""

    device: str
    sizes: tuple[str, ...]
    folder: Path
    out: Path
    frames: int

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU; on a CPU the steps are tried, and measure nothing of worth."""
        return self.device != "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """That of talker and predictor; float32 on a CPU, which is slow in bfloat16."""
        return torch.bfloat16 if self.on_gpu else torch.float32

    def weights(self, size: str, quantize: GpuQuantize = "none") -> Weights:
        """The random weights of a size."""
        return Weights(size, self.folder / size, self.device, self.dtype, quantize)


@dataclass
class Found:
    """Checks by name, whether they passed; figures by name; the error that ended the step; seconds that it took."""

    checks: dict[str, bool] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    skipped: str | None = None
    error: str | None = None
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing went wrong. A step that was skipped counts as passed."""
        return self.error is None and all(self.checks.values())


@dataclass(frozen=True)
class Finder:
    """Notes what a step finds in a file, at once."""

    file: Path
    found: Found = field(default_factory=Found)

    def keep(self, name: str, value: object) -> None:
        """Note a figure."""
        self.found.figures[name] = value
        _tell(f"{name}: {value}")
        self._write()

    def check(self, name: str, passed: object, value: object = None) -> None:
        """Note whether something holds, with the figure that shows it, if there is one."""
        self.found.checks[name] = bool(passed)
        _tell(f"{'passed' if passed else 'FAILED'}: {name}")
        self._write()
        if value is not None:
            self.keep(name, value)

    def fail(self, error: BaseException) -> None:
        """Note the error that ends the step."""
        self.found.error = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:400]
        self._write()

    def skip(self, why: str) -> None:
        """Note why there is nothing to find."""
        self.found.skipped = why
        self._write()

    def _write(self) -> None:
        self.file.write_text(json.dumps(asdict(self.found), default=str), encoding="utf-8")


def read(file: Path) -> Found:
    """What a step noted until it ended; nothing if it noted nothing."""
    return Found(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else Found()


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
