"""The texts of the page: each in all languages, with the same placeholders; none in the scripts, and none unused."""

import re

import pytest

from tests.web.conftest import ROOT
from tests.web.texts import LANGUAGES, WEB, Text, table

SCRIPTS = [script for script in sorted((WEB / "js").glob("*.js")) if script.name != "text.js"]
PLURALS = {
    **dict.fromkeys(("de", "en"), frozenset({"one", "other"})),
    **dict.fromkeys(("es", "fr", "it", "pt"), frozenset({"one", "many", "other"})),
    **dict.fromkeys(("ja", "ko", "zh"), frozenset({"other"})),
    "ru": frozenset({"one", "few", "many", "other"}),
}
"""The plural categories of cardinal numbers, from CLDR."""

ENGLISH_ONLY = {"reference.js"}
"""Scripts that show the API's own descriptions, which are English."""


def forms(text: Text) -> list[str]:
    """All strings of a text."""
    return [text] if isinstance(text, str) else list(text.values()) if isinstance(text, dict) else text


def placeholders(text: Text) -> set[str]:
    """The names in braces, in all forms of a text."""
    return {name for form in forms(text) for name in re.findall(r"{(\w+)}", form)}


def first_arguments(script: str) -> list[str]:
    """What stands in the calls of t, tList and tOr, up to a comma or the call's end."""
    found = []
    for call in re.finditer(r"\bt(?:List|Or)?\(", script):
        depth, at = 1, call.end()
        while depth and not (depth == 1 and script[at] == ","):
            depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(script[at], 0)
            at += 1
        found.append(script[call.end() : at])
    return found


def test_the_page_speaks_the_languages_of_the_app() -> None:
    offered = re.findall(r"^  (\w\w): ", (WEB / "js" / "text.js").read_text(), re.MULTILINE)
    of_the_app = {file.stem.split("-")[0] for file in (ROOT / "translations").glob("*.yaml")}
    assert set(offered) == set(LANGUAGES) == of_the_app == set(PLURALS)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_has_every_text_with_the_same_placeholders(code: str) -> None:
    english, texts = table("en"), table(code)
    assert list(texts) == list(english)
    for name, text in texts.items():
        assert type(text) is type(english[name]), name
        assert placeholders(text) == placeholders(english[name]), name
        assert all(form.strip() for form in forms(text)), name
        if isinstance(text, dict):
            assert set(text) == PLURALS[code], name
            assert all("{count}" in form for form in forms(text)), name
        if isinstance(text, list):
            assert len(text) == len(english[name]), name


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_no_language_is_left_in_english(code: str) -> None:
    """Names and terms may be the same; sentences are not."""
    english = table("en")
    same = [name for name, text in table(code).items() if text == english[name]]
    assert not [name for name in same if any(len(form.split()) > 2 for form in forms(english[name]))]


def test_every_text_is_used_and_every_text_that_is_used_is_there() -> None:
    words = set(table("en"))
    scripts = "".join(script.read_text() for script in SCRIPTS)
    arguments = first_arguments(scripts)
    named = {name for argument in arguments for name in re.findall(r'"([^"]+)"', argument) if " " not in name}
    families = tuple(name for argument in arguments for name in re.findall(r"`([^`$]+)\$", argument))
    assert {name for name in named if "." in name or name in words} <= words
    assert all(any(word.startswith(family) for word in words) for family in families)
    assert not {word for word in words if f'"{word}"' not in scripts and not word.startswith(families)}


def test_scripts_hold_no_text_for_people() -> None:
    """Sentences, and words in capitals with more behind them, stand in the tables alone."""
    people = re.compile(r"[A-Z][a-z]+ [a-zA-Z]+|[a-z]{2,} [a-z]{2,} [a-z]+ [a-z]+|[a-z]{3,}[.!?…]$")
    for script in SCRIPTS:
        if script.name in ENGLISH_ONLY:
            continue
        code = re.sub(r"^\s*(//|\*|/\*\*).*$", "", script.read_text(), flags=re.MULTILINE)
        code = re.sub(r'class: ("[^"]*"|`[^`]*`)|const ENGLISH = "[^"]*"', "", code)
        texts = re.findall(r'"([^"\n]*)"', code) + re.findall(r"`([^`]*)`", code)
        assert not [text for text in texts if people.search(text) and "/" not in text], script
