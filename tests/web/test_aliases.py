"""The editor for aliases, and how the page follows voices that are renamed, deleted or made the default elsewhere."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import Server, StartServer
from tests.waiting import HANG_SECONDS
from tests.web.conftest import AXE, DESKTOP, PHONE, OpenStudio, Studio, answered, ask, violations, wide

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def started(start_shared_server: StartServer, models_dir: Path) -> Server:
    """One with the alias onyx for Serena."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--local-files-only", "--temperature", "0")
    return start_shared_server(*options, "--preload", "none", "--alias", "onyx=Serena")


@pytest.fixture
def server(started: Server) -> Iterator[Server]:
    """The same with the voice Anna, who is Vivian, and without other aliases than its own."""
    ask(started, "/api/profiles", {"name": "Anna", "voice": "Vivian"})
    yield started
    ask(started, "/api/voices/aliases", {"aliases": {}}, "PUT")
    for kind in ("profiles", "voice-presets"):
        for voice in answered(started, f"/api/{kind}")[kind.removeprefix("voice-")]:
            ask(started, f"/api/{kind}/{voice['id']}", method="DELETE")


@pytest.fixture
def studio(open_studio: OpenStudio, server: Server) -> Studio:
    return open_studio(server.url + "/")


def row(panel: Any, alias: str) -> Any:
    """The row of an alias."""
    return panel.get_by_role("row").filter(has=panel.page.get_by_role("rowheader", name=alias, exact=True))


def add(panel: Any, alias: str, voice: str) -> None:
    panel.get_by_label("Alias", exact=True).fill(alias)
    panel.get_by_label("Voice", exact=True).select_option(voice)
    panel.get_by_role("button", name="Add", exact=True).click()


def speaking_voice(server: Server, voice: str) -> str:
    """The voice that speaks if a program asks for this one."""
    body = {"input": "Hello.", "voice": voice, "response_format": "wav"}
    request = urllib.request.Request(f"{server.url}/v1/audio/speech", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=HANG_SECONDS) as response:
        assert len(response.read()) > 1000
        return str(response.headers["X-Voice"])


def test_an_alias_is_added_by_keys_spoken_and_removed(studio: Studio, server: Server) -> None:
    panel, keyboard = studio.open("profiles"), studio.page.keyboard
    expect(panel.locator("datalist option")).to_have_count(13)
    alias = panel.get_by_label("Alias", exact=True)
    alias.press("Enter")
    expect(panel.get_by_role("alert")).to_have_text("Write the alias first.")
    panel.get_by_label("Voice", exact=True).select_option("Anna")
    alias.focus()
    keyboard.type("nova")
    keyboard.press("Enter")
    expect(panel.get_by_role("status")).to_have_text("nova is now spoken by Anna.")
    expect(row(panel, "nova").get_by_role("cell").first).to_have_text("Anna")
    expect(alias).to_have_value("")
    assert speaking_voice(server, "nova") == "Anna"
    add(panel, "Nova", "Ono_Anna")
    expect(row(panel, "Nova").get_by_role("cell").first).to_have_text("Ono Anna")
    assert answered(server, "/api/voices/aliases")["aliases"] == {"Nova": "Ono_Anna"}
    panel.get_by_role("button", name="Remove the alias Nova").focus()
    keyboard.press("Enter")
    expect(row(panel, "Nova")).to_have_count(0)
    expect(alias).to_be_focused()
    assert answered(server, "/api/voices/aliases")["aliases"] == {}


def test_aliases_of_the_servers_options_are_fixed_but_can_be_replaced(studio: Studio, server: Server) -> None:
    panel = studio.open("profiles")
    expect(row(panel, "onyx")).to_contain_text("Serena")
    expect(row(panel, "onyx")).to_contain_text("Server option")
    expect(row(panel, "onyx").get_by_role("button")).to_have_count(0)
    add(panel, "Onyx", "Anna")
    expect(row(panel, "onyx")).to_contain_text("Replaced above")
    assert speaking_voice(server, "onyx") == "Anna"
    panel.get_by_role("button", name="Remove the alias Onyx").click()
    expect(row(panel, "onyx")).to_contain_text("Server option")


def test_aliases_that_another_person_added_are_not_lost(studio: Studio, server: Server) -> None:
    panel = studio.open("profiles")
    expect(row(panel, "onyx")).to_be_visible()
    ask(server, "/api/voices/aliases", {"aliases": {"sage": "Eric"}}, "PUT")
    add(panel, "nova", "Anna")
    expect(row(panel, "sage")).to_contain_text("Eric")
    assert answered(server, "/api/voices/aliases")["aliases"] == {"sage": "Eric", "nova": "Anna"}


def test_aliases_of_deleted_voices_are_marked_and_removed_together(studio: Studio, server: Server) -> None:
    ask(server, "/api/voices/aliases", {"aliases": {"nova": "Anna", "echo": "anna-de", "sage": "Eric"}}, "PUT")
    panel = studio.open("profiles")
    expect(row(panel, "nova")).to_be_visible()
    expect(panel.get_by_text("No such voice")).to_have_count(0)
    panel.get_by_role("button", name="Delete Anna").click()
    studio.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    for alias in ("nova", "echo"):
        expect(row(panel, alias)).to_contain_text("No such voice")
    expect(panel.get_by_text("No such voice")).to_have_count(2)
    expect(panel.get_by_label("Voice", exact=True).get_by_role("option", name="Anna", exact=True)).to_have_count(0)
    add(panel, "fable", "Ryan")
    expect(row(panel, "fable")).to_contain_text("Ryan")
    panel.get_by_role("button", name="Remove the alias fable").click()
    panel.get_by_role("button", name="Remove aliases without a voice").click()
    expect(panel.get_by_role("rowheader")).to_have_text(["sage", "onyx"])
    expect(panel.get_by_role("button", name="Remove aliases without a voice")).to_be_hidden()
    assert answered(server, "/api/voices/aliases")["aliases"] == {"sage": "Eric"}


def test_an_alias_follows_a_renamed_voice_until_its_old_name_is_removed(studio: Studio, server: Server) -> None:
    """The voice is renamed by another program while the page is open."""
    ask(server, "/api/voices/aliases", {"aliases": {"nova": "Anna"}}, "PUT")
    speak = studio.open("speak")
    expect(speak.get_by_role("option", name="Anna", exact=True)).to_have_count(1)
    ask(server, "/api/profiles/Anna", {"name": "Annie"}, "PUT")
    panel = studio.open("profiles")
    expect(row(panel, "nova").get_by_role("cell").first).to_have_text("Anna")
    expect(panel.get_by_label("Voice", exact=True).get_by_role("option", name="Annie")).to_have_count(1)
    expect(studio.open("speak").get_by_role("option", name="Annie")).to_have_count(1)
    assert speaking_voice(server, "nova") == "Annie"
    studio.open("profiles").get_by_role("button", name="Remove the old name Anna").click()
    expect(row(panel, "nova")).to_contain_text("No such voice")


def test_one_voice_is_shown_as_the_default_on_both_tabs(studio: Studio, server: Server) -> None:
    ask(server, "/api/voice-presets/create", {"name": "Calm", "voice": "Serena"})
    design = studio.open("design")
    design.get_by_role("button", name="Make default").click()
    expect(design.get_by_role("article")).to_contain_text("Default voice")
    expect(design.get_by_role("status")).to_have_text("Calm is now the default voice.")
    profiles = studio.open("profiles")
    profiles.get_by_role("button", name="Make default").click()
    expect(profiles.get_by_role("article")).to_contain_text("Default voice")
    expect(studio.open("design").get_by_role("button", name="Make default")).to_be_visible()
    assert answered(server, "/api/voices/default")["voice"] == "Anna"
    panel = studio.open("profiles")
    panel.get_by_role("button", name="Delete Anna").click()
    studio.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(panel.get_by_role("article")).to_have_count(0)
    assert answered(server, "/api/voices/default")["voice"] == "Ryan"


@pytest.mark.skipif(not AXE.exists(), reason="There is no axe-core; script/setup --browser installs it.")
@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_everybody_can_use_it(open_studio: OpenStudio, server: Server, size: tuple[int, int], scheme: str) -> None:
    """With every kind of alias, and an error."""
    ask(server, "/api/profiles", {"name": "Gone", "voice": "Ryan"})
    aliases = {"nova": "Gone", "alloy": "Anna", "Onyx": "Anna", "an alias that is so long that lines end in it": "Eric"}
    ask(server, "/api/voices/aliases", {"aliases": aliases}, "PUT")
    ask(server, "/api/profiles/Gone", method="DELETE")
    studio = open_studio(server.url + "/", size, scheme)
    panel = studio.open("profiles")
    add(panel, " ", "Anna")
    expect(panel.get_by_role("alert")).to_be_visible()
    assert wide(studio.page) <= 0
    assert violations(studio.page) == []
