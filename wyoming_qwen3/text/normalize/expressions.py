"""The pieces of which the patterns of expressions are made. Patterns are verbose: whitespace in them has no meaning."""

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from .lexicon import Lexicon
from .numerals import SPACES

Say: TypeAlias = Callable[[re.Match[str], Lexicon, bool], str | None]
"""Returns what is said for a match, or None if it is something else. True is for numbers in words."""

Rule: TypeAlias = tuple[str, Say]
"""A pattern of an expression, and what is said for it."""

S = f"[ {SPACES}]"
"""Matches a space within a line."""

LATIN = r"A-Za-zÀ-ɏЀ-ӿ"
"""Letters of alphabets in which words have spaces between."""

NO_LETTER = rf"(?![{LATIN}])"
NO_DIGIT = r"(?!\d|[.,:]\d)"
"""Where a number ends that has no separators."""

LEADS = {
    "en": "the",
    "de": "am vom zum bis ab seit dem den der die das des im beim zur jeder jede jedes jeden ins ans",
    "ru": "от до около более менее больше меньше свыше после без с сегодня завтра вчера",
    "it": "ore alle dalle le",
}
"""Words that decide in which form the number after them is read."""

GERMAN_LINKS = "und oder sowie"
"""Words between two days of a month."""

RUSSIAN_GENITIVE = "от до около более менее больше меньше свыше после без с"
"""Words before a genitive."""


def any_of(words: Iterable[str]) -> str:
    """Return a pattern for any of the words, the longest first; it never matches if there are none."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True))) or "(?!)"


def lead_of(words: Lexicon, *, weekday: bool = False) -> str:
    """Return a pattern for a word that decides on the form of the number after it, in German with any weekday."""
    leads, day = LEADS[words.code].split(), ""
    if weekday and words.code == "de":
        leads, day = [*leads, *GERMAN_LINKS.split()], rf"(?:{S}[A-Z][a-zä]+(?:tag|woch|abend),?)?"
    return rf"(?P<lead>(?i:{any_of(leads)}){day}{S})"
