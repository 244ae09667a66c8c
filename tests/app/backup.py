"""Backups of the app's data as the Supervisor makes them, with its own securetar.

https://github.com/home-assistant/supervisor: `_app_backup` and `_is_excluded_by_filter` in supervisor/apps/app.py. Each
path is matched whole, as the Supervisor sees it, against each of `backup_exclude` (PurePath.match, so a pattern without
a slash is one for names, a dot at the beginning is as any other character, and nothing below a folder that matches is
looked at).
"""

import tarfile
from collections.abc import Callable
from pathlib import Path, PurePath

from securetar import SecureTarArchive, SecureTarFile, atomic_contents_add

from tests.app.files import CONFIG

FOLDER = "a0d7b954_qwen3_tts"
"""Of the app's data: a hash of the repository's address, and the app's slug."""

_APP = f"./{FOLDER}.tar.gz"


def excluded(path: PurePath) -> bool:
    """Whether a path is left out of backups."""
    return any(path.match(pattern) for pattern in CONFIG["backup_exclude"])


def back_up(data: Path, file: Path, looked: Callable[[Path], None] = lambda _: None) -> None:
    """Pack the app's data. `looked` is called with each path that was found, before it is read.

    Raises securetar.AddFileError when something is gone by then.
    """

    def leave_out(arcpath: PurePath) -> bool:
        path = data / arcpath.relative_to("data")
        looked(path)
        return excluded(path)

    with SecureTarArchive(file, "w") as archive, archive.create_tar(_APP) as tar:
        atomic_contents_add(tar, data, file_filter=leave_out, arcname="data")


def restore(file: Path, folder: Path) -> Path:
    """Unpack it; the app's data is returned."""
    with tarfile.open(file) as outer:
        outer.extractall(folder, filter="data")
    with SecureTarFile(folder / _APP) as tar:
        tar.extractall(folder, filter="data")
    return folder / "data"
