"""What is recognised in a language: the expressions that begin with a digit, a sign or certain words."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from . import amounts, marks, sayings
from .dates import month_names
from .lexicon import Lexicon, lexicon
from .money import currency_expression, currency_signs
from .numerals import SPACES, number_pattern
from .ordinals import RUSSIAN_ENDINGS, VULGAR
from .units import UNIT_END, unit_expression, unit_symbols

Say: TypeAlias = Callable[[re.Match[str], Lexicon, bool], str | None]
"""Returns what is said for a match, or None if it is something else. True is for numbers in words."""

S = f"[ {SPACES}]"
LETTER = r"[^\W\d_]"
_LATIN = r"A-Za-zÀ-ɏЀ-ӿ"
_VULGAR = "".join(VULGAR)
_BREAK = r"(?=$|\s|[.,;:!?)\]}»”“\"'’…、。，；：！？）」』]|[^\x00-\u02af\u0400-\u04ff])"
"""What follows an expression that ends with a letter or digit."""


@dataclass(frozen=True)
class Grammar:
    """The expressions of a language."""

    trigger: re.Pattern[str]
    """Matches where an expression may begin."""

    rules: tuple[tuple[re.Pattern[str], Say], ...]
    """The expressions; the first one that matches and is said decides."""

    starts: frozenset[str]
    """All beginnings of words that may begin or continue an expression."""

    begun: frozenset[str]
    """All beginnings of words before a number."""

    leads: re.Pattern[str]
    """Matches words at the end of a text that belong to the number that follows."""


@lru_cache(16)
def grammar(code: str) -> Grammar:
    """Return the grammar of a language. The first call takes some 0.1 s."""
    words = lexicon(code)
    rules = [(re.compile(pattern), say) for pattern, say in _rules(words)]
    leads = sorted({*_lead_words(words), *words.before_numbers}, key=len, reverse=True)
    lead = "|".join(map(re.escape, [*leads, *words.prepositions.split()]))
    copulas = "|".join(map(re.escape, words.copulas.split()))
    begin = _begin(words)
    vocabulary = {
        *leads, *words.abbreviations, *words.before_names, *words.magnitudes, *month_names(words), *unit_symbols(code),
        *currency_signs(code), *_TAILS.get(code, "").split(),
    }  # fmt: skip
    return Grammar(
        re.compile(rf"\d|[{_VULGAR}]|{_signs(words)}|{begin}(?:{_word_triggers(words)})"),
        tuple(rules),
        _beginnings([*vocabulary, *" ".join(vocabulary).split()]),
        _beginnings(leads),
        re.compile(rf"{begin}(?:{lead})(?:{S}?(?:{copulas}))*{S}*[:：]?{S}*$", re.IGNORECASE),
    )


def _beginnings(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word[:end].lower() for word in words for end in range(1, len(word) + 1))


_TAILS = {
    "en": "am pm a.m. p.m. st nd rd th of the", "de": "Uhr", "fr": "heures h de er re e ème", "es": "de horas h del",
    "pt": "de horas h", "it": "ore", "ru": "года год году годом г. гг. часов", "ko": "년 월 일 시 분", "ja": "年 月 日",
    "zh": "年 月 日",
}  # fmt: skip
"""Words that may continue an expression."""

_LEADS = {
    "en": "the",
    "de": "am vom zum bis ab seit dem den der die das des im beim zur jeder jede jedes jeden ins ans",
    "ru": "от до около более менее больше меньше свыше после без с сегодня завтра вчера",
    "it": "ore alle dalle le",
}
"""Words that decide in which form the number after them is read."""


def _lead_words(words: Lexicon) -> list[str]:
    codes = words.codes.split()
    return [*_LEADS.get(words.code, "").split(), *codes, *(word.capitalize() for word in codes), *map(str.upper, codes)]


def _begin(words: Lexicon) -> str:
    """Return what is before a word: nothing in languages without spaces, else no letter or digit."""
    return rf"(?<![{_LATIN}\d_])" if words.space else r"(?<![A-Za-z\d_])"


def _word_triggers(words: Lexicon) -> str:
    months = "|".join(map(re.escape, sorted(month_names(words), key=len, reverse=True)))
    names = sorted({*words.abbreviations, *words.before_names, *words.before_numbers}, key=len, reverse=True)
    leads = "|".join(map(re.escape, sorted(_lead_words(words), key=len, reverse=True)))
    each = ["|".join(map(re.escape, names)) or "(?!)", rf"(?i:{leads or '(?!)'})(?={S}*[:：]?{S}*[^.\n]{{0,24}}\d)"]
    if words.code == "en":
        each.append(rf"(?i:{months})(?=\.?{S}\d)")
    return "|".join(each)


def _signs(words: Lexicon) -> str:
    """Return where signs begin an expression."""
    currency = currency_expression(words.code)
    after = rf"(?={S}?[-−–+]?\d|{S}?[.,]\d)"
    return (
        rf"(?<![{_LATIN}\d])(?:{currency}){after}|(?<![\w.,)°%])[-−–+](?=\d|{currency})|(?:[~≈>≤≥±〜]|<(?!3(?![\d.,]))|<=|>=)(?={S}?[-−–+]?(?:{currency})?\d)"
        rf"|[%‰€$£₽₩₹=≠≈≤≥<>±×÷&√∞²³+№§#°℃℉]|\((?=\d)"
    )


_CLOCK_END = r"(?![:\d]|\.\d)"
_MARKER = r"(?P<marker>[ap]\.?{S}?m(?:\.(?!\s*$|\s+(?-i:[A-Z\"”])))?)(?![{L}])".replace("{S}", S).replace("{L}", _LATIN)
_CLOCK = (
    rf"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:\.\d+)?)?{_CLOCK_END}"
    rf"(?:{S}?(?i:{_MARKER}))?"
)


def _rules(words: Lexicon) -> list[tuple[str, Say]]:
    return [
        *_code_rules(words), *_date_rules(words), *_clock_rules(words), *_ordinal_rules(words), *_amount_rules(words),
        *_sign_rules(words),
    ]  # fmt: skip


_TELEPHONES = {
    "es": (r"(?P<digits>[6789]\d{1,2}(?: \d{2,3}){3})(?!\d)", r"(?P<digits>[6789]\d\d \d{3} \d{3})(?!\d)"),
    "pt": (r"(?P<digits>\d{4,5}-\d{4})(?!\d)",),
    "zh": (r"(?P<digits>1[3-9]\d{9})(?!\d)",),
}
"""Further shapes of telephone numbers."""


def _code_rules(words: Lexicon) -> list[tuple[str, Say]]:
    codes = "|".join(map(re.escape, sorted(words.codes.split(), key=len, reverse=True)))
    copulas = "|".join(map(re.escape, words.copulas.split()))
    gap = rf"(?:{S}?(?:{copulas}))*{S}?[:：]?{S}?"
    separated = rf"(?:[ {SPACES}./-]|\){S}?|{S}?\()"
    return [
        (rf"(?P<lead>(?i:{codes}){gap})(?P<digits>\d(?:[ {SPACES}-]?\d){{2,11}})(?![\d.,:]\d|{S}?[%€$°])", sayings.code),
        (rf"\+(?P<digits>\d{{1,3}}(?:{separated}?\(?\d{{1,8}}\)?){{1,7}})(?!\d)", sayings.telephone),
        (rf"(?P<digits>\(0?\d{{1,5}}\){S}?\d{{3,4}}(?:[ -]?\d{{2,5}}){{0,3}})(?!\d)", sayings.telephone),
        (rf"(?P<digits>(?:[18][- ])?\(?\d{{3}}\)?[-. ]\d{{3}}[-. ]\d{{2}}-?\d{{2}})(?!\d|{S}?[%€$°])", sayings.telephone),
        (rf"(?P<digits>0\d{{1,5}}(?:[ {SPACES}/-]\d{{2,8}}){{1,5}})(?![\d:,.-]\d|\d)", sayings.telephone),
        (r"(?P<digits>0\d(?:\.\d\d){4})(?!\d)", sayings.telephone),
        *[(pattern, sayings.telephone) for pattern in _TELEPHONES.get(words.code, ())],
        (r"(?P<digits>\d{2,4}-\d{3,4}-\d{4}|[2-9]\d{2}-\d{4})(?!\d|-)", sayings.telephone),
    ]


def _date_rules(words: Lexicon) -> list[tuple[str, Say]]:
    months = "|".join(map(re.escape, sorted(month_names(words), key=len, reverse=True)))
    month = rf"(?i:(?P<month>{months}))(?![{_LATIN}])(?P<dot>\.)?"
    leads = _LEADS.get(words.code, "").replace(" ", "|")
    weekday = rf"(?:{S}[A-Z][a-zä]+(?:tag|woch|abend),?)?" if words.code == "de" else ""
    lead = rf"(?P<lead>(?i:{leads}){weekday}{S})?" if words.code in ("de", "ru") else ""
    of = {"es": rf"(?:{S}de)?", "pt": rf"(?:{S}de)?", "en": rf"(?:{S}of)?"}.get(words.code, "")
    mark = {"de": r"\.", "en": "(?:st|nd|rd|th)?", "fr": "(?:er)?", "pt": "(?:[º°]|\\.º)?", "it": "[º°]?"}.get(words.code, "")
    years = rf"(?:,?{of.replace('de', 'del?')}{S}(?P<year>\d{{4}})(?![\d.,:]\d|\d))?"
    tail = rf"(?P<tail>{S}(?:г\.|года|год))?" if words.code == "ru" else ""
    years = years.replace(")?", f"{tail})?", 1) if False else years
    rules: list[tuple[str, Say]] = [
        (lead + r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?"
         rf"(?:Z|[+-]\d\d:?\d\d)?)?(?![\d-])", sayings.iso_date),
        (rf"{lead}(?P<day>\d{{1,2}})\.{S}?(?P<month>\d{{1,2}})\.{S}?(?P<year>\d{{4}}|\d\d)(?!\d|[.,:]\d){tail}", sayings.day_first_date),
        (rf"(?P<first>\d{{1,2}})/(?P<other>\d{{1,2}})/(?P<year>\d{{4}}|\d\d)(?!\d|[/.,:]\d)", sayings.slashed_date),
        (r"(?P<year>(?:19|20)\d\d)/(?P<month>\d{1,2})/(?P<day>\d{1,2})(?!\d|[/.,:]\d)", sayings.iso_date),
    ]  # fmt: skip
    if words.code == "de":
        rules.append((rf"{lead}(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?=\s|$|[,;:)–-])(?P<year>)", sayings.day_first_date))
    if words.code in ("ja", "ko", "zh"):
        dot = rf"\.{S}?"
        rules.append((rf"(?P<year>(?:19|20)\d\d){dot}(?P<month>\d{{1,2}}){dot}(?P<day>\d{{1,2}})(?:\.(?!\d)|(?!\d|\.\d))", sayings.iso_date))
        rules.append((rf"(?P<number>\d{{2,4}})(?P<noun>{S}?[年년])", sayings.asian_year))
        rules.append((rf"(?P<number>\d{{1,2}})(?P<noun>{S}?[月월日일](?!間|间))", sayings.plain_with_noun))
        return rules
    rules.append((rf"{lead}(?P<day>\d{{1,2}}){mark}{of}{S}{month}{years}{tail}", sayings.named_date))
    if words.code == "en":
        rules.append((rf"{month}{S}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:.,]\d|\d|{S}?[ap]\.?m\b)(?:,?{S}(?P<year>\d{{4}})(?![\d.,:]\d|\d))?", sayings.named_date))
        rules.append((r"(?:(?P<year>(?:1[1-9]|20)\d0)|(?:['’]|(?<=[Tt]he )|(?<=mid-))(?P<short>[2-9]0))['’]?s(?![A-Za-z])", sayings.decade))
    if words.code == "de":
        rules.append((r"(?P<year>(?:1[1-9]|20)\d0|[2-9]0)(?P<end>ern?)(?![a-zäöü])", sayings.decade))
    if words.code == "ru":
        rules.append((rf"(?P<year>\d{{4}}){S}(?P<noun>г\.|года|годом|году|год)(?![{_LATIN}])", sayings.russian_year_of))
    return rules


def _clock_rules(words: Lexicon) -> list[tuple[str, Say]]:
    hour, minute = r"(?P<hour>[01]?\d|2[0-4])", r"(?P<minute>[0-5]\d)"
    noun = {"de": rf"(?:{S}?Uhr)?", "es": rf"(?:{S}?(?:h|hrs?|horas)\.?(?![{_LATIN}]))?", "pt": rf"(?:{S}?(?:h|hrs|horas)(?![{_LATIN}]))?",
            "fr": rf"(?:{S}?(?:h|heures)(?![{_LATIN}]))?"}.get(words.code, "")
    then = r"(?P<then>" + S + r"?[–—〜~～-]" + S + r"?(?=\d{1,2}[:.hH]\d\d|\d{1,2} Uhr))?"
    rules: list[tuple[str, Say]] = [
        (r"(?P<parts>\d+(?:\.\d+){2,})(?!\d|\.\d)", sayings.dotted),
        (rf"{_CLOCK}{noun}{then}", sayings.time),
    ]
    if words.code == "de":
        rules.append((rf"{hour}\.{minute}(?={S}Uhr){S}Uhr{then}", sayings.time))
        rules.append((rf"{hour}\.{minute}{S}?[–-]{S}?(?=[0-2]?\d\.[0-5]\d{S}Uhr)", sayings.time_to))
    if words.code in ("fr", "pt"):
        rules.append((rf"{hour}{S}?[hH]{S}?{minute}(?:{S}?min)?(?![\d{_LATIN}]){then}", sayings.time))
    if words.code == "it":
        rules.append((rf"(?P<lead>(?i:ore|alle|dalle|le){S}){hour}[.:]{minute}(?!\d|[.,]\d){then}", sayings.time))
    if words.code == "en":
        rules.append((rf"(?P<hour>1[0-2]|0?[1-9]){S}?(?i:{_MARKER})", sayings.time))
    if words.code == "ru":
        rules.insert(1, (rf"(?P<lead>(?i:с|до|после|от|около){S}){_CLOCK}{then}", sayings.time))
    if words.code == "ko":
        rules.append((rf"(?P<lead>오전|오후){S}?{_CLOCK}", sayings.time))
    return rules


def _ordinal_rules(words: Lexicon) -> list[tuple[str, Say]]:
    match words.code:
        case "en":
            return [(r"(?P<number>\d{1,3}(?:,\d{3})*|\d{1,4})(?P<mark>st|nd|rd|th)(?![A-Za-z])", sayings.ordinal_of)]
        case "de":
            leads = _LEADS["de"].replace(" ", "|")
            after = rf"(?={S}{LETTER})"
            return [(rf"(?P<lead>(?i:{leads}){S})(?P<number>\d{{1,4}})\.{after}", sayings.german_ordinal)]
        case "fr":
            return [(r"(?P<number>\d{1,4})(?P<mark>ers?|[èe]?res?|(?:i?[èe]me|nde?|e)s?)(?![a-zà-ÿ'’])", sayings.ordinal_of)]
        case "es" | "it" | "pt":
            return [(r"(?P<number>\d{1,4})\.?(?P<mark>[ºª]|°(?=\s[a-z])|er(?![a-z])|[oa](?![a-zà-ÿ]))", sayings.ordinal_of)]
        case "ru":
            return [(rf"(?P<number>\d{{1,4}})-(?P<mark>{RUSSIAN_ENDINGS})(?![{_LATIN}])", sayings.ordinal_of)]
    return []


def _amount_rules(words: Lexicon) -> list[tuple[str, Say]]:
    number = number_pattern(words)
    currency, unit = currency_expression(words.code), unit_expression(words.code)
    magnitudes = "|".join(
        re.escape(word) + (rf"(?![{_LATIN}])" if word[-1].isalpha() and words.space else "")
        for word in sorted(words.magnitudes, key=len, reverse=True)
    )  # fmt: skip
    long_magnitudes = "|".join(re.escape(word) for word in words.magnitudes if len(word) > 1) or "(?!)"
    below = rf"(?:{S}?/{S}?(?P<per>k?Wh|m³|m²|km|kg|[gtlLhm]|min|GB|MWh|d){UNIT_END})?"
    compare = rf"(?:(?P<compare><=|>=|[~≈>≤≥±〜]|<(?!3(?![\d.,]))){S}?)?"
    sign = r"(?P<sign>[-−–+])?"
    case = rf"(?P<case>(?i:{_LEADS['ru'].rpartition(' сегодня')[0].replace(' ', '|')}){S})?" if words.code == "ru" else ""
    dash = rf"(?:(?:-|{S}?[–—〜~～]{S}?)(?P<bsign>[-−])?(?P<b>{number.replace('_s', '_t')})(?![\d]|[.:/]\d))?"
    first = rf"(?P<a>{number.replace('_s', '_r')})"
    head = rf"{case}{compare}{sign}"
    noun = rf"(?:{S}(?P<noun>[^\W\d_]{{3,}}))?" if words.half else "(?P<noun>(?!))?"
    then = rf"(?P<then>(?:{S}?[–—〜~～]{S}?|-)(?=[-−]?\d))?"
    return [
        *_special_amounts(words),
        (rf"{head}(?P<currency>{currency}){S}?(?P<sign2>[-−–])?{first}{dash}(?:,[-–—])?(?:{S}?(?P<magnitude>{magnitudes}))?{below}(?!\d)", amounts.price),
        (rf"{head}{first}{dash}(?:,[-–—])?(?:{S}?(?P<magnitude>{magnitudes}))?{S}?(?P<currency>{currency}){below}{then}", amounts.price),
        (rf"{head}(?P<whole>\d+)?{S}?(?P<vulgar>[{_VULGAR}])(?:{S}?(?P<unit>{unit}))?{noun}", amounts.vulgar_fraction),
        (rf"{head}{first}{dash}(?:{S}|(?P<hyphen>-)(?=[^\W\d]))?(?P<unit>{unit}){then}", amounts.measure),
        (rf"{head}{first}{S}(?P<magnitude>{long_magnitudes})(?!\w)", amounts.millions),
        (rf"{head}(?:(?P<whole>\d{{1,3}}){S})?(?P<above>\d{{1,3}})[/⁄](?P<below>\d{{1,3}})(?![\d/]|[.,]\d)", amounts.slashed),
        (rf"(?P<a>\d{{1,5}})(?P<times>[x×]|{S}[x×]{S})(?P<b>\d{{1,5}})(?:(?P=times)\d{{1,5}})*(?![{_LATIN}\d]|[.,]\d)", amounts.dimensions),
        (rf"(?P<a>\d{{1,3}}):(?P<b>\d{{1,3}})(?![:\d]|[.,]\d)", amounts.ratio),
        (rf"{head}{first}(?:-|{S}?[–—〜~～]{S}?)(?P<bsign>[-−])?(?P<b>{number.replace('_s', '_t')})(?![\d-]|[.:/]\d)", amounts.number_range),
        (rf"{head}{first}(?!:\d)", amounts.plain),
    ]


def _special_amounts(words: Lexicon) -> list[tuple[str, Say]]:
    rules: list[tuple[str, Say]] = []
    if words.fold:
        rules.append((rf"(?P<number>\d{{1,3}})x(?![{_LATIN}\d])", amounts.fold))
    if words.code == "en":
        rules.append((r"(?P<feet>\d)['’′](?P<inches>\d{1,2})[\"”″]", amounts.feet_and_inches))
    if words.code == "fr":
        rules.append((r"(?P<number>\d{1,2}) ?(?P<unit>[hj])/(?P=number)(?!\d)", amounts.round_the_clock))
    return rules


def _sign_rules(words: Lexicon) -> list[tuple[str, Say]]:
    names = {**words.before_numbers}
    each = "|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)"
    names_before = "|".join(map(re.escape, sorted(words.before_names, key=len, reverse=True))) or "(?!)"
    others = "|".join(map(re.escape, sorted(words.abbreviations, key=len, reverse=True))) or "(?!)"
    number = number_pattern(words).replace("_s", "_n")
    return [
        (rf"(?P<word>{each}){S}?(?=[\d#])", marks.before_number),
        (rf"(?P<word>{names_before})(?={S}[A-ZÀ-ÞА-Я])", marks.before_name),
        (rf"(?P<word>{others})(?![{_LATIN}])", marks.abbreviation),
        (rf"(?P<sign>§§?|№|#){S}?(?P<number>{number})", marks.numbered),
        (rf"(?P<unit>%|‰|°[CF](?![A-Za-z])|℃|℉)", marks.lone_unit),
        (rf"(?P<currency>[€$£₽₩₹])(?![\d{_LATIN}])", marks.lone_currency),
        (r"(?P<sign>[²³])(?![\w/])", marks.power),
        (rf"(?P<sign>[=≠≈≤≥<>±×÷&√∞+]|<=|>=)(?![=<>+&-])", marks.sign),
    ]  # fmt: skip
