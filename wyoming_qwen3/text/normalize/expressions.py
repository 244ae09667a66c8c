"""The pieces of which the patterns of expressions are made. Patterns are verbose: whitespace in them has no meaning."""

import re
from collections.abc import Callable
from typing import TypeAlias

from .lexicon import Lexicon, any_of
from .numerals import SPACES

Say: TypeAlias = Callable[[re.Match[str], Lexicon, bool], str | None]
"""Returns what is said for a match, or None if it is something else. True is for numbers in words."""

Rule: TypeAlias = tuple[str, Say]
"""A pattern of an expression, and what is said for it."""

S = f"[ {SPACES}]"
"""Matches a space within a line."""

LATIN = r"A-Za-zÀ-ÖØ-öø-ɏЀ-ӿ"
"""Letters of alphabets in which words have spaces between."""

NO_LETTER = rf"(?![{LATIN}])"
NO_DIGIT = r"(?!\d|[.,:]\d)"
"""Where a number ends that has no separators."""

LEADS = {
    "en": "the his her their early late",
    "de": "als am vom zum bis ab seit dem den der die das des im beim zur jeder jede jedes jeden ins ans"
    " meinem deinem seinem ihrem unserem eurem einem keinem meinen deinen seinen ihren unseren euren einen keinen"
    " meiner deiner seiner ihrer unserer eurer einer keiner diesem diesen meine deine seine ihre unsere eure eine"
    " keine",
    "ru": "из для от до около более менее больше меньше свыше после без с к ко сегодня завтра вчера",
    "it": "ore alle dalle le",
}
"""Words that decide in which form the number after them is read."""

GERMAN_LINKS = "und oder sowie"
"""Words between two days of a month."""

RUSSIAN_GENITIVE = "из для от до около более менее больше меньше свыше после без с"
"""Words before a genitive."""


def lead_of(words: Lexicon, *, weekday: bool = False) -> str:
    """Return a pattern for a word that decides on the form of the number after it, in German with any weekday."""
    leads, day = LEADS[words.code].split(), ""
    if weekday and words.code == "de":
        leads, day = [*leads, *GERMAN_LINKS.split()], rf"(?:{S}[A-Z][a-zä]+(?:tag|woch|abend),?)?"
    return rf"(?P<lead>(?=\D)(?i:{any_of(leads)}){day}{S})"
