"""Runs each step in a process of its own with a limit, and goes on with the next one whatever became of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from .found import Found, Run, read
from .table import to_markdown

LIMITS: Mapping[str, float] = {
    "environment": 45,
    "weights": 120,
    "capture": 90,
    "parity": 120,
    "fused": 150,
    "codec": 60,
    "timing": 150,
    "rows": 120,
    "profile": 60,
    "beside": 90,
    "memory": 90,
    "stock": 200,
    "faster": 120,
}
"""Seconds that each step may take, in the order in which they are run: the most important ones first."""

_LAST_WORDS = 3.0
"""Seconds in which a process that took too long writes where it was."""

_TOO_LITTLE = 10.0
"""Seconds below which a step is not begun."""


def run_all(run: Run, steps: list[str], seconds: float, tell: Callable[[str], None]) -> dict[str, Found]:
    """Run the steps within `seconds`, and return what they found, by name. It is also in run.out, after each step.

    There are results.json, table.md, and log.txt with all that the steps wrote.
    """
    begin, results = time.monotonic(), dict[str, Found]()
    with (run.out / "log.txt").open("w", encoding="utf-8") as log:
        for step in steps:
            limit = min(LIMITS[step], seconds - (time.monotonic() - begin))
            tell(f"{step}: at most {max(limit, 0):.0f} s")
            results[step] = _one(run, step, limit, log) if limit >= _TOO_LITTLE else Found(skipped="no time was left")
            content = {name: asdict(found) for name, found in results.items()}
            (run.out / "results.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            (run.out / "table.md").write_text(to_markdown(results), encoding="utf-8")
    return results


def _one(run: Run, step: str, limit: float, log: TextIO) -> Found:
    answer, begin = run.out / f".{step}.json", time.monotonic()
    answer.unlink(missing_ok=True)
    log.write(f"\n===== {step}\n")
    log.flush()
    command = [sys.executable, "-u", "-X", "faulthandler", "-m", "bench.gpu", "--step", step]
    command += ["--out", str(run.out), "--folder", str(run.folder), "--device", run.device]
    command += ["--sizes", ",".join(run.sizes), "--frames", str(run.frames)]
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_environment(run)
    )
    ending = _wait(child, limit)
    found = read(answer)
    answer.unlink(missing_ok=True)
    found.took_s = round(time.monotonic() - begin, 1)
    if ending and found.error is None:
        found.error = f"It {ending}; see log.txt."
    return found


def _wait(child: "subprocess.Popen[bytes]", limit: float) -> str | None:
    """Return how a process ended, if not well. One that takes too long is ended, with all that it started."""
    try:
        code = child.wait(limit)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGABRT)  # faulthandler then writes where it is
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_LAST_WORDS)
        code = None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if code is None:
        return f"was still running after {limit:.0f} s"
    return f"ended with {code}" if code else None


def _environment(run: Run) -> dict[str, str]:
    """No network; and on a CPU, where nothing is measured in earnest, one thread."""
    root = str(Path(__file__).resolve().parents[2])
    threads = {} if run.on_gpu else {"OMP_NUM_THREADS": "1"}
    return os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": root} | threads
