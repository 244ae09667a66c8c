"""Files and folders that are there whole or not at all, whenever the power goes; knows nothing of what is in them."""

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
    """Turn an OSError into StorageFailed, whose sentence holds the system's reason but no path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageFailed(f"The server could not use its disk: {reason}.") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole, in place of any that is there. Raises StorageFailed; then the old one is as it was."""
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
        with suppress(OSError):  # on a disk that has become read-only it fails too; what stays is swept
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes its place at `path` when the block ends well, and else is removed.

    There must be nothing at `path` yet. Files are to be written with `write_file`. Raises StorageFailed, for an
    OSError in the block too.
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
    """Remove a file or a folder with all that is in it, if it is there; nobody sees it half removed.

    Raises StorageFailed where it stays as it was. What can't be removed after it left its place is logged, and
    goes with the next `sweep`.
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
    """Remove what was half-written or half-removed directly in `folder`, if that exists, when the program was ended.

    Only for a folder in which nobody writes. What can't be removed is logged.
    """
    for path in sorted(folder.glob(f".*{_PARTIAL}")):
        _discard(path)


_PARTIAL = ".partial"


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex}{_PARTIAL}")


def _sync(folder: Path) -> None:
    """Have the names in a folder survive a power failure, where the file system can promise that.

    Never raises, for it follows a change that has been made; network file systems often refuse it.
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
