"""The SQLite file under the history, with real files and threads."""

import asyncio
import logging
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.errors import StorageFailed
from wyoming_qwen3.store.database import Connection, Database

VERSION_1 = "CREATE TABLE words (word TEXT); CREATE INDEX words_by_word ON words (word)"
VERSION_2 = "ALTER TABLE words ADD COLUMN language TEXT NOT NULL DEFAULT 'en'; DROP INDEX words_by_word"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "words.sqlite3"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = Database(path, [VERSION_1])
    await database.open()
    yield database
    await database.close()


def add(*words: str) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.executemany("INSERT INTO words (word) VALUES (?)", [(word,) for word in words])

    return work


def all_words(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT word FROM words ORDER BY word")]


def pragma(name: str) -> Callable[[Connection], Any]:
    return lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]


async def fixture_of_version_1(path: Path) -> None:
    database = Database(path, [VERSION_1])
    await database.open()
    await database.write(add("old"))
    await database.close()


@pytest.mark.parametrize("gone", ["file", "folder"])
async def test_a_deleted_file_is_made_anew(
    path: Path, database: Database, caplog: pytest.LogCaptureFixture, gone: str
) -> None:
    """By whoever reads or writes first, also by many at once; what is written then is there next time."""
    await database.write(add("old"))
    if gone == "file":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    writing = [database.write(add(word)) for word in "abc"]
    await asyncio.gather(*(database.read(all_words) for _ in range(3)), *writing)
    assert await database.read(all_words) == ["a", "b", "c"]
    assert [record.message for record in caplog.records] == [
        f"{path} was deleted while the server was running; a new one is created"
    ]
    await database.close()
    again = Database(path, [VERSION_1])
    await again.open()
    assert await again.read(all_words) == ["a", "b", "c"]
    await again.close()


async def test_what_is_written_is_read_and_still_there_next_time(path: Path, database: Database) -> None:
    await database.write(add("one", "two"))
    assert await database.read(all_words) == ["one", "two"]
    await database.close()
    again = Database(path, [VERSION_1])
    assert await again.open() is None
    assert await again.read(all_words) == ["one", "two"]
    await again.close()


async def test_the_settings_that_keep_reads_and_writes_apart(database: Database) -> None:
    assert await database.read(pragma("journal_mode")) == "wal"
    assert await database.write(pragma("synchronous")) == 1
    assert await database.write(pragma("busy_timeout")) == 5000
    assert await database.write(pragma("foreign_keys")) == 1
    assert await database.read(pragma("query_only")) == 1


async def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        add("half")(connection)
        raise KeyError("changed my mind")

    with pytest.raises(KeyError, match="changed my mind"):
        await database.write(work)
    assert await database.read(all_words) == []
    await database.write(add("next"))
    assert await database.read(all_words) == ["next"]


async def test_a_read_can_not_write(database: Database) -> None:
    with pytest.raises(StorageFailed, match="readonly"):
        await database.read(add("sneaked"))


async def test_reads_go_on_beside_a_long_write_and_see_the_state_before_it(database: Database) -> None:
    await database.write(add("before"))
    begun, go_on = threading.Event(), threading.Event()

    def long_work(connection: Connection) -> None:
        add("after")(connection)
        begun.set()
        go_on.wait(HANG_SECONDS)

    writing = asyncio.create_task(database.write(long_work))
    await asyncio.to_thread(begun.wait, HANG_SECONDS)
    assert await database.read(all_words) == ["before"]
    assert not writing.done()
    go_on.set()
    await writing
    assert await database.read(all_words) == ["after", "before"]


async def test_both_statements_of_a_read_see_the_same_state(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def twice(connection: Connection) -> tuple[list[str], list[str]]:
        first = all_words(connection)
        begun.set()
        go_on.wait(HANG_SECONDS)
        return first, all_words(connection)

    reading = asyncio.create_task(database.read(twice))
    await asyncio.to_thread(begun.wait, HANG_SECONDS)
    await database.write(add("new"))
    go_on.set()
    assert await reading == ([], [])


async def test_migration_from_version_1_to_2_keeps_the_rows(path: Path) -> None:
    await fixture_of_version_1(path)
    database = Database(path, [VERSION_1, VERSION_2])
    await database.open()
    assert await database.read(pragma("user_version")) == 2
    rows = await database.read(lambda connection: connection.execute("SELECT word, language FROM words").fetchall())
    assert rows == [("old", "en")]
    await database.close()


async def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    await fixture_of_version_1(path)
    with pytest.raises(StorageFailed, match="no such table: nowhere"):
        await Database(path, [VERSION_1, f"{VERSION_2}; INSERT INTO nowhere VALUES (1)"]).open()
    database = Database(path, [VERSION_1])
    assert await database.open() is None
    assert await database.read(pragma("user_version")) == 1
    assert await database.read(lambda connection: connection.execute("SELECT * FROM words").fetchall()) == [("old",)]
    await database.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    newer = Database(path, [VERSION_1, VERSION_2])
    await newer.open()
    await newer.close()
    before = path.read_bytes()
    with pytest.raises(
        StorageFailed, match=r"words\.sqlite3 was written by a newer version .*\(format 2; .* up to 1\)"
    ):
        await Database(path, [VERSION_1]).open()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["words.sqlite3"]


async def damage_header(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are not the bytes of a database" * 200)


async def damage_pages(path: Path) -> None:
    """Only the check finds this: the header is as it was, and so is the first page."""
    await fixture_of_version_1(path)
    database = Database(path, [VERSION_1])
    await database.open()
    await database.write(add(*(f"word {number}" for number in range(5000))))
    await database.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 9] = bytes(range(256)) * 96
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_header, damage_pages])
async def test_a_corrupt_file_is_moved_aside_and_a_new_one_begun(
    path: Path, damage: Callable[[Path], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    await damage(path)
    corrupt = path.read_bytes()
    database = Database(path, [VERSION_1])
    with caplog.at_level(logging.ERROR):
        aside = await database.open()
    assert aside is not None
    assert aside.name.startswith("words.sqlite3.corrupt-")
    assert aside.read_bytes() == corrupt
    (record,) = caplog.records
    assert aside.name in record.message
    await database.write(add("new"))
    assert await database.read(all_words) == ["new"]
    await database.close()


async def test_a_full_disk_is_one_error_and_the_next_write_works(database: Database) -> None:
    pages = await database.write(pragma("page_count"))
    await database.write(pragma(f"max_page_count = {pages}"))
    with pytest.raises(StorageFailed, match="full") as caught:
        await database.write(add("x" * 100_000))
    assert "words" not in str(caught.value), "a path"
    assert await database.read(all_words) == []
    await database.write(pragma("max_page_count = 1000000"))
    await database.write(add("fits"))
    assert await database.read(all_words) == ["fits"]


async def test_a_folder_that_can_not_be_made_is_storage_failed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed) as caught:
        await Database(tmp_path / "file" / "words.sqlite3", [VERSION_1]).open()
    assert str(tmp_path) not in str(caught.value)


async def test_nothing_goes_before_open_or_after_close_and_closing_twice_is_fine(path: Path) -> None:
    database = Database(path, [VERSION_1])
    with pytest.raises(StorageFailed, match="not open"):
        await database.read(all_words)
    await database.open()
    await database.close()
    await database.close()
    with pytest.raises(StorageFailed, match="closed"):
        await database.write(add("late"))


async def test_closing_waits_for_what_is_being_written(path: Path, database: Database) -> None:
    writing = [asyncio.create_task(database.write(add(f"{number:02}"))) for number in range(20)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writing)
    again = Database(path, [VERSION_1])
    await again.open()
    assert len(await again.read(all_words)) == 20
    await again.close()


@pytest.mark.parametrize("order", [("", "-wal"), ("-wal", "")])
async def test_a_copy_made_file_by_file_is_whole_where_the_file_is_to_stay(
    path: Path, tmp_path: Path, order: tuple[str, str]
) -> None:
    """Whichever is copied first, and however much is written between the two."""
    before = [f"{number:06}{'x' * 1000}" for number in range(500)]
    database = Database(path, [VERSION_1])
    await database.open()
    await database.write(add(*before[:490]))
    await database.close()
    copied = Database(path, [VERSION_1], still=lambda: True)
    await copied.open()
    await copied.write(add(*before[490:]))
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(f"{path}{order[0]}", f"{copy}{order[0]}")
    for number in range(10):
        await copied.write(lambda connection: connection.execute("DELETE FROM words WHERE rowid % 3 = 0"))
        await copied.write(add(*(f"{number}y{'y' * 2000}" for _ in range(200))))
    shutil.copy(f"{path}{order[1]}", f"{copy}{order[1]}")
    await copied.close()
    found = Database(copy, [VERSION_1])
    assert await found.open() is None  # it is not corrupt
    words = await found.read(all_words)
    await found.close()
    if order[0]:  # the log, as it was before the other file was copied
        assert words == before


async def test_a_file_that_need_not_stay_takes_what_was_written(path: Path) -> None:
    still = True
    database = Database(path, [VERSION_1], still=lambda: still)
    await database.open()
    for _ in range(2):
        await database.write(add(*("x" * 1000 for _ in range(5000))))
        assert (path.stat().st_size > 1_000_000) is not still
        still = False
    await database.close()
