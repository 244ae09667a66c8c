"""The patterns of codes, amounts, signs and abbreviations."""

import re

from . import amounts, fraction_readings, marks, readings, size_readings
from .expressions import LATIN, NO_LETTER, RUSSIAN_GENITIVE, Rule, S
from .lexicon import Lexicon, any_of
from .money import NOUNS, currency_expression
from .numerals import SPACES, number_pattern
from .ordinals import VULGAR
from .units import UNIT_END, denominators, unit_expression

_TELEPHONES = {
    "es": (r"[6789]\d{1,2}(?:[ ]\d{2,3}){3}", r"[6789]\d\d[ -]\d{3}[ -]\d{3}"),
    "pt": (r"\d{4,5}-\d{4}", r"\d{3}\.\d{3}\.\d{3}-\d\d", r"\d\d\.\d{3}\.\d{3}/\d{4}-\d\d"),
    "it": (r"3\d\d[ /-]\d{6,7}", r"3\d\d[ ]\d{3}[ ]\d{3,4}"),
    "zh": (r"1[3-9]\d{9}", r"1[3-9]\d[ -]\d{4}[ -]\d{4}"),
    "ko": (r"1[568]\d\d-\d{4}",),
}
"""Shapes of telephone numbers of a language, and of Brazil's tax numbers."""

_NAMES = {
    "zh": (
        r"(?<=(?<![A-Z])[A-Z]{2})\d{3,4}(?![\d.])",
        r"\d{3,4}(?=室(?![内外温])|号房|房间)",
        r"(?<=[GDKTZC])\d{1,4}(?=次)",
        r"[06-9]0(?=后(?![面来天的]))",
    ),
    "ko": (r"(?<!\d)11[29](?=[에로,]|$)",),
    "ja": (r"(?<=〒)\d{3}-\d{4}",),
}
"""Shapes of what else is read digit by digit: flights, rooms, generations, postal codes."""


def code_rules(words: Lexicon) -> list[Rule]:
    """Return the patterns of what is read digit by digit."""
    gap = rf"(?:{S}?(?:{any_of(words.copulas.split())}))*{S}?[:：]?{S}?"
    between = rf"(?:[ {SPACES}./-]|\){S}?|{S}?\()"
    shapes = (
        rf"\(0?\d{{1,5}}\){S}?\d{{3,4}}(?:[ -]?\d{{2,5}}){{0,3}}",
        rf"(?:[18][- ])?\(?\d{{3}}\)?[-. ]\d{{3}}[-. ]\d{{2}}-?\d{{2}}(?!{S}?[%€$°])",
        rf"(?!\d\d/\d{{1,2}}/|\d\d-\d\d-\d{{4}})0\d{{1,5}}(?:(?:[ ]?/[ ]?|[ {SPACES}-])\d{{2,8}}){{1,5}}(?![:,.-]\d)",
        r"0\d(?:\.\d\d){4}",
        *_TELEPHONES.get(words.code, ()),
        r"(?:\d{2,4}-\d{3,4}-\d{4}|[2-9]\d{2}-\d{4})(?!-)",
    )
    return [
        (rf"(?P<lead>(?i:{any_of(words.codes.split())}){gap})(?P<digits>\d(?:[ {SPACES}-]?\d){{2,11}})"
         rf"(?!\d|[.,:]\d|{S}?[%€$°])", readings.code),
        (r"(?<=(?<![A-Za-z\d])[A-Z]{2})(?P<iban>\d\d(?:[ ]?[A-Z\d]{4}){2,7}(?:[ ]?[A-Z\d]{1,3})?)(?![A-Za-z\d])",
         readings.iban),
        *((rf"(?P<digits>{shape})", readings.one_by_one) for shape in _NAMES.get(words.code, ())),
        (rf"\+(?P<digits>\d{{1,3}}(?:{between}?\(?\d{{1,8}}\)?){{1,7}})(?!\d)", readings.telephone),
        *((rf"(?P<digits>{shape})(?!\d)", readings.telephone) for shape in shapes),
    ]  # fmt: skip


def amount_rules(words: Lexicon) -> list[Rule]:
    """Return the patterns of numbers, with and without units and currencies."""
    number = number_pattern(words)
    currency, unit = currency_expression(words.code), unit_expression(words.code)
    first, second = (rf"(?P<{name}>{number.replace('_s', f'_{name}')})" for name in "ab")
    head = _head(words)
    no_digit = r"(?!\d|[.:/]\d)"
    dash = rf"(?:-|{S}-{S}|{S}?[–—〜~～]{S}?)(?P<bsign>[-−])?{second}"
    numbers = rf"{first}(?:{dash}{no_digit})?"
    cents = r"(?:,[-–—])?"
    magnitude = rf"(?:{S}?(?P<magnitude>{_magnitudes(words)}))?"
    long_magnitudes = any_of(word for word in words.magnitudes if len(word) > 1)
    per = rf"(?:{S}?/{S}?(?P<per>{denominators(words.code)}){UNIT_END})?"
    then = rf"(?P<then>(?:{S}?[–—〜~～]{S}?|-)(?=[-−]?\d))?"
    abbreviated = rf"(?:\.(?={S}[a-zà-ÿа-яё])|(?<=ft|lb)\.(?={S}\d))?" if words.space else ""
    noun = rf"(?:{S}(?P<noun>[^\W\d_]{{3,}}))?" if words.half else "(?P<noun>(?!))?"
    side = r"\d{1,5}(?:[.,]\d{1,3})?"
    size = rf"{side}(?P<times>[x×х]|{S}[x×х]{S}){side}(?:(?P=times){side}){{0,3}}"
    vulgar = rf"(?P<vulgar>[{''.join(VULGAR)}])"
    return [
        (r"(?P<parts>\d+(?:\.\d+){2,})(?!\d|\.\d)(?::(?P<port>\d{2,5})(?!\d))?", readings.dotted),
        *_special_amounts(words),
        (rf"{head}(?P<currency>{currency}){S}?(?P<sign2>[-−–])?{numbers}{cents}{magnitude}{per}(?!\d)", amounts.price),
        (rf"{head}{numbers}{cents}{magnitude}{S}?(?P<currency>{currency}){per}{then}", amounts.price),
        (rf"{head}{numbers}{magnitude}{S}?(?P<currency>{any_of(NOUNS)})(?={S}?/){per[:-1]}", amounts.price),
        (rf"{head}(?P<whole>\d+)?{S}?{vulgar}(?:{S}?(?P<unit>{unit})|{noun})", fraction_readings.vulgar_fraction),
        (rf"{size}(?:{S}?(?P<unit>{unit}){abbreviated}|(?!\d|[.,]\d){NO_LETTER})", size_readings.dimensions),
        (rf"{head}{numbers}(?:{S}|(?P<hyphen>-)(?=[^\W\d]))?(?P<unit>{unit}){abbreviated}{then}", amounts.measure),
        (rf"{head}{first}{S}(?P<magnitude>{long_magnitudes})(?!\w)", amounts.millions),
        (rf"{head}(?:(?P<whole>\d{{1,3}}){S})?(?P<above>\d{{1,3}})[/⁄](?P<below>\d{{1,3}}){S}?(?P<unit>{unit}){abbreviated}",
         fraction_readings.slashed),
        (rf"{head}(?:(?P<whole>\d{{1,3}}){S})?(?P<above>\d{{1,3}})[/⁄](?P<below>\d{{1,3}})(?![\d/]|[.,]\d)",
         fraction_readings.slashed),
        (rf"(?P<a>\d{{1,3}}):(?P<b>\d{{1,3}}|(?<=(?<!\d)1:){number.replace('_s', '_b')})(?!:?\d|[.,]\d)",
         size_readings.ratio),
        (rf"(?<![{LATIN}\d_-])(?P<a>\d{{1,4}}(?:-\d{{1,4}}){{2,3}})(?![{LATIN}\d_-])", size_readings.chain),
        (rf"(?<![{LATIN}\d_-])(?P<a>\d{{1,2}})-(?P<b>\d{{1,2}})(?![{LATIN}\d_-]|[.,:/]\d|{S}?(?:=|{unit}|{currency}))",
         size_readings.score),
        (rf"{head}{first}{dash}(?!-|{S}?=){no_digit}", amounts.number_range),
        (rf"{head}{first}(?:,[-–—](?={S}Euro))?(?!:\d)", amounts.plain),
    ]  # fmt: skip


def _head(words: Lexicon) -> str:
    """Return what may be before a number."""
    case = rf"(?P<case>(?i:{any_of(RUSSIAN_GENITIVE.split())}){S})?" if words.code == "ru" else ""
    return rf"{case}(?:(?P<compare><=|>=|[≈>≤≥±]|(?<![\w%℃°])[~〜]|<(?!3(?![.,]?\d))){S}?)?(?P<sign>[-−–+])?"


def _magnitudes(words: Lexicon) -> str:
    ends = rf"(?![{LATIN}])" if words.space else ""
    longest_first = sorted(words.magnitudes, key=len, reverse=True)
    return "|".join(re.escape(word) + (ends if word[-1].isalpha() else "") for word in longest_first)


def _special_amounts(words: Lexicon) -> list[Rule]:
    hours, minutes, seconds = (
        rf"(?P<{name}>\d{{1,{digits}}}){S}?{unit}"
        for name, digits, unit in (("h", 3, "h"), ("min", 2, "m"), ("s", 2, "s"))
    )
    rules: list[Rule] = [
        (rf"{hours}{S}?{minutes}(?:{S}?{seconds})?{UNIT_END}", size_readings.duration),
        (rf"{minutes}{S}?{seconds}{UNIT_END}", size_readings.duration),
    ]
    if words.fold:
        rules.append((rf"(?P<number>\d{{1,3}})x(?!\d){NO_LETTER}", size_readings.fold))
    if words.code == "en":
        rules.append((r"""(?P<feet>\d)['’′](?P<inches>\d{1,2})["”″]""", size_readings.feet_and_inches))
    if words.code == "pt":
        no_product = rf"(?!\d|[.,:]\d|{S}?(?:[x×=]|[cm]?m\b))"
        rules.append((rf"(?P<a>\d){S}x{S}(?P<b>\d){no_product}", size_readings.ratio))
    if words.code == "de":
        rules.append((rf"(?P<number>\d+(?:,\d+)?){S}?%-?(?P<end>ig(?:e[nrsm]?)?)\b", size_readings.percent_adjective))
    if words.code == "fr":
        rules.append(
            (r"(?P<m>\d)[ ]?m[ ]?(?P<cm>\d\d)(?!\d|[.,]\d|[ ]?(?:c?m|min|s|h)\b)", size_readings.meters_and_centimeters)
        )
        rules.append((r"(?P<number>\d{1,2})[ ]?(?P<unit>[hj])/(?P=number)(?!\d)", size_readings.round_the_clock))
    return rules


def mark_rules(words: Lexicon) -> list[Rule]:
    """Return the patterns of signs and abbreviations."""
    number = number_pattern(words).replace("_s", "_number")
    return [
        (rf"(?P<name>[^\W\d_]+?)str\.(?={S}\d)", marks.street),
        (rf"(?P<word>{any_of(words.before_numbers)}){S}?(?=[\d\#])", marks.before_number),
        (rf"(?P<word>{any_of(words.before_names)})(?={S}(?:(?:et|y{S}la|e{S}a){S})?[A-ZÀ-ÞА-Я])", marks.before_name),
        (rf"(?<=m{S})[x×](?={S}\d)", marks.times),
        (rf"(?P<word>{any_of(words.abbreviations)}){NO_LETTER}", marks.abbreviation),
        (rf"(?P<sign>§§?|№|\#){S}?(?P<number>{number})", marks.numbered),
        (r"(?P<unit>%|‰|°[CF](?![A-Za-z])|℃|℉)", marks.lone_unit),
        (rf"(?P<currency>[€$£₽₩₹])(?!\d){NO_LETTER}", marks.lone_currency),
        (r"(?<=[\w%℃°])[~〜～](?=\d)", marks.until),
        (rf"[-–−](?={S}\d)", marks.minus),
        (r"(?P<sign>[²³])(?![\w/])", marks.power),
        (r"(?P<sign>[=≠≈≤≥<>±×÷&√∞+]|<=|>=)(?![=<>+&-])", marks.sign),
    ]
