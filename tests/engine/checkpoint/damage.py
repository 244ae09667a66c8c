"""Checkpoints that are not whole."""

import os
from collections.abc import Callable
from pathlib import Path

DAMAGE = ("missing", "empty", "cut")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 1000100\n" % 0
"""What Git leaves of a large file where Git LFS is not installed."""


def damage(file: Path, how: str) -> None:
    """Do to a file one of DAMAGE."""
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if how == "empty" else content[: len(content) // 2])


def without(file: Path, name: str) -> None:
    """Take a tensor out."""
    from safetensors.torch import load_file, save_file

    weights = load_file(file)
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})


def cut(file: Path) -> None:
    """Leave the first half."""
    os.truncate(file, file.stat().st_size // 2)


def holding(content: bytes) -> Callable[[Path], object]:
    """What replaces a file by one with this content."""
    return lambda file: file.write_bytes(content)
