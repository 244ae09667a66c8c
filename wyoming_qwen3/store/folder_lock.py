"""One server for each folder of kept things: two would sweep away what the other is just writing."""

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
    """Hold the folder, which is made if need be, for as long as the context lasts; a killed process lets go of it.

    Raises StorageFailed where another process holds it. One that can't be made or opened is nobody's to hold: a
    warning is all then, for there is speech without it.
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
    except OSError as error:  # some network disks have no locks
        _LOGGER.warning("%s can't be locked, so see that no other server uses it: %s", folder, error.strerror)
