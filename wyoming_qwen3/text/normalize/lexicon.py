"""What a language needs besides the data of CLDR: the words of signs, abbreviations and money, and its separators.

Forms of a noun are written as "one|other", in Russian as "one|few|many|other"; a single form is for all numbers.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module


def any_of(words: Iterable[str]) -> str:
    """Return a pattern for any of the words, the longest first; it never matches if there are none."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True))) or "(?!)"


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """The words of one language for what is written with digits and signs."""

    code: str
    """ISO 639-1."""

    space: str = " "
    """What separates words."""

    decimal: str = ","
    """The decimal separator; the other one of "." and "," groups thousands, if `groups_by_mark`."""

    groups_by_mark: bool = True
    """Whether "." or "," groups thousands. French and Russian use spaces alone."""

    groups_by_space: bool = False
    """Whether an ordinary space groups thousands; spaces that do not break do in all languages."""

    day_first: bool = True
    """Whether 1/2/2026 is the first of February."""

    digits: str
    """The ten digits as they are read one by one, with spaces between."""

    point: str
    """The decimal separator between two numbers, and the dots of versions and IP addresses (`dot`, if they differ)."""

    dot: str = ""
    colon: str
    """Between an IP address and a port."""

    minus: str
    plus: str
    below_zero: str = ""
    """The minus of a temperature, if it differs."""

    to: str
    """Between the two numbers of a range."""

    ratio: str
    """Between the two numbers of 3:2."""

    slash: str
    """Between two numbers that are no fraction."""

    by: str
    """Between the numbers of 3x4."""

    number: str
    """Before the number of "#5"; "{0}" is the number if it comes first."""

    section: str
    """Before the number of "§ 5"; "{0}" is the number if it comes first."""

    cents: str = ""
    """How an amount with cents is read: {major}, {minor} with its noun, {number} of the minor unit without it."""

    signs: Mapping[str, str]
    """What each sign is called."""

    fractions: Mapping[str, str] = field(default_factory=dict)
    """Nouns of an n-th part, by n, as far as they are not the ordinal."""

    mixed: str
    """A whole number {0} with a fraction {1}; `mixed_half` if the fraction is 1/2."""

    mixed_half: str = ""
    half_before: str = ""
    """A half before a noun, as "masculine|feminine|neuter"; a single form is only for units."""

    half: str = ""
    """What follows a whole number and its noun for a half, as "masculine|feminine"."""

    start: str = ""
    """Before a range, unless a word of `prepositions` is there."""

    prepositions: str = ""
    money: Mapping[str, str]
    """Nouns of the currencies whose sign or code is used alone; others have the names of CLDR."""

    minor: Mapping[str, str] = field(default_factory=dict)
    """Nouns of a hundredth of a currency, by its code."""

    fold: str = ""
    """What follows the number of 3x."""

    magnitudes: Mapping[str, str] = field(default_factory=dict)
    """Abbreviations of a million and the like -> nouns."""

    of: str = ""
    """Between a million and a noun."""

    units: Mapping[str, str]
    """Patterns of units by symbol or CLDR identifier, where CLDR has none or one that is not said."""

    prefixes: Mapping[str, str] = field(default_factory=dict)
    """Prefixes of units by symbol, where those of CLDR do not fit."""

    symbols: Mapping[str, str] = field(default_factory=dict)
    """The language's own symbols and abbreviations of units -> international ones."""

    periods: Mapping[str, str] = field(default_factory=dict)
    """Further names of periods that stand after "/" -> identifiers of CLDR."""

    per: Mapping[str, str] = field(default_factory=dict)
    """Patterns of what a unit is divided by, by symbol; "" is the pattern for others, with {0} and {1}."""

    abbreviations: Mapping[str, str] = field(default_factory=dict)
    never_last: frozenset[str] = frozenset()
    """Abbreviations that end no sentence, although a word in upper case may follow them."""

    before_names: Mapping[str, str] = field(default_factory=dict)
    """Abbreviations that are only read before a word in upper case."""

    before_numbers: Mapping[str, str] = field(default_factory=dict)
    """Abbreviations that are only read before a number."""

    codes: str = ""
    """Words before a number that is read digit by digit, with spaces between."""

    versions: str = ""
    """A pattern of what is before a version that looks like a date, such as 2026.11.1."""

    before_times: str = ""
    """Words before a time of day, where what looks like a time may be a duration."""

    articles: str = ""
    """Words before a number with a unit that make the unit singular, as in "a 5 kilometer run"."""

    labels: str = ""
    """Words before the name of a place or a vehicle, in which a letter after a number is no unit, such as "seat"."""

    label_endings: str = ""
    """Endings of such words, as in "Hauptstraße"."""

    before_dates: str = ""
    """Words before a day and a month with a slash, as in "le 25/12"."""

    copulas: str = ""
    """What may be between such a word and the number."""

    months: Mapping[str, int] = field(default_factory=dict)
    """Further names of months, in lower case."""

    feminine: frozenset[str] = frozenset()
    """Nouns before which one (and two) is feminine, as far as their ending does not show it."""

    counters: frozenset[str] = frozenset()
    """Nouns that need other numerals: native ones in Korean, 两 in Chinese."""

    @property
    def link(self) -> str:
        """What is between the two numbers of a range, with its spaces; in Korean it is part of the first word."""
        return f"{self.space * (self.code != 'ko')}{self.to}{self.space}"


@lru_cache(16)
def lexicon(code: str) -> Lexicon:
    """Return the lexicon of a language, in which abbreviations may begin in upper case."""
    found: Lexicon = import_module(f".lexicons.{code}", __package__).LEXICON
    return replace(
        found,
        abbreviations=_with_capitals(found.abbreviations),
        before_numbers=_with_capitals(found.before_numbers),
    )


def _with_capitals(words: Mapping[str, str]) -> dict[str, str]:
    capitals = {
        short[0].upper() + short[1:]: long[0].upper() + long[1:] for short, long in words.items() if len(short) > 2
    }
    return {**capitals, **words}
