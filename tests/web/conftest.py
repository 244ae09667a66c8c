"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import contextlib
import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from tests.conftest import Server
from tests.waiting import HANG_SECONDS

UNANSWERED = """if (!window.counting) {
  window.counting = true;
  window.unanswered = 0;
  const counted = (work) => {
    window.unanswered += 1;
    return work.finally(() => setTimeout(() => { window.unanswered -= 1; })); // after what waits for it has gone on
  };
  const { fetch } = window;
  window.fetch = (...asked) => counted(fetch(...asked));
  for (const name of ["json", "blob"]) {
    const read = Response.prototype[name];
    Response.prototype[name] = function () { return counted(read.call(this)); };
  }
}"""
"""A script of the page that counts the answers it waits for."""

SETTLED = "tab => document.querySelector(`#panel-${tab}:not([hidden]) > *`) && window.unanswered === 0"
ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
DESKTOP, PHONE = (1280, 860), (390, 844)
TABS = tuple("home speak design profiles conversation compose dictionary history models tokenizer api".split())


@dataclass
class Studio:
    """A page, and what went wrong in it."""

    page: Page
    origin: str
    root: str
    foreign: list[str] = field(default_factory=list)
    """Requests to anywhere else."""

    wrong: list[str] = field(default_factory=list)
    """Errors of scripts and of the policy."""

    def open(self, tab: str) -> Any:
        """Go to a tab; its panel."""
        if not self.page.url.startswith(self.root):
            self.page.goto(f"{self.root}#{tab}")
        self.page.evaluate("tab => { location.hash = tab }", tab)
        return self.page.locator(f"#panel-{tab}:visible")


def settle(page: Page, tab: str) -> None:
    """Go to a tab, and wait until it shows all that it fetches. The page has the script UNANSWERED."""
    page.evaluate("tab => { location.hash = tab }", tab)
    page.wait_for_function(SETTLED, arg=tab)


KEPT = """text => new Promise((resolve) => {
  const opening = indexedDB.open("wyoming-qwen3", 1);
  opening.onsuccess = () => {
    const reading = opening.result.transaction("recordings").objectStore("recordings").getAll();
    reading.onsuccess = () => resolve(reading.result.some((kept) => kept.text === text));
    opening.result.close();
  };
})"""


def wait(until: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    limit = time.monotonic() + HANG_SECONDS
    while not until():
        assert time.monotonic() < limit
        time.sleep(0.05)


def wait_until_kept(page: Page, text: str) -> None:
    """Wait until the browser keeps a clip with this text."""
    wait(lambda: bool(page.evaluate(KEPT, text)))


OpenStudio = Callable[..., Studio]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("There is no Chromium; script/setup --browser installs it.")
    expect.set_options(timeout=1000 * HANG_SECONDS)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


@pytest.fixture
def open_studio(browser: Browser) -> Iterator[OpenStudio]:
    """Open the page at a URL, as on a screen of that size in light or dark; nothing may go wrong in it by the end."""
    with contextlib.ExitStack() as closing:
        studios: list[Studio] = []

        def start(root: str, size: tuple[int, int] = DESKTOP, scheme: Any = "light") -> Studio:
            context = browser.new_context(
                viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, permissions=["microphone"]
            )
            context.set_default_timeout(1000 * HANG_SECONDS)
            closing.callback(context.close)
            origin = "/".join(root.split("/")[:3])
            context.add_init_script(UNANSWERED)
            studios.append(studio := Studio(context.new_page(), origin, root))
            studio.page.on("pageerror", lambda error: studio.wrong.append(str(error)))
            studio.page.on("console", lambda said: _note(studio, said.type, said.text))
            studio.page.on("request", lambda request: _note_foreign(studio, request))
            return studio

        yield start
        for studio in studios:
            assert not studio.foreign
            assert not studio.wrong


def _note(studio: Studio, kind: str, text: str) -> None:
    """Chromium tells of answers that are errors too; those the page tells itself."""
    if kind == "error" and not text.startswith("Failed to load resource"):
        studio.wrong.append(text)


def _note_foreign(studio: Studio, request: Request) -> None:
    if not request.url.startswith((studio.origin + "/", f"blob:{studio.origin}/", "data:")):
        studio.foreign.append(request.url)


def ask(server: Server, path: str, body: Any = None, method: str | None = None) -> bytes:
    """Send a request as another program would; the body of the answer."""
    headers = {"Content-Type": "application/json"}
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, sent, headers, method=method)
    with urllib.request.urlopen(request, timeout=HANG_SECONDS) as response:
        return bytes(response.read())


def answered(server: Server, path: str) -> Any:
    """The JSON at a path."""
    return json.loads(ask(server, path))


def wide(page: Page) -> int:
    """Pixels by which the page is wider than its screen."""
    pixels: int = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return pixels


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong by WCAG 2.2, level AA, serious or worse."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate("tags => axe.run(document, { runOnly: tags, resultTypes: ['violations'] })", tags)
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
