"""Entries of the history as JSON, and the queries for them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from wyoming_qwen3.api.model_names import model_id
from wyoming_qwen3.api.validation import Query as QueryModel
from wyoming_qwen3.api.voices.kept import language_name
from wyoming_qwen3.core.checkpoints import PUBLISHED
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.speakers import find_language
from wyoming_qwen3.store.history.entries import MAX_ITEMS
from wyoming_qwen3.store.history.store import GenerationQuery, Page, StoredGeneration


class HistoryEntry(BaseModel):
    """An utterance, and where its audio can be fetched."""

    id: str
    created_at: datetime
    """When it was requested, in UTC."""

    text: str
    voice: str
    model: str
    language: str
    """Auto if the model recognized it from the text."""

    params: dict[str, Any]
    """The parameters with which it can be spoken again."""

    seed: int | None
    source: str
    """What requested it: wyoming, speech, batch, stream, realtime, regenerate …"""

    format: Literal["flac"] = "flac"
    duration_ms: int
    bytes: int
    ttfa_ms: int
    """Time from its text to its first sound."""

    wall_ms: int
    """Time from its text to its last sound."""

    favorite: bool
    outcome: Literal["whole", "cut"]
    """`cut` if it was cut off at the length that was asked for."""

    audio_url: str


class HistoryPage(BaseModel):
    """A part of the entries that were found."""

    items: list[HistoryEntry]
    total: int
    limit: int
    offset: int


class HistoryQuery(QueryModel):
    """What to search for. Fields that are left out or empty set no condition."""

    q: str = Field("", description="Words that the text must all contain.")
    voice: str = Field("", description="The voice's name.")
    model: str = Field("", description="The checkpoint's name or id, or standby.")
    source: str = Field("", description="What requested it: wyoming, speech, batch, stream, realtime, regenerate …")
    since: str = Field(
        "", alias="from", description="Since this date or time, in ISO 8601 (UTC without a zone) or Unix seconds."
    )
    until: str = Field("", alias="to", description="Before this time; a date includes that day.")
    favorite: bool | None = None
    sort: Literal["created_at", "duration"] = "created_at"
    order: Literal["asc", "desc"] = "desc"
    limit: int = Field(50, ge=1, le=MAX_ITEMS)
    offset: int = Field(0, ge=0, lt=2**31)


def read_query(query: HistoryQuery) -> GenerationQuery:
    """Return the store's query. Raises InvalidRequest."""
    models = {model_id(one): one.name for one in PUBLISHED}
    return GenerationQuery(
        q=query.q or None,
        voice=query.voice or None,
        model=models.get(query.model.lower(), query.model) or None,
        source=query.source or None,
        since=read_time(query.since, "from") if query.since else None,
        until=read_time(query.until, "to", whole_day=True) if query.until else None,
        favorite=query.favorite,
        sort=query.sort,
        descending=query.order == "desc",
        limit=query.limit,
        offset=query.offset,
    )


def read_time(text: str, param: str, *, whole_day: bool = False) -> float:
    """Return a time in seconds since 1970. A date means its first moment, or with `whole_day` its end.

    Raises InvalidRequest.
    """
    if _UNIX.fullmatch(text):
        return float(text)
    try:
        if not _DATE.match(text):
            raise ValueError(text)
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{param} must be a date (2026-11-22), a time (2026-11-22T18:30:00Z, with %2B for a + in it), or seconds "
            "since 1970 (1795348800).",
            param=param,
        ) from None
    moment = time.replace(tzinfo=time.tzinfo or UTC).timestamp()
    return moment + _DAY if whole_day and _DATE.fullmatch(text) else moment


def page_json(page: Page, query: GenerationQuery) -> str:
    """Return found entries as JSON. Takes milliseconds for long texts."""
    items = [entry_model(entry) for entry in page.items]
    return HistoryPage(items=items, total=page.total, limit=query.limit, offset=query.offset).model_dump_json()


def entry_model(entry: StoredGeneration) -> HistoryEntry:
    """Return an entry as JSON, with times in milliseconds."""
    return HistoryEntry(
        id=entry.id,
        created_at=_utc_time(entry.created_at),
        text=entry.text,
        voice=entry.voice,
        model=entry.model,
        language=language_name(find_language(entry.language) if entry.language else None),
        params=entry.params,
        seed=entry.seed,
        source=entry.source,
        duration_ms=round(1000 * entry.duration),
        bytes=entry.bytes,
        ttfa_ms=round(1000 * entry.first_audio),
        wall_ms=round(1000 * entry.wall),
        favorite=entry.favorite,
        outcome=entry.outcome,
        audio_url=f"/api/history/{entry.id}/audio",
    )


_UNIX = re.compile(r"\d{9,12}(\.\d{1,9})?", re.ASCII)
"""At least nine digits, from 1973 on, so that 2026 and 20261122 are not taken for seconds."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY = 86_400.0


def _utc_time(seconds: float) -> datetime:
    """Return the time, rounded down, so that a search for what is before it does not find the entry itself."""
    whole, part = divmod(seconds, 1)
    return datetime.fromtimestamp(whole, UTC) + timedelta(microseconds=int(part * 1e6))
