"""How busy other programs keep the processor meanwhile, by Linux's /proc/stat (proc(5)): the whole machine's."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

_STAT = Path("/proc/stat")
_IDLE = slice(3, 5)
"""Of the fields of its first line: idle, and waiting for a disk."""

_COUNTED = 8
"""Fields that add up to all time; those after them, for guests, are part of the first ones."""

_QUIET = 0.1
"""Share of the processors that other programs may take while something is timed."""


@dataclass(frozen=True)
class CpuTimes:
    """Seconds since the machine started, over all processors, and of this process."""

    total: float
    busy: float
    own: float

    @classmethod
    def now(cls) -> "CpuTimes":
        """Read the times; all 0 where the system has none."""
        try:
            fields = _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1 : 1 + _COUNTED]
        except OSError:
            return cls(0.0, 0.0, 0.0)
        return cls.of([int(field) / os.sysconf("SC_CLK_TCK") for field in fields], process_time())

    @classmethod
    def of(cls, seconds: Sequence[float], own: float) -> "CpuTimes":
        """Return the times of a line's fields, in seconds."""
        return cls(sum(seconds), sum(seconds) - sum(seconds[_IDLE]), own)

    def others_since(self, before: "CpuTimes") -> float:
        """Return the share of all processors, 0 to 1, that other programs took since then; 0 if that is unknown."""
        total = self.total - before.total
        others = self.busy - before.busy - (self.own - before.own)
        return min(max(others / total, 0.0), 1.0) if total > 0 else 0.0

    def disturbed_since(self, before: "CpuTimes") -> bool:
        """Return whether other programs took so much since then that what was timed may be wrong."""
        return self.others_since(before) > _QUIET
