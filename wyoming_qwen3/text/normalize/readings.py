"""What is said for each kind of expression that `grammar` recognises.

Each function takes the match, the lexicon, and whether numbers are written in words. It returns None if the match is
not what it looks like, such as a date with a 40th day.
"""

import re

from . import dates, marks, ordinals
from .agreement import count, german_gender
from .clock import clock, russian_case
from .lexicon import Lexicon
from .numerals import Numeral, cardinal, digits_of, read_number, spell

# Codes, telephone numbers, versions


def code(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A number after a word such as "code", digit by digit."""
    digits = re.sub(r"\D", "", found["digits"])
    if not found["lead"].startswith("拨打"):
        return found["lead"] + digits_of(digits, words)
    return found["lead"] + _phone_digits(digits, words) if len(digits) < _SHORTEST_PHONE else None


_SHORTEST_PHONE = 7
"""Number of digits of the shortest telephone number that is read in groups."""


def telephone(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A telephone number, in its groups; French reads pairs of digits as numbers."""
    groups = re.findall(r"\d+", found["digits"])
    if len(groups) == 2 and groups[0] < groups[1] and all(dates.is_year(group) for group in groups):
        return None
    if sum(map(len, groups)) < _SHORTEST_PHONE:
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


def iban(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """An account number after the code of its country, in groups of four."""
    written = found["iban"].replace(" ", "")
    if len(written) < _SHORTEST_IBAN:
        return None
    groups = [written[:2], *(written[at : at + 4] for at in range(2, len(written), 4))]
    comma = {"zh": "，", "ja": "、"}.get(words.code, ", ")
    return comma.join(
        " ".join(digits_of(each, words) if each.isdigit() else each for each in group) for group in groups
    )


_SHORTEST_IBAN = 13
"""Number of characters after the code of the country."""


def one_by_one(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number in a name, such as that of a flight or a room in Chinese, digit by digit."""
    comma = {"zh": "，", "ja": "、"}.get(words.code, ", ")
    return comma.join(_phone_digits(group, words) for group in found["digits"].split("-")) if in_words else None


def dotted(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A version number, or an IP address, perhaps with a port, whose digits are read one by one."""
    number = read_number(found["parts"], words)
    parts = found["parts"].split(".")
    if number and number.is_whole:
        return None
    address = len(parts) == 4 and all(len(part) <= 3 and int(part) <= 255 for part in parts)
    if address:
        each = [digits_of(part, words) for part in parts]
    else:
        each = [dates.year(words, part) if dates.is_year(part) else cardinal(part, words) for part in parts]
    said = f"{words.space}{words.dot or words.point}{words.space}".join(each)
    if not found["port"]:
        return said
    return f"{said}{words.space}{words.colon}{words.space}{digits_of(found['port'], words)}" if address else None


# Dates and times


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


def zero_date(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A date such as 05.03 or 25.01, whose zero shows that it is no number."""
    return _date(found, words, int(found["day"] or found["day2"]), int(found["month"] or found["month2"]), "")


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
    if not has_zero and ordinals.is_fraction(first, other) and first != 1:
        return None
    return dates.date(words, day, month, "", _form(words, ""))


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


# Ordinals


def ordinal_of(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number with an ordinal ending."""
    number = int(re.sub(r"\D", "", found["number"]))
    if not in_words or not 0 < number <= ordinals.LARGEST_ORDINAL:
        return found[0]
    mark = found["mark"]
    form = _russian_form(found, mark) if words.code == "ru" else "f" if mark in _FEMININE_MARKS else ""
    if words.code == "es" and (mark == "er" or (not form and _SPANISH_NOUN.match(found.string, found.end()))):
        form = "short"
    if words.code == "fr" and mark.endswith("s") and not mark.endswith("res"):
        form = "plural"
    return (found.groupdict().get("lead") or "") + ordinals.ordinal(words, number, form)


def russian_compound(found: re.Match[str], _: Lexicon, in_words: bool) -> str | None:
    """A Russian adjective with a number, such as 5-летний."""
    number = int(found["number"])
    if not in_words or not (1 <= number <= 20 or (number <= 100 and number % 10 == 0)):
        return None
    said = _RUSSIAN_COMPOUNDS.get(number) or spell("ru", number, "cardinal-masculine-genitive")
    return said + found["adjective"]


_RUSSIAN_COMPOUNDS = {1: "одно", 90: "девяносто", 100: "сто"}


def _russian_form(found: re.Match[str], mark: str) -> str:
    """Return the ending, in which "-й" before a noun such as "минуте" is the one of another case."""
    return "ей" if mark == "й" and _OBLIQUE_FEMININE.match(found.string, found.end()) else mark


_OBLIQUE_FEMININE = re.compile(r"\s[а-яё]*(?:е|и|ы|ой|ей|ью)\b")
_SPANISH_NOUN = re.compile(r" (?!(?:y|o|de|del|en|a|al|con|por|para|que|es|la|el)\b)[a-záéíóúñ]{3}")
_FEMININE_MARKS = ("ª", "a", "re", "ère", "ere", "res", "nde")


_GERMAN_FEMININE = re.compile(
    "^[A-ZÄÖÜ].*(?:ung|heit|keit|schaft|ion|tät|inute|tunde|oche|tage|lasse|[Rr]unde|ekunde|eihe|tufe|trophe|taffel|aison|älfte"
    "|albzeit|iga|olge|elle|uflage|usgabe|acht|trecke|eite|tation|altestelle)$"
)
"""Nouns that are feminine, so that "der" before them is no nominative."""


_GERMAN_NOMINATIVE = ("der", "das", "jede", "jeder", *"meine deine seine ihre unsere eure eine keine".split())


def german_rank(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A German ordinal without an article, before a noun such as "Platz"."""
    ending = {"m": "", "f": "te", "n": "tes"}.get(german_gender(found["noun"]))
    if not in_words or ending is None:
        return None
    return ordinals.ordinal(words, int(found["number"]), ending)


def german_ordinal(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A German ordinal after an article or preposition."""
    if not in_words:
        return None
    lead = found["lead"].strip().lower()
    noun = re.match(r"\s(\w+)", found.string[found.end() : found.end() + 40])
    if lead in ("der", "jeder") and noun and _GERMAN_FEMININE.search(noun[1]):
        return found["lead"] + ordinals.ordinal(words, int(found["number"]), "ten")
    ends = re.match(r"\s*$", found.string[found.end() : found.end() + 8]) is not None
    if ends and lead not in ("am", "zum", "vom", "beim"):
        return None
    if lead == "als":
        lower = re.match(r"\s[a-zäöü]", found.string[found.end() : found.end() + 2])
        return found["lead"] + ordinals.ordinal(words, int(found["number"])) if lower else None
    form = "te" if lead in _GERMAN_NOMINATIVE else "tes" if lead == "jedes" else "ten"
    if lead == "die":
        after = found.string[found.end() : found.end() + 40].split()[0]
        form = "ten" if after.endswith(("en", "er", "n")) and after[0].isupper() and not after.endswith("ung") else "te"
    return found["lead"] + ordinals.ordinal(words, int(found["number"]), form) + "." * ends
