"""Allows one server per data folder: two would remove each other's incomplete files."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from wyoming_qwen3.core.errors import StorageFailed

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock the folder within the context, and create it if needed. A killed process releases the lock.

    Raises StorageFailed if another process has locked it. If the folder can't be created or opened, only a warning is
    logged, because the server can speak without it.
    """
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)
        except OSError as error:
            _LOGGER.warning("%s can't be used, so nothing is kept: %s", folder, error.strerror)
        else:
            held.callback(os.close, handle)
            _lock(handle, folder)
        yield


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageFailed(
            f"{folder} is in use by another server; stop that one, or give this one another --data-dir."
        ) from error
    except OSError as error:  # some network file systems have no locks
        _LOGGER.warning("%s can't be locked, so make sure that no other server uses it: %s", folder, error.strerror)
