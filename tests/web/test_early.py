"""What is pressed, chosen or typed before the server has answered, or although it did not, as on a slow machine."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.conftest import Server, StartServer
from tests.web.conftest import TABS, OpenStudio, Studio, answered, ask, wait, wait_until_kept
from tests.web.texts import table

ANSWERS = re.compile(r"/(api|v1)/|/(health|openapi\.json)$")
UNREACHABLE = str(table("en")["error.unreachable"])
SENTENCE = "The front door is open."
KEPT = {
    "speak.text": SENTENCE,
    "speak.voice": "Serena",
    "speak.effects": [{"type": "pitch", "semitones": -4}, {"type": "of a newer server"}],
    "design.speaker": "Eric",
    "conversation.script": "[Ann] It is open.\n[Bob] Is it?",
    "conversation.cast": {"ann": {"voice": "Sohee", "instructions": ""}},
}
"""What the browser remembers."""

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer) -> Server:
    return start_shared_server("--standby", "only", "--no-download", "--local-files-only")


@dataclass
class Answers:
    """The answers to what the page asks by GET; what it sends otherwise goes on at once."""

    page: Page
    way: Callable[[Route], None] = Route.continue_
    held: list[Route] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    """Paths of all other requests."""

    def __post_init__(self) -> None:
        self.page.route(ANSWERS, self._asked)

    def _asked(self, route: Route) -> None:
        if route.request.method == "GET":
            self.way(route)
        else:
            self.sent.append(route.request.url)
            route.continue_()

    def hold(self) -> None:
        self.way = self.held.append

    def refuse(self) -> None:
        """Answer as a server that is gone."""
        self.way = Route.abort

    def release(self) -> None:
        self.way = Route.continue_
        for route in self.held:
            route.continue_()
        self.held.clear()


@pytest.fixture
def studio(open_studio: OpenStudio, server: Server) -> Studio:
    """A browser that remembers something."""
    studio = open_studio(f"{server.url}/")
    for name, value in KEPT.items():
        kept = f"localStorage.setItem('wyoming-qwen3.{name}', {json.dumps(json.dumps(value))})"
        studio.page.add_init_script(f"if (!localStorage.getItem('wyoming-qwen3.{name}')) {kept}")
    return studio


def wait_for_routes(studio: Studio, held: list[Any]) -> None:
    """Wait until a request is held, of which Playwright tells while it is asked something."""
    wait(lambda: bool(studio.page.evaluate("() => true") and held))


@pytest.fixture
def answers(studio: Studio) -> Answers:
    return Answers(studio.page)


EVERYTHING = """panel => {
  const all = (selector) => [...panel.querySelectorAll(selector)].filter((one) => one.offsetParent && !one.disabled);
  const tell = (one, ...names) => names.forEach((name) => one.dispatchEvent(new Event(name, { bubbles: true })));
  for (const one of all("input[type=text], input[type=search], textarea")) {
    one.value = "[Ann] It is open.";
    tell(one, "input", "change");
  }
  for (const one of all("select")) {
    one.selectedIndex = one.options.length - 1;
    tell(one, "change");
  }
  for (const one of all("input[type=range]")) {
    one.stepUp();
    tell(one, "input", "change");
  }
  const buttons = all("button").filter((one) => one.textContent !== "Record"); // the microphone has a test of its own
  for (const one of all("input, textarea")) {
    one.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
  }
  for (const one of buttons) one.click();
  for (const one of document.querySelectorAll("dialog .danger")) one.click();
}"""

SENTENCES = """() => [...document.querySelectorAll(".notice.error > p, .problem")]
  .filter((one) => !one.lang && one.textContent).map((one) => one.textContent)"""
"""The errors that the page tells in its own words; the server's are marked as English."""


@pytest.mark.parametrize("tab", TABS)
def test_everything_can_be_pressed_before_the_answers_are_there(studio: Studio, answers: Answers, tab: str) -> None:
    """Filled in, chosen and pressed at once; then the tab is left until they have come."""
    answers.hold()
    panel = studio.open(tab)
    expect(panel.locator(":scope > *")).to_be_visible()
    panel.evaluate(EVERYTHING)
    studio.open("models" if tab == "api" else "api")
    answers.release()
    studio.open(tab)
    expect(studio.page.locator("[data-busy]")).to_have_count(0)
    assert set(studio.page.evaluate(SENTENCES)) <= {text for text in table("en").values() if isinstance(text, str)}


@dataclass
class Press:
    """Something that is pressed on a tab, and what it sends."""

    tab: str
    press: Callable[[Any], None]
    path: str
    right: Callable[[Any], bool]
    """Whether that is what the browser remembers."""


def speak(panel: Any) -> None:
    panel.get_by_label("Text").press("Control+Enter")


def listen(panel: Any) -> None:
    panel.get_by_role("button", name="Listen").click()


def keep_style(panel: Any) -> None:
    card = panel.locator("section", has=panel.page.get_by_role("heading", name="A style as a voice"))
    card.get_by_label("Style", exact=True).fill("Whisper")
    card.get_by_label("Name").fill("Whisperer")
    card.get_by_role("button", name="Save as preset").click()


def converse(panel: Any) -> None:
    panel.get_by_label("Style of Ann").fill("tired")
    panel.get_by_role("button", name="Speak the script").click()


def add_alias(panel: Any) -> None:
    panel.get_by_label("Alias", exact=True).fill("nova")
    panel.get_by_label("Alias", exact=True).press("Enter")


def hear(panel: Any) -> None:
    panel.get_by_role("button", name="Hear it").click()


CAST = {"Ann": {"voice": "Sohee", "instructions": "tired"}, "Bob": {"voice": "Serena"}}
EFFECTS = [{"type": "pitch", "semitones": -4}]
GREETING = "Hello. This is your house speaking."
PRESSES = (
    Press("speak", speak, "v1/audio/speech", lambda sent: (sent["voice"], sent["effects"]) == ("Serena", EFFECTS)),
    Press("speak", listen, "api/effects/preview", lambda sent: sent["voice"] == "Serena"),
    Press("design", keep_style, "api/voice-presets/create", lambda sent: sent["voice"] == "Eric"),
    Press("conversation", converse, "v1/audio/conversation", lambda sent: sent["speakers"] == CAST),
    Press("profiles", add_alias, "api/voices/aliases", lambda sent: bool(sent["aliases"]["nova"])),
    Press("home", hear, "v1/audio/speech", lambda sent: sent["input"].startswith(GREETING)),
)
each_press = pytest.mark.parametrize("pressed", PRESSES, ids=lambda one: one.press.__name__)


def sent_in(request: Request) -> Any:
    return json.loads(request.post_data or "")


def check_sent(studio: Studio, pressed: Press, begin: Callable[[], None]) -> None:
    with studio.page.expect_request(lambda one: one.method != "GET" and one.url.endswith(pressed.path)) as sending:
        begin()
    sent = sent_in(sending.value)
    assert pressed.right(sent), sent


@each_press
def test_what_is_pressed_waits_for_what_it_needs(studio: Studio, answers: Answers, pressed: Press) -> None:
    answers.hold()
    panel = studio.open(pressed.tab)
    pressed.press(panel)
    expect(panel.locator("[data-busy]")).to_have_count(1)
    assert answers.sent == []
    check_sent(studio, pressed, answers.release)


@each_press
def test_what_is_pressed_after_a_failure_tries_again(studio: Studio, answers: Answers, pressed: Press) -> None:
    """One sentence says what is wrong, whatever is pressed meanwhile."""
    answers.refuse()
    panel = studio.open(pressed.tab)
    expect(panel.get_by_role("alert").first).to_be_visible()
    pressed.press(panel)
    expect(panel.locator("[data-busy]")).to_have_count(0)
    assert set(studio.page.evaluate(SENTENCES)) == {UNREACHABLE}
    answers.release()
    check_sent(studio, pressed, lambda: pressed.press(panel))


def test_all_that_failed_is_tried_again_together(studio: Studio, answers: Answers) -> None:
    answers.refuse()
    panel = studio.open("speak")
    expect(panel.get_by_role("alert")).to_have_count(1)
    answers.release()
    panel.get_by_role("button", name="Try again").click()
    expect(panel.get_by_label("Voice", exact=True)).to_have_value("Serena")
    expect(panel.get_by_label("semitones")).to_have_value("-4")
    expect(panel.get_by_role("alert")).to_have_count(0)


def test_waiting_is_stopped(studio: Studio, answers: Answers) -> None:
    answers.hold()
    panel = studio.open("speak")
    speak(panel)
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_text("Stopped.")).to_be_visible()
    expect(panel.locator("[data-busy]")).to_have_count(0)
    answers.release()
    expect(panel.get_by_label("Voice", exact=True)).to_have_value("Serena")
    assert answers.sent == []


def test_an_answer_that_a_newer_one_has_overtaken_is_dropped(studio: Studio, server: Server) -> None:
    """The first list of voices comes last; another voice was made, and chosen, meanwhile."""
    first: list[Callable[[], None]] = []

    def overtake(route: Route) -> None:
        answer = route.fetch()
        first.append(lambda: route.fulfill(response=answer))
        if len(first) > 1:
            first[-1]()

    studio.page.route("**/v1/audio/voices", overtake)
    with studio.page.expect_request("**/v1/audio/voices"):
        studio.open("speak")
    wait_for_routes(studio, first)
    ask(server, "/api/profiles", {"name": "Anna", "voice": "Vivian"})
    studio.open("api")
    panel = studio.open("speak")
    voice = panel.get_by_label("Voice", exact=True)
    voice.select_option("Anna")
    with studio.page.expect_response("**/v1/audio/voices"):
        first[0]()
    studio.page.evaluate("() => new Promise((resolve) => { setTimeout(resolve); })")  # all that waited for it has run
    expect(voice).to_have_value("Anna")
    ask(server, "/api/profiles/Anna", method="DELETE")


def test_another_voice_is_chosen_before_a_sample_has_come(studio: Studio, server: Server) -> None:
    panel = studio.open("speak")
    studio.page.route("**/api/effects/preview", lambda _: None)  # never answered
    with studio.page.expect_request("**/api/effects/preview"):
        listen(panel)
    panel.get_by_label("Voice", exact=True).select_option("Ryan")
    with studio.page.expect_request("**/api/effects/preview") as second:
        listen(panel)
    assert sent_in(second.value)["voice"] == "Ryan"


@pytest.fixture(scope="module")
def clip(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("clips") / "door.wav"
    file.write_bytes(ask(server, "/v1/audio/speech", {"input": SENTENCE, "response_format": "wav", "save": True}))
    return file


AT_ONCE = """new MutationObserver(() => {
  const [tab, clip] = ["profiles-tab", "voice-sample"].map((name) => document.querySelector(name));
  if (tab?.save && !window.saved) {
    window.saved = true;
    tab.save.click();
  }
  if (clip?.text && clip.childElementCount && !window.typed) {
    window.typed = true;
    clip.text.value = "Typed at once.";
    clip.text.dispatchEvent(new Event("input"));
    clip.querySelector("button").click();
  }
}).observe(document, { childList: true, subtree: true });"""
"""Saves when the tab is there, before the browser has read what it kept, and edits the first clip that comes."""


def test_a_kept_clip_is_saved_typed_and_played_before_it_is_read(studio: Studio, server: Server, clip: Path) -> None:
    panel = studio.open("profiles")
    panel.get_by_role("textbox", name="Name", exact=True).fill("Early")
    panel.locator("input[type=file]").first.set_input_files(clip)
    panel.get_by_label("Text of the clip").fill("Before.")
    wait_until_kept(studio.page, "Before.")
    studio.page.add_init_script(AT_ONCE)
    studio.page.reload()
    expect(panel.get_by_role("heading", name="Early")).to_be_visible()
    expect(panel.locator("voice-sample")).to_have_count(0)
    (kept,) = answered(server, "/api/profiles/Early")["samples"]
    assert kept["text"] == "Typed at once."


def test_a_sound_is_played_while_it_is_fetched_to_be_drawn(studio: Studio, server: Server, clip: Path) -> None:
    """It is fetched once, and where it shall begin is remembered."""
    panel = studio.open("profiles")
    panel.get_by_role("textbox", name="Name", exact=True).fill("Drawn")
    panel.locator("input[type=file]").first.set_input_files(clip)
    held: list[Route] = []
    studio.page.route("**/samples/*/audio", lambda route: held.append(route))  # noqa: PLW0108 - Playwright sets attributes of it
    panel.get_by_role("button", name="Save the voice").click()
    player = panel.get_by_role("article").filter(has_text="Drawn").locator("sound-player")
    player.scroll_into_view_if_needed()
    player.get_by_label("Position").fill("0.5")
    player.get_by_role("button", name="Play").click()
    expect(player.locator("[data-busy]")).to_have_count(1)
    wait_for_routes(studio, held)
    for route in held:
        route.continue_()
    expect(player.get_by_role("button", name="Pause")).to_be_visible()
    expect(player.locator(".problem")).to_be_hidden()
    assert len({route.request.url for route in held}) == len(held)
    assert player.evaluate("one => one.position / one.audio.duration") > 0.4


def test_what_is_chosen_while_the_history_is_loaded_again_stays_chosen(
    studio: Studio, answers: Answers, clip: Path
) -> None:
    panel = studio.open("history")
    box = panel.get_by_role("checkbox", name=f"Select “{SENTENCE}”").first
    expect(box).to_be_visible()
    answers.hold()
    studio.open("api")
    studio.open("history")
    box.check()
    with studio.page.expect_response("**/api/history?*"):
        answers.release()
    studio.open("models")
    expect(studio.open("history").get_by_text("1 entry selected")).to_be_visible()
    expect(box).to_be_checked()


def test_what_is_typed_while_another_entry_is_saved_stays(studio: Studio, server: Server) -> None:
    held: list[Route] = []
    for path in ("**/api/dictionary/entries", "**/api/voices/aliases"):
        studio.page.route(path, lambda one: one.continue_() if one.request.method == "GET" else held.append(one))
    for tab, name in (("dictionary", "Written"), ("profiles", "Alias")):
        panel = studio.open(tab)
        typed = panel.get_by_label(name, exact=True)
        typed.fill("first")
        with studio.page.expect_request(lambda one: one.method in {"POST", "PUT"}):
            typed.press("Enter")
        typed.fill("second")
        wait_for_routes(studio, held)
        held.pop().continue_()
        expect(panel.get_by_role("rowheader", name="first")).to_be_visible()
        expect(panel.locator("[data-busy]")).to_have_count(0)
        expect(typed).to_have_value("second")
    ask(server, "/api/dictionary", {"entries": []}, "PUT")


def test_nothing_is_rendered_while_a_sound_is_added(studio: Studio, clip: Path) -> None:
    panel = studio.open("compose")
    panel.locator("input[type=file]").set_input_files(clip)
    render = panel.get_by_role("button", name="Render")
    expect(render).to_be_enabled()
    held: list[Route] = []
    studio.page.route("**/api/clips", lambda route: held.append(route))  # noqa: PLW0108 - Playwright sets attributes of it
    with studio.page.expect_request("**/api/clips"):
        panel.locator("input[type=file]").set_input_files(clip)
    panel.get_by_label("Offset in seconds").fill("1")
    expect(render).to_be_disabled()
    wait_for_routes(studio, held)
    held.pop().continue_()
    expect(panel.get_by_label("Offset in seconds")).to_have_count(2)
    expect(panel.get_by_label("Offset in seconds").first).to_be_focused()
    with studio.page.expect_request("**/v1/audio/compose") as sent:
        render.click()
    assert [track["offset_ms"] >= 1000 for track in sent_in(sent.value)["tracks"]] == [True, True]


def test_a_turn_is_pressed_before_the_conversation_can_be_heard(studio: Studio) -> None:
    held: list[Route] = []
    panel = studio.open("conversation")
    studio.page.route("**/api/clips/*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright sets attributes of it
    panel.get_by_role("button", name="Speak the script").click()
    panel.get_by_role("listitem").last.get_by_role("button").click()
    wait_for_routes(studio, held)
    held.pop().continue_()
    expect(panel.locator("sound-player").get_by_role("button", name="Pause")).to_be_visible()
    assert held == []


PREVIEWS = [
    {"preview_id": name, "preview_url": "/api/clips/none", "seed": 1, "duration_ms": 1, "description": "A man"}
    for name in "ab"
]


def test_a_name_is_typed_while_another_preview_comes(studio: Studio) -> None:
    studio.page.add_init_script(f"localStorage.setItem('wyoming-qwen3.design.previews', '{json.dumps(PREVIEWS)}')")
    panel = studio.open("design")
    names = panel.locator("section.item").get_by_label("Name")
    names.last.fill("Commander")
    panel.get_by_role("button", name="Remove this preview").first.click()
    expect(names).to_have_count(1)
    expect(names).to_have_value("Commander")
