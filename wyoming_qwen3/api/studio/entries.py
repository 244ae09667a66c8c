"""An entry of the history as JSON says it, and how entries are asked for.

Knows no routes.
"""

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
    """One utterance, and where it can be heard."""

    id: str
    created_at: datetime
    """When it was asked for, in UTC."""

    text: str
    voice: str
    model: str
    language: str
    """Auto where the model told by the text."""

    params: dict[str, Any]
    """What it is spoken again by."""

    seed: int | None
    source: str
    """Who asked: wyoming, speech, batch, stream, realtime, regenerate …"""

    format: Literal["flac"] = "flac"
    duration_ms: int
    bytes: int
    ttfa_ms: int
    """From its text to its first sound."""

    wall_ms: int
    """From its text to its last sound."""

    favorite: bool
    outcome: Literal["whole", "cut"]
    """Cut is at the length that was asked for."""

    audio_url: str


class HistoryPage(BaseModel):
    """Some of what was found."""

    items: list[HistoryEntry]
    total: int
    limit: int
    offset: int


class HistoryQuery(QueryModel):
    """What to look for; what is left out, or empty, is no condition."""

    q: str = Field("", description="Words, each of which is somewhere in the text.")
    voice: str = Field("", description="The voice's name.")
    model: str = Field("", description="The checkpoint's name or id, or standby.")
    source: str = Field("", description="Who asked: wyoming, speech, batch, stream, realtime, regenerate …")
    since: str = Field(
        "", alias="from", description="Since this date or time, ISO 8601 (UTC unless it says) or Unix seconds."
    )
    until: str = Field("", alias="to", description="Before this time; a date includes that day.")
    favorite: bool | None = None
    sort: Literal["created_at", "duration"] = "created_at"
    order: Literal["asc", "desc"] = "desc"
    limit: int = Field(50, ge=1, le=MAX_ITEMS)
    offset: int = Field(0, ge=0, lt=2**31)


def read_query(query: HistoryQuery) -> GenerationQuery:
    """The store's query for that. Raises InvalidRequest."""
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
    """A time as seconds since 1970; a date is its first moment, or with `whole_day` the next date's.

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
    """What was found, as JSON; takes milliseconds where texts are long."""
    items = [entry_model(entry) for entry in page.items]
    return HistoryPage(items=items, total=page.total, limit=query.limit, offset=query.offset).model_dump_json()


def entry_model(entry: StoredGeneration) -> HistoryEntry:
    """An entry in a person's units."""
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
"""From 1973 on, so that 2026 and 20261122 are not taken for seconds."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY = 86_400.0


def _utc_time(seconds: float) -> datetime:
    """Never later than it was: who asks for what is before the time that was told is not to meet the entry itself."""
    whole, part = divmod(seconds, 1)
    return datetime.fromtimestamp(whole, UTC) + timedelta(microseconds=int(part * 1e6))
