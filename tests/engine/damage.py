"""Checkpoints that are not whole."""

from pathlib import Path

from safetensors.torch import load_file, save_file

DAMAGE = ("missing", "empty", "cut")


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if how == "empty" else content[: len(content) // 2])


def without(file: Path, name: str) -> None:
    """Take a tensor out."""
    weights = load_file(file)
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})
