"""Finds what is written with digits, signs and abbreviations in a text, and says it in words."""

import re
from typing import Literal

from wyoming_qwen3.core.request import Normalization
from wyoming_qwen3.core.speakers import Language

from .grammar import Grammar, grammar
from .lexicon import lexicon

Mode = Literal["units", "all"]

MAX_OPEN = 40
"""Number of characters at the end of a growing text that wait at most."""


def mode_for(setting: Normalization, language: Language | None, *, standby: bool) -> Mode | None:
    """Return how much of a text is written in words; None for nothing.

    "auto" is "all" for the standby voice and for the languages in which Qwen3 is reported to read digits wrongly: all
    but Chinese and English. If the language is not known, nothing is.
    """
    if setting == "off" or language is None:
        return None
    if setting != "auto":
        return setting
    return "all" if standby or language.code not in ("zh", "en") else "units"


def prepare(language: Language) -> None:
    """Load the data of a language, which takes some 0.1 s; else the first call of `normalize` does."""
    normalize("1,5 km, 5 €, 2026-11-29, 14:30", language, "all")


def normalize(text: str, language: Language, mode: Mode) -> str:
    """Return a text in which units, currencies, dates, times, signs and abbreviations are words.

    With "all" numbers are words too. Text without any of these is returned as it is. A text that is normalized already
    does not change.
    """
    for _ in range(_MAX_PASSES):
        said = _say_all(text, language.code, mode)
        if said == text:
            break
        text = said
    return text


_MAX_PASSES = 6
"""Signs next to each other may take several passes; ordinary text is done after the first."""


def _say_all(text: str, code: str, mode: Mode) -> str:
    known = grammar(code)
    out: list[str] = []
    at = 0
    while trigger := known.trigger.search(text, at):
        found, said = _read(text, trigger.start(), known, code, mode)
        end = found.end() if found else _skipped(text, trigger)
        out.append(text[at : trigger.start()])
        if found and code == "ko" and (particle := _particle(said, text, end)):
            said, end = said + particle, end + 1
        out.append(_joined(out, said, text, end, code) if found else text[trigger.start() : end])
        at = end
    return "".join([*out, text[at:]])


_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def _read(text: str, start: int, known: Grammar, code: str, mode: Mode) -> tuple[re.Match[str] | None, str]:
    for pattern, say in known.numeric_rules if text[start].isdecimal() else known.rules:
        found = pattern.match(text, start)
        if found and found.end() > start:
            said = say(found, lexicon(code), mode == "all")
            if said is not None:
                return found, said
    return None, ""


def _skipped(text: str, trigger: re.Match[str]) -> int:
    """Return the end of what is left as it is: a whole number, else the trigger."""
    number = _NUMBER.match(text, trigger.start())
    return number.end() if number else max(trigger.end(), trigger.start() + 1)


def _joined(out: list[str], said: str, text: str, end: int, code: str) -> str:
    """Add spaces between letters and what is said, where words need them."""
    before = next((part[-1] for part in reversed(out) if part), "")
    if code in ("ja", "zh") and _IDEOGRAM.match(said):
        _drop_space(out, said)
    if code == "ko" and said.startswith(("플러스", "마이너스")) and "가" <= before <= "힣":
        said = f" {said}"
    if said and _LATIN.match(before) and _LATIN.match(said[0]):
        said = f" {said}"
    after = text[end : end + 1]
    return f"{said} " if said and _LATIN.match(after) and _LATIN.match(said[-1]) else said


_PARTICLES = {particle: both for both in ("은는", "이가", "을를", "과와") for particle in both}
"""Korean particles -> their forms after a consonant and after a vowel."""


def _particle(said: str, text: str, end: int) -> str:
    """Return the Korean particle at `end` in the form for what is said before it; "" if there is none."""
    both = _PARTICLES.get(text[end : end + 1])
    if not both or text[end + 1 : end + 2].isalnum() or not "가" <= said[-1:] <= "힣":
        return ""
    has_final_consonant = (ord(said[-1]) - ord("가")) % 28 > 0
    return both[0] if has_final_consonant else both[1]


def _drop_space(out: list[str], said: str) -> None:
    """Drop a space between words that are written without, except between two numbers."""
    text = "".join(out[-2:])
    if text.endswith(" ") and _IDEOGRAM.match(text[-2:-1]) and not {text[-2], said[0]} <= _NUMERALS:
        out[-2:] = [text[:-1]]


_NUMERALS = frozenset("零〇一二三四五六七八九十百千万億亿两")


_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏЀ-ӿ]")
_IDEOGRAM = re.compile(r"[⺀-鿿぀-ヿ\d]")


def open_from(text: str, language: Language) -> int:
    """Return where the end of a growing text begins that more text may change; the text's length if nothing can.

    The text is in whole words. To normalize what is before this position, and the rest with what follows later, gives
    the same as to normalize all at once. At most `MAX_OPEN` characters wait.
    """
    known = grammar(language.code)
    least = _least_open(text)
    tail = text[least:]
    tokens = [*_TOKEN.finditer(tail)]
    start = len(tail)
    if lead := known.leads.search(tail):
        start = lead.start()
        tokens = [token for token in tokens if token.end() <= start]
    elif language.code in ("ja", "zh"):
        start = _begun_word(tail, known)
        tokens = [token for token in tokens if token.end() <= start]
    while tokens and _waits(tokens[-1], tail, start, known):
        start = tokens.pop().start()
        if lead := known.leads.search(tail[:start]):
            start = lead.start()
            tokens = [token for token in tokens if token.end() <= start]
    if start == 0 < least and (clause := (_GERMAN_CLAUSE if language.code == "de" else _CLAUSE).search(tail)):
        start = clause.end()
    return least + start


_GERMAN_CLAUSE = re.compile(r"[,;:]\s+(?=\S)")
_CLAUSE = re.compile(r"[,;:]\s+(?=\S)|[、，。；]|(?<=\d)\.\s+(?=[A-ZÀ-ÖØ-ÞА-Я])")
"""Where to cut what waits for too long; in German a number with a dot may be an ordinal."""


def _least_open(text: str) -> int:
    """Return where what waits begins at the earliest: within the last MAX_OPEN characters, at a word."""
    least = max(0, len(text) - MAX_OPEN)
    if not least or text[least - 1].isspace():
        return least
    begin = _WORD_BEGIN.search(text, least)
    return begin.end() if begin else len(text)


_WORD_BEGIN = re.compile(r"\s+(?=\S)|(?=[⺀-鿿぀-ヿ])")


def _begun_word(tail: str, known: Grammar) -> int:
    """Return where a word that is written without spaces may have begun; the length of the text if none has."""
    starts = range(max(0, len(tail) - 8), len(tail))
    return next((start for start in starts if tail[start:] in known.lead_starts), len(tail))


_TOKEN = re.compile(r"[⺀-鿿぀-ヿ]|[^\s⺀-鿿぀-ヿ]+")
_SIGN_OR_DIGIT = re.compile(r"[^\w\s.,;:!?'\"’“”„«»()\[\]…-]|\d|[½⅓⅔¼-¾⅕-⅞⅑⅒]|^-$|\($|^[A-Z]{4}$")


def _waits(token: re.Match[str], tail: str, start: int, known: Grammar) -> bool:
    """Return whether a token may be part of an expression that goes on after it."""
    if "\n" in tail[token.end() : start]:
        return False
    if _SIGN_OR_DIGIT.search(token[0]):
        return True
    word = token[0].lower().strip("(\"'„“«[")
    return word in known.starts or word.rstrip(".,") in known.starts
