"""One server for each folder of kept things: two would sweep away what the other is just writing."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from wyoming_qwen3.errors import StorageFailed


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made if need be, for as long as the context lasts; a killed process lets go of it.

    Raises StorageFailed where another process holds it, or where it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageFailed(f"{folder} can't be used: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageFailed(
                f"{folder} is in use by another server; stop that one, or give this one another --data-dir."
            ) from error
        yield
    finally:
        os.close(handle)
