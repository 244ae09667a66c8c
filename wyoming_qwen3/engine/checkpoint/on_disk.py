"""Checkpoints on disk: where they are, whether they are complete, and how large.

Knows only files, because the light server process imports it. Does NOT know torch, what the tensors mean, or how to
download (download.py).

Whether a checkpoint is complete depends only on the files in its folder, without any marker, so a copied one counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import InvalidRequest, ModelMissing

from .defects import CODEC, MODEL, MODEL_INDEX, SETTINGS, find_defects, tensor_bytes, weight_names

PARTS = ".download"
"""Subfolder of a checkpoint's folder in which partial downloads are kept."""

_SNAPSHOTS = "snapshots"
_RETRY_DELAYS = (5.0, 15.0, 60.0, 300.0, 900.0)


@dataclass(frozen=True)
class Progress:
    """Bytes of a download: `done` are on disk, from this try or earlier ones, out of `total`."""

    done: int
    total: int
    seconds_left: float | None = None
    """Roughly, at the pace so far; None before that is known."""


def folder(models_dir: Path, checkpoint: Checkpoint) -> Path:
    """Return the folder that a checkpoint is downloaded to."""
    return models_dir / checkpoint.name


def places(models_dir: Path, checkpoint: Checkpoint, revision: str = "main") -> list[Path]:
    """Return where a checkpoint may be in the models folder, the likeliest first; the first may not exist.

    The places are `folder`, OWNER/NAME as on the hub, and a snapshot in a Hugging Face cache. `models_dir` may be the
    cache itself (HF_HOME/hub) or its parent (HF_HOME). In a cache it is the snapshot of `revision`, else the newest.
    """
    repository = f"models--{checkpoint.repository.replace('/', '--')}"
    snapshots = [_snapshot(cache / repository, revision) for cache in (models_dir, models_dir / "hub")]
    own = models_dir / checkpoint.repository
    return [folder(models_dir, checkpoint), *([own] if own.is_dir() else []), *(one for one in snapshots if one)]


def checkpoint_name(path: Path) -> str:
    """Return the name of the checkpoint at one of its `places`."""
    return path.parent.parent.name.rpartition("--")[2] if path.parent.name == _SNAPSHOTS else path.name


def missing_files(path: Path) -> list[str]:
    """Return the names, relative to `path`, of the files that the checkpoint lacks; [] if it is complete.

    An empty file counts as lacking, and so does a safetensors file that does not end where its header says: cut short,
    still being copied, or a Git LFS pointer. The expected shards are those that model.safetensors.index.json names.
    """
    return [defect.file for defect in find_defects(path) if defect.lacking]


def lacking_names(names: Iterable[str]) -> list[str]:
    """Return what a checkpoint with files of these names lacks, except shards, which only the index names."""
    present = set(names)
    model = MODEL_INDEX if MODEL_INDEX in present and MODEL not in present else MODEL
    return [name for name in (*SETTINGS, model, CODEC) if name not in present]


def weight_files(path: Path) -> list[str]:
    """Return the names of a complete checkpoint's safetensors files, except its speech tokenizer's."""
    return weight_names(path)[:-1]


def footprint(path: Path) -> int:
    """Return the bytes of all tensors of a checkpoint as stored, including the speech tokenizer's.

    Raises ModelMissing if the checkpoint is not complete.
    """
    if missing := missing_files(path):
        raise ModelMissing(f"{checkpoint_name(path)} is incomplete: it lacks {', '.join(missing)}.")
    return sum(tensor_bytes(path / name) for name in weight_names(path))


def check_models_dir(models_dir: Path, *, make: bool = True) -> None:
    """Check that the models folder can be read, and create it first if `make`; it may be read-only.

    Raises InvalidRequest if it is missing, can't be created or read, or is not a folder.
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
        advice = "choose another with --models-dir or --data-dir"
        raise InvalidRequest(f"The models folder {models_dir} can't be used: {error.strerror}; {advice}.") from None
    except OSError as error:
        raise InvalidRequest(f"The models folder {models_dir} can't be used: {error.strerror}.") from None


def retry_delay(attempt: int) -> float:
    """Return the seconds to wait after `attempt` failed tries (1 or more): from 5 seconds to 15 minutes."""
    return _RETRY_DELAYS[min(max(attempt, 1), len(_RETRY_DELAYS)) - 1]


def _snapshot(repository: Path, revision: str) -> Path | None:
    """Return a revision's folder in a Hugging Face cache, else the newest one; None if there are no snapshots.

    refs/REVISION contains the commit that a branch or tag stood for, snapshots/COMMIT its files
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
