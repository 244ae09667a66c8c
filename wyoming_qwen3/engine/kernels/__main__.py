"""Compile the CPU kernels: `python -m wyoming_qwen3.engine.kernels`."""

import sys

from wyoming_qwen3.core.errors import EngineFailed

from .build import build


def main() -> int:
    """Compile the missing libraries and return the exit code."""
    try:
        build(lambda line: print(line, file=sys.stderr))  # noqa: T201
    except EngineFailed as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
