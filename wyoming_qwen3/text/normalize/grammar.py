"""What is recognised in a language: the expressions that begin with a digit, a sign or certain words."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from .date_rules import clock_rules, date_rules, ordinal_rules
from .dates import month_names
from .expressions import GERMAN_LINKS, LATIN, LEADS, Rule, S, Say
from .lexicon import Lexicon, any_of, lexicon
from .money import NOUNS, currency_expression, currency_signs
from .number_rules import amount_rules, code_rules, mark_rules
from .ordinals import VULGAR
from .units import unit_symbols
from .weekdays import begun_weekday, day_names, weekday_rules, weekday_trigger, whole_days


@dataclass(frozen=True)
class Grammar:
    """The expressions of a language."""

    trigger: re.Pattern[str]
    """Matches where an expression may begin."""

    rules: tuple[tuple[re.Pattern[str], Say], ...]
    """The expressions; the first one that matches and is said decides."""

    numeric_rules: tuple[tuple[re.Pattern[str], Say], ...]
    """Those that may begin with a digit."""

    starts: frozenset[str]
    """All beginnings of words that may be part of an expression, in lower case."""

    lead_starts: frozenset[str]
    """All beginnings of words before a number, in lower case."""

    leads: re.Pattern[str]
    """Matches words at the end of a text that may decide how the number after them is read."""


@lru_cache(16)
def grammar(code: str) -> Grammar:
    """Return the grammar of a language. The first call takes 0.1 to 0.3 s."""
    words = lexicon(code)
    numeric = _compiled(words, code_rules, date_rules, clock_rules, ordinal_rules, amount_rules)
    leads = [*_lead_words(words), *words.before_numbers]
    vocabulary = [
        "x", "х",
        *leads, *words.abbreviations, *words.before_names, *words.magnitudes, *month_names(words), *unit_symbols(code),
        *currency_signs(code), *NOUNS, *day_names(code), *whole_days(code), *_TAILS.get(code, "").split(),
        *(counter[:-1] for counter in words.counters if code == "zh" and len(counter) > 1),
    ]  # fmt: skip
    copulas = any_of(words.copulas.split())
    endings = rf"|[^\W\d_]+(?:{any_of(words.label_endings.split())})"
    lead = any_of(
        [
            *leads,
            *" ".join(
                (words.prepositions, words.before_times, words.articles, words.labels, words.before_dates)
            ).split(),
        ]
    )
    return Grammar(
        trigger=_trigger(words),
        rules=(*_compiled(words, weekday_rules), *numeric, *_compiled(words, mark_rules)),
        numeric_rules=numeric,
        starts=_beginnings([*vocabulary, *" ".join(vocabulary).split()]),
        lead_starts=_beginnings(leads),
        leads=re.compile(
            rf"{_begin(words)}(?i:{lead}{endings}|{begun_weekday(words)})(?:{S}?(?i:{copulas}))*{S}*[:：]?{S}*$"
        ),
    )


def _compiled(words: Lexicon, *each: Callable[[Lexicon], list[Rule]]) -> tuple[tuple[re.Pattern[str], Say], ...]:
    return tuple((re.compile(pattern, re.VERBOSE), say) for rules_of in each for pattern, say in rules_of(words))


def _beginnings(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word[:end].lower() for word in words for end in range(1, len(word) + 1))


_TAILS = {
    "en": "am pm a.m. p.m. st nd rd th of the", "de": "Uhr", "fr": "heures h de er re e ème", "es": "de horas h del",
    "pt": "de horas h", "it": "ore", "ru": "года год году годом г. гг. часов", "ko": "년 월 일 시 분",
    "ja": "年 月 日 時 分", "zh": "年 月 日 房 号 点 时 分 室 后",
}  # fmt: skip
"""Words that may continue an expression."""


def _lead_words(words: Lexicon) -> list[str]:
    others = {"zh": "第", "ko": "오전 오후 새벽 아침 낮 정오 저녁 밤 자정", "de": GERMAN_LINKS}.get(words.code, "")
    return [*LEADS.get(words.code, "").split(), *others.split(), *words.codes.split()]


def _begin(words: Lexicon) -> str:
    """Return what is before a word: in languages without spaces no Latin letter, else no letter at all."""
    return rf"(?<![{LATIN}\d_])" if words.space else r"(?<![A-Za-z\d_])"


def _trigger(words: Lexicon) -> re.Pattern[str]:
    """Return a pattern for where an expression may begin."""
    currency = currency_expression(words.code)
    leads, codes = any_of(_lead_words(words)), any_of(words.codes.split())
    lead = rf"(?i:{leads})(?={S}?(?:[A-ZÄÖÜ]\w+\.?,?{S})?[-−+]?\d)|(?i:{codes})(?=[^.\n]{{0,40}}\d)"
    months = rf"(?i:{any_of(month_names(words))})(?=\.?{S}\d)" if words.code == "en" else "(?!)"
    names = any_of([*words.abbreviations, *words.before_names, *words.before_numbers])
    return re.compile(
        rf"""\d|[{"".join(VULGAR)}]
        |(?<![{LATIN}\d/])(?:{currency})(?={S}?[-−–+]?\d)
        |(?<![{LATIN}\d_.,)°%²³])[-−–+](?=\d|{currency})
        |(?<=[\d)]{S})[-–−](?={S}\d)
        |(?<=m[ ])x(?=[ ]\d)
        |[~〜～](?={S}?[-−–+]?(?:{currency})?\d)
        |[%‰€$£₽₩₹=≠≈≤≥<>±×÷&√∞²³+№§\#°℃℉]|\((?=\d)
        {rf"|{_begin(words)}[A-ZÄÖÜ][a-zäöüß]+str[.](?={S}[0-9])" if words.code == "de" else ""}
        |{_begin(words)}(?:{weekday_trigger(words)}|{names}|{lead}|{months})""",
        re.VERBOSE,
    )
