"""A SQLite file for use from an event loop: migrations, one thread that writes, and one that reads.

Knows no tables: callers pass functions that read and write.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

from wyoming_qwen3.core.errors import StorageFailed

from .files import storing

_LOGGER = logging.getLogger(__name__)

_BUSY_SECONDS = 5.0

_CHECKPOINT_PAGES = 1000
"""Pages in the log from which SQLite moves them to the file: its default."""

_T = TypeVar("_T")

Connection: TypeAlias = sqlite3.Connection


class Database:
    """A SQLite file. A read sees what was committed when it started, and never waits for a write.

    Call its methods from an event loop; they never block it. All raise StorageFailed if the file can't be read or
    written.
    """

    def __init__(self, path: Path, migrations: Sequence[str], still: Callable[[], bool] = lambda: False) -> None:
        """`migrations[n]` is the script from version n to n + 1. A new file has version 0.

        While `still` returns True, SQLite writes to its log only and not to the file, so that copies of the two are a
        valid database even if one is made after the other. `still` is called on a thread.
        """
        self._path = path
        self._migrations = migrations
        self._still = still
        self._writer = _ConnectionThread("database-write")
        self._reader = _ConnectionThread("database-read")
        self._opened = False
        self._restoring = asyncio.Lock()

    async def open(self) -> Path | None:
        """Open the file and migrate it, in one transaction per version.

        A corrupt file is moved aside and replaced by a new one, and its new path is returned. Also raises StorageFailed
        if the file has a newer version than this program knows.
        """
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            aside = await self._writer.run(self._open_writer)
            await self._reader.run(self._open_reader)
            undo.pop_all()
        self._opened = True
        return aside

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Run `work` in a transaction and return its result. The transaction is rolled back if `work` raises."""
        return await self._on_file(lambda: self._writer.transact("BEGIN IMMEDIATE", work, self._prepare_write))

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Run `work` and return its result. All of its statements see the same state, and it can't write."""
        return await self._on_file(lambda: self._reader.transact("BEGIN", work, self._prepare))

    async def close(self) -> None:
        """Finish all reads and writes, and close. Closing again does nothing."""
        self._opened = False
        await self._reader.close()
        await self._writer.close()

    async def _on_file(self, transact: Callable[[], Awaitable[_T]]) -> _T:
        """Return the result of `transact`, on a new file if the file was deleted."""
        try:
            return await transact()
        except _NoFile:
            await self._restore()
        return await transact()

    async def _restore(self) -> None:
        """Create the file again if somebody has deleted it since it was opened."""
        async with self._restoring:
            there = await asyncio.to_thread(self._path.exists) and self._writer.connected and self._reader.connected
            if there or not self._opened:
                return  # another has done it
            _LOGGER.warning("%s was deleted while the server was running; a new one is created", self._path)
            await self._reader.disconnect()  # removes the log of that name, so not after there is a new one
            await self._writer.disconnect()
            await self._writer.run(self._open_writer)
            await self._reader.run(self._open_reader)

    def _prepare(self, _: Connection) -> None:
        """Raise _NoFile if the file was deleted: SQLite would go on with what nobody else can open."""
        if not self._path.exists():
            raise _NoFile("The database was deleted.")

    def _prepare_write(self, connection: Connection) -> None:
        """Let SQLite move the log to the file now and then, or not while `still`. Raises as `_prepare` does."""
        self._prepare(connection)
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
        _LOGGER.error("%s is corrupt (%s): it was moved to %s, and a new one created", self._path, damage, aside.name)
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
            connection.executescript(script)  # rolled back on close if it fails

    def _move_aside(self) -> Path:
        ending = time.strftime(".corrupt-%Y%m%d-%H%M%S")
        for part in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{part}").rename(f"{self._path}{ending}{part}")
        return Path(f"{self._path}{ending}")


class _Damaged(sqlite3.DatabaseError):
    """SQLite's own check found damage. The message describes it."""


class _NoFile(StorageFailed):
    """The file was deleted, or is not open."""


class _ConnectionThread:
    """A connection and the only thread that uses it."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name)
        self._connection: Connection | None = None

    async def run(self, opening: Callable[[], tuple[Connection, _T]]) -> _T:
        """Call `opening` on the thread, keep the connection that it returns, and return its second result."""

        def work() -> _T:
            with _translated():
                self._connection, result = opening()
            return result

        return await self._submit(work)

    async def transact(self, begin: str, work: Callable[[Connection], _T], prepare: Callable[[Connection], None]) -> _T:
        return await self._submit(lambda: self._transact(begin, work, prepare))

    @property
    def connected(self) -> bool:
        return self._connection is not None

    async def disconnect(self) -> None:
        """Close the connection; `run` opens another one."""
        await self._submit(self._disconnect)

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
            raise _NoFile("The database is not open.")
        with _translated():
            prepare(connection)
            connection.execute(begin)
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # after a full disk there is none any more
                    connection.execute("ROLLBACK")
                raise
        return result

    def _close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the executor was shut down before
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
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code in an extended code
    return isinstance(error, _Damaged) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        with storing():
            yield
    except sqlite3.Error as error:
        raise StorageFailed(f"The database can't be read or written: {error}.") from error
