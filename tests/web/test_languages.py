"""The page in other languages: chosen by Home Assistant, the browser or a person; with room for long words."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.conftest import Server, StartServer
from tests.web.conftest import AXE, DESKTOP, PHONE, TABS, UNANSWERED, settle, violations, wide
from tests.web.texts import LANGUAGES, table

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--preload", "none", "--local-files-only")
    return start_shared_server(*options)


def opened(browser: Browser, server: Server, locale: str, size: tuple[int, int] = DESKTOP) -> Page:
    """The page in a browser whose person prefers a language."""
    context = browser.new_context(locale=locale, viewport={"width": size[0], "height": size[1]})
    context.add_init_script(UNANSWERED)
    page = context.new_page()
    page.goto(server.url)
    return page


@pytest.mark.parametrize(
    ("locale", "code"), [("de-AT", "de"), ("pt-BR", "pt"), ("zh-TW", "zh"), ("nl-NL", "en"), ("ru", "ru")]
)
def test_the_browsers_language_is_spoken_and_english_otherwise(
    browser: Browser, server: Server, locale: str, code: str
) -> None:
    page = opened(browser, server, locale)
    expect(page.get_by_role("heading", level=1)).to_have_text(str(table(code)["title"]))
    expect(page.locator("html")).to_have_attribute("lang", code)
    page.context.close()


def test_another_language_is_chosen_and_kept(browser: Browser, server: Server) -> None:
    page = opened(browser, server, "en-US")
    page.get_by_label("Language of this page").select_option("ja")
    expect(page.get_by_role("heading", level=1)).to_have_text("ボイススタジオ")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("ボイススタジオ")
    page.context.close()


def test_home_assistants_language_comes_before_the_browsers(browser: Browser, server: Server) -> None:
    page = opened(browser, server, "en-US")
    expect(page.get_by_role("heading", level=1)).to_be_visible()  # the page has set its own language by then
    page.evaluate(
        """() => {
          document.documentElement.lang = "fr";
          const frame = document.createElement("iframe");
          frame.src = "./";
          document.body.replaceChildren(frame);
        }"""
    )
    expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_text("Studio vocal")
    page.context.close()


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_tab_fits_a_phone_in_every_language(browser: Browser, server: Server, code: str) -> None:
    page = opened(browser, server, code, PHONE)
    for tab in TABS:
        settle(page, tab)
        assert wide(page) <= 0, tab
        if AXE.exists() and code == "de" and tab == "models":  # what the API's tab shows is English
            assert violations(page) == []
    page.context.close()


TOLD = """() => {
  const found = [];
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return found.push(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE || node.matches("[lang], [translate=no], code, option")) return undefined;
    for (const name of ["aria-label", "placeholder", "title"]) found.push(node.getAttribute(name) ?? "");
    return node.childNodes.forEach(walk);
  };
  walk(document.body);
  return found;
}"""


def test_all_words_on_the_page_are_from_the_table(browser: Browser, server: Server) -> None:
    """With every text in brackets, no word is outside of them but names, which are marked, and what can be chosen."""
    context = browser.new_context(locale="en-US")
    context.add_init_script(UNANSWERED)
    page = context.new_page()

    def bracketed(text: object) -> object:
        if isinstance(text, dict):
            return {name: bracketed(form) for name, form in text.items()}
        return [bracketed(form) for form in text] if isinstance(text, list) else f"⟦{text}⟧"

    texts = json.dumps({name: bracketed(text) for name, text in table("en").items()})
    page.route("**/lang/en.json", lambda route: route.fulfill(body=texts, content_type="application/json"))
    page.goto(server.url)
    for tab in TABS:
        settle(page, tab)
    expect(page.locator("#panel-api details").first).to_be_visible()
    outside = {re.sub(r"⟦[^⟦⟧]*(⟦[^⟦⟧]*⟧[^⟦⟧]*)*⟧", "", text) for text in page.evaluate(TOLD)}
    assert {text.strip() for text in outside if re.search(r"[a-z]{3,}", text)} == set()
    context.close()


def test_numbers_are_written_as_the_language_does(browser: Browser, server: Server) -> None:
    page = opened(browser, server, "de-DE")
    page.goto(f"{server.url}/#models")
    expect(page.get_by_role("cell", name="3 GB frei")).to_be_visible()
    assert page.evaluate("import('./js/format.js').then(({ bytes }) => bytes(1.5e9))") == "1,5\xa0GB"
    settle(page, "speak")
    expect(page.get_by_text("1,00 ×")).to_be_visible()
    page.context.close()


def test_the_page_is_small(studio_bytes: int) -> None:
    assert studio_bytes < 150_000


@pytest.fixture
def studio_bytes(browser: Browser, server: Server) -> int:
    """Bytes of all files of the page, with its first tab and the largest language."""
    context = browser.new_context(locale="ru-RU")
    page = context.new_page()
    sizes: list[int] = []

    def weigh(response: Response) -> None:
        if "/api/" not in response.url:
            sizes.append(len(response.body()))

    page.on("response", weigh)
    page.goto(server.url)
    page.wait_for_load_state("networkidle")
    context.close()
    return sum(sizes)
