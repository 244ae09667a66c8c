"""What is said for each kind of expression that `grammar` recognises.

Each function takes the match, the lexicon, and whether numbers are written in words. It returns None if the match is
not what it looks like, such as a date with a 40th day.
"""

import re

from . import dates, marks, ordinals
from .agreement import count
from .clock import clock, russian_genitive
from .lexicon import Lexicon
from .numerals import Numeral, cardinal, digits_of, read_number, spell

# Codes, telephone numbers, versions


def code(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A number after a word such as "code", digit by digit."""
    return found["lead"] + digits_of(re.sub(r"\D", "", found["digits"]), words)


def telephone(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A telephone number, in its groups; French reads pairs of digits as numbers."""
    groups = re.findall(r"\d+", found["digits"])
    if sum(map(len, groups)) < 7:
        return None
    pairs = words.code == "fr" and all(len(group) <= 2 for group in groups)
    comma = {"zh": "，", "ja": "、"}.get(words.code, ", ")
    said = comma.join(
        spell("fr", int(group)) if pairs and group[0] != "0" else _phone_digits(group, words) for group in groups
    )
    return f"{words.plus}{words.space}{said}" if found[0][0] == "+" else said


def _phone_digits(digits: str, words: Lexicon) -> str:
    said = digits_of(digits, words)
    return said.replace("一", "幺") if words.code == "zh" else said


def dotted(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A version number, or an IP address, whose digits are read one by one."""
    number = read_number(found["parts"], words)
    parts = found["parts"].split(".")
    if number and number.is_whole:
        return None
    address = len(parts) == 4 and all(len(part) <= 3 and int(part) <= 255 for part in parts)
    if address:
        each = [digits_of(part, words) for part in parts]
    else:
        each = [dates.year(words, part) if dates.is_year(part) else cardinal(part, words) for part in parts]
    return f"{words.space}{words.dot or words.point}{words.space}".join(each)


# Dates and times


def iso_date(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A date with the year first, perhaps with a time."""
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
    return f"{lead or 'с '}{first.removesuffix(' ' + name)} по {rest}"


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
    said = lead + dates.date(words, day, month, year, _form(words, lead))
    return said + (marks.final_dot(found, tail) if tail else "")


def _form(words: Lexicon, lead: str) -> str:
    """Return the form of a day after a word that decides on it."""
    first = lead.split(" ", maxsplit=1)[0].lower()
    if words.code == "de":
        return _GERMAN_ENDINGS.get(first, "ten")
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
    noun = found["noun"]
    before = found.string[max(0, found.start() - 12) : found.start()].rstrip().rpartition(" ")[2].lower()
    if noun == "г.":
        noun = "году" if before == "в" else "года"
    return dates.russian_year(int(found["year"]), noun) + marks.final_dot(found, found["noun"])


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
    if words.code == "ko" and lead:
        marker = "a" if lead == "오전" else "p" if hour <= 12 else ""
        lead = ""
    second = int(groups.get("second") or 0)
    if words.code == "ru" and lead and not second:
        return lead + russian_genitive(hour, minute) + (words.link if groups.get("then") else "")
    said = clock(words, hour, minute, second, f"{marker}m" if marker else "", zero=found["hour"][0] == "0")
    return lead + said + (words.link if groups.get("then") else "")


def time_to(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """The first time of a range, without its noun."""
    return clock(words, int(found["hour"]), int(found["minute"])) + words.link


# Ordinals


def ordinal_of(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number with an ordinal ending."""
    number = int(re.sub(r"\D", "", found["number"]))
    if not in_words or not 0 < number <= ordinals.LARGEST_ORDINAL:
        return found[0]
    mark = found["mark"]
    form = mark if words.code == "ru" else "f" if mark in _FEMININE_MARKS else ""
    if words.code == "es" and mark == "er":
        form = "short"
    if words.code == "fr" and mark.endswith("s") and not mark.endswith("res"):
        form = "plural"
    return ordinals.ordinal(words, number, form)


_FEMININE_MARKS = ("ª", "a", "re", "ère", "ere", "res", "nde")


def german_ordinal(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A German ordinal after an article or preposition."""
    if not in_words:
        return None
    lead = found["lead"].strip().lower()
    ends = re.match(r"\s*$", found.string[found.end() : found.end() + 8]) is not None
    if ends and lead not in ("am", "zum", "vom", "beim"):
        return None
    form = "te" if lead in ("der", "das", "jede") else "tes" if lead == "jedes" else "ten"
    if lead == "die":
        after = found.string[found.end() : found.end() + 40].split()[0]
        form = "ten" if after.endswith(("en", "er", "n")) and after[0].isupper() and not after.endswith("ung") else "te"
    return found["lead"] + ordinals.ordinal(words, int(found["number"]), form) + "." * ends
