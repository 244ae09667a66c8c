"""Times as people and programs write them, and as they are told."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from wyoming_qwen3.api.studio.entries import HistoryQuery, entry_model, read_query, read_time
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.store.history.store import StoredGeneration

ENTRY = StoredGeneration(
    text="The door is open.",
    source="speech",
    voice="Ryan",
    model="standby",
    language="de",
    params={},
    seed=None,
    first_audio=0.1234,
    wall=2.0,
    outcome="whole",
    id="0" * 36,
    created_at=0.0,
    duration=1.2345,
    bytes=9,
)

NOON = 1_795_348_800.0
"""Of 22 November 2026."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", NOON - 12 * 3600),
        ("2026-11-22T12:00", NOON),
        ("2026-11-22 12:00:00", NOON),
        ("2026-11-22T12:00:00Z", NOON),
        ("2026-11-22T12:00:00.250Z", NOON + 0.25),
        ("2026-11-22T13:00:00+01:00", NOON),
        ("2026-11-22T06:30-05:30", NOON),
        ("1795348800", NOON),
        ("1795348800.25", NOON + 0.25),
        ("0001-01-01", -62_135_596_800.0),
    ],
)
def test_a_time_is_read_in_utc_unless_it_says(text: str, expected: float) -> None:
    assert read_time(text, "from") == expected


def test_the_day_that_something_ends_with_is_a_part_of_it() -> None:
    query = read_query(HistoryQuery.model_validate({"from": "2026-11-22", "to": "2026-11-22"}))
    assert (query.since, query.until) == (NOON - 12 * 3600, NOON + 12 * 3600)
    assert read_query(HistoryQuery.model_validate({"to": "2026-11-22T12:00Z"})).until == NOON
    assert read_time("9999-12-31", "to", whole_day=True) == 253_402_300_800.0


@pytest.mark.parametrize(
    "text",
    [
        *(
            "now",
            "yesterday",
            "2026",
            "20261122",
            "2026-11",
            "2026-13-01",
            "2026-11-22T25:00",
            "2026-11-22T12:00+25:00",
        ),
        *("2026-11-22T13:00:00 01:00", "2026-W47-7", "22.11.2026", "12:00", "nan", "inf", "1e9", "0x10", " 1", "٣"),
        *("1" * 13, "1" * 4000, "2026-11-22" * 100, "\0", "2026-11-22\n", "", "-1795348800", "+1795348800"),
    ],
)
def test_what_is_no_time_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(InvalidRequest, match="2026-11-22T18:30:00Z") as caught:
        read_time(text, "from")
    assert caught.value.param == "from"
    assert str(caught.value).startswith("from must be")


def test_the_time_that_is_told_meets_its_entry_from_then_on_and_not_before() -> None:
    chance = random.Random(0)
    for _ in range(2000):
        made = NOON + chance.random() * 1e8
        told = entry_model(replace(ENTRY, created_at=made)).created_at
        assert made - 2e-6 < told.timestamp() <= made
        assert read_time(told.isoformat(), "before") <= made


def test_an_entry_is_told_in_a_persons_units() -> None:
    told = entry_model(replace(ENTRY, created_at=NOON))
    assert told.created_at == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert '"created_at":"2026-11-22T12:00:00Z"' in told.model_dump_json()
    assert (told.language, told.duration_ms, told.ttfa_ms, told.wall_ms) == ("German", 1234, 123, 2000)
    assert entry_model(replace(ENTRY, language=None)).language == "Auto"
