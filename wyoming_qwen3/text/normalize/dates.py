"""Dates and years, as they are read out."""

from functools import lru_cache

from babel.dates import get_month_names

from .lexicon import Lexicon, lexicon
from .numerals import spell
from .ordinals import ordinal


def month_names(words: Lexicon) -> dict[str, int]:
    """Return the names of months and their abbreviations, in lower case and without a dot -> the month's number."""
    return _month_names(words.code)


@lru_cache(16)
def _month_names(code: str) -> dict[str, int]:
    found = dict(lexicon(code).months)
    for width in ("wide", "abbreviated"):
        for context in ("format", "stand-alone"):
            for number, name in get_month_names(width, context, code).items():
                found.setdefault(name.lower().rstrip("."), number)
    return {name: number for name, number in found.items() if not name[0].isdigit()}


def month_name(words: Lexicon, month: int) -> str:
    """Return a month's name as it is in a date."""
    if words.code == "ko":
        return {6: "유월", 10: "시월"}.get(month) or spell("ko", month) + "월"
    if words.code == "ja":
        return spell("ja", month) + "月"
    return str(get_month_names("wide", "format", words.code)[month])


def year(words: Lexicon, number: str) -> str:
    """Return a year in words."""
    if words.code == "zh":
        names = words.digits.split()
        return "".join(names[int(digit)] for digit in number)
    if words.code == "en" and number[2] == "0" and number[3] != "0" and number[0] == "1":
        return f"{spell('en', int(number[:2]))} oh {spell('en', int(number[3]))}"
    return spell(words.code, int(number), "numbering-year" if words.code in ("en", "de") else "")


def is_year(digits: str) -> bool:
    """Return whether a number is read as a year where nothing else says what it is."""
    return len(digits) == 4 and digits.isdigit() and 1100 <= int(digits) <= 2099


def is_date(day: int, month: int) -> bool:
    """Return whether there is such a day in some year."""
    return 1 <= month <= 12 and 1 <= day <= (29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31)


def date(words: Lexicon, day: int, month: int, years: str = "", form: str = "") -> str:
    """Return a date in words, without the year if `years` is empty.

    `form` is the form of the day: a German ending, or in Russian "nominative" or "dative".
    """
    name = month_name(words, month)
    said = year(words, years) if years and words.code != "ru" else ""
    match words.code:
        case "en":
            return f"{name} {ordinal(words, day)}" + f", {said}" * bool(years)
        case "de":
            return f"{ordinal(words, day, form)} {name} {said}".rstrip()
        case "ru":
            of_year = f" {spell('ru', int(years), 'ordinal-masculine-genitive')} года" if years else ""
            case = {"": "-genitive", "dative": "-dative"}.get(form, "")
            return f"{spell('ru', day, f'ordinal-neuter{case}')} {name}{of_year}"
        case "ja":
            return f"{said}年" * bool(years) + f"{name}{spell('ja', day)}日"
        case "zh":
            return f"{said}年" * bool(years) + f"{name}{spell('zh', day)}日"
        case "ko":
            return f"{said}년 " * bool(years) + f"{name} {spell('ko', day)}일"
    first = day == 1 and words.code in ("fr", "it", "pt")
    number = ordinal(words, 1) if first else spell(words.code, day)
    of = " de " if words.code in ("es", "pt") else " "
    return f"{number}{of}{name}" + f"{of}{said}" * bool(years)


def russian_year(number: int, noun: str, *, dative: bool = False) -> str:
    """Return a year with its noun, an inflected form of the Russian word for year; an empty one is in the genitive."""
    locative = f"masculine-{'dative' if dative else 'locative'}"
    rules = {"год": "masculine", "годом": "masculine-ablative", "году": locative}
    return f"{spell('ru', number, 'ordinal-' + rules.get(noun, 'masculine-genitive'))} {noun}"
