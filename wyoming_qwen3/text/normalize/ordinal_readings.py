"""What is said for ordinals; see `readings`."""

import re

from . import ordinals
from .agreement import german_gender
from .lexicon import Lexicon
from .numerals import spell


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
    if not in_words or not 1 <= number <= 100:
        return None
    said = spell("ru", number, "cardinal-masculine-genitive").replace(" ", "")
    said = re.sub("одного$", "одно", said).replace("девяноста", "девяносто").replace("ста", "сто")
    return said + found["adjective"]


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
