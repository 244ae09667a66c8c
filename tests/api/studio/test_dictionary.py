"""The routes of the pronunciation dictionary, in this process and without an engine."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from tests.api.quiet import Client, serving
from tests.parts import make_cast, make_services
from wyoming_qwen3.api.app import make_app
from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.speech.shared import Services

DICTIONARY = "/api/dictionary"
HA = {"written": "HA", "spoken": "Home Assistant"}
WIN = {"written": "Nguyen", "spoken": "Win", "language": "English", "case": True}
POWER = {"written": r"(\d+) ?kWpk", "spoken": r"\1 Kilowatt Peak", "language": "German", "match": "regex"}
PLAIN = {"language": None, "match": "word", "case": False}


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path, "--standby", "off")


@pytest.fixture
async def client(services: Services) -> AsyncIterator[Client]:
    async with serving(make_app(services, Config(make_cast()))) as client:
        yield client


async def ask(client: Client, method: str, path: str = "", **more: Any) -> tuple[int, Any]:
    async with client.request(method, DICTIONARY + path, **more) as response:
        return response.status, await response.json()


async def send(client: Client, data: bytes, query: str = "") -> tuple[int, Any]:
    form = FormData()
    form.add_field("file", data, filename="names.csv", content_type="text/csv")
    return await ask(client, "POST", f"/import{query}", data=form)


def fields(entries: list[Any]) -> list[Any]:
    """Entries without what the server adds."""
    return [{name: entry[name] for name in ("written", "spoken", *PLAIN)} for entry in entries]


async def test_entries_are_added_changed_and_deleted(client: Client, tmp_path: Path) -> None:
    assert await ask(client, "GET") == (200, {"entries": [], "shared": [], "problems": []})
    status, added = await ask(client, "POST", "/entries", json=HA)
    assert (status, added) == (201, HA | PLAIN | {"id": added["id"], "count": 0, "problem": None})
    status, changed = await ask(client, "PUT", f"/entries/{added['id']}", json=HA | {"language": "de-CH"})
    assert (status, changed["language"]) == (200, "German")
    assert changed["id"] != added["id"]
    assert (tmp_path / "dictionary.csv").read_text().splitlines()[1:] == [
        "written,spoken,language,match,case",
        "HA,Home Assistant,de",
    ]
    assert await ask(client, "DELETE", f"/entries/{changed['id']}") == (200, {"id": changed["id"], "deleted": True})
    assert (await ask(client, "GET"))[1]["entries"] == []


async def test_all_entries_are_replaced_and_what_is_got_can_be_put(client: Client) -> None:
    assert (await ask(client, "PUT", json={"entries": [HA, WIN, POWER]}))[0] == 200
    listed = (await ask(client, "GET"))[1]
    assert fields(listed["entries"]) == [HA | PLAIN, PLAIN | WIN, PLAIN | POWER]
    assert await ask(client, "PUT", json=listed) == (200, listed)
    assert (await ask(client, "PUT", json={"entries": []}))[1]["entries"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (HA | {"written": " "}, "What is written is empty; write the word to replace."),
        (HA | {"written": "x" * 201}, "written should have at most 200 characters"),
        (HA | {"spoken": "a\nb"}, "What is spoken must be one line without control characters."),
        (HA | {"match": "fuzzy"}, "match should be 'word' or 'regex'"),
        (HA | {"language": "Klingon"}, "Language 'Klingon' is not supported"),
        (POWER | {"written": "(kWpk"}, "The regular expression is not valid: missing ) at position 5."),
        (POWER | {"spoken": r"\2"}, "What is spoken has a wrong reference: no such group."),
        (HA | {"written": "ha"}, "The dictionary has an entry for 'ha' already."),
        ({"written": "HA"}, "spoken is missing."),
    ],
)
async def test_an_entry_that_is_wrong_is_one_sentence(client: Client, body: Any, message: str) -> None:
    await ask(client, "POST", "/entries", json=HA)
    status, answer = await ask(client, "POST", "/entries", json=body)
    assert status == 400
    assert answer["error"]["message"].startswith(message)
    assert fields((await ask(client, "GET"))[1]["entries"]) == [HA | PLAIN]


async def test_one_wrong_entry_of_all_changes_nothing_and_is_named(client: Client) -> None:
    await ask(client, "POST", "/entries", json=HA)
    entries = [WIN, POWER | {"written": "("}, HA | {"written": " "}]
    status, answer = await ask(client, "PUT", json={"entries": entries})
    assert (status, answer["error"]["message"]) == (
        400,
        "entries.1: The regular expression is not valid: missing ) at position 1. "
        "entries.2: What is written is empty; write the word to replace.",
    )
    assert (await ask(client, "PUT", json={"entries": [WIN, WIN]}))[0] == 400
    assert fields((await ask(client, "GET"))[1]["entries"]) == [HA | PLAIN]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_unknown_id_is_not_found(client: Client, method: str) -> None:
    status, answer = await ask(client, method, "/entries/nosuch", **({"json": HA} if method == "PUT" else {}))
    assert (status, answer["error"]["code"]) == (404, "not_found")


async def test_a_dictionary_is_exported_and_imported(client: Client) -> None:
    await ask(client, "PUT", json={"entries": [HA, WIN, POWER]})
    async with client.get(f"{DICTIONARY}/export") as response:
        assert response.headers["Content-Disposition"] == 'attachment; filename="dictionary.csv"'
        assert response.content_type == "text/csv"
        exported = await response.read()
    assert exported.startswith(b"\xef\xbb\xbf# ")  # so that spreadsheets read UTF-8
    before = (await ask(client, "GET"))[1]
    await ask(client, "PUT", json={"entries": []})
    assert await send(client, exported) == (200, before)


async def test_an_import_merges_or_replaces(client: Client) -> None:
    await ask(client, "PUT", json={"entries": [HA, WIN]})
    status, merged = await send(client, "Written;Spoken\nTür;Tühr\nha;Hassio\n".encode())
    assert status == 200
    assert [(entry["written"], entry["spoken"]) for entry in merged["entries"]] == [
        ("ha", "Hassio"),
        ("Nguyen", "Win"),
        ("Tür", "Tühr"),
    ]
    replaced = (await send(client, b"TV,tee vee\n", "?mode=replace"))[1]
    assert [entry["written"] for entry in replaced["entries"]] == ["TV"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"TV,tee vee\n(,x,,regex\nalone\n", "Line 2: The regular expression is not valid: missing ) at position 1. "),
        ("Tür,x\n".encode("latin-1"), "Line 1 is not UTF-8; save the file as UTF-8."),
    ],
)
async def test_a_file_with_a_wrong_line_imports_nothing(client: Client, data: bytes, message: str) -> None:
    status, answer = await send(client, data)
    assert (status, answer["error"]["param"]) == (400, "file")
    assert answer["error"]["message"].startswith(message)
    assert (await ask(client, "GET"))[1]["entries"] == []


@pytest.mark.parametrize(
    ("text", "language", "heard", "known"),
    [
        ("**HA** is [here](https://example.com)! 5 kWpk", "en", "Home Assistant is here! 5 kWpk", "English"),
        ("HA hat 5 kWpk.", "German", "Home Assistant hat fünf Kilowatt Peak.", "German"),
        ("Die Anlage auf dem Dach hat jetzt 5 kWpk Leistung.", "Auto", None, "German"),
        ("", None, "", None),
    ],
)
async def test_a_text_is_tried_without_counting_it(
    client: Client, text: str, language: str | None, heard: str | None, known: str | None
) -> None:
    await ask(client, "PUT", json={"entries": [HA, WIN, POWER]})
    status, tried = await ask(client, "POST", "/try", json={"text": text, "language": language})
    assert (status, tried["language"]) == (200, known)
    assert tried["text"] == (heard if heard is not None else text.replace("5 kWpk", "fünf Kilowatt Peak"))
    listed = (await ask(client, "GET"))[1]["entries"]
    assert set(tried["applied"]) <= {entry["id"] for entry in listed}
    assert {entry["count"] for entry in listed} == {0}


async def test_what_is_counted_late_or_unusable_is_told(client: Client, services: Services, tmp_path: Path) -> None:
    slow = {"written": "(.*?,){25}z", "spoken": "x", "match": "regex"}
    (tmp_path / "dictionary.csv").write_text("alone\n")
    await ask(client, "POST", "/entries", json=HA)
    await ask(client, "POST", "/entries", json=slow)
    services.store.dictionary.apply("HA, " + "a, " * 60 + "HA", None)
    listed = (await ask(client, "GET"))[1]
    assert [entry["count"] for entry in listed["entries"]] == [2, 0]
    assert listed["entries"][1]["problem"].startswith("It took too long")
    (problem,) = listed["problems"]
    assert (problem["shared"], problem["line"]) == (False, 1)
    async with client.get("/health") as response:
        faults = (await response.json())["faults"]
    assert faults[0] == f"The dictionary, line 1: {problem['message']}"
    assert faults[1].startswith("The dictionary's expression '(.*?,){25}z': It took too long")


async def test_where_nothing_can_be_stored_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "dictionary.csv").mkdir()
    async with serving(make_app(make_services(tmp_path, "--standby", "off"), Config(make_cast()))) as client:
        status, answer = await ask(client, "POST", "/entries", json=HA)
    assert (status, answer["error"]["code"]) == (507, "storage_failed")
