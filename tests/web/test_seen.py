"""What a person must see: the focus, the error of what was pressed, and that a server does not answer any more."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.conftest import Server, StartServer
from tests.web.conftest import PHONE, TABS, OpenStudio, Studio, answered, ask, settle, wait
from tests.web.texts import table

SENTENCE = "The front door is open."

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    server = start_shared_server("--standby", "only", "--no-download", "--local-files-only")
    for text in (SENTENCE, "The kettle is warm.", "Dinner is ready."):
        ask(server, "/v1/audio/speech", {"input": text, "save": True})
    ask(server, "/api/dictionary/entries", {"written": "word", "spoken": "something"})
    return server


@pytest.fixture
def phone(open_studio: OpenStudio, server: Server) -> Studio:
    return open_studio(f"{server.url}/", PHONE)


COVERED = """() => {
  const one = document.activeElement;
  const { left, width, top, bottom } = one.getBoundingClientRect();
  const hits = [top + 3, (top + bottom) / 2, bottom - 3].map((y) => document.elementFromPoint(left + width / 2, y));
  const seen = hits.some((hit) => hit && (one.contains(hit) || hit.contains(one) || hit.closest("label")));
  return [one.id || one.ariaLabel || one.textContent || one.name, one.closest("main") !== null, seen];
}"""
"""The name of what has the focus, whether it is on a tab, and whether it can be seen."""


def test_the_bars_cover_nothing_that_has_the_focus(phone: Studio) -> None:
    covered = []
    for tab in TABS[:-1]:  # the API's description has hundreds of things to focus
        phone.open(tab)
        settle(phone.page, tab)
        phone.page.get_by_role("tab", selected=True).focus()
        while True:
            phone.page.keyboard.press("Tab")
            name, on_tab, seen = phone.page.evaluate(COVERED)
            if not on_tab:
                break
            if not seen:
                covered.append((tab, name))
    assert covered == []


def test_each_tab_is_where_it_was_left(phone: Studio) -> None:
    for tab in ("profiles", "models", "design"):
        phone.open(tab)
        settle(phone.page, tab)
        assert phone.page.evaluate("() => scrollY") == 0
        phone.page.evaluate("() => scrollTo(0, 200)")
    settle(phone.page, "profiles")
    assert phone.page.evaluate("() => scrollY") == 200


def test_rows_of_the_dictionary_are_edited_on_a_phone(phone: Studio) -> None:
    panel = phone.open("dictionary")
    expect(panel.get_by_role("button", name="Delete word")).to_be_visible()
    assert panel.locator(".scroll").evaluate("table => table.scrollWidth - table.clientWidth") == 0


def test_what_went_wrong_in_a_list_is_told_beside_it(phone: Studio, tmp_path: Path) -> None:
    """And not beside the form above, which is off the screen."""
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"\xff\xfe\x00")
    panel = phone.open("dictionary")
    settle(phone.page, "dictionary")
    chooser = panel.get_by_role("button", name="Import CSV")
    chooser.focus()
    panel.locator("input[accept*=csv]").set_input_files(broken)
    expect(panel.get_by_role("alert")).to_contain_text("is not UTF-8")
    expect(panel.get_by_role("alert")).to_be_in_viewport()
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"nonsense" * 100)
    panel = phone.open("compose")
    panel.locator("input[type=file]").set_input_files(broken)
    expect(panel.get_by_role("alert")).to_contain_text("broken.mp3: audio must be a WAV")


def test_an_error_is_scrolled_to(phone: Studio, server: Server) -> None:
    """What is pressed at the end of the tab is refused in the middle of it."""
    ask(server, "/api/voice-presets/create", {"name": "Calm", "voice": "Serena"})
    panel = phone.open("design")
    phone.page.route(
        "**/api/voices/default", lambda one: one.abort() if one.request.method == "PUT" else one.continue_()
    )
    panel.get_by_role("button", name="Make default").click()
    expect(panel.get_by_role("alert")).to_be_in_viewport()


def test_a_voice_without_a_name_is_not_sent(phone: Studio, server: Server, tmp_path: Path) -> None:
    clip = tmp_path / "door.wav"
    clip.write_bytes(ask(server, "/v1/audio/speech", {"input": SENTENCE, "response_format": "wav"}))
    panel = phone.open("profiles")
    panel.locator("input[type=file]").first.set_input_files(clip)
    panel.get_by_role("button", name="Save the voice").click()
    expect(panel.get_by_role("alert")).to_have_text("Give the voice a name first.")


def test_speech_is_downloaded_although_its_entry_was_deleted(phone: Studio, server: Server) -> None:
    panel = phone.open("speak")
    panel.get_by_label("Text").fill("Quokka.")
    panel.get_by_role("button", name="Speak").click()
    expect(panel.get_by_role("button", name="Download").last).to_be_visible()
    (entry,) = answered(server, "/api/history?q=quokka")["items"]
    ask(server, f"/api/history/{entry['id']}", method="DELETE")
    with phone.page.expect_download() as saving:
        panel.get_by_role("button", name="Download").last.click()
    assert saving.value.suggested_filename == "quokka.mp3"


IMPATIENT = """() => {
  window.waits = [];
  AbortSignal.timeout = () => {
    const stopping = new AbortController();
    window.waits.push(stopping);
    return stopping.signal;
  };
}"""
TIME_IS_UP = "() => { for (const one of window.waits.splice(0)) one.abort(new DOMException('', 'TimeoutError')); }"


def test_a_server_that_does_not_answer_any_more_is_told(phone: Studio) -> None:
    """A tab that does not come says that it is loaded; what is asked for half a minute can be asked for again."""
    phone.page.add_init_script(f"({IMPATIENT})()")
    phone.open("speak")
    settle(phone.page, "speak")
    held: list[Route] = []
    for path in ("**/js/tab-*.js", "**/health", "**/api/**", "**/v1/**"):
        phone.page.route(path, lambda route: held.append(route))  # noqa: PLW0108 - Playwright sets attributes of it
    phone.page.evaluate("() => { location.hash = 'history'; }")
    expect(phone.page.locator("#panel-history").get_by_role("progressbar", name="Loading")).to_be_visible()
    panel = phone.open("speak")
    alert: Any = panel.get_by_role("alert")

    def told() -> bool:
        phone.page.evaluate(TIME_IS_UP)
        return bool(alert.count()) and phone.page.locator(".health.bad").count() == 1

    wait(told)
    expect(alert).to_contain_text(str(table("en")["error.unreachable"]))
    expect(phone.page.get_by_text("No connection")).to_be_visible()
    for route in held:
        route.abort()
    phone.page.unroute_all()
    panel.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
