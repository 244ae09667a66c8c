"""Detects that a backup of a folder is being made."""

import time
from pathlib import Path

MARKER = ".backup"

_MAX_BACKUP_SECONDS = 3600.0
"""After this time the marker is ignored: a backup that was interrupted may have left it."""


class Backup:
    """A backup of a folder is being made while there is a file `.backup` in it, for an hour at most.

    The program that makes it fails if a file that it has listed disappears, and it reads one file after another. So
    meanwhile no file should be removed, and no data should move from one file to another.
    """

    def __init__(self, folder: Path) -> None:
        self._marker = folder / MARKER
        self._seen: tuple[int, float] | None = None

    def running(self) -> bool:
        """Return whether a backup is being made now. Reads the disk."""
        try:
            written = self._marker.stat().st_mtime_ns
        except OSError:
            return False
        if self._seen is None or self._seen[0] != written:
            self._seen = written, time.monotonic()
        return time.monotonic() - self._seen[1] < _MAX_BACKUP_SECONDS
