"""The history on the page: drawn without being played, chosen, exported, deleted, and taken back."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import Server, StartServer
from tests.web.conftest import PHONE, OpenStudio, Studio, answered, ask

TEXTS = ("The kettle is warm.", "The door is open.", "Dinner is ready.")

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    return start_shared_server("--standby", "only", "--no-download", "--local-files-only")


@pytest.fixture
def studio(open_studio: OpenStudio, server: Server) -> Studio:
    """A phone's page, of a server that has spoken all texts."""
    ask(server, "/api/history?all=true", method="DELETE")
    for text in TEXTS:
        ask(server, "/v1/audio/speech", {"input": text, "save": True})
    return open_studio(f"{server.url}/", PHONE, "dark")


def stored(server: Server) -> int:
    total: int = answered(server, "/api/history")["total"]
    return total


def choose(panel: Any, *texts: str) -> None:
    for text in texts:
        panel.get_by_label(f"Select “{text}”").check()


DRAWN = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const column = 3; // pixels from the left, where the first bar is
  return data.filter((value, at) => at % 4 === 3 && value).length;
}"""


def test_sounds_are_drawn_without_being_fetched(studio: Studio) -> None:
    fetched: list[str] = []
    studio.page.on("request", lambda request: fetched.append(request.url))
    with studio.page.expect_response("**/peaks"):
        panel = studio.open("history")
    canvas = panel.locator("sound-player canvas").first
    empty = studio.page.evaluate("() => 0")
    studio.page.wait_for_load_state("networkidle")
    assert canvas.evaluate(DRAWN) > empty
    assert not [url for url in fetched if "/audio" in url and "api/history" in url]


def test_a_selection_is_deleted_unless_it_is_taken_back(studio: Studio, server: Server) -> None:
    panel = studio.open("history")
    entries = panel.get_by_role("article")
    choose(panel, *TEXTS[:2])
    expect(panel.get_by_text("2 entries selected")).to_be_visible()
    panel.locator(".choice").get_by_role("button", name="Delete").click()
    expect(entries).to_have_count(1)
    expect(panel.get_by_text("2 entries are deleted in a few seconds.")).to_be_visible()
    expect(panel.get_by_role("button", name="Undo")).to_be_focused()
    studio.page.keyboard.press("Enter")
    expect(entries).to_have_count(3)
    assert stored(server) == 3
    choose(panel, TEXTS[0])
    panel.locator(".choice").get_by_role("button", name="Delete").click()
    expect(entries).to_have_count(2)
    studio.page.goto("about:blank")  # what was not taken back is deleted when the page is left
    studio.open("history")
    expect(panel.get_by_role("article")).to_have_count(2)
    assert stored(server) == 2


def test_the_way_back_ends_when_the_entry_is_deleted(studio: Studio, server: Server) -> None:
    studio.page.clock.install()
    panel = studio.open("history")
    delete = panel.get_by_role("button", name="Delete", exact=True)
    delete.first.click()
    expect(panel.get_by_role("button", name="Undo")).to_be_focused()
    with studio.page.expect_response("**/api/history/delete"):
        studio.page.clock.fast_forward("00:09")
    expect(panel.get_by_role("button", name="Undo")).to_have_count(0)
    expect(panel.get_by_role("checkbox").first).to_be_focused()
    assert stored(server) == 2
    studio.page.route("**/api/history/delete", lambda route: route.abort())
    delete.first.click()
    expect(panel.get_by_role("article")).to_have_count(1)
    studio.page.clock.fast_forward("00:09")
    expect(panel.get_by_role("alert")).to_contain_text("can't be reached")
    expect(panel.get_by_role("article")).to_have_count(2)


def test_all_that_is_shown_is_exported(studio: Studio, tmp_path: Path) -> None:
    panel = studio.open("history")
    choose(panel, TEXTS[0])
    panel.get_by_role("button", name="Select all shown").click()
    expect(panel.get_by_text("3 entries selected")).to_be_visible()
    with studio.page.expect_download() as saving:
        panel.locator(".choice").get_by_role("button", name="Export").click()
    saving.value.save_as(tmp_path / "history.zip")
    with zipfile.ZipFile(tmp_path / "history.zip") as archive:
        told = json.loads(archive.read("history.json"))
        assert {entry["text"] for entry in told} == set(TEXTS)
        assert {entry["file"] for entry in told} == {name for name in archive.namelist() if name.endswith(".flac")}
    panel.get_by_role("button", name="Select none").click()
    expect(panel.locator(".choice")).to_be_hidden()
