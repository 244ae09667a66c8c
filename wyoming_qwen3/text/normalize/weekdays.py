"""Abbreviated days of the week, as they are read out.

Many are words too, such as "So", "Mi", "mar" and "Sun", so one is read only in a range of days, or before a date or a
time.
"""

import re
from functools import lru_cache

from babel.dates import get_day_names

from . import dates
from .dates import month_names
from .expressions import Rule, S
from .lexicon import Lexicon, any_of
from .marks import last_word

_DOTTED = ("fr", "pt")
"""Languages in which an abbreviated day has a dot, as else it is a word or a name: "Sam", "sex"."""


@lru_cache(16)
def day_names(code: str) -> dict[str, str]:
    """Return abbreviations of days, without a dot and as they are written within a sentence -> names."""
    names = get_day_names("wide", "format", code)
    short = {
        short if code in _DOTTED else short.rstrip("."): str(names[number])
        for number, short in get_day_names("abbreviated", "format", code).items()
    }
    return {each: name for written, name in short.items() for each in (written, written.capitalize())}


_BEFORE_TIMES = "um|ab|von|bis|at|from|to|à|de|dès|a|las?|a[ ]las?|desde|alle|dalle|às|das|в|с|до|к"
"""Words between a day and a time."""


_TO = "a|à|au|al|до|bis|to"
"""Words between two days."""


def whole_days(code: str) -> set[str]:
    """Return the names of days, as they are written within a sentence and at its beginning."""
    return {form for name in day_names(code).values() for form in (name, name[0].upper() + name[1:])}


def begun_weekday(words: Lexicon) -> str:
    """Return a pattern for an abbreviated day and a word after it, which may be followed by another or by a time."""
    return rf"(?:{any_of(day_names(words.code))})\.?{S}(?:{_TO}|{_BEFORE_TIMES})"


def weekday_rules(words: Lexicon) -> list[Rule]:
    """Return the patterns of abbreviated days; in Japanese and Korean of those in brackets after a date."""
    day = any_of(day_names(words.code))
    whole = any_of(whole_days(words.code))
    if words.code in ("ja", "ko"):
        to = "(?P<to>[〜~～-])"
        return [
            (rf"[(（](?P<day>{day})(?:・祝)?[)）]", _in_brackets),
            (rf"(?P<first>{day}){to}(?P<last>{day})(?![\d⺀-鿿가-힣])", _range),
        ]
    if words.code == "zh":
        return []
    months = rf"(?i:{any_of(month_names(words))})"
    written = rf"\.\d{{1,2}}\.|[./]\d{{1,2}}[./]\d\d|(?:\.|er|st|nd|rd|th|º|°)?{S}(?:de{S})?{months}(?!\w)"
    clock = rf"[:h]\d\d|{S}?h\b|(?:{S}?[–-]{S}?\d{{1,2}})?{S}?(?:Uhr|[ap]\.?m\b)"
    hours = rf"(?<!So{S})\d{{1,2}}{S}?[–-]{S}?\d{{1,2}}(?!\d|[.,]\d|{S}?[°%])"
    month_first = rf"|{months}\.?{S}\d" if words.code == "en" else ""
    hours += rf"|(?<!So{S})(?:{_BEFORE_TIMES}){S}\d"
    follows = rf"(?:le{S}|el{S}|il{S})?\d{{1,2}}(?:{written}|{clock})|{hours}{month_first}"
    to = rf"(?:{S}?[–—-]{S}?|{S}(?:{_TO}){S})"
    return [
        (rf"(?P<first>{day})\.?(?P<to>{to})(?P<last>{day})(?!\w)(?:\.(?!\s*$))?", _range),
        (rf"(?P<day>{day})\.?(?P<comma>,?)(?={S}(?:{follows}))", _day),
        (
            rf"(?P<day>{day}|{whole})\.?(?P<comma>,?){S}(?P<first>\d{{1,2}})/(?P<other>\d{{1,2}})(?!\d|[/.,:]\d)",
            _short_date,
        ),
    ]


def weekday_trigger(words: Lexicon) -> str:
    """Return a pattern for where such an expression may begin, without what is before a word."""
    day = any_of(day_names(words.code))
    if words.code in ("ja", "ko"):
        return rf"[(（](?=(?:{day})(?:・祝)?[)）])|(?<![\d⺀-鿿가-힣])(?:{day})(?=[〜~～-](?:{day}))"
    whole = any_of(whole_days(words.code))
    return "(?!)" if words.code == "zh" else rf"(?:{day})(?=\.?,?[ –—-])|(?:{whole})(?=,?[ ]\d{{1,2}}/\d)"


def _in_brackets(found: re.Match[str], words: Lexicon, _: bool) -> str:
    is_apart = words.code == "ja" or found.string[: found.start()][-1:].isspace()
    return words.space * (not is_apart) + day_names(words.code)[found["day"]]


def _range(found: re.Match[str], words: Lexicon, _: bool) -> str:
    names = day_names(words.code)
    to = found["to"] if found["to"].strip().isalpha() else words.link
    return names[found["first"]] + to + names[found["last"]]


def _day(found: re.Match[str], words: Lexicon, _: bool) -> str:
    name = day_names(words.code).get(found["day"], found["day"])
    if words.code == "ru" and last_word(found) in ("в", "во"):
        name = re.sub("а$", "у", name)
    return name + found["comma"]


def _short_date(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A day with its month and no year, which without a day of the week may be a fraction."""
    first, other = int(found["first"]), int(found["other"])
    day, month = (first, other) if words.day_first else (other, first)
    if not dates.is_date(day, month):
        return None
    return f"{_day(found, words, in_words)} {dates.date(words, day, month)}"
