"""Finds what is wrong with the files of a checkpoint, and describes it in words.

Reads only headers and small files, because the light server process checks often. Knows neither torch nor where
checkpoints are.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wyoming_qwen3.core.checkpoints import KIND_NAMES, Checkpoint

MODEL = "model.safetensors"
MODEL_INDEX = "model.safetensors.index.json"
_TOKENIZER = "speech_tokenizer"
CODEC = f"{_TOKENIZER}/model.safetensors"
CONFIG = "config.json"
SETTINGS = (
    CONFIG,
    "generation_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    f"{_TOKENIZER}/config.json",
    f"{_TOKENIZER}/preprocessor_config.json",
)

_MAX_HEADER_BYTES = 100_000_000
"""Largest header of a safetensors file; the format's own library has the same limit."""

_MAX_PARSED_BYTES = 256 * 1024
"""Largest JSON file that is parsed to be checked. Of a larger one, the vocabulary, only both ends are checked."""

_MAX_TOLD = 3
"""How many defects a description lists."""

_LFS = b"version https://git-lfs.github.com/spec/"
_SIZES = {"0b6": "0.6B", "1b7": "1.7B"}


@dataclass(frozen=True)
class Defect:
    """A file, by its name relative to the checkpoint's folder, and what is wrong with it."""

    file: str
    what: str
    """Continues a sentence after the file's name, as in "is missing"."""

    lacking: bool = True
    """Whether the file holds nothing of use. If False, someone may have written the file like this on purpose."""

    pointer: bool = False
    """Whether the file is a Git LFS pointer."""


def find_defects(path: Path, checkpoint: Checkpoint | None = None) -> list[Defect]:
    """Return all defects in a checkpoint's folder; [] if it is complete and is `checkpoint`, if that is given.

    Raises OSError if the folder can't be read.
    """
    found = [defect for name in SETTINGS if (defect := _setting_defect(path, name))]
    for name in weight_names(path):
        if name == MODEL_INDEX:
            found.append(Defect(name, _absence(path / name) or "lists no weight files"))
        elif what := _tensors_defect(path / name):
            listed = f", but {MODEL_INDEX} lists it" if name not in (MODEL, CODEC) else ""
            found.append(Defect(name, what + listed, pointer=_is_pointer(path / name)))
    if checkpoint and not any(defect.file == CONFIG for defect in found):
        found += _identity_defects(path / CONFIG, checkpoint)
    return found


def describe(defects: Sequence[Defect], path: Path) -> str:
    """Return the defects of the checkpoint at `path` as text to follow "... is damaged: ", without a full stop."""
    told = []
    if not (path / _TOKENIZER).is_dir():
        told = [f"the folder {_TOKENIZER} is missing"]
        defects = [one for one in defects if not one.file.startswith(f"{_TOKENIZER}/")]
    told += [f"{one.file} {one.what}" for one in defects]
    more = len(told) - _MAX_TOLD
    return "; ".join(told[:_MAX_TOLD]) + (f"; and {more} more" if more > 0 else "")


def weight_names(path: Path) -> list[str]:
    """Return a checkpoint's safetensors files, the speech tokenizer's last; an unreadable index replaces its shards."""
    if os.path.lexists(path / MODEL) or not (path / MODEL_INDEX).exists():
        return [MODEL, CODEC]
    try:
        shards = sorted(set(json.loads((path / MODEL_INDEX).read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        shards = []
    return [*(shards or [MODEL_INDEX]), CODEC]


def tensor_bytes(file: Path) -> int:
    """Return the bytes of the tensors in a safetensors file. Raises ValueError if it is damaged; the message says how.

    The format is 8 bytes of header length (little-endian), a JSON header, and tensors up to the last of its
    data_offsets (https://huggingface.co/docs/safetensors, "Format").
    """
    size = file.stat().st_size
    with file.open("rb") as source:
        header_size = int.from_bytes(source.read(8), "little")
        start = source.read(1)
        if header_size > _MAX_HEADER_BYTES or start not in (b"", b"{"):
            raise ValueError("is not a safetensors file")
        if header_size > size - 8:
            raise ValueError("is incomplete")
        header = start + source.read(header_size - 1)
    try:
        tensors = [entry for name, entry in json.loads(header).items() if name != "__metadata__"]
        end = max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ValueError("is damaged: its header can't be read") from None
    whole = 8 + header_size + end
    if size < whole:
        raise ValueError(f"is incomplete: it has {size:,} of {whole:,} bytes")
    if size > whole:
        raise ValueError(f"is damaged: it has {size:,} bytes instead of {whole:,}")
    return end


def _absence(file: Path) -> str | None:
    """Return why there is no usable file, such as a missing one or a Git LFS pointer; None if there is one."""
    if not file.is_file():
        return "is a link to a file that is missing" if file.is_symlink() else "is missing"
    if not file.stat().st_size:
        return "is empty"
    return "is a Git LFS pointer and not the file itself" if _is_pointer(file) else None


def _is_pointer(file: Path) -> bool:
    """Return whether a file is a Git LFS pointer, which git writes in place of a file if LFS is not set up."""
    if not file.is_file():
        return False
    with file.open("rb") as source:
        return source.read(len(_LFS)) == _LFS


def _tensors_defect(file: Path) -> str | None:
    if what := _absence(file):
        return what
    try:
        tensor_bytes(file)
    except ValueError as error:
        return str(error)
    return None


def _setting_defect(path: Path, name: str) -> Defect | None:
    file = path / name
    if what := _absence(file):
        return Defect(name, what, pointer=_is_pointer(file))
    if file.suffix == ".json" and not _is_object(file):
        return Defect(name, "is incomplete or not a JSON object", lacking=False)
    return None


def _is_object(file: Path) -> bool:
    if file.stat().st_size <= _MAX_PARSED_BYTES:
        return _object(file) is not None
    with file.open("rb") as source:
        start = source.read(64).lstrip()
        source.seek(-64, os.SEEK_END)
        return start.startswith(b"{") and source.read().rstrip().endswith(b"}")


def _object(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_bytes())
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _identity_defects(config: Path, checkpoint: Checkpoint) -> Iterator[Defect]:
    """Yield a defect if config.json belongs to another model, such as a file copied into the wrong folder."""
    content = _object(config) or {}
    model, kind, size = (content.get(key) for key in ("model_type", "tts_model_type", "tts_model_size"))
    if model not in (None, "qwen3_tts"):
        yield Defect(CONFIG, f"belongs to another kind of model, {model!r}", lacking=False)
    elif (kind or checkpoint.kind, _SIZES.get(str(size), checkpoint.size)) != (checkpoint.kind, checkpoint.size):
        other = f"{_SIZES.get(str(size), checkpoint.size)}-{KIND_NAMES.get(kind or checkpoint.kind, kind)}"
        yield Defect(CONFIG, f"belongs to another checkpoint, {other}", lacking=False)
