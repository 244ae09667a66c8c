"""The editor for pronunciations."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import Server, StartServer
from tests.web.conftest import AXE, DESKTOP, PHONE, OpenStudio, Studio, answered, ask, violations, wide

HA = {"written": "HA", "spoken": "Home Assistant"}
POWER = r"(\d+) ?kWp"
SHARED = "written,spoken\nPV,photovoltaics\nHA,shared\nalone\n"

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def started(start_shared_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One with the standby voice alone, and a shared file in which one line is wrong."""
    shared = tmp_path_factory.mktemp("share") / "dictionary.csv"
    shared.write_text(SHARED)
    return start_shared_server("--standby", "only", "--dictionary", str(shared))


@pytest.fixture
def server(started: Server) -> Iterator[Server]:
    """The same without entries of its own."""
    yield started
    ask(started, "/api/dictionary", {"entries": []}, "PUT")


@pytest.fixture
def studio(open_studio: OpenStudio, server: Server) -> Studio:
    return open_studio(server.url + "/")


def row(panel: Any, written: str) -> Any:
    """The row of an entry."""
    name = re.compile(rf"^{re.escape(written)}\b")
    return panel.get_by_role("row").filter(has=panel.page.get_by_role("rowheader", name=name))


def own(server: Server) -> list[tuple[str, str]]:
    return [(entry["written"], entry["spoken"]) for entry in answered(server, "/api/dictionary")["entries"]]


def test_an_entry_is_added_changed_and_deleted_by_keys(studio: Studio, server: Server) -> None:
    panel, keyboard = studio.open("dictionary"), studio.page.keyboard
    written = panel.get_by_label("Written", exact=True)
    written.press("Enter")
    expect(panel.get_by_role("alert")).to_have_text("Write the word first.")
    keyboard.type("nguyen")
    keyboard.press("Tab")
    keyboard.type("win")
    keyboard.press("Enter")
    expect(panel.get_by_role("status").filter(has_text="nguyen is saved.")).to_be_visible()
    expect(row(panel, "nguyen").get_by_role("cell").first).to_have_text("win")
    expect(written).to_have_value("")
    expect(written).to_be_focused()
    panel.get_by_role("button", name="Edit nguyen").focus()
    keyboard.press("Enter")
    expect(written).to_have_value("nguyen")
    expect(written).to_be_focused()
    written.fill(POWER)
    panel.get_by_label("Spoken", exact=True).fill(r"\2 Kilowatt Peak")
    panel.locator("form").get_by_label("Language").select_option("German")
    panel.get_by_label("Applies to").select_option("regex")
    panel.get_by_label("Match case").check()
    panel.get_by_role("button", name="Save", exact=True).click()
    expect(panel.get_by_role("alert")).to_have_text("What is spoken has a wrong reference: no such group.")
    panel.get_by_label("Spoken", exact=True).fill(r"\1 Kilowatt Peak")
    panel.get_by_label("Spoken", exact=True).press("Enter")
    for text in ("German", "Regular expression", "Match case"):
        expect(row(panel, POWER)).to_contain_text(text)
    assert own(server) == [(POWER, r"\1 Kilowatt Peak")]
    panel.get_by_role("button", name=f"Delete {POWER}").click()
    expect(row(panel, POWER)).to_have_count(0)
    assert own(server) == []


def test_escape_leaves_an_entry_as_it_is(studio: Studio, server: Server) -> None:
    ask(server, "/api/dictionary/entries", HA)
    panel = studio.open("dictionary")
    panel.get_by_role("button", name="Edit HA").click()
    panel.get_by_label("Written", exact=True).fill("something")
    panel.get_by_label("Written", exact=True).press("Escape")
    expect(panel.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(panel.get_by_label("Written", exact=True)).to_have_value("")
    assert own(server) == [("HA", "Home Assistant")]


def test_the_shared_file_is_shown_and_what_is_wrong_with_it(studio: Studio, server: Server) -> None:
    panel = studio.open("dictionary")
    expect(row(panel, "PV")).to_contain_text("Shared file")
    expect(row(panel, "PV").get_by_role("button")).to_have_count(0)
    expect(panel.get_by_role("listitem")).to_contain_text("Shared file: Line 4: What is spoken is missing")
    expect(row(panel, "HA").get_by_role("cell").first).to_have_text("shared")
    ask(server, "/api/dictionary/entries", HA)
    panel = studio.open("speak") and studio.open("dictionary")
    expect(row(panel, "HA").get_by_role("cell").first).to_have_text("Home Assistant")


def test_a_text_is_shown_as_it_is_spoken_and_heard(studio: Studio, server: Server) -> None:
    panel = studio.open("dictionary")
    panel.get_by_label("Text").fill("HA has **PV**. <b>x")
    becomes = panel.get_by_role("status", name="Is spoken as")
    expect(becomes).to_have_text("shared has photovoltaics. x")
    panel.get_by_label("Written", exact=True).fill("HA")
    panel.get_by_label("Spoken", exact=True).fill("Home Assistant")
    panel.get_by_role("button", name="Add", exact=True).click()
    expect(becomes).to_have_text("Home Assistant has photovoltaics. x")
    with studio.page.expect_response("**/api/effects/preview") as heard:
        panel.get_by_role("button", name="Hear it").click()
    assert heard.value.status == 200
    studio.page.wait_for_function("() => document.querySelector('dictionary-tab').audio.currentTime > 0")


def test_a_dictionary_is_exported_and_imported(studio: Studio, server: Server, tmp_path: Path) -> None:
    ask(server, "/api/dictionary/entries", HA)
    panel = studio.open("dictionary")
    with studio.page.expect_download() as saving:
        panel.get_by_role("button", name="Export CSV").click()
    assert saving.value.suggested_filename == "dictionary.csv"
    saving.value.save_as(tmp_path / "words.csv")
    ask(server, "/api/dictionary", {"entries": []}, "PUT")
    panel.locator("input[type=file]").set_input_files(tmp_path / "words.csv")
    expect(panel.get_by_role("status").filter(has_text="words.csv is imported.")).to_be_visible()
    expect(row(panel, "HA").get_by_role("cell").first).to_have_text("Home Assistant")
    (tmp_path / "bad.csv").write_text("TV,tee vee\n(,x,,regex\n")
    panel.locator("input[type=file]").set_input_files(tmp_path / "bad.csv")
    expect(panel.get_by_role("alert")).to_contain_text("Line 2: The regular expression is not valid")
    assert own(server) == [("HA", "Home Assistant")]


def test_many_entries_are_searched(studio: Studio, server: Server) -> None:
    entries = [{"written": f"word{number}", "spoken": f"said{number}"} for number in range(150)]
    ask(server, "/api/dictionary", {"entries": entries}, "PUT")
    panel = studio.open("dictionary")
    expect(panel.get_by_text("100 of 152 entries are shown.")).to_be_visible()
    panel.get_by_label("Search").fill("SAID149")
    expect(panel.get_by_role("rowheader")).to_have_text(["word149"])
    panel.get_by_label("Search").fill("nothing")
    expect(panel.get_by_text("0 of 152 entries are shown.")).to_be_visible()


@pytest.mark.skipif(not AXE.exists(), reason="There is no axe-core; script/setup --browser installs it.")
@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_everybody_can_use_it(open_studio: OpenStudio, server: Server, size: tuple[int, int], scheme: str) -> None:
    """With every kind of entry, and an error."""
    long = {"written": "a word that is so long that lines end in it " * 4, "spoken": "x" * 200, "case": True}
    entries = [HA, long, {"written": "um", "spoken": ""}, {"written": "a+b", "spoken": "c", "match": "regex"}]
    ask(server, "/api/dictionary", {"entries": entries}, "PUT")
    studio = open_studio(server.url + "/", size, scheme)
    panel = studio.open("dictionary")
    expect(row(panel, "HA")).to_be_visible()
    panel.get_by_role("button", name="Edit HA").click()
    panel.get_by_label("Written", exact=True).fill(" ")
    panel.get_by_role("button", name="Save", exact=True).click()
    expect(panel.get_by_role("alert")).to_be_visible()
    assert wide(studio.page) <= 0
    assert violations(studio.page) == []
