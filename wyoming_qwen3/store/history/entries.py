"""The tables of the history and the data in them. Each function runs statements on an open connection.

Knows no files, threads or clock.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from wyoming_qwen3.core.errors import InvalidRequest, NotFound
from wyoming_qwen3.store.database import Connection

from .recording import Facts

MAX_ITEMS = 200
"""Maximum number of entries on one page."""

_MAX_QUERY = 200
"""Maximum length of a search. Each of its words is a condition, and SQLite accepts some hundreds."""

_GRAM = 3
"""Characters per entry in the index of texts. Shorter words are searched for in each text."""

MIGRATIONS = (
    # Columns that conditions read come before the long ones. A text never changes, so there is no trigger for updates.
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
    """A generation in the history."""

    id: str
    """A UUID; also the name of the audio file."""

    created_at: float
    """Start of the generation, in seconds since 1970."""

    duration: float
    """Seconds of audio."""

    bytes: int
    """Size of the audio file."""

    favorite: bool = False


@dataclass(frozen=True)
class Limits:
    """Limits of the history; None is unlimited. Favorites are neither counted nor removed."""

    days: float | None = None
    entries: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationQuery:
    """What to search for; None is no condition. Raises InvalidRequest for values out of range."""

    q: str | None = None
    """Words that must all be in the text, anywhere. Case is ignored."""

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
        if self.sort not in ("created_at", "duration"):  # it becomes part of the SQL
            raise InvalidRequest("sort must be created_at or duration.", param="sort")
        if not 1 <= self.limit <= MAX_ITEMS:
            raise InvalidRequest(f"limit must be between 1 and {MAX_ITEMS}, but is {self.limit}.", param="limit")
        if not 0 <= self.offset < 2**31:
            raise InvalidRequest("offset must be 0 or more, and below 2147483648.", param="offset")


@dataclass(frozen=True)
class Page:
    """Some of the entries that were found, and their total number."""

    items: tuple[StoredGeneration, ...]
    total: int


@dataclass(frozen=True)
class Usage:
    """Size of the history: the number of entries and of favorites, and the bytes of audio of all entries."""

    entries: int
    favorites: int
    bytes: int


@dataclass(frozen=True)
class Removed:
    """What was removed."""

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
    """Return the row with an ID. Raises NotFound."""
    row = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE id = ?", (entry_id,)).fetchone()
    if row is None:
        raise not_found()
    return _entry(row)


def set_favorite(connection: Connection, entry_id: str, favorite: bool) -> StoredGeneration:
    """Change a row and return it. Raises NotFound."""
    connection.execute("UPDATE entries SET favorite = ? WHERE id = ?", (favorite, entry_id))
    return get(connection, entry_id)


def search(connection: Connection, query: GenerationQuery) -> Page:
    """Return one page of the matching rows."""
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
    """Return the totals of all rows."""
    totals = "SELECT count(*), count(*) FILTER (WHERE favorite), coalesce(sum(bytes), 0) FROM entries"
    return Usage(*connection.execute(totals).fetchone())


def ids(connection: Connection) -> set[str]:
    """Return the IDs of all rows."""
    return {row[0] for row in connection.execute("SELECT id FROM entries")}


def delete(connection: Connection, entry_ids: Sequence[str]) -> None:
    """Remove the rows that exist."""
    connection.executemany("DELETE FROM entries WHERE id = ?", ((entry_id,) for entry_id in entry_ids))


def delete_all(connection: Connection, entry_ids: Sequence[str]) -> dict[str, int]:
    """Remove the rows that exist. Return their IDs and bytes."""
    chosen = "DELETE FROM entries WHERE id IN (SELECT value FROM json_each(?)) RETURNING id, bytes"
    return dict(connection.execute(chosen, (json.dumps(list(entry_ids)),)).fetchall())


def delete_before(connection: Connection, time: float) -> dict[str, int]:
    """Remove all rows from before `time`, favorites too. Return their IDs and bytes."""
    return dict(connection.execute("DELETE FROM entries WHERE created_at < ? RETURNING id, bytes", (time,)).fetchall())


def delete_beyond(connection: Connection, limits: Limits, now: float) -> dict[str, int]:
    """Remove the rows beyond the limits, oldest first. Return their IDs and bytes."""
    oldest = None if limits.days is None else now - limits.days * 86_400
    rows = connection.execute(  # None becomes NULL, which no comparison matches
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
    """Return the error for an ID without a row."""
    return NotFound("The history has no entry with this ID; it may have been deleted or cleaned up.")


def _conditions(query: GenerationQuery) -> tuple[str, list[Any]]:
    """Return the WHERE clause and the values of its placeholders."""
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
        phrases = " ".join('"' + word.replace('"', '""') + '"' for word in long)  # all must match
        given.append(("number IN (SELECT rowid FROM entries_text WHERE entries_text MATCH ?)", phrases))
    given += [("text LIKE ? ESCAPE '\\'", f"%{_escaped(word)}%") for word in words if len(word) < _GRAM]
    favorite = {True: ["favorite"], False: ["NOT favorite"], None: []}[query.favorite]
    return " AND ".join([sql for sql, _ in given] + favorite) or "TRUE", [value for _, value in given]


def _escaped(word: str) -> str:
    """Return the text escaped for LIKE."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _storable(value: Any) -> Any:
    """Return a text without lone surrogates and NUL, which SQLite can't store or find; other values as they are."""
    return value.encode(errors="replace").decode().replace("\0", " ") if isinstance(value, str) else value


def _entry(row: Sequence[Any]) -> StoredGeneration:
    values = dict(zip(_COLUMNS, row, strict=True))
    return StoredGeneration(**values | {"params": json.loads(values["params"]), "favorite": bool(values["favorite"])})
