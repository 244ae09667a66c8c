"""A small file that both the server and people change."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

from wyoming_qwen3.core.errors import StorageFailed, TooLarge

from .files import storing, write_file

_FileStamp: TypeAlias = tuple[int, ...]
_T = TypeVar("_T")


class EditedFile:
    """Reads a file again when somebody has changed it, and replaces it in one step.

    All methods wait for the disk, so don't call them on an event loop.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        """`most_bytes` is the maximum size of the file."""
        self._path = path
        self._most_bytes = most_bytes
        self._read: _FileStamp | None = None

    def read(self, parse: Callable[[bytes], _T]) -> _T | None:
        """Return what `parse` makes of the content if that has changed since it was last parsed, else None.

        A missing file is empty. If its folder is missing, like a share that is not mounted, nothing has changed. Raises
        StorageFailed if the file can't be read, TooLarge, and what `parse` raises; the next call then reads it again.
        """
        with storing():
            try:
                facts = self._path.stat()
                stamp: _FileStamp = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
                if stamp == self._read:
                    return None
                if not stat.S_ISREG(facts.st_mode):
                    raise StorageFailed("It is not a file.")
                with self._path.open("rb") as file:
                    data = file.read(self._most_bytes + 1)
            except FileNotFoundError:
                if self._read == _MISSING or not self._path.parent.is_dir():
                    return None
                stamp, data = _MISSING, b""
        if len(data) > self._most_bytes:
            raise TooLarge(f"The file has more than the allowed {self._most_bytes:,} bytes.")
        parsed = parse(data)
        self._read = stamp
        return parsed

    def write(self, data: bytes) -> None:
        """Replace the content, which the next `read` returns. Raises StorageFailed; the file is not changed then."""
        with storing():
            self._path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self._path, data)


_MISSING: _FileStamp = ()
