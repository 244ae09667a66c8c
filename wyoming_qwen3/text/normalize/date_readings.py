"""What is said for dates, years, decades and times; see `readings`."""

import re

from . import dates, marks, ordinals
from .agreement import count
from .clock import clock, russian_case
from .lexicon import Lexicon
from .numerals import Numeral, spell


def iso_date(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A date with the year first, perhaps with a time; in East Asia a version may be written like one."""
    before = found.string[max(0, found.start() - 24) : found.start()]
    if words.versions and "." in found[0] and re.search(rf"(?i:{words.versions})[ :：]?$", before):
        return None
    day, month = int(found["day"]), int(found["month"])
    said = _date(found, words, day, month, found["year"])
    if said is None or not found.groupdict().get("hour"):
        return said
    if int(found["hour"]) > 24 or int(found["minute"]) > 59:
        return None
    comma = {"zh": "，", "ja": "、"}.get(words.code, ", ")
    return said + comma + clock(words, int(found["hour"]), int(found["minute"]), int(found["second"] or 0), zero=True)


def day_first_date(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A date such as 29.11.2026 or 29.11."""
    return _date(found, words, int(found["day"]), int(found["month"]), _full_year(found["year"]))


def german_days(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """Two German days with a dash between, such as 24.–26.12. or 24.12.–5.1.2027."""
    month, year = int(found["month"]), found["year"] or ""
    first = int((found["month1"] or found["month"]).rstrip("."))
    if not (dates.is_date(int(found["day"]), first) and dates.is_date(int(found["until"]), month)):
        return None
    lead = found["lead"] or ""
    form = _form(words, lead)
    day = dates.date(words, int(found["day"]), first, "", form)
    day = day if found["month1"] else day.rpartition(" ")[0]
    return f"{lead}{day} bis {dates.date(words, int(found['until']), month, year, 'ten' if lead else form)}"


def short_date(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A day and a month with a slash, where a zero or the word before shows that they are no fraction."""
    first, other = int(found["first"]), int(found["other"])
    day, month = (first, other) if words.day_first else (other, first)
    has_zero = "0" in (found["first"][0], found["other"][0])
    if not dates.is_date(day, month) or not (has_zero or marks.last_word(found) in words.before_dates.split()):
        return None
    if not has_zero and (ordinals.is_fraction(first, other) or (first, other) in _RATIOS):
        return None
    return dates.date(words, day, month, "", _form(words, ""))


_RATIOS = ((16, 9), (21, 9), (24, 7), (10, 10))
"""Two numbers with a slash that are another thing more often than a date."""


def slashed_date(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A date such as 11/29/2026, whose order is the language's unless that gives no date."""
    first, other = int(found["first"]), int(found["other"])
    day, month = (first, other) if words.day_first else (other, first)
    if not dates.is_date(day, month):
        day, month = month, day
    return _date(found, words, day, month, _full_year(found["year"]))


def named_date(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A date with the name of the month."""
    name = found["month"].lower()
    month = dates.month_names(words)[name]
    said = _date(found, words, int(found["day"]), month, found["year"] or "")
    if said is None or not found["dot"] or found["year"]:
        return said
    is_whole = name == dates.month_name(words, month).lower()
    return said + ("." if is_whole else marks.final_dot(found, "."))


def _full_year(year: str) -> str:
    if len(year) == 2:
        return ("20" if int(year) < 70 else "19") + year
    return year


def date_range(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Two days of a month, such as 3.–5. Juni."""
    last = named_date(found, words, in_words)
    day, until = int(found["day"]), int(found["until"])
    month = dates.month_names(words)[found["month"].lower()]
    if last is None or not 0 < day < until or not dates.is_date(until, month):
        return None
    lead = found.groupdict().get("lead") or ""
    first = dates.date(words, day, month, "", _form(words, lead))
    name = dates.month_name(words, month)
    rest = dates.date(words, until, month, found["year"] or "", _form(words, lead))
    match words.code:
        case "en":
            return f"{first} to {rest.removeprefix(name + ' ')}"
        case "de":
            return f"{lead}{first.removesuffix(' ' + name)} bis {rest}"
    rest = dates.date(words, until, month, found["year"] or "", "nominative")
    dot = marks.final_dot(found, ".") if found["dot"] and not found["year"] else ""
    return f"{lead or 'с '}{first.removesuffix(' ' + name)} по {rest}{dot}"


_GERMAN_ENDINGS = {"der": "te", "das": "te", "die": "te", "": ""}


def _date(found: re.Match[str], words: Lexicon, day: int, month: int, year: str) -> str | None:
    if not dates.is_date(day, month) or (year and int(year) < 1000):
        return None
    groups = found.groupdict()
    lead = groups.get("lead") or ""
    if words.code == "en" and " of " in found[0]:
        return f"{ordinals.ordinal(words, day)} of {dates.month_name(words, month)}" + (
            f", {dates.year(words, year)}" if year else ""
        )
    tail = groups.get("tail") or ""
    form = _form(words, lead or _lead_of_day(found, words))
    said = lead + dates.date(words, day, month, year, form)
    return said + (marks.final_dot(found, tail) if tail else "")


def _lead_of_day(found: re.Match[str], words: Lexicon) -> str:
    """Return the German word before an abbreviated day of the week before a date, such as "am Mo., "."""
    if words.code != "de":
        return ""
    before = re.search(
        r"\b([Aa]m|[Vv]om|[Zz]um|[Bb]is|[Aa]b|[Dd]e[rmn]) (?:Mo|Di|Mi|Do|Fr|Sa|So)\.?,? $",
        found.string[: found.start()][-20:],
    )
    return before[1] if before else ""


def _form(words: Lexicon, lead: str) -> str:
    """Return the form of a day after a word that decides on it."""
    first = lead.split(" ", maxsplit=1)[0].lower()
    if words.code == "de":
        return _GERMAN_ENDINGS.get(first, "ten")
    if words.code == "ru" and first in ("к", "ко"):
        return "dative"
    return "nominative" if first in ("сегодня", "завтра", "вчера") else ""


def asian_year(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A year before its noun; Chinese reads its digits."""
    if not in_words:
        return None
    digits = found["number"]
    if words.code == "zh" and len(digits) == 4:
        return dates.year(words, digits) + found["noun"]
    return None


def plain_with_noun(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A day or month before its noun."""
    if not in_words:
        return None
    number = Numeral(found["number"].lstrip("0") or "0")
    return count(words.code, number, found["noun"].strip()) + found["noun"].strip()


def russian_year_of(found: re.Match[str], _: Lexicon, in_words: bool) -> str | None:
    """A Russian year before its noun, as an ordinal."""
    if not in_words and found["noun"] != "г.":
        return None
    noun, lead = found["noun"], found["lead"] or ""
    before = lead.strip().lower() or marks.last_word(found)
    if noun == "г.":
        noun = "году" if before in ("в", "к") else "года"
    said = dates.russian_year(int(found["year"]), noun, dative=before in ("к", "по"))
    return lead + said + marks.final_dot(found, found["noun"])


def russian_years(found: re.Match[str], _: Lexicon, in_words: bool) -> str | None:
    """The first of two Russian years, as an ordinal without its noun."""
    if not in_words:
        return None
    return found["lead"] + dates.russian_year(int(found["year"]), "").strip()


def decade(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A decade, such as 1990s or 90er."""
    if not in_words:
        return found[0]
    digits = found["year"] or found["short"]
    if words.code == "de":
        return (dates.year(words, digits) if len(digits) == 4 else spell("de", int(digits))) + found["end"]
    said = dates.year(words, digits) if len(digits) == 4 else spell("en", int(digits))
    return said.removesuffix("y") + "ies" if said.endswith("y") else said + "s"


def time(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A time of day."""
    groups = found.groupdict()
    hour, minute = int(found["hour"]), int(groups.get("minute") or 0)
    if hour == 24 and minute:
        return None
    marker = (groups.get("marker") or "").lower()[:1]
    if marker and hour > 12:
        marker = ""
    lead = groups.get("lead") or ""
    if words.code == "ko" and lead in ("오전", "오후"):
        marker = "a" if lead == "오전" else "p" if hour <= 12 else ""
        lead = ""
    second = int(groups.get("second") or 0)
    if words.code == "ru" and lead and not second:
        dative = lead.strip().lower() in ("к", "ко")
        return lead + russian_case(hour, minute, dative=dative) + words.link * bool(groups.get("then"))
    said = clock(words, hour, minute, second, f"{marker}m" if marker else "", zero=found["hour"][0] == "0")
    if words.code == "ko" and lead:
        return f"{lead} {said.removeprefix('오후 ').removeprefix('낮 ').removeprefix('밤 ')}"
    return lead + said + (words.link if groups.get("then") else "")


def time_to(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """The first time of a range, without its noun."""
    return clock(words, int(found["hour"]), int(found["minute"])) + words.link
