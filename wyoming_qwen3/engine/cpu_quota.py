"""Determines how much processor time this process may use, so that its threads do not spend it waiting for each other.

Reads the quotas of Linux control groups (https://docs.kernel.org/admin-guide/cgroup-v2.html, `cpu.max`, and
https://docs.kernel.org/scheduler/sched-bwc.html for version 1), which containers and service managers set.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path


def usable_threads(processors: int, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many threads can run all the time on `processors` within the quota; at least 1.

    A quota of 1.5 processors allows 1: the system would stop two threads for a quarter of the time, both at once.
    """
    quotas = [quota for folder in _groups(proc, cgroup) if (quota := _quota(folder)) is not None]
    return max(int(min([float(processors), *quotas])), 1)


def _groups(proc: Path, cgroup: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, and of their parents.

    Within a container the paths may be those of the host, so that only the topmost folder exists.
    """
    with contextlib.suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            group = Path(path.lstrip("/"))
            for root in {cgroup / controllers, cgroup / "cpu"} if controllers else {cgroup}:
                yield from (root / one for one in (group, *group.parents))


def _quota(folder: Path) -> float | None:
    """Return the quota of one group in processors; None if it has none."""
    with contextlib.suppress(OSError, ValueError):  # "max" is no number
        quota, period = map(int, (folder / "cpu.max").read_text().split())
        return quota / period
    with contextlib.suppress(OSError, ValueError):
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 else None
    return None
