"""Command line of the check: `python -m bench.gpu`, which starts itself anew for each step with `--step`."""

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.random_weights import SIZES

from . import beside, exactness, machine, speed
from .found import Finder, Run
from .runner import LIMITS, run_all
from .table import to_markdown

STEPS: Mapping[str, Callable[[Run, Finder], None]] = {
    "environment": machine.environment,
    "weights": machine.weights,
    "capture": machine.capture,
    "parity": exactness.parity,
    "fused": exactness.fused,
    "codec": exactness.codec,
    "timing": speed.timing,
    "rows": speed.rows,
    "profile": speed.profile,
    "beside": beside.beside,
    "memory": beside.memory,
    "stock": speed.stock,
    "faster": speed.faster,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all steps, or one in this process; return 0, or 1 if a check failed or a step could not be finished."""
    given = _parser().parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.step:
        return _step(Run(given.device, given.sizes, given.folder, given.out, given.frames), given.step)
    with TemporaryDirectory(prefix="wyoming-qwen3-gpu-check-") as folder:
        run = Run(given.device, given.sizes, Path(given.folder or folder), given.out, given.frames)
        results = run_all(run, given.steps, given.seconds, _tell)
    sys.stdout.write(to_markdown(results))
    _tell(f"The results are in {given.out}.")
    return 0 if all(found.passed for found in results.values()) else 1


def _step(run: Run, step: str) -> int:
    finder = Finder(run.out / f".{step}.json")
    try:
        STEPS[step](run, finder)
    except BaseException as error:
        traceback.print_exc()
        finder.fail(error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="script/gpu-check",
        description="Checks and measures the engine on one GPU in under ten minutes. Nothing is downloaded: the "
        "weights are random numbers in the published dimensions, and take 7 GB of disk meanwhile.",
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), metavar="DIR", help="for the results")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries the steps themselves")
    parser.add_argument("--sizes", type=_sizes, default=("0.6B", "1.7B"), metavar="0.6B,1.7B")
    parser.add_argument("--steps", type=_steps, default=list(LIMITS), metavar="NAME,...", help=", ".join(LIMITS))
    parser.add_argument("--seconds", type=float, default=570.0, metavar="S", help="for all steps together")
    parser.add_argument("--frames", type=int, default=125, metavar="N", help="of a measured utterance; 12.5 a second")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for the random weights, to keep them")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    return parser


def _sizes(text: str) -> tuple[str, ...]:
    sizes = tuple(text.split(","))
    if set(sizes) - set(SIZES):
        raise argparse.ArgumentTypeError(f"sizes are {', '.join(SIZES)}, not {text!r}")
    return sizes


def _steps(text: str) -> list[str]:
    steps = text.split(",")
    if set(steps) - set(LIMITS):
        raise argparse.ArgumentTypeError(f"steps are {', '.join(LIMITS)}, not {text!r}")
    return steps


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
