"""Whether somebody is making a backup of a folder; knows nothing of what is in it."""

import time
from pathlib import Path

MARKER = ".backup"

_MAX_BACKUP_SECONDS = 3600.0
"""A backup that was broken off may have left its marker."""


class Backup:
    """A backup of a folder is being made for as long as there is a file `.backup` in it, for an hour at most.

    What packs the folder fails when a file is gone that it has seen, and takes files one after the other: meanwhile
    nothing should be removed, and what lies in two files should not move from one to the other.
    """

    def __init__(self, folder: Path) -> None:
        self._marker = folder / MARKER
        self._seen: tuple[int, float] | None = None

    def running(self) -> bool:
        """Whether it is being made now. Looks at the disk."""
        try:
            written = self._marker.stat().st_mtime_ns
        except OSError:
            return False
        if self._seen is None or self._seen[0] != written:
            self._seen = written, time.monotonic()
        return time.monotonic() - self._seen[1] < _MAX_BACKUP_SECONDS
