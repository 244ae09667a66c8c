"""The history's tables: what a search finds, by which way, and what a clean-up takes."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from sqlite3 import connect
from typing import Any

import pytest

from wyoming_qwen3.core.errors import InvalidRequest, NotFound
from wyoming_qwen3.store.database import Connection
from wyoming_qwen3.store.history import entries
from wyoming_qwen3.store.history.entries import GenerationQuery, Limits, StoredGeneration

DAY = 86_400.0
MANY = 10_000


def entry(number: int, **more: Any) -> StoredGeneration:
    """Entry `number`, of second `number` since 1970."""
    plain = StoredGeneration(
        id=f"{number:08}-0000-4000-8000-000000000000",
        created_at=float(number),
        duration=2.0,
        bytes=100,
        text=f"Text {number}",
        source="speech",
        voice="Ryan",
        model="custom_voice-0.6b",
        language="en",
        params={"voice": {"speaker": "ryan"}, "effects": []},
        seed=7,
        first_audio=0.1,
        wall=1.5,
        outcome="whole",
    )
    return replace(plain, **more)


def connected() -> Connection:
    connection = connect(":memory:")
    connection.executescript(";".join(entries.MIGRATIONS))
    return connection


@pytest.fixture
def connection() -> Iterator[Connection]:
    with closing(connected()) as connection:
        yield connection


@pytest.fixture(scope="module")
def many() -> Iterator[Connection]:
    """10,000 entries of some length, of ten voices, one in a hundred of them marked."""
    with closing(connected()) as connection:
        for number in range(MANY):
            text = f"Sentence number {number} of the house, in which the lights are on. " * 3 + "今天天气很好。"
            more = {"voice": f"Voice {number % 10}", "duration": (number * 7919) % MANY / 100, "text": text}
            entries.insert(connection, entry(number, favorite=number % 100 == 0, **more))
        connection.commit()
        yield connection


def numbers(connection: Connection, **query: Any) -> list[int]:
    """Of the entries found, in order."""
    page = entries.search(connection, GenerationQuery(**query))
    assert page.total == len(page.items)
    return [round(item.created_at) for item in page.items]


def test_an_entry_comes_back_as_it_was(connection: Connection) -> None:
    told = {"segments": ["Hi", 0.5, {"deep": [None, True]}], "语言": "zh", "seed": 2**63 - 1}
    one = entry(1, text="„Grüße“\n", language=None, seed=2**63 - 1, params=told, favorite=True, outcome="cut")
    entries.insert(connection, one)
    entries.insert(connection, entry(2, seed=None, params={}))
    assert entries.get(connection, one.id) == one
    assert entries.get(connection, entry(2).id) == entry(2, seed=None, params={})
    with pytest.raises(NotFound):
        entries.get(connection, entry(3).id)


def test_what_unicode_can_not_say_is_kept_as_question_marks(connection: Connection) -> None:
    half = json.loads('"\\ud83d"')
    entries.insert(connection, entry(1, text=f"half {half} smile", voice=half))
    assert entries.get(connection, entry(1).id).text == "half ? smile"
    assert numbers(connection, q=f"{half} smile") == [1]
    assert numbers(connection, voice=half) == [1]


TEXTS = [
    "The lights in the kitchen are on.",  # 0
    'Lights out! It\'s "quoted" and 100% done.',  # 1
    "今天天气很好，我们去公园吧。",  # 2
    "東京の天気は晴れです。",  # 3
    "a_b and a*b, C:\\temp\\x",  # 4
    "Well done 🎉 🎉, 家族 👩‍👩‍👧‍👦",  # 5
    "Élan vital, größer, ΑΒΓΔ",  # 6
    "'; DROP TABLE entries; --",  # 7
    "NOT this OR that NEAR(it, 2) AND (these)",  # 8
    "axb",  # 9
]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("kitchen", {0}),
        ("LIGHTS", {0, 1}),
        ("ight", {0, 1}),
        ("lights kitchen", {0}),
        ("kitchen lights", {0}),
        ("lights garden", set()),
        ("天气", {2}),
        ("天气很好", {2}),
        ("天", {2, 3}),
        ("公园 天气", {2}),
        ("晴れです", {3}),
        ("🎉", {5}),
        ("🎉 👩‍👩‍👧‍👦 家族", {5}),
        ("élan", {6}),
        ("GRÖSSER", set()),
        ("αβγδ", {6}),
        ("%", {1}),
        ("0%", {1}),
        ("100%", {1}),
        ("_", {4}),
        ("a_b", {4}),
        ("_b", {4}),
        ("*", {4}),
        ("a*b", {4}),
        ("\\", {4}),
        ("\\x", {4}),
        ("C:\\temp", {4}),
        ('"', {1}),
        ('"quoted"', {1}),
        ('"quot', {1}),
        ('""', set()),
        ("'", {1, 7}),
        ("DROP TABLE entries; --", {7}),
        ("' OR '1'='1", set()),
        ('" OR text:"', set()),
        ('x") OR 1=1 --', set()),
        ("NOT", {8}),
        ("NEAR(it,", {8}),
        ("lights OR kitchen", set()),
        ("kitchen NOT lights", set()),
        ("text:kitchen", set()),
        ("kitch*", set()),
        ("^The", set()),
        ("kitchen\0", {0}),
        ("\0", set(range(10))),
        ("   ", set(range(10))),
        ("", set(range(10))),
        (None, set(range(10))),
        ("a " * 100, {0, 1, 4, 6, 7, 8, 9}),
    ],
)
def test_words_are_found_wherever_they_are_and_mean_nothing_to_sqlite(
    connection: Connection, q: str | None, found: set[int]
) -> None:
    for number, text in enumerate(TEXTS):
        entries.insert(connection, entry(number, text=text))
    assert set(numbers(connection, q=q)) == found


def test_conditions_narrow_together(connection: Connection) -> None:
    for number in range(8):
        more: dict[str, Any] = {"favorite": number % 2 == 1, "source": "wyoming" if number < 4 else "batch"}
        entries.insert(connection, entry(number, voice="Ryan" if number < 6 else "Opa", model=f"m{number % 3}", **more))
    assert numbers(connection, voice="OPA") == [7, 6]
    assert numbers(connection, model="m2") == [5, 2]
    assert numbers(connection, source="wyoming") == [3, 2, 1, 0]
    assert numbers(connection, since=2.0, until=4.0) == [3, 2]
    assert numbers(connection, favorite=True) == [7, 5, 3, 1]
    assert numbers(connection, favorite=False, source="batch") == [6, 4]
    assert numbers(connection, q="Text", voice="ryan", favorite=True, since=2.0) == [5, 3]
    assert numbers(connection, voice="Ryan' OR 1=1 --") == []


def test_order_and_pages(connection: Connection) -> None:
    for number, duration in enumerate([3.0, 1.0, 2.0, 1.0]):
        entries.insert(connection, entry(number, duration=duration))
    assert numbers(connection) == [3, 2, 1, 0]
    assert numbers(connection, descending=False) == [0, 1, 2, 3]
    assert numbers(connection, sort="duration") == [0, 2, 3, 1]
    assert numbers(connection, sort="duration", descending=False) == [1, 3, 2, 0]
    page = entries.search(connection, GenerationQuery(limit=2, offset=1))
    assert ([item.created_at for item in page.items], page.total) == ([2.0, 1.0], 4)
    beyond = entries.search(connection, GenerationQuery(offset=100))
    assert (beyond.items, beyond.total) == ((), 4)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"q": "x" * 201}, "q"),
        ({"sort": "id; DROP TABLE entries"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**63}, "offset"),
    ],
)
def test_what_is_out_of_range_is_refused(query: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        GenerationQuery(**query)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        ({"offset": 9_900}, ["SCAN entries USING INDEX entries_by_time"]),
        ({"sort": "duration"}, ["SCAN entries USING INDEX entries_by_duration"]),
        ({"voice": "voice 3"}, ["SEARCH entries USING INDEX entries_by_voice (voice=?)"]),
        (
            {"voice": "Voice 3", "since": 5_000.0, "until": 6_000.0},
            ["SEARCH entries USING INDEX entries_by_voice (voice=? AND created_at>? AND created_at<?)"],
        ),
        ({"since": 9_000.0}, ["SEARCH entries USING INDEX entries_by_time (created_at>?)"]),
        ({"favorite": True}, ["entries_favorite"]),
        ({"q": "number 4711"}, ["SCAN entries_text VIRTUAL TABLE INDEX"]),
        ({"q": "天气很好", "voice": "Voice 3", "sort": "duration"}, ["SCAN entries_text VIRTUAL TABLE INDEX"]),
        ({"q": "天气"}, ["SCAN entries USING INDEX entries_by_time"]),
    ],
    ids=str,
)
def test_ten_thousand_entries_are_searched_by_an_index(
    many: Connection, query: dict[str, Any], plan: list[str]
) -> None:
    statements: list[str] = []
    many.set_trace_callback(statements.append)
    begun = time.perf_counter()
    page = entries.search(many, GenerationQuery(**query))
    print(f"{(time.perf_counter() - begun) * 1000:.1f} ms for {page.total} entries by {query}")
    many.set_trace_callback(None)
    assert page.items
    select = next(statement for statement in statements if statement.startswith("SELECT id") or "ORDER BY" in statement)
    steps = [row[3] for row in many.execute(f"EXPLAIN QUERY PLAN {select}")]
    for step in plan:
        assert any(step in one for one in steps), steps
    assert "SCAN entries" not in steps


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (Limits(), [1, 2, 3, 4, 5, 6]),
        (Limits(days=2.5), [2, 5, 6]),
        (Limits(days=0), [2]),
        (Limits(entries=2), [2, 5, 6]),
        (Limits(entries=0), [2]),
        (Limits(entries=100), [1, 2, 3, 4, 5, 6]),
        (Limits(bytes=350), [2, 4, 5, 6]),
        (Limits(bytes=99), [2]),
        (Limits(days=3.5, entries=4, bytes=250), [2, 5, 6]),
    ],
)
def test_clean_up_takes_the_oldest_beyond_the_limits_and_no_favorite(
    connection: Connection, limits: Limits, left: list[int]
) -> None:
    """Six entries, one a day, of 100 bytes each; it is noon of day 8, the second is marked."""
    for number in range(1, 7):
        entries.insert(connection, entry(number, created_at=number * DAY, favorite=number == 2))
    removed = entries.delete_beyond(connection, limits, now=7.4 * DAY)
    assert [
        round(item.created_at / DAY) for item in entries.search(connection, GenerationQuery(descending=False)).items
    ] == left
    assert removed == {entry(number).id: 100 for number in range(1, 7) if number not in left}


def test_what_is_deleted_is_found_no_more(connection: Connection) -> None:
    for number in range(4):
        entries.insert(connection, entry(number, favorite=True))
    entries.delete(connection, [entry(1).id, entry(99).id])
    assert numbers(connection, q="Text") == [3, 2, 0]
    assert entries.delete_before(connection, 3.0) == {entry(0).id: 100, entry(2).id: 100}
    assert numbers(connection, q="Text") == [3]
    assert entries.ids(connection) == {entry(3).id}
    connection.execute("INSERT INTO entries_text (entries_text, rank) VALUES ('integrity-check', 1)")


def test_marking_and_unmarking(connection: Connection) -> None:
    entries.insert(connection, entry(1))
    assert entries.set_favorite(connection, entry(1).id, True) == entry(1, favorite=True)
    assert numbers(connection, favorite=True) == [1]
    assert entries.set_favorite(connection, entry(1).id, False) == entry(1)
    assert numbers(connection, favorite=True) == []
    with pytest.raises(NotFound):
        entries.set_favorite(connection, entry(2).id, True)
