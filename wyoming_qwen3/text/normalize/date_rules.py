"""The patterns of dates, times and ordinals."""

from . import date_readings, marks, ordinal_readings, size_readings
from .dates import month_name, month_names
from .expressions import LEADS, NO_DIGIT, NO_LETTER, RUSSIAN_GENITIVE, Rule, S, lead_of
from .lexicon import Lexicon, any_of
from .ordinals import RUSSIAN_ENDINGS


def date_rules(words: Lexicon) -> list[Rule]:
    """Return the patterns of dates, years and decades."""
    lead = lead_of(words, weekday=True) + "?" if words.code in ("de", "ru") else ""
    tail = rf"(?P<tail>{S}(?:г\.|года|год))?" if words.code == "ru" else ""
    day, month, year = r"(?P<day>\d{1,2})", r"(?P<month>\d{1,2})", r"(?P<year>\d{4}|\d\d)"
    second = r"(?::(?P<second>\d\d)(?:\.\d+)?(?:[+-]\d\d:?\d\d)?)?(?:Z|(?<=T\d\d:\d\d)[+-]\d\d:?\d\d)?"
    rules: list[Rule] = [
        (rf"""{lead}(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)
              (?:[T ](?P<hour>\d\d):(?P<minute>\d\d){second}(?!:?\d|[-–]\d)|(?![\d-]))""",
         date_readings.iso_date),
        (rf"{lead}{day}\.{S}?{month}\.{S}?{year}{NO_DIGIT}{tail}", date_readings.day_first_date),
        (rf"(?P<first>\d{{1,2}})/(?P<other>\d{{1,2}})/{year}(?!\d|[/.,:]\d)", date_readings.slashed_date),
        (r"(?P<first>\d{1,2})/(?P<other>\d{1,2})(?!\d|[/.,:]\d)", date_readings.short_date),
        (r"(?P<first>\d\d)-(?P<other>\d\d)-(?P<year>(?:19|20)\d\d)(?![\d-])", date_readings.slashed_date),
        (rf"(?P<year>(?:19|20)\d\d)/{month}/{day}(?!\d|[/.,:]\d)", date_readings.iso_date),
    ]  # fmt: skip
    if words.code in ("de", "ru"):
        zero = r"(?P<day>0[1-9])\.(?P<month>0[1-9]|1[0-2])(?P<year>)"
        full = "" if words.code == "ru" else r"\.|"
        rules.append((rf"{lead}{zero}(?!{full}\d|[.,:]\d|\.?{S}?(?:[°%]|Uhr))", date_readings.day_first_date))
    if words.code == "de":
        dash, until = rf"{S}?[–-]{S}?", r"(?P<until>\d{1,2})\."
        year = r"(?P<year>\d{4})?(?!\d)"
        rules.append((rf"{lead}{day}\.(?P<month1>\d{{1,2}}\.)?{dash}{until}{month}\.{year}", date_readings.german_days))
        rules.append((rf"{lead}{day}\.{month}\.(?P<year>)(?=\s|$|[,;:)–-])", date_readings.day_first_date))
    if words.code in ("ja", "ko", "zh"):
        return rules + _asian_dates(day, month)
    return [*rules, *_named_dates(words, lead, tail), *_years(words)]


def _asian_dates(day: str, month: str) -> list[Rule]:
    dot = rf"\.{S}?"
    return [
        (r"(?<=\d[月日号点时分年周時일월년시])[-~〜～](?=\d)", marks.until),
        (rf"(?P<year>(?:19|20)\d\d){dot}{month}{dot}{day}(?:\.(?!\d)|(?!\d|\.\d))", date_readings.iso_date),
        (rf"(?P<number>\d{{2,4}})(?P<noun>{S}?[年년])", date_readings.asian_year),
        (rf"(?P<number>\d{{1,2}})(?P<noun>{S}?[月월日일](?!間|间))", date_readings.plain_with_noun),
    ]


def _month(words: Lexicon) -> str:
    """Return a pattern for a month. A short name is one in Romance languages only before a dot or a year."""
    whole = {month_name(words, number).lower() for number in range(1, 13)}
    names = month_names(words)
    if words.code == "en":
        each = any_of(name.capitalize() for name in names) + "|" + any_of(name.upper() for name in names)
    elif words.code in ("es", "fr", "it", "pt"):
        each = rf"(?i:{any_of(whole)}|(?:{any_of(names.keys() - whole)})(?=\.|{S}\d{{4}}|{S}del?{S}\d))"
    else:
        each = f"(?i:{any_of(names)})"
    return rf"(?P<month>{each}){NO_LETTER}(?P<dot>\.)?"


_DAY_MARKS = {
    "de": r"\.",
    "en": "(?:st|nd|rd|th)?",
    "fr": "(?:er)?",
    "pt": r"(?:[º°]|\.º)?",
    "it": "[º°]?",
}


def _named_dates(words: Lexicon, lead: str, tail: str) -> list[Rule]:
    month = _month(words)
    mark = _DAY_MARKS.get(words.code, "")
    of = {"es": rf"(?:{S}del?)?", "pt": rf"(?:{S}de)?", "en": rf"(?:{S}of)?"}.get(words.code, "")
    gap = rf"(?:(?<=\.){S}?|{S})" if words.code == "de" else S
    year = rf"(?:,?{of}{S}(?P<year>\d{{4}})(?![\d.,:]\d|\d))?"
    rules: list[Rule] = [(rf"{lead}(?P<day>\d{{1,2}}){mark}{of}{gap}{month}{year}{tail}", date_readings.named_date)]
    to = rf"(?:{S}?[–—-]{S}?|{S}по{S})" if words.code == "ru" else rf"{S}?[–—-]{S}?"
    dash = rf"{to}(?P<until>\d{{1,2}})"
    if words.code in ("de", "ru"):
        rules.insert(
            0, (rf"{lead}(?P<day>\d{{1,2}}){mark}{dash}{mark}{S}{month}{year}{tail}", date_readings.date_range)
        )
    if words.code == "en":
        rules.append((rf"{month}{S}(?P<day>\d{{1,2}}){dash}(?!\d|[.,:]\d){year}", date_readings.date_range))
        no_time = rf"(?!\d|[.,:]\d|{S}?[ap]\.?m\b)"
        rules.append((rf"{month}{S}(?P<day>\d{{1,2}}){mark}{no_time}{year}", date_readings.named_date))
    return rules


def _years(words: Lexicon) -> list[Rule]:
    century = r"(?:1[1-9]|20)\d0"
    match words.code:
        case "en":
            whose = "|".join(rf"(?<={word}[ ])" for word in "[Tt]he [Hh]is [Hh]er heir early late".split())
            short = rf"(?:(?<=['’])|{whose}|(?<=mid-))(?P<short>[2-9]0)"
            return [(rf"(?:(?P<year>{century})|{short})['’]?s(?![A-Za-z])", date_readings.decade)]
        case "de":
            return [(rf"(?P<year>{century}|\d{{1,3}})(?P<end>ern?)(?![a-zäöü])", date_readings.decade)]
        case "ru":
            noun = r"(?P<noun>г\.|года|годом|году|год)"
            lead = rf"(?P<lead>(?i:{any_of(LEADS['ru'].split())}){S})"
            until = rf"(?={S}(?:по|до){S}\d{{4}}{S}(?:г\.|год))"
            return [
                (rf"{lead}(?P<year>\d{{4}}){until}", date_readings.russian_years),
                (rf"{lead}?(?P<year>\d{{4}}){S}{noun}{NO_LETTER}", date_readings.russian_year_of),
            ]
    return []


_HOUR, _MINUTE = r"(?P<hour>[01]?\d|2[0-4])", r"(?P<minute>[0-5]\d)"
_MARKER = rf"""(?i:(?P<marker>[ap](?:m|\.{S}?m(?:\.(?!\s*$|\s+(?-i:[A-Z"”])))?))){NO_LETTER}"""
_CLOCK = rf"{_HOUR}:{_MINUTE}(?::(?P<second>[0-5]\d)(?:\.\d+)?)?(?!:?\d|\.\d)(?:{S}?{_MARKER})?"
_THEN = rf"(?P<then>{S}?[–—〜~～-]{S}?(?=\d{{1,2}}[:.hH]\d\d|\d{{1,2}}[ ]Uhr))?"
_HOUR_NOUNS = {
    "de": "(?:Uhr|h)",
    "it": "h",
    "ru": r"ч(?:\.(?!\s*$|\s+[А-ЯЁ\d]))?",
    "es": r"(?:(?:h|hrs?|horas)\.(?!\s*$|\s+[A-ZÁÉÍÓÚÑ¿¡\d])|(?:h|hrs?|horas))",
    "pt": "(?:h|hrs|horas)",
    "fr": "(?:h|heures)",
}


_HOURS = {
    "en": "hours?|hrs?|h",
    "de": r"Stunden|Std\.?|h",
    "it": "h",
    "ru": r"часов|часа|ч\b\.?",
    "fr": "heures",
    "es": "horas",
}
_SPAN = r"(?P<h>\d{1,2}):(?P<min>[0-5]\d)(?::(?P<s>[0-5]\d))?"


def _spans(words: Lexicon) -> list[Rule]:
    """Return the patterns of what is written like a time but tells how long something takes."""
    rules: list[Rule] = [
        (rf"(?P<h>00?):(?P<min>[0-5]\d):(?P<s>[0-5]\d)(?:\.\d+)?(?!:?\d|\.\d)(?!{S}?(?:Uhr|[ap]m))", size_readings.span)
    ]
    if words.code in _HOURS:
        rules.append((rf"{_SPAN}{S}?(?P<noun>{_HOURS[words.code]}){NO_LETTER}", size_readings.span))
    return rules


def clock_rules(words: Lexicon) -> list[Rule]:
    """Return the patterns of times."""
    noun = rf"(?:{S}?{_HOUR_NOUNS[words.code]}{NO_LETTER})?" if words.code in _HOUR_NOUNS else ""
    rules: list[Rule] = [*_spans(words), (rf"{_CLOCK}{noun}{_THEN}", date_readings.time)]
    match words.code:
        case "de":
            rules.append((rf"{_HOUR}\.{_MINUTE}{S}Uhr{_THEN}", date_readings.time))
            rules.append((rf"(?<=\b[Uu]m{S}){_HOUR}{S}h(?!\w)", date_readings.time))
            rules.append((rf"{_HOUR}\.{_MINUTE}{S}?[–-]{S}?(?=[0-2]?\d\.[0-5]\d{S}Uhr)", date_readings.time_to))
        case "fr" | "pt":
            rules.append((rf"{_HOUR}{S}?[hH]{S}?{_MINUTE}(?:{S}?min)?(?!\d){NO_LETTER}{_THEN}", date_readings.time))
        case "it":
            rules.append((rf"{lead_of(words)}{_HOUR}[.:]{_MINUTE}(?!\d|[.,:]\d){_THEN}", date_readings.time))
        case "es":
            rules.append((rf"(?P<hour>1[0-2]|[1-9]){S}?{_MARKER}", date_readings.time))
        case "en":
            then = rf"(?P<then>{S}?[–—-]{S}?(?=\d{{1,2}}(?::\d\d)?{S}?[ap]\.?m))?"
            rules.append((rf"(?P<hour>1[0-2]|0?[1-9]){S}?{_MARKER}{then}", date_readings.time))
        case "ru":
            rules.insert(0, (rf"(?P<lead>(?i:с|до|после|от|около|к|ко){S}){_CLOCK}{_THEN}", date_readings.time))
        case "ko":
            rules.append(
                (rf"(?P<lead>오전|오후|새벽|아침|낮|정오|저녁|밤|자정){S}?{_CLOCK}{_THEN}", date_readings.time)
            )
    return rules


_COUNTED = (
    "lugar|puesto|piso|grado|curso|aniversario|capítulo|trimestre|semestre|día|premio|año|cumpleaños|tiempo|set|posto"
    "|piano|giorno|anno|capitolo|classificato|anniversario|compleanno|tempo|secolo|episodio|turno|livello|andar|dia|ano"
    "|bimestre|prêmio|aniversário|colocado|distrito|quadrimestre|maggio"
)
"""Nouns before which "3°" is an ordinal and no temperature."""


def ordinal_rules(words: Lexicon) -> list[Rule]:
    """Return the patterns of ordinals."""
    number = r"(?P<number>\d{1,4})"
    match words.code:
        case "en":
            return [
                (
                    r"(?P<number>\d{1,3}(?:,\d{3})*|\d{1,4})(?P<mark>st|nd|rd|th)(?![A-Za-z])",
                    ordinal_readings.ordinal_of,
                )
            ]
        case "de":
            listed = rf"(?={S}?(?:und|oder|bis|,|–|-){S}?\d{{1,2}}\.)"
            return [
                (rf"{lead_of(words)}{number}\.(?={S}[^\W\d_]|[,;)]|\s*$)", ordinal_readings.german_ordinal),
                (rf"(?P<lead>){number}\.{listed}", ordinal_readings.german_ordinal),
                (rf"{number}\.(?={S}(?P<noun>[A-ZÄÖÜ]\w+))", ordinal_readings.german_rank),
            ]
        case "fr":
            mark = "(?P<mark>ers?|[èe]?res?|(?:i?[èe]me|nde?|e)s?)"
            return [(rf"{number}{mark}(?![a-zà-ÿ'’])", ordinal_readings.ordinal_of)]
        case "es" | "it" | "pt":
            mark = rf"(?P<mark>[ºª](?!C)|°(?=\s(?:{_COUNTED})\b)|er(?![a-z])|[oa](?![a-zà-ÿ]))"
            return [(rf"{number}\.?{mark}", ordinal_readings.ordinal_of)]
        case "ru":
            lead = rf"(?P<lead>(?i:{RUSSIAN_GENITIVE.replace(' ', '|')}){S})?"
            adjective = (
                r"[а-яё]{4,}(?:[ыио]й|[ая]я|[ое]е|[ыи]е|[ое]го|[ое]му|[ое]м|[ыи]х|[ыи]м|[ую]ю)|лети(?:е|я|ю|ем|и)"
            )
            return [
                (rf"{lead}{number}-(?P<mark>{RUSSIAN_ENDINGS}){NO_LETTER}", ordinal_readings.ordinal_of),
                (rf"{number}-(?P<adjective>{adjective})\b", ordinal_readings.russian_compound),
            ]
    return []
