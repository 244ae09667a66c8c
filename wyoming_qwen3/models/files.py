"""Looks at the checkpoints on disk, downloads them, and records both in the manager's books.

Knows no engine and no request. Each try of a download is a process of its own, started by the function passed in.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import DownloadFailed, ModelDamaged, ModelFailed
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.checkpoint import on_disk
from wyoming_qwen3.engine.checkpoint.defects import Defect, describe, find_defects

from .pace import Pace
from .state import DOWNLOAD_IT, CheckpointStates, Model, State

_LOGGER = logging.getLogger(__name__)

_PACE_SECONDS = 5.0
"""Seconds of a download after which its pace is worth telling."""

RunDownload = Callable[[wire.Download, wire.OnProgress], Awaitable[None]]
"""Runs one try in a process, and reports bytes done and in total. Raises DownloadFailed."""


class ModelFiles:
    """The models folder."""

    def __init__(self, states: CheckpointStates, models_dir: Path, revision: str, download: RunDownload) -> None:
        self._states = states
        self._models_dir = models_dir
        self._revision = revision
        self._download = download

    def path(self, model: Model) -> Path:
        """Return the folder where the checkpoint is or will be."""
        return model.path or on_disk.folder(self._models_dir, model.checkpoint)

    async def look(self, models: Iterable[Model]) -> None:
        """Record which of these checkpoints are on disk. They must be neither being downloaded nor in memory."""
        before = [(model, model.state) for model in models]
        look = partial(_look, self._models_dir, self._revision)
        found = await asyncio.to_thread(lambda: [look(model.checkpoint) for model, _ in before])
        for (model, state), folder in zip(before, found, strict=True):
            if model.state is state:  # else it has changed meanwhile
                self._put_down(model, folder)

    def _put_down(self, model: Model, folder: "_Folder") -> None:
        known = model.error if model.state is State.FAILED else None
        model.disk, model.path = folder.size, folder.path
        model.damage = folder.failure if isinstance(folder.failure, ModelDamaged) else None
        if folder.failure:
            if str(known) != str(folder.failure):
                self._states.fail(model, folder.failure)
                _LOGGER.error("%s Its folder is %s", folder.failure, folder.path)
        elif folder.whole and model.state is not State.ON_DISK:
            self._states.change(model, "found", State.ON_DISK)
        elif not folder.whole and model.state is not State.MISSING:
            self._states.change(model, "missing", State.MISSING)

    async def fetch(self, model: Model) -> bool:
        """Download it, try after try, until it is complete or fails for good. Its state must be DOWNLOADING.

        Return whether it is complete; False also if its state changes between two tries, as when it is found on disk.
        """
        for attempt in itertools.count(1):
            error = await self._try(model)
            if error is None:
                break
            delay = on_disk.retry_delay(attempt)
            level = logging.DEBUG if error.transient and attempt > 1 else logging.WARNING
            _LOGGER.log(level, "%s%s", error, f" Next try in {delay:.0f} s." if error.transient else "")
            if not error.transient:
                self._states.fail(model, error)
                return False
            self._states.change(model, "missing", State.MISSING, error=error)
            await asyncio.sleep(delay)
            if model.state is not State.MISSING:
                return False
            self._states.change(model, "download", State.DOWNLOADING)
        _LOGGER.info("%s is downloaded", model.checkpoint.name)
        model.disk = model.progress.total if model.progress else model.disk
        model.path, model.damage = on_disk.folder(self._models_dir, model.checkpoint), None
        self._states.change(model, "downloaded", State.ON_DISK)
        return True

    async def _try(self, model: Model) -> DownloadFailed | None:
        checkpoint = model.checkpoint
        log_progress, pace = _ProgressLog(checkpoint.name), Pace(_PACE_SECONDS)

        def report(done: int, total: int) -> None:
            if model.state is State.DOWNLOADING:  # a try that is being stopped may still report
                progress = on_disk.Progress(done, total, pace.seconds_left(done, total, time.monotonic()))
                self._states.change(model, "download", State.DOWNLOADING, progress=progress)
                log_progress(progress)

        try:
            await self._download(wire.Download(checkpoint, self._models_dir, self._revision), report)
        except DownloadFailed as error:
            return type(error)(f"{model.damage} {error}") if model.damage else error
        return None


@dataclass(frozen=True)
class _Folder:
    """The content of a checkpoint's folder: its size in bytes, whether it is complete, or why it can't be used."""

    path: Path
    size: int = 0
    whole: bool = False
    failure: ModelFailed | None = None


def _look(models_dir: Path, revision: str, checkpoint: Checkpoint) -> _Folder:
    """Return the first complete one of the checkpoint's possible folders.

    If none is complete, return the first that holds anything, else the one that a download uses.
    """
    folders = [_look_at(path, checkpoint) for path in on_disk.places(models_dir, checkpoint, revision)]
    whole = [folder for folder in folders if folder.whole]
    filled = [folder for folder in folders if folder.failure or folder.size]
    return (whole or filled or folders)[0]


def _look_at(path: Path, checkpoint: Checkpoint) -> _Folder:
    try:
        size, defects = _bytes_below(path), find_defects(path, checkpoint)
    except OSError as error:
        return _Folder(path, failure=ModelFailed(f"{checkpoint.name} can't be read: {error.strerror}."))
    absent = not any(os.path.lexists(path / defect.file) for defect in defects)
    if not defects or not size or (absent and (path / on_disk.PARTS).is_dir()):  # the latter: an unfinished download
        return _Folder(path, size, whole=not defects)
    return _Folder(path, size, failure=_damage(path, checkpoint, defects))


def _damage(path: Path, checkpoint: Checkpoint, defects: Sequence[Defect]) -> ModelDamaged:
    """Return the error that says what is wrong and what a person can do about it."""
    advice = "Copy it again"
    if any(defect.pointer for defect in defects):
        advice = "Run git lfs pull there"
    what = f"{checkpoint.name} is damaged: {describe(defects, path)}. {advice}, or {DOWNLOAD_IT}."
    return ModelDamaged(what, mendable=all(defect.lacking for defect in defects))


def _bytes_below(path: Path) -> int:
    total = 0
    for file in path.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a download has moved it to its final place
            total += file.stat().st_size if file.is_file() else 0
    return total


class _ProgressLog:
    """Logs a line for every tenth of a download."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = 0.0

    def __call__(self, progress: on_disk.Progress) -> None:
        share = progress.done / progress.total if progress.total else 0.0
        if share >= self._next:
            _LOGGER.info("Downloading %s: %.0f %% of %.1f MB", self._name, 100 * share, progress.total / 1e6)
            self._next = share + 0.1
