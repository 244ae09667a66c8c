"""A SQLite file for an event loop: migrations, one thread that writes and one that reads.

Knows no table: what is written and read is up to the functions it is given.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

from wyoming_qwen3.core.errors import StorageFailed

from .files import storing

_LOGGER = logging.getLogger(__name__)

_BUSY_SECONDS = 5.0

_CHECKPOINT_PAGES = 1000
"""SQLite's own default."""

_T = TypeVar("_T")

Connection: TypeAlias = sqlite3.Connection


class Database:
    """One SQLite file. Reads see what was committed when they began, and never wait for a write.

    Its methods are called on an event loop and never block it. All raise StorageFailed when the file can't be
    read or written.
    """

    def __init__(self, path: Path, migrations: Sequence[str], still: Callable[[], bool] = lambda: False) -> None:
        """`migrations[n]` is the script that brings version n to n + 1; a new file is of version 0.

        While `still`, which is called on a thread, is true, the file is not written to, but the log beside it alone:
        then copies of the two, made one after the other, are a whole database.
        """
        self._path = path
        self._migrations = migrations
        self._still = still
        self._writer = _Lane("database-write")
        self._reader = _Lane("database-read")

    async def open(self) -> Path | None:
        """Open, and migrate in one transaction a version.

        A corrupt file is moved aside, a new one begun, and where the corrupt one lies now returned. Raises
        StorageFailed also for a file of a newer version than this program knows.
        """
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            aside = await self._writer.run(self._open_writer)
            await self._reader.run(self._open_reader)
            undo.pop_all()
        return aside

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` returns; its statements are one transaction, undone if it raises."""
        return await self._writer.transact("BEGIN IMMEDIATE", work, self._set_checkpoints)

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` returns; all its statements see the same state, and it can't write."""
        return await self._reader.transact("BEGIN", work)

    async def close(self) -> None:
        """Finish what was asked for, and close. Closing again does nothing."""
        await self._reader.close()
        await self._writer.close()

    def _set_checkpoints(self, connection: Connection) -> None:
        """Have SQLite move what is in the log to the file now and then, or not."""
        connection.execute(f"PRAGMA wal_autocheckpoint = {0 if self._still() else _CHECKPOINT_PAGES}")

    def _open_writer(self) -> tuple[Connection, Path | None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._migrated(), None
        except sqlite3.DatabaseError as error:
            if not _corrupt(error):
                raise
            damage = error
        aside = self._move_aside()
        _LOGGER.error("%s is corrupt (%s): it was moved to %s, and begun anew", self._path, damage, aside.name)
        return self._migrated(), aside

    def _open_reader(self) -> tuple[Connection, None]:
        connection = _connect(self._path)
        connection.execute("PRAGMA query_only = ON")
        return connection, None

    def _migrated(self) -> Connection:
        connection = _connect(self._path)
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise _Damaged(problem)
            self._migrate(connection)
            undo.pop_all()
        return connection

    def _migrate(self, connection: Connection) -> None:
        version, newest = connection.execute("PRAGMA user_version").fetchone()[0], len(self._migrations)
        if version > newest:
            raise StorageFailed(
                f"{self._path.name} was written by a newer version of this program (format {version}; this one reads "
                f"up to {newest})."
            )
        for number in range(version, newest):
            script = f"BEGIN IMMEDIATE; {self._migrations[number]}; PRAGMA user_version = {number + 1}; COMMIT"
            connection.executescript(script)  # what fails in it is undone as the connection is closed

    def _move_aside(self) -> Path:
        ending = time.strftime(".corrupt-%Y%m%d-%H%M%S")
        for part in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{part}").rename(f"{self._path}{ending}{part}")
        return Path(f"{self._path}{ending}")


class _Damaged(sqlite3.DatabaseError):
    """SQLite's own check found damage; the message says which."""


class _Lane:
    """A connection and the one thread that uses it."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name)
        self._connection: Connection | None = None

    async def run(self, opening: Callable[[], tuple[Connection, _T]]) -> _T:
        """Take the connection that `opening` makes on the thread; its second result is returned."""

        def work() -> _T:
            with _translated():
                self._connection, result = opening()
            return result

        return await self._submit(work)

    async def transact(
        self, begin: str, work: Callable[[Connection], _T], prepare: Callable[[Connection], None] = lambda _: None
    ) -> _T:
        return await self._submit(lambda: self._transact(begin, work, prepare))

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    async def _submit(self, work: Callable[[], _T]) -> _T:
        try:
            future = self._executor.submit(work)
        except RuntimeError as error:
            raise StorageFailed("The database is closed.") from error
        return await asyncio.wrap_future(future)

    def _transact(self, begin: str, work: Callable[[Connection], _T], prepare: Callable[[Connection], None]) -> _T:
        connection = self._connection
        if connection is None:
            raise StorageFailed("The database is not open.")
        with _translated():
            prepare(connection)
            connection.execute(begin)
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise
        return result

    def _close(self) -> None:
        with contextlib.suppress(RuntimeError):  # of an executor that is shut down already
            self._executor.submit(self._disconnect).result()
        self._executor.shutdown()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(path: Path) -> Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _corrupt(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    return isinstance(error, _Damaged) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        with storing():
            yield
    except sqlite3.Error as error:
        raise StorageFailed(f"The database can't be read or written: {error}.") from error
