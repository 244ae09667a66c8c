"""What stays on the page: the items of a list that is loaded again, and the page itself while something is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, Route, expect

from tests.conftest import Server, StartServer
from tests.web.conftest import OpenStudio, Studio, ask, settle, wait

SENTENCES = ("The front door is open.", "The kettle is warm.", "Dinner is ready.")

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    return start_shared_server("--standby", "only", "--no-download", "--local-files-only")


@pytest.fixture(scope="module")
def clip(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("clips") / "door.wav"
    file.write_bytes(ask(server, "/v1/audio/speech", {"input": SENTENCES[0], "response_format": "wav"}))
    return file


@pytest.fixture
def studio(open_studio: OpenStudio, server: Server) -> Studio:
    ask(server, "/api/history?all=true", method="DELETE")
    for text in SENTENCES:
        ask(server, "/v1/audio/speech", {"input": text, "save": True})
    return open_studio(f"{server.url}/")


LISTENERS = """async () => {
  const { Loader } = await import("./js/loader.js");
  const [loader, { signal }] = [new Loader(() => Promise.resolve(1), (one) => one), new AbortController()];
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...given) => { listeners += 1; addEventListener.apply(signal, given); };
  signal.removeEventListener = (...given) => { listeners -= 1; removeEventListener.apply(signal, given); };
  for (let time = 0; time < 3; time += 1) await loader.ready(signal);
  await new Promise((resolve) => { setTimeout(resolve); });
  return listeners;
}"""


def test_waiting_for_what_is_loaded_leaves_no_listener(studio: Studio) -> None:
    studio.open("speak")
    assert studio.page.evaluate(LISTENERS) == 0


def play_for_ever(item: Any) -> None:
    """Play a clip again and again, so that it does not end by itself."""
    item.locator("sound-player").evaluate("player => { player.audio.loop = true }")
    item.get_by_role("button", name="Play").click()
    expect(item.get_by_role("button", name="Pause")).to_be_visible()


def plays(item: Any) -> bool:
    playing: bool = item.locator("sound-player").evaluate("player => player.isConnected && !player.audio.paused")
    return playing


def load_again(studio: Studio, tab: str, path: str) -> None:
    """Leave the tab and come back, so that its list is loaded again."""
    studio.open("api")
    with studio.page.expect_response(path):
        studio.open(tab)
    settle(studio.page, tab)


def test_a_clip_of_the_history_plays_on_while_the_list_changes(studio: Studio, server: Server) -> None:
    panel = studio.open("history")
    entry = panel.get_by_role("article").filter(has_text=SENTENCES[1])
    play_for_ever(entry)
    entry.get_by_role("button", name="Favorite").click()
    expect(entry.get_by_role("button", name="Favorite")).to_have_attribute("aria-pressed", "true")
    panel.get_by_role("article").filter(has_text=SENTENCES[0]).get_by_role("button", name="Delete").click()
    expect(panel.get_by_role("article")).to_have_count(2)
    ask(server, "/v1/audio/speech", {"input": "Something new.", "save": True})
    load_again(studio, "history", "**/api/history?*")
    expect(panel.get_by_role("article").filter(has_text="Something new.")).to_be_visible()
    panel.get_by_text("Filters and order").click()
    panel.get_by_label("Order").select_option("created_at.asc")
    expect(panel.get_by_role("article").last).to_contain_text("Something new.")
    assert plays(entry)


def test_what_is_shown_besides_the_first_page_stays(studio: Studio, server: Server) -> None:
    for number in range(20):
        ask(server, "/v1/audio/speech", {"input": f"{number}.", "save": True})
    panel = studio.open("history")
    panel.get_by_role("button", name="Show more").click()
    expect(panel.get_by_role("article")).to_have_count(23)
    load_again(studio, "history", "**/api/history?*")
    expect(panel.get_by_role("article")).to_have_count(23)


@pytest.fixture
def anna(studio: Studio, clip: Path) -> Iterator[Any]:
    """The item of a profile with a clip, beside another one."""
    ask_form = studio.page.request
    for name in ("Anna", "Berta"):
        form: dict[str, Any] = {
            "name": name,
            "samples": {"name": "a.wav", "mimeType": "audio/wav", "buffer": clip.read_bytes()},
        }
        assert ask_form.post(f"{studio.root}api/profiles", multipart={**form, "ref_texts": SENTENCES[0]}).ok
    yield (
        studio.open("profiles")
        .get_by_role("article")
        .filter(has=studio.page.get_by_role("heading", name="Anna", exact=True))
    )
    for name in ("Anna", "Berta"):
        ask_form.delete(f"{studio.root}api/profiles/{name}")


def test_a_sample_plays_on_while_its_voice_is_made_the_default_one(studio: Studio, anna: Any) -> None:
    play_for_ever(anna)
    anna.get_by_role("button", name="Make default").click()
    expect(anna.get_by_text("Default voice")).to_be_visible()
    assert plays(anna)
    studio.page.request.put(f"{studio.root}api/voices/default", data={"voice": None})


def test_the_focus_stays_in_the_item_or_goes_to_the_next_one(studio: Studio, anna: Any) -> None:
    anna.get_by_role("button", name="Export").focus()
    load_again(studio, "profiles", "**/api/profiles")
    studio.page.evaluate("() => document.activeElement.blur()")
    anna.get_by_role("button", name="Make default").focus()
    studio.page.keyboard.press("Enter")
    expect(anna.get_by_text("Default voice")).to_be_visible()
    expect(anna.get_by_role("button", name="Export")).to_be_focused()
    anna.get_by_role("button", name="Delete Anna").focus()
    studio.page.keyboard.press("Enter")
    studio.page.get_by_role("dialog").get_by_role("button", name="Delete").press("Enter")
    expect(anna).to_have_count(0)
    berta = studio.open("profiles").get_by_role("article")
    expect(berta.get_by_role("button", name="Make default")).to_be_focused()


def wait_for(studio: Studio, told: list[Any]) -> None:
    """Wait until Playwright has told of something, which it does while it is asked something."""
    wait(lambda: bool(studio.page.evaluate("() => true") and told))


def test_the_browser_asks_before_an_upload_is_lost(studio: Studio, clip: Path) -> None:
    """While a voice is saved or a sound sent, and no longer when that has failed."""
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    studio.page.on("dialog", stay)
    held: list[Route] = []
    for tab, path in (("compose", "**/api/clips"), ("profiles", "**/api/profiles")):
        studio.page.route(
            path, lambda route: held.append(route) if route.request.method == "POST" else route.continue_()
        )
        panel = studio.open(tab)
        panel.locator("input[type=file]").first.set_input_files(clip)
        if tab == "profiles":
            panel.get_by_role("textbox", name="Name", exact=True).fill("Sent")
            panel.get_by_role("button", name="Save the voice").click()
        expect(panel.get_by_role("progressbar")).to_have_count(1 if tab == "profiles" else 0)
        wait_for(studio, held)
        studio.page.evaluate("() => { setTimeout(() => location.reload()); }")
        wait_for(studio, asked)
        assert asked.pop() == "beforeunload"
        held.pop().abort()
        expect(panel.get_by_role("alert")).to_be_visible()
    studio.page.reload()
    assert asked == []
