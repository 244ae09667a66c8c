"""`python -m tests.web.screenshots` makes the pictures of the web page in docs/images that the documents show.

With a folder, those of all tabs are made there: empty, filled and failing, on a screen and a phone, in light and dark,
and three in German. The voice is the standby voice where it may be; what Qwen3 says there is said by tiny checkpoints,
so it is noise.
"""

import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import Server, StartServer, servers_in
from tests.tiny import build_models_dir
from tests.waiting import HANG_SECONDS
from tests.web.conftest import ARGUMENTS, CHROMIUM, DESKTOP, PHONE, ROOT, TABS

TEXT = """Good morning. It is seven o'clock, and eleven degrees outside.
Your first appointment is at nine: the dentist, in Garden Street. Take an umbrella; rain is expected from ten on."""
HISTORY = (
    "The washing machine has finished.",
    "Somebody is at the front door. It looks like the postman.",
    "The heating in the study goes down to eighteen degrees, because a window has been open for ten minutes.",
    "Dinner is ready in five minutes, so please wash your hands.",
)
SAID = "The mission parameters have been updated. All teams proceed to the northern gate."
SCRIPT = """[Ann] Is the front door open?
[Bob] It is. [pause:300ms] I will close it.
# They wait for a moment.
[pause:1s]
[Ann] Thank you. And the light in the kitchen?
[Bob] That has been off since nine."""
Fill: TypeAlias = Callable[[Page, Any, Path], None]
SHOWN = ("home", "speak", "design")
DOCUMENTS = ROOT / "docs" / "images"
LOOKS: dict[str, tuple[tuple[int, int], Literal["light", "dark"]]] = {
    "": (DESKTOP, "light"),
    "-dark": (DESKTOP, "dark"),
    "-phone": (PHONE, "light"),
    "-phone-dark": (PHONE, "dark"),
}
REFUSAL = {
    "error": {
        "code": "storage_failed",
        "message": "The disk is full, so this could not be stored; free some space, then try again.",
    }
}


def main() -> None:
    """Take them into the folder that is named, or docs/images."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, servers_in(Path(folder)) as start, sync_playwright() as playwright:
        server, clip = _filled_server(start, Path(folder))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        if target == DOCUMENTS:
            _take_all(browser, server, target, {tab: FILLS[tab] for tab in SHOWN}, clip, looks=("",))
        else:
            empty = start("--standby", "only", "--preload", "none")
            nothing = dict.fromkeys(TABS, _leave)
            _take_all(browser, empty, target / "empty", nothing, clip)
            _take_all(browser, server, target / "full", FILLS, clip)
            _take_all(browser, server, target / "failing", nothing, clip, failing=True)
            _take_all(browser, server, target / "german", dict.fromkeys(SHOWN, _leave), clip, locale="de-DE")
        browser.close()


def _filled_server(start: StartServer, folder: Path) -> tuple[Server, Path]:
    """Return a server with tiny checkpoints and a history, and a clip of a voice."""
    models = build_models_dir(folder / "models")
    for model in models.iterdir():  # as much as the published ones take on disk
        with (model / "padding").open("wb") as file:
            file.truncate(2_500_000_000 if "0.6B" in model.name else 4_500_000_000)
    options = ("--models-dir", str(models), "--model", "0.6B", "--local-files-only", "--temperature", "0")
    server = start(*options)
    clip = folder / "morning.wav"
    clip.write_bytes(_said(server, SAID))
    for text in HISTORY:
        _said(server, text, save=True)
    return server, clip


def _said(server: Server, text: str, *, save: bool = False) -> bytes:
    body = {"model": "standby", "input": text, "response_format": "wav", "save": save}
    request = urllib.request.Request(server.url + "/v1/audio/speech", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=HANG_SECONDS) as response:
        return bytes(response.read())


def _take_all(
    browser: Browser,
    server: Server,
    target: Path,
    fills: Mapping[str, Fill],
    clip: Path,
    *,
    looks: Iterable[str] = tuple(LOOKS),
    locale: str = "en-GB",
    failing: bool = False,
) -> None:
    """Fill each tab and take it in these looks; if `failing`, the server refuses all that the tabs ask for."""
    target.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, locale=locale)
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_load_state("networkidle")
    if failing:
        page.route("**/api/**", lambda route: route.fulfill(status=507, json=REFUSAL))
        page.route("**/health", lambda route: route.abort())
    for tab, fill in fills.items():
        page.evaluate("tab => { location.hash = tab }", tab)
        panel = page.locator(f"#panel-{tab}")
        expect(panel).to_be_visible()
        fill(page, panel, clip)
        page.wait_for_load_state("networkidle")
        for look in looks:
            (width, height), scheme = LOOKS[look]
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
            page.mouse.move(width - 5, 400)
            page.screenshot(path=target / f"studio-{tab}{look}.png", full_page=target != DOCUMENTS)
        page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    context.close()


def _leave(_: Page, panel: Any, __: Path) -> None:
    expect(panel.locator(":scope > *").first).to_be_visible()


def _home(_: Page, panel: Any, __: Path) -> None:
    """Nothing is heard, because how fast the tiny checkpoints speak says nothing of real ones."""
    expect(panel.get_by_text("Measured speed")).to_be_visible()
    panel.locator("code").evaluate("code => { code.textContent = 'homeserver.local:10200' }")  # not this machine's


def _speak(_: Page, panel: Any, __: Path) -> None:
    panel.get_by_label("Text").fill(TEXT)
    panel.get_by_label("Spoken by").select_option("standby")
    panel.get_by_role("button", name="Speak").click()
    expect(panel.locator("sound-player")).to_be_visible(timeout=1000 * HANG_SECONDS)


def _design(_: Page, panel: Any, __: Path) -> None:
    if panel.get_by_role("article").count() == 0:
        panel.get_by_label("Description").fill("An old storyteller, slow, a little hoarse.")
        panel.get_by_role("button", name="Preview", exact=True).click()
        preview = panel.locator("section.item").first
        preview.get_by_label("Name").fill("Storyteller", timeout=1000 * HANG_SECONDS)
        preview.get_by_role("button", name="Save as preset").click()
        expect(panel.get_by_role("article")).to_be_visible(timeout=1000 * HANG_SECONDS)
    panel.get_by_label("Description").fill("A deep, calm man of sixty, with authority. He takes his time.")
    panel.get_by_label("Sample text").fill(SAID)
    panel.get_by_label("Seed").fill("7")
    panel.get_by_role("button", name="Three side by side").click()
    expect(panel.get_by_role("heading", name="Seed ").nth(2)).to_be_visible(timeout=1000 * HANG_SECONDS)
    expect(panel.locator("progress")).to_have_count(0)
    panel.get_by_role("textbox", name="Name").first.fill("Commander")
    panel.locator("section sound-player").first.get_by_role("button", name="Play").click()


def _profiles(page: Page, panel: Any, clip: Path) -> None:
    if panel.get_by_role("article").count() == 0:
        _fill_profile(panel, clip)
        panel.get_by_role("button", name="Save the voice").click()
        expect(panel.get_by_role("heading", name="Anna")).to_be_visible()
    _fill_profile(panel, clip)
    expect(panel.locator(".findings li").first).to_be_visible()
    page.wait_for_timeout(1000)


def _fill_profile(panel: Any, clip: Path) -> None:
    panel.locator("input[type=file]").first.set_input_files(clip)
    panel.get_by_label("Text of the clip").fill(SAID)
    panel.get_by_label("Name").fill("Anna")
    panel.get_by_label("Who agreed").fill("Anna herself, in November 2026")


def _conversation(_: Page, panel: Any, __: Path) -> None:
    panel.get_by_label("Script").fill(SCRIPT)
    panel.get_by_label("Ann", exact=True).select_option("Serena")
    panel.get_by_label("Bob", exact=True).select_option("Aiden")
    panel.get_by_role("button", name="Speak the script").click()
    expect(panel.get_by_role("listitem").first).to_be_visible(timeout=1000 * HANG_SECONDS)
    panel.locator("sound-player canvas").click(position={"x": 90, "y": 20}, force=True)


def _compose(_: Page, panel: Any, clip: Path) -> None:
    panel.get_by_label("Add a sound").select_option(index=2)
    expect(panel.locator(".lane")).to_have_count(1)
    panel.locator("input[type=file]").set_input_files(clip)
    expect(panel.locator(".lane")).to_have_count(2)
    panel.get_by_label("Offset in seconds").nth(1).fill("1.5")
    panel.get_by_label("Volume").nth(1).fill("0.6")
    panel.get_by_label("Fade in").nth(1).fill("400")
    panel.get_by_role("button", name="Render").click()
    expect(panel.locator("sound-player")).to_be_visible()


def _tokenizer(_: Page, panel: Any, clip: Path) -> None:
    panel.locator("input[type=file]").set_input_files(clip)
    expect(panel.get_by_role("img")).to_be_visible(timeout=1000 * HANG_SECONDS)
    panel.get_by_role("button", name="Decode them").click()
    expect(panel.locator("sound-player").nth(1)).to_be_visible()


def _models(_: Page, panel: Any, __: Path) -> None:
    expect(panel.get_by_role("article")).to_have_count(5)
    while (ready := panel.get_by_role("button", name="Unload")).count():
        before = ready.count()
        ready.first.click()
        expect(ready).to_have_count(before - 1)


def _dictionary(_: Page, panel: Any, __: Path) -> None:
    for written, spoken in (("HA", "Home Assistant"), ("Nguyen", "Nwen")):
        panel.get_by_label("Written", exact=True).fill(written)
        panel.get_by_label("Spoken", exact=True).fill(spoken)
        panel.get_by_role("button", name="Add", exact=True).click()
        expect(panel.get_by_role("rowheader", name=written)).to_be_visible()


FILLS: dict[str, Fill] = {
    "home": _home,
    "speak": _speak,
    "design": _design,
    "profiles": _profiles,
    "conversation": _conversation,
    "compose": _compose,
    "dictionary": _dictionary,
    "history": _leave,
    "tokenizer": _tokenizer,
    "models": _models,
    "api": _leave,
}


if __name__ == "__main__":
    main()
