"""Numbers as they are written, and as they are said in words, by the spelling rules of CLDR."""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from unicode_rbnf import RbnfEngine

from .lexicon import Lexicon

SPACES = "\u00a0\u202f\u2009"
"""Spaces that do not break a line, which may group thousands in any language."""

LONGEST_NUMBER = 15
"""Number of digits above which a number is read digit by digit."""


@dataclass(frozen=True)
class Numeral:
    """A number without sign: the digits before and after its decimal separator."""

    whole: str
    fraction: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether there is no decimal separator."""
        return not self.fraction

    @property
    def value(self) -> int:
        """The part before the decimal separator."""
        return int(self.whole[:LONGEST_NUMBER])

    def shifted(self, places: int) -> "Numeral":
        """Return the number times a power of ten."""
        fraction = self.fraction.ljust(places, "0")
        return Numeral((self.whole + fraction[:places]).lstrip("0") or "0", fraction[places:])


def number_pattern(lexicon: Lexicon) -> str:
    """Return a regular expression for a number with its separators, without sign."""
    spaces = SPACES + " " * lexicon.groups_by_space
    no_name = r"(?:(?<![A-Za-zÀ-ÖØ-öø-ɏЀ-ӿ])|(?=\d+[^ ]))"  # "CO2 850" are two numbers
    grouped = rf"{no_name}\d{{1,3}}(?:(?P<_s>[{spaces}'’])\d{{3}}(?:(?P=_s)\d{{3}}){{0,3}}(?!\d))(?:[.,]\d+)?"
    return rf"(?:{grouped}|\d+(?:[.,]\d+)*)"


def read_number(written: str, lexicon: Lexicon) -> Numeral | None:
    """Read a number as it is written in a language; return None for what is none, such as a version.

    A single separator with three digits after it groups thousands where the language uses it so. Any other single
    separator is a decimal one, because sensors report decimal points in every language.
    """
    digits = re.sub(rf"[ {SPACES}'’]", "", written)
    marks = re.findall(r"[.,]", digits)
    if not marks:
        return Numeral(digits)
    last = marks[-1]
    head, _, tail = digits.rpartition(last)
    grouping = set(marks[:-1])
    if not grouping:
        is_group = lexicon.groups_by_mark and last != lexicon.decimal and len(tail) == 3
        if is_group and len(head) <= 3 and head.strip("0") and not head.startswith("0") and digits == written:
            return Numeral(head + tail)
        return Numeral(head, tail)
    if len(grouping) > 1 or not re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", head if last not in grouping else digits):
        return None
    if last in grouping:
        return Numeral(digits.replace(last, ""))
    return Numeral(head.replace(grouping.pop(), ""), tail)


def written(number: Numeral, lexicon: Lexicon) -> str:
    """Return a number in digits, without groups and with the language's decimal separator."""
    return number.whole + (lexicon.decimal + number.fraction if number.fraction else "")


@lru_cache(64)
def locale(code: str) -> Locale:
    """Return Babel's locale of a language."""
    return Locale.parse(code)


def category(number: Numeral, code: str) -> str:
    """Return the plural category of a number: "one", "few", "many" or "other"."""
    if number.is_whole:
        return str(locale(code).plural_form(int(number.whole[-LONGEST_NUMBER:])))
    return str(locale(code).plural_form(Decimal(f"{number.whole[-LONGEST_NUMBER:]}.{number.fraction}")))


def choose(forms: str, number: Numeral, code: str) -> str:
    """Return the form of a noun for a number; the forms are separated by "|"."""
    return choose_form(forms, category(number, code))


def choose_form(forms: str, plural: str) -> str:
    """Return the form of a noun for a plural category."""
    each = forms.split("|")
    if len(each) == 4:
        return each["one few many other".split().index(plural)]
    return each[0] if plural == "one" else each[-1]


@lru_cache(16)
def _engine(code: str) -> RbnfEngine:
    return RbnfEngine.for_language(code)


_PLAIN = {"ko": "spellout-cardinal-sinokorean", "zh": "spellout-cardinal", "en": "spellout-cardinal"}


@lru_cache(8192)
def spell(code: str, number: int, rules: str = "") -> str:
    """Return a whole number in words; `rules` is the end of the name of CLDR's spelling rules, as in "ordinal-n"."""
    if not number and code == "ja":
        return "ゼロ"
    name = f"spellout-{rules}" if rules else _PLAIN.get(code, "spellout-numbering")
    said = _engine(code).format_number(number, ruleset_names=[name]).text
    if code == "zh" and not rules:
        return re.sub("^二(?=[千万亿])", "两", said)
    return said.removeprefix("одна ") if code == "ru" and 1000 <= number < 2000 else said


def digits_of(digits: str, lexicon: Lexicon) -> str:
    """Return digits read one by one."""
    names = lexicon.digits.split()
    return lexicon.space.join(names[int(digit)] for digit in digits)


def cardinal(digits: str, lexicon: Lexicon, rules: str = "") -> str:
    """Return a whole number in words, or digit by digit if it is too long or begins with zero."""
    if len(digits) > LONGEST_NUMBER or (len(digits) > 1 and digits[0] == "0"):
        return digits_of(digits, lexicon)
    return spell(lexicon.code, int(digits), rules)


def decimal(number: Numeral, lexicon: Lexicon) -> str:
    """Return a number with a decimal separator in words."""
    if lexicon.code == "ru" and len(number.fraction) <= len(_RUSSIAN_PARTS):
        return _russian_decimal(number, lexicon)
    whole = "零" if lexicon.code == "ja" and not number.value else cardinal(number.whole, lexicon)
    return lexicon.space.join((whole, lexicon.point, _fraction(number.fraction, lexicon)))


_ZERO_AFTER_POINT = {"ja": "零", "ko": "영"}


def _fraction(digits: str, lexicon: Lexicon) -> str:
    """Romance languages read up to three digits as a number, others each digit."""
    zeros = len(digits) - len(digits.lstrip("0"))
    rest = digits[zeros:]
    if lexicon.code not in ("fr", "es", "it", "pt") or not rest or len(rest) > 3:
        if zero := _ZERO_AFTER_POINT.get(lexicon.code):
            names = [zero, *lexicon.digits.split()[1:]]
            return "".join(names[int(digit)] for digit in digits)
        return digits_of(digits, lexicon)
    return lexicon.space.join([*[digits_of("0", lexicon)] * zeros, spell(lexicon.code, int(rest))])


_RUSSIAN_PARTS = ("десятая|десятых", "сотая|сотых", "тысячная|тысячных")


def _russian_decimal(number: Numeral, lexicon: Lexicon) -> str:
    def part(digits: str, noun: str) -> str:
        count = cardinal(digits.lstrip("0") or "0", lexicon, "cardinal-feminine")
        one, many = noun.split("|")
        return f"{count} {one if digits[-1] == '1' and digits[-2:] != '11' else many}"

    parts = _RUSSIAN_PARTS[len(number.fraction) - 1]
    return f"{part(number.whole, 'целая|целых')} {part(number.fraction, parts)}"
