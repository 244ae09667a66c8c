"""The history's nouns, and its tables: each function here is some statements on an open connection.

Knows no files, threads or time of day.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from wyoming_qwen3.core.errors import InvalidRequest, NotFound
from wyoming_qwen3.store.database import Connection

from .recording import Facts

MAX_ITEMS = 200
"""Entries on one page."""

_MAX_QUERY = 200
"""Characters to search for; each word of them is a condition, and SQLite takes some hundreds."""

_GRAM = 3
"""Characters that the index of texts knows; shorter words are looked for in each text."""

MIGRATIONS = (
    # What a condition may read lies before the long columns. A text is never changed, so no trigger follows that.
    """
    CREATE TABLE entries (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        created_at REAL NOT NULL,
        duration REAL NOT NULL,
        bytes INTEGER NOT NULL,
        favorite INTEGER NOT NULL,
        voice TEXT NOT NULL COLLATE NOCASE,
        model TEXT NOT NULL,
        source TEXT NOT NULL,
        language TEXT,
        seed INTEGER,
        first_audio REAL NOT NULL,
        wall REAL NOT NULL,
        outcome TEXT NOT NULL,
        text TEXT NOT NULL,
        params TEXT NOT NULL
    );
    CREATE INDEX entries_by_time ON entries (created_at);
    CREATE INDEX entries_by_duration ON entries (duration);
    CREATE INDEX entries_by_voice ON entries (voice, created_at);
    CREATE INDEX entries_by_model ON entries (model, created_at);
    CREATE INDEX entries_by_source ON entries (source, created_at);
    CREATE INDEX entries_favorite ON entries (created_at) WHERE favorite;
    CREATE VIRTUAL TABLE entries_text USING fts5 (
        text, content = 'entries', content_rowid = 'number', tokenize = 'trigram'
    );
    CREATE TRIGGER entries_inserted AFTER INSERT ON entries BEGIN
        INSERT INTO entries_text (rowid, text) VALUES (new.number, new.text);
    END;
    CREATE TRIGGER entries_deleted AFTER DELETE ON entries BEGIN
        INSERT INTO entries_text (entries_text, rowid, text) VALUES ('delete', old.number, old.text);
    END
    """,
)


@dataclass(frozen=True, kw_only=True)
class StoredGeneration(Facts):
    """One generation that is kept."""

    id: str
    """A UUID, also the name of its audio file."""

    created_at: float
    """Seconds since 1970, when it began."""

    duration: float
    """Seconds of audio."""

    bytes: int
    """Of its audio file."""

    favorite: bool = False


@dataclass(frozen=True)
class Limits:
    """How much is kept; None is without limit. Favorites are neither counted nor cleaned up."""

    days: float | None = None
    entries: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationQuery:
    """What to look for. None leaves a condition out; raises InvalidRequest for what is out of range."""

    q: str | None = None
    """All of its words, each anywhere in the text; small and capital letters are the same."""

    voice: str | None = None
    model: str | None = None
    source: str | None = None
    since: float | None = None
    """Seconds since 1970, inclusive."""

    until: float | None = None
    """Seconds since 1970, exclusive."""

    favorite: bool | None = None
    sort: Literal["created_at", "duration"] = "created_at"
    descending: bool = True
    limit: int = 50
    offset: int = 0

    def __post_init__(self) -> None:
        if self.q is not None and len(self.q) > _MAX_QUERY:
            raise InvalidRequest(f"q must have at most {_MAX_QUERY} characters, but has {len(self.q)}.", param="q")
        if self.sort not in ("created_at", "duration"):  # it becomes SQL
            raise InvalidRequest("sort must be created_at or duration.", param="sort")
        if not 1 <= self.limit <= MAX_ITEMS:
            raise InvalidRequest(f"limit must be between 1 and {MAX_ITEMS}, but is {self.limit}.", param="limit")
        if not 0 <= self.offset < 2**31:
            raise InvalidRequest("offset must be 0 or more, and below 2147483648.", param="offset")


@dataclass(frozen=True)
class Page:
    """Some of what was found, and how many there are."""

    items: tuple[StoredGeneration, ...]
    total: int


@dataclass(frozen=True)
class Usage:
    """How much is kept: entries, those of them that are favorites, and the bytes of their audio."""

    entries: int
    favorites: int
    bytes: int


@dataclass(frozen=True)
class Removed:
    """What a clean-up has freed."""

    entries: int
    bytes: int


_COLUMNS = tuple(field.name for field in fields(StoredGeneration))


def insert(connection: Connection, entry: StoredGeneration) -> None:
    """Add a row."""
    values = [getattr(entry, column) for column in _COLUMNS]
    values[_COLUMNS.index("params")] = json.dumps(entry.params)
    places = ", ".join("?" * len(_COLUMNS))
    connection.execute(
        f"INSERT INTO entries ({', '.join(_COLUMNS)}) VALUES ({places})", [_storable(value) for value in values]
    )


def get(connection: Connection, entry_id: str) -> StoredGeneration:
    """The row of that id. Raises NotFound."""
    row = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE id = ?", (entry_id,)).fetchone()
    if row is None:
        raise not_found()
    return _entry(row)


def set_favorite(connection: Connection, entry_id: str, favorite: bool) -> StoredGeneration:
    """The row as it is now. Raises NotFound."""
    connection.execute("UPDATE entries SET favorite = ? WHERE id = ?", (favorite, entry_id))
    return get(connection, entry_id)


def search(connection: Connection, query: GenerationQuery) -> Page:
    """One page of what matches."""
    where, values = _conditions(query)
    direction = "DESC" if query.descending else "ASC"
    rows = connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE {where} "
        f"ORDER BY {query.sort} {direction}, number {direction} LIMIT ? OFFSET ?",
        (*values, query.limit, query.offset),
    )
    items = tuple(_entry(row) for row in rows)
    total = connection.execute(f"SELECT count(*) FROM entries WHERE {where}", values).fetchone()[0]
    return Page(items, total)


def usage(connection: Connection) -> Usage:
    """Of all rows together."""
    totals = "SELECT count(*), count(*) FILTER (WHERE favorite), coalesce(sum(bytes), 0) FROM entries"
    return Usage(*connection.execute(totals).fetchone())


def ids(connection: Connection) -> set[str]:
    """Of all rows."""
    return {row[0] for row in connection.execute("SELECT id FROM entries")}


def delete(connection: Connection, entry_ids: Sequence[str]) -> None:
    """Remove rows, as far as they are there."""
    connection.executemany("DELETE FROM entries WHERE id = ?", ((entry_id,) for entry_id in entry_ids))


def delete_before(connection: Connection, time: float) -> dict[str, int]:
    """Remove all rows older than that, favorites too. Their ids and bytes are returned."""
    return dict(connection.execute("DELETE FROM entries WHERE created_at < ? RETURNING id, bytes", (time,)).fetchall())


def delete_beyond(connection: Connection, limits: Limits, now: float) -> dict[str, int]:
    """Remove the rows beyond the limits, oldest first. Their ids and bytes are returned."""
    oldest = None if limits.days is None else now - limits.days * 86_400
    rows = connection.execute(  # a comparison with NULL, which is no limit, holds for no row
        """
        DELETE FROM entries WHERE number IN (
            SELECT number FROM (
                SELECT number, created_at, row_number() OVER newest AS place, sum(bytes) OVER newest AS together
                FROM entries WHERE NOT favorite WINDOW newest AS (ORDER BY created_at DESC, number DESC)
            ) WHERE created_at < ? OR place > ? OR together > ?
        ) RETURNING id, bytes
        """,
        (oldest, limits.entries, limits.bytes),
    )
    return dict(rows.fetchall())


def not_found() -> NotFound:
    """What is raised for an id that no row has."""
    return NotFound("The history has no entry of that id; it may have been deleted or cleaned up.")


def _conditions(query: GenerationQuery) -> tuple[str, list[Any]]:
    """What follows WHERE, and the values of its places."""
    conditions = {
        "voice = ?": query.voice,
        "model = ?": query.model,
        "source = ?": query.source,
        "created_at >= ?": query.since,
        "created_at < ?": query.until,
    }
    given = [(sql, _storable(value)) for sql, value in conditions.items() if value is not None]
    words: list[str] = _storable(query.q or "").split()
    if long := [word for word in words if len(word) >= _GRAM]:
        phrases = " ".join('"' + word.replace('"', '""') + '"' for word in long)  # all of them must match
        given.append(("number IN (SELECT rowid FROM entries_text WHERE entries_text MATCH ?)", phrases))
    given += [("text LIKE ? ESCAPE '\\'", f"%{_escaped(word)}%") for word in words if len(word) < _GRAM]
    favorite = {True: ["favorite"], False: ["NOT favorite"], None: []}[query.favorite]
    return " AND ".join([sql for sql, _ in given] + favorite) or "TRUE", [value for _, value in given]


def _escaped(word: str) -> str:
    """For LIKE."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _storable(value: Any) -> Any:
    """A text without what SQLite can't take or find again: half surrogates and NUL. Others as they are."""
    return value.encode(errors="replace").decode().replace("\0", " ") if isinstance(value, str) else value


def _entry(row: Sequence[Any]) -> StoredGeneration:
    values = dict(zip(_COLUMNS, row, strict=True))
    return StoredGeneration(**values | {"params": json.loads(values["params"]), "favorite": bool(values["favorite"])})
