"""Checkpoints on disk: where they are, whether they are whole, and how large.

Knows files only. Does not know torch, nor what the tensors mean, nor how the hub is spoken to (download.py): the light
server process imports it.

A checkpoint is whole by what lies in its folder, without any marker: one that was copied there counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import InvalidRequest, ModelMissing

from .defects import CODEC, MODEL, MODEL_INDEX, SETTINGS, find_defects, tensor_bytes, weight_names

PARTS = ".download"
"""Folder in a checkpoint's own, in which its files grow while they are downloaded."""

_SNAPSHOTS = "snapshots"
_RETRY_DELAYS = (5.0, 15.0, 60.0, 300.0, 900.0)


@dataclass(frozen=True)
class Progress:
    """Bytes of a download: those on disk, whenever they came there, and all."""

    done: int
    total: int


def folder(models_dir: Path, checkpoint: Checkpoint) -> Path:
    """Where a checkpoint is downloaded to, and lies unless it was put there otherwise."""
    return models_dir / checkpoint.name


def places(models_dir: Path, checkpoint: Checkpoint, revision: str = "main") -> list[Path]:
    """Where a checkpoint may lie in the models folder, the likeliest first; the first need not be there.

    `folder`, OWNER/NAME as on the hub, or a snapshot in a Hugging Face cache: `models_dir` may be the cache itself
    (HF_HOME/hub) or the folder that holds it (HF_HOME). Of a cache it is the snapshot of `revision`, else the newest.
    """
    repository = f"models--{checkpoint.repository.replace('/', '--')}"
    snapshots = [_snapshot(cache / repository, revision) for cache in (models_dir, models_dir / "hub")]
    own = models_dir / checkpoint.repository
    return [folder(models_dir, checkpoint), *([own] if own.is_dir() else []), *(one for one in snapshots if one)]


def checkpoint_name(path: Path) -> str:
    """The name of the checkpoint in one of its `places`."""
    return path.parent.parent.name.rpartition("--")[2] if path.parent.name == _SNAPSHOTS else path.name


def missing_files(path: Path) -> list[str]:
    """Names, relative to `path`, of what the checkpoint lacks; [] when it is whole.

    An empty file counts as lacking, and so does a safetensors file that does not end where its header says: cut
    short, still being copied, or a Git LFS pointer. Shards are those that model.safetensors.index.json names.
    """
    return [defect.file for defect in find_defects(path) if defect.lacking]


def lacking_names(names: Iterable[str]) -> list[str]:
    """What a checkpoint of files with these names lacks, but for shards, which only the index's content tells."""
    present = set(names)
    model = MODEL_INDEX if MODEL_INDEX in present and MODEL not in present else MODEL
    return [name for name in (*SETTINGS, model, CODEC) if name not in present]


def weight_files(path: Path) -> list[str]:
    """Names of the safetensors files of a whole checkpoint, but for its speech tokenizer's."""
    return weight_names(path)[:-1]


def footprint(path: Path) -> int:
    """Bytes of all tensors of a whole checkpoint as stored, those of the speech tokenizer included.

    Raises ModelMissing when the checkpoint is not whole.
    """
    if missing := missing_files(path):
        raise ModelMissing(f"{checkpoint_name(path)} is not whole: it lacks {', '.join(missing)}.")
    return sum(tensor_bytes(path / name) for name in weight_names(path))


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


def _snapshot(repository: Path, revision: str) -> Path | None:
    """The folder of a revision in a Hugging Face cache, or of the newest one where that is not there.

    refs/REVISION holds the commit that a branch or tag stood for, snapshots/COMMIT its files
    (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
    """
    try:
        commit = (repository / "refs" / revision).read_text().strip()
    except (OSError, ValueError):
        commit = revision
    try:
        found = [path for path in (repository / _SNAPSHOTS).iterdir() if path.is_dir()]
    except OSError:
        return None
    return max(found, key=lambda path: (path.name == commit, path.stat().st_mtime), default=None)
