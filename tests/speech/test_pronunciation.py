"""The pronunciation dictionary, its two files, and what is counted and told."""

import asyncio
import logging
from functools import partial
from pathlib import Path

import pytest

from tests.waiting import until
from wyoming_qwen3.core.errors import InvalidRequest, NotFound, StorageFailed
from wyoming_qwen3.core.speakers import find_language
from wyoming_qwen3.speech.pronunciation import PronunciationDictionary
from wyoming_qwen3.text.dictionary import make_entry

HA, TV = make_entry("HA", "Home Assistant"), make_entry("TV", "tee vee")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "data" / "dictionary.csv"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    folder.mkdir()
    return folder / "dictionary.csv"


@pytest.fixture
def dictionary(own: Path, shared: Path) -> PronunciationDictionary:
    return PronunciationDictionary(own, shared)


async def test_entries_are_added_changed_deleted_and_kept(own: Path, dictionary: PronunciationDictionary) -> None:
    await dictionary.look()
    assert dictionary.apply("HA", None) == "HA"
    await dictionary.add(HA)
    await dictionary.add(TV)
    assert dictionary.apply("HA TV", None) == "Home Assistant tee vee"
    await dictionary.update(HA.id, make_entry("HA", "Hassio", "de"))
    assert dictionary.apply("HA TV", None) == "HA tee vee"
    assert dictionary.apply("HA TV", find_language("de")) == "Hassio tee vee"
    await dictionary.remove(TV.id)
    again = PronunciationDictionary(own)
    await again.look()
    assert again.apply("HA TV", find_language("de")) == "Hassio TV"


async def test_each_application_is_counted_and_trying_is_not(dictionary: PronunciationDictionary) -> None:
    await dictionary.merge([HA, TV])
    dictionary.apply("HA and HA", None)
    dictionary.try_out("TV", None)
    dictionary.apply("HA", None)
    await dictionary.update(HA.id, make_entry("HA", "Hassio"))
    assert (dictionary.counts.get(HA.id), dictionary.counts.get(TV.id)) == (3, None)


async def test_what_cannot_be_changed_changes_nothing(own: Path, dictionary: PronunciationDictionary) -> None:
    await dictionary.merge([HA, TV])
    before = own.read_bytes()
    with pytest.raises(InvalidRequest, match="has an entry for 'ha' already"):
        await dictionary.add(make_entry("ha", "x"))
    with pytest.raises(InvalidRequest, match="has an entry for 'tv' already"):
        await dictionary.update(HA.id, make_entry("tv", "x"))
    for change in (dictionary.update("nosuch", HA), dictionary.remove("nosuch")):
        with pytest.raises(NotFound, match="no entry with this id"):
            await change
    assert own.read_bytes() == before


async def test_a_change_keeps_what_somebody_wrote_meanwhile(own: Path, dictionary: PronunciationDictionary) -> None:
    await dictionary.add(HA)
    own.write_text("# Anna's\nTV,tee vee\n(,bad,,regex\n")
    await dictionary.add(HA)
    assert own.read_text() == "# Anna's\nTV,tee vee\n(,bad,,regex\nHA,Home Assistant\n"
    assert dictionary.apply("HA TV", None) == "Home Assistant tee vee"


async def test_changes_at_the_same_time_are_all_made(dictionary: PronunciationDictionary) -> None:
    entries = [make_entry(f"word{number}", "x") for number in range(20)]
    await asyncio.gather(*map(dictionary.add, entries))
    assert {entry.id for entry in dictionary.table.entries} == {entry.id for entry in entries}


async def test_a_change_that_is_cancelled_is_made_before_the_next(dictionary: PronunciationDictionary) -> None:
    adding = asyncio.create_task(dictionary.add(HA))
    await asyncio.sleep(0)
    adding.cancel()
    await dictionary.add(TV)
    assert dictionary.table.entries == [HA, TV]


async def test_both_files_apply_and_the_own_one_has_precedence(
    shared: Path, dictionary: PronunciationDictionary
) -> None:
    shared.write_text("HA,shared\nPV,photovoltaics\n")
    await dictionary.add(HA)
    await dictionary.look()
    assert dictionary.apply("HA PV", None) == "Home Assistant photovoltaics"
    await dictionary.remove(HA.id)
    assert dictionary.apply("HA PV", None) == "shared photovoltaics"
    assert shared.read_text() == "HA,shared\nPV,photovoltaics\n"


async def test_a_file_that_is_edited_is_read_while_the_server_runs(
    shared: Path, dictionary: PronunciationDictionary
) -> None:
    def hears(spoken: str) -> bool:
        return dictionary.apply("HA", None) == spoken

    running = asyncio.create_task(dictionary.run(interval=0.01))
    try:
        for spoken in ("one", "three", "fifteen"):
            shared.write_text(f"HA,{spoken}\n")
            await until(partial(hears, spoken))
        shared.unlink()
        await until(partial(hears, "HA"))
    finally:
        running.cancel()


async def test_a_share_that_is_gone_changes_nothing(shared: Path, dictionary: PronunciationDictionary) -> None:
    shared.write_text("HA,Home Assistant\n")
    await dictionary.look()
    shared.unlink()
    shared.parent.rmdir()
    await dictionary.look()
    assert dictionary.apply("HA", None) == "Home Assistant"
    assert dictionary.faults() == []


async def test_bad_lines_are_told_once_in_the_log_and_the_others_apply(
    own: Path, shared: Path, dictionary: PronunciationDictionary, caplog: pytest.LogCaptureFixture
) -> None:
    own.parent.mkdir()
    own.write_text("HA,Home Assistant\nTV\n")
    shared.write_bytes(b"\xff")
    for _ in range(3):
        await dictionary.look()
    faults = [
        "The dictionary, line 2: What is spoken is missing; write it after a comma, or a comma alone for silence.",
        "The shared dictionary: Line 1 is not UTF-8; save the file as UTF-8.",
    ]
    assert dictionary.faults() == faults
    assert caplog.messages == faults
    assert dictionary.apply("HA TV", None) == "Home Assistant TV"
    own.write_text("TV\n" * 20)
    await dictionary.look()
    assert len(dictionary.faults()) == 11
    assert dictionary.faults()[-1] == "The dictionary has 11 more problems."


async def test_an_expression_that_is_too_slow_is_told_once_until_it_is_changed(
    dictionary: PronunciationDictionary, caplog: pytest.LogCaptureFixture
) -> None:
    slow = make_entry(r"(.*?,){25}z", "x", match="regex")
    await dictionary.merge([slow, HA])
    text = "a, " * 60
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert dictionary.apply(text + "HA", None) == text + "Home Assistant"
    late = "It took too long in a text and was not applied there; make it simpler."
    fault = f"The dictionary's expression '(.*?,){{25}}z': {late}"
    assert caplog.messages == dictionary.faults() == [fault]
    assert dictionary.late.keys() == {slow.id}
    await dictionary.update(slow.id, make_entry("z", "x", match="regex"))
    assert dictionary.faults() == []


async def test_a_file_that_cannot_be_read_is_not_overwritten(own: Path, dictionary: PronunciationDictionary) -> None:
    await dictionary.add(HA)
    latin = "HA,Häusl\n".encode("latin-1")
    own.write_bytes(latin)
    for _ in range(2):
        await dictionary.look()
        assert dictionary.faults() == ["The dictionary: Line 1 is not UTF-8; save the file as UTF-8."]
        with pytest.raises(StorageFailed, match="can't be read: Line 1 is not UTF-8"):
            await dictionary.add(TV)
    assert own.read_bytes() == latin
    assert dictionary.apply("HA", None) == "Home Assistant"
    own.unlink()
    own.mkdir()
    await dictionary.look()
    assert dictionary.faults() == ["The dictionary: It is not a file."]
    own.rmdir()
    await dictionary.look()
    assert dictionary.faults() == []
    assert dictionary.apply("HA", None) == "HA"
