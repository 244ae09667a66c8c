"""Checkpoints on disk: where they are, whether they are whole, and how large.

Knows files only. Does not know torch, nor what the tensors mean, nor how the hub is spoken to (hub.py), so that the
light server process may import it.

A checkpoint is whole by what lies in its folder, without any marker: one that was copied there counts.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.checkpoints import Checkpoint
from wyoming_qwen3.errors import InvalidRequest, ModelMissing

_RETRY_DELAYS = (5.0, 15.0, 60.0, 300.0, 900.0)

_MODEL = "model.safetensors"
_MODEL_INDEX = "model.safetensors.index.json"
_CODEC = "speech_tokenizer/model.safetensors"
_SETTINGS = (
    "config.json",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "speech_tokenizer/config.json",
    "speech_tokenizer/preprocessor_config.json",
)

_HEADER_LIMIT = 100_000_000
"""Bytes of a safetensors header, as limited by the format's own library."""


@dataclass(frozen=True)
class Progress:
    """Bytes of a download: those on disk, whenever they came there, and all."""

    done: int
    total: int


def folder(models_dir: Path, checkpoint: Checkpoint) -> Path:
    """Where a checkpoint lies or will lie."""
    return models_dir / checkpoint.name


def missing_files(path: Path) -> list[str]:
    """Names, relative to `path`, of what the checkpoint lacks; [] when it is whole.

    An empty file counts as lacking, and so does a safetensors file that does not end where its header says: cut
    short, still being copied, or a Git LFS pointer. Shards are those that model.safetensors.index.json names.
    """
    settings = [name for name in _SETTINGS if not _is_filled(path / name)]
    return settings + [name for name in _weight_names(path) if _tensor_bytes(path / name) is None]


def is_complete(path: Path) -> bool:
    """Whether the folder holds a whole checkpoint."""
    return not missing_files(path)


def lacking_names(names: Iterable[str]) -> list[str]:
    """What a checkpoint of files with these names lacks, but for shards, which only the index's content tells."""
    present = set(names)
    model = _MODEL_INDEX if _MODEL_INDEX in present and _MODEL not in present else _MODEL
    return [name for name in (*_SETTINGS, model, _CODEC) if name not in present]


def weight_files(path: Path) -> list[str]:
    """Names of the safetensors files of a whole checkpoint, but for its speech tokenizer's."""
    return _weight_names(path)[:-1]


def footprint(path: Path) -> int:
    """Bytes of all tensors of a whole checkpoint as stored, those of the speech tokenizer included.

    Raises ModelMissing when the checkpoint is not whole.
    """
    if missing := missing_files(path):
        raise ModelMissing(f"{path.name} is not whole: it lacks {', '.join(missing)}.")
    return sum(_tensor_bytes(path / name) or 0 for name in _weight_names(path))


def check_models_dir(models_dir: Path, *, make: bool = True) -> None:
    """Make the models folder where `make` says so; it may be read-only where checkpoints already lie in it.

    Raises InvalidRequest when it is missing, can't be made or read, or is not a folder.
    """
    try:
        if make:
            models_dir.mkdir(parents=True, exist_ok=True)
        next(models_dir.iterdir(), None)
    except (FileExistsError, NotADirectoryError) as error:
        if models_dir.exists():
            raise InvalidRequest(f"The models folder {models_dir} is not a folder.") from None
        raise InvalidRequest(f"The models folder {models_dir} can't be used: {error.strerror}.") from None
    except FileNotFoundError as error:
        why = f"can't be used: {error.strerror}" if make else "does not exist"
        raise InvalidRequest(f"The models folder {models_dir} {why}.") from None
    except PermissionError as error:
        advice = "name another with --models-dir or --data-dir"
        raise InvalidRequest(f"The models folder {models_dir} can't be used: {error.strerror}; {advice}.") from None
    except OSError as error:
        raise InvalidRequest(f"The models folder {models_dir} can't be used: {error.strerror}.") from None


def retry_delay(attempt: int) -> float:
    """Seconds to wait after `attempt` failed tries (1 or more): from 5 seconds to a quarter of an hour."""
    return _RETRY_DELAYS[min(max(attempt, 1), len(_RETRY_DELAYS)) - 1]


def _is_filled(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _weight_names(path: Path) -> list[str]:
    """Safetensors files of a checkpoint; where the index can't be read, the index itself."""
    if (path / _MODEL).exists() or not (path / _MODEL_INDEX).exists():
        return [_MODEL, _CODEC]
    try:
        shards = sorted(set(json.loads((path / _MODEL_INDEX).read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        shards = []
    return [*(shards or [_MODEL_INDEX]), _CODEC]


def _tensor_bytes(file: Path) -> int | None:
    """Bytes of a whole safetensors file's tensors, else None.

    8 bytes of header length (little-endian), a JSON header, and tensors up to the last of its data_offsets
    (https://huggingface.co/docs/safetensors, "Format").
    """
    if not file.is_file():
        return None
    size = file.stat().st_size
    with file.open("rb") as source:
        header_size = int.from_bytes(source.read(8), "little")
        if header_size > min(size - 8, _HEADER_LIMIT):
            return None
        header = source.read(header_size)
    try:
        tensors = [entry for name, entry in json.loads(header).items() if name != "__metadata__"]
        end = max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return end if size == 8 + header_size + end else None
