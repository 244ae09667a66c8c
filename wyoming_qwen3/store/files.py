"""Writes files and folders so that they are complete or absent, even after a power failure."""

import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wyoming_qwen3.core.errors import StorageFailed

_LOGGER = logging.getLogger(__name__)


@contextmanager
def storing() -> Iterator[None]:
    """Turn an OSError into StorageFailed, with the system's reason but without a path in its message."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageFailed(f"The server could not use its disk: {reason}.") from error


def restore_folder(folder: Path) -> None:
    """Create a folder again that somebody has deleted since the program started, and log that. Raises StorageFailed."""
    if folder.is_dir():
        return
    with storing():
        folder.mkdir(parents=True, exist_ok=True)
    _LOGGER.warning("%s was deleted while the server was running; it is created again", folder)


def write_file(path: Path, data: bytes) -> None:
    """Write a file, or replace it. Raises StorageFailed; an old file is not changed then."""
    partial = _beside(path)
    try:
        with storing():
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync(path.parent)
    except BaseException:
        with suppress(OSError):  # fails too if the disk became read-only; `sweep` removes it
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill. It is moved to `path` at the end of the block, or removed if the block raises.

    Nothing may exist at `path` yet. Write files with `write_file`. Raises StorageFailed, also for an OSError in the
    block.
    """
    partial = _beside(path)
    try:
        with storing():
            partial.mkdir()
            yield partial
            _sync(partial)
            partial.rename(path)
            _sync(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def remove(path: Path) -> None:
    """Remove a file, or a folder with its content, if it exists. It disappears from `path` in one step.

    Raises StorageFailed if that fails; nothing has changed then. If its data can't be removed afterwards, that is
    logged, and the next `sweep` tries again.
    """
    aside = _beside(path)
    with storing():
        try:
            path.rename(aside)
        except FileNotFoundError:
            return
    _sync(path.parent)
    _discard(aside)


def sweep(folder: Path) -> None:
    """Remove files and folders directly in `folder` that were incomplete when the program ended.

    `folder` need not exist. Nothing else may write to it meanwhile. What can't be removed is logged.
    """
    for path in sorted(folder.glob(f".*{_PARTIAL}")):
        _discard(path)


_PARTIAL = ".partial"


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex}{_PARTIAL}")


def _sync(folder: Path) -> None:
    """Make the names in a folder survive a power failure, if the file system supports that.

    Never raises, because the change itself has been made. Network file systems often refuse this.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        _LOGGER.debug("%s could not be synced: %s", folder, error.strerror)


def _discard(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        _LOGGER.warning("%s could not be removed: %s", path, error.strerror)
