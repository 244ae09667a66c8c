"""The history of what was spoken: audio in FLAC files and a searchable database, kept within limits.

A row is inserted after its audio file is complete, and removed before the file is. So an interruption leaves an audio
file without a row, or a *.part file, and `open` removes those. Knows no protocol.
"""

import asyncio
import contextlib
import logging
import re
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from wyoming_qwen3.core.errors import StorageFailed
from wyoming_qwen3.core.request import SAMPLE_RATE
from wyoming_qwen3.store.backup import Backup
from wyoming_qwen3.store.database import Connection, Database
from wyoming_qwen3.store.files import storing

from . import entries
from .entries import GenerationQuery, Limits, Page, Removed, StoredGeneration, Usage
from .recording import AudioFile, Facts, Recorder, Recording

__all__ = ["Facts", "GenerationQuery", "History", "Limits", "Page", "Recording", "Removed", "StoredGeneration", "Usage"]

_LOGGER = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f-]{36}")

_TIDY_SECONDS = 60.0
"""Seconds between two automatic clean-ups while entries are added."""

_IDLE_TIDY_SECONDS = 3600.0
"""Seconds between two automatic clean-ups while none is added: entries may become too old."""

_SETTLE_SECONDS = 0.5

_CLOSE_SECONDS = 10.0
"""Longest wait for pending writes when the server ends."""

_T = TypeVar("_T")


class History:
    """The stored generations. For one event loop; no method blocks it.

    FOLDER/history.sqlite3 and FOLDER/audio/ID.flac belong to it. Methods that are awaited raise StorageFailed if the
    disk fails, and NotFound for an unknown ID. While a backup of FOLDER is being made, there is no automatic clean-up.
    """

    def __init__(self, folder: Path, limits: Limits, *, tidy_seconds: float = _TIDY_SECONDS) -> None:
        """`tidy_seconds` is the shortest time between two automatic clean-ups."""
        self._audio = folder / "audio"
        self._limits = limits
        self._tidy_seconds = tidy_seconds
        self._backup = Backup(folder)
        self._database = Database(folder / "history.sqlite3", entries.MIGRATIONS, self._backup.running)
        self._recorder = Recorder()
        self._begun: weakref.WeakSet[Recording] = weakref.WeakSet()
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._grown = asyncio.Event()
        self._tidying: asyncio.Task[None] | None = None

    @property
    def limits(self) -> Limits:
        """Limits of the automatic clean-up."""
        return self._limits

    async def open(self) -> str | None:
        """Open and migrate the database, remove incomplete files, and clean up.

        A corrupt database is moved aside together with its audio, for a person to look at. Then a sentence about that
        is returned.
        """
        aside = await self._database.open()
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._database.close)
            if aside is not None:
                suffix = aside.name.removeprefix("history.sqlite3")
                await _disk(lambda: self._move_audio_aside(suffix))
            await _disk(lambda: self._audio.mkdir(parents=True, exist_ok=True))
            await self._repair()
            await self._tidy()
            undo.pop_all()
        self._tidying = asyncio.create_task(self._keep_tidy())
        return f"The history was corrupt: it was moved to {aside.name}, and a new one was created." if aside else None

    def begin(self) -> Recording:
        """Return a new recording. Its ID will be the entry's. The disk is not used yet."""
        entry_id = str(uuid.uuid4())
        recording = Recording(entry_id, self.audio_path(entry_id), self._recorder, self._keep)
        self._begun.add(recording)
        return recording

    async def search(self, query: GenerationQuery) -> Page:
        """Return a page of matching entries. This waits a moment for entries that are being written."""
        if self._keeping:
            await asyncio.wait(self._keeping.values(), timeout=_SETTLE_SECONDS)
        return await self._database.read(lambda connection: entries.search(connection, query))

    async def usage(self) -> Usage:
        """Return the size of the history."""
        return await self._database.read(entries.usage)

    async def get(self, entry_id: str) -> StoredGeneration:
        """Return an entry, also one that is being written. Raises StorageFailed with the reason if that failed."""
        await self._settled(entry_id)
        if lost := self._recorder.lost(entry_id):
            raise StorageFailed(lost)
        return await self._database.read(lambda connection: entries.get(connection, entry_id))

    def audio_path(self, entry_id: str) -> Path:
        """Return the path of an entry's FLAC file (24 kHz, mono, 16 bits). Raises NotFound for an invalid ID."""
        if not _ID.fullmatch(entry_id):
            raise entries.not_found()
        return self._audio / f"{entry_id}.flac"

    async def set_favorite(self, entry_id: str, favorite: bool) -> StoredGeneration:
        """Set whether an entry is a favorite, which no automatic clean-up removes."""
        await self._settled(entry_id)
        return await self._database.write(lambda connection: entries.set_favorite(connection, entry_id, favorite))

    async def delete(self, entry_id: str) -> None:
        """Remove an entry, even a favorite."""

        def work(connection: Connection) -> dict[str, int]:
            entry = entries.get(connection, entry_id)
            entries.delete(connection, [entry_id])
            return {entry_id: entry.bytes}

        await self._settled(entry_id)
        await self._remove(work)

    async def delete_all(self, entry_ids: Sequence[str]) -> Removed:
        """Remove those of the entries that exist, even favorites. Raises NotFound for an invalid ID."""
        for entry_id in entry_ids:
            await self._settled(entry_id)
        return await self._remove(lambda connection: entries.delete_all(connection, entry_ids))

    async def delete_before(self, time: float) -> Removed:
        """Remove all entries from before `time`, in seconds since 1970, favorites too."""
        return await self._remove(lambda connection: entries.delete_before(connection, time))

    async def clean_up(self, limits: Limits | None = None) -> Removed:
        """Remove the entries beyond `limits`, by default the history's own. Favorites stay."""
        return await self._remove(
            lambda connection: entries.delete_beyond(connection, limits or self._limits, time.time())
        )

    async def close(self) -> None:
        """Wait some seconds for pending writes, and close. What is not complete by then is discarded."""
        if self._tidying is not None:
            self._tidying.cancel()
        for recording in list(self._begun):
            recording.discard()
        emptied = asyncio.wrap_future(self._recorder.close())
        await asyncio.wait([emptied, *self._keeping.values()], timeout=_CLOSE_SECONDS)
        await self._database.close()

    def _keep(self, recording: Recording, facts: Facts, completing: Future[AudioFile | None]) -> None:
        task = asyncio.create_task(self._insert(recording, facts, completing))
        self._keeping[recording.id] = task
        task.add_done_callback(lambda _: self._keeping.pop(recording.id))

    async def _insert(self, recording: Recording, facts: Facts, completing: Future[AudioFile | None]) -> None:
        file = await asyncio.wrap_future(completing)
        if file is None:
            return
        entry = StoredGeneration(
            **vars(facts),
            id=recording.id,
            created_at=recording.created_at,
            duration=file.samples / SAMPLE_RATE,
            bytes=file.bytes,
        )
        try:
            await self._database.write(lambda connection: entries.insert(connection, entry))
        except Exception as error:  # any failure discards this entry only
            self._recorder.lose(recording.id, str(error))
            with contextlib.suppress(StorageFailed):  # `open` removes it
                await _disk(lambda: _unlink([file.path]))
        self._grown.set()

    async def _settled(self, entry_id: str) -> None:
        """Wait for an entry that is being written. Raises NotFound for an invalid ID."""
        self.audio_path(entry_id)
        if task := self._keeping.get(entry_id):
            await asyncio.wait([task])

    async def _remove(self, work: Callable[[Connection], dict[str, int]]) -> Removed:
        return await asyncio.shield(self._remove_whole(work))  # else audio without a row would stay

    async def _remove_whole(self, work: Callable[[Connection], dict[str, int]]) -> Removed:
        removed = await self._database.write(work)
        await _disk(lambda: _unlink(map(self.audio_path, removed)))
        return Removed(len(removed), sum(removed.values()))

    async def _repair(self) -> None:
        rows = await self._database.read(entries.ids)
        silent = await _disk(lambda: _sweep(self._audio, rows))
        await self._database.write(lambda connection: entries.delete(connection, silent))

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(self._tidy_seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_TIDY_SECONDS):
                    await self._grown.wait()
            self._grown.clear()
            try:
                await self._tidy()
            except StorageFailed as error:
                _LOGGER.warning("The history was not cleaned up: %s", error)

    async def _tidy(self) -> None:
        """Clean up, but later if a backup is being made: the backup would fail if files disappear."""
        if await _disk(self._backup.running):
            self._grown.set()
        else:
            await self.clean_up()

    def _move_audio_aside(self, suffix: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._audio.rename(self._audio.with_name(self._audio.name + suffix))


async def _disk(work: Callable[[], _T]) -> _T:
    """Run `work` on a thread and return its result. Raises StorageFailed."""
    with storing():
        return await asyncio.to_thread(work)


def _sweep(folder: Path, rows: set[str]) -> list[str]:
    """Remove the files without a row, and return the rows without a file."""
    found = list(folder.iterdir())
    _unlink(file for file in found if file.suffix == ".part" or (file.suffix == ".flac" and file.stem not in rows))
    return list(rows.difference(file.stem for file in found if file.suffix == ".flac"))


def _unlink(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
