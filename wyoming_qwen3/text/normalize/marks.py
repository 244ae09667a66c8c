"""What is said for signs and abbreviations.

As in `readings`, each function takes the match, the lexicon, and whether numbers are written in words, and returns None
if the match is not what it looks like.
"""

import re

from .agreement import number_text
from .lexicon import Lexicon
from .money import currency_name
from .numerals import read_number
from .units import noun_of


def final_dot(found: re.Match[str], word: str) -> str:
    """Return a dot if the one of an abbreviation at the end of a match ends a sentence too."""
    return "." if word[-1] == "." and _SENTENCE_END.match(found.string, found.end()) else ""


def last_word(found: re.Match[str]) -> str:
    """Return the word before a match, in lower case."""
    before = found.string[max(0, found.start() - 20) : found.start()]
    return before.rstrip().rpartition(" ")[2].lower()


_TEXT_END = re.compile(r"\s*$")
_SENTENCE_END = re.compile(r"\s*$|\s+[\"“„«]?[A-ZÀ-ÞА-Я]|\n")


def before_number(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """An abbreviation before a number, such as "Nr."."""
    return words.before_numbers[found["word"]] + words.space


def street(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A German street before its number."""
    return f"{found['name']}straße" if words.code == "de" else None


def before_name(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """An abbreviation before a name, such as "Dr."."""
    return words.before_names[found["word"]]


def abbreviation(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """Any other abbreviation; its dot stays if it ends a sentence too."""
    word = found["word"]
    goes_on = word in words.never_last and not _TEXT_END.match(found.string, found.end())
    return words.abbreviations[word] + ("" if goes_on else final_dot(found, word))


def numbered(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number after a sign such as "#"."""
    number = read_number(found["number"], words)
    if number is None:
        return None
    pattern = words.section if found["sign"][0] == "§" else words.number
    said = number_text(words, number, "", in_words=in_words)
    return pattern.format(said) if "{0}" in pattern else f"{pattern}{words.space}{said}"


def lone_unit(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A sign of a unit without a number."""
    return words.signs.get(found["unit"]) or noun_of(words.code, found["unit"])


def lone_currency(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """The sign of a currency without an amount."""
    return currency_name(words.code, found["currency"])


def power(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A square or cube after a letter, number or bracket."""
    before = found.string[max(0, found.start() - 1) : found.start()]
    if not (before.isalnum() or before in ("_", ")", "]")):
        return None
    word = words.signs[found["sign"]]
    return word if word[0] == "の" or word[0] == "的" else words.space + word


def times(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """The sign between two lengths, as in 3 m x 4 m."""
    return words.by if re.search(r"\d\s?[cm]?m $", found.string[max(0, found.start() - 6) : found.start()]) else None


def until(_: re.Match[str], words: Lexicon, _in_words: bool) -> str | None:
    """A tilde between two numbers with nouns, such as 1月〜3月."""
    return words.link


def minus(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A minus between two numbers with spaces, if it is a minus sign or a result follows."""
    if found[0] == "−" or _RESULT.match(found.string, found.end()):
        return words.minus
    return None


_RESULT = re.compile(r"[\d.,\s+×*/-]{0,40}=")


def sign(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A sign between words, letters or numbers."""
    mark = {"<=": "≤", ">=": "≥"}.get(found["sign"], found["sign"])
    start, end = found.span()
    before, after = found.string[max(0, start - 8) : start], found.string[end : end + 8]
    spaced = before[-1:] in ("", " ", "\u00a0") and after[:1].isspace()
    between = re.search(r"^$|[\w)%°²³]\s?$", before) and re.match(r"\s?[\w(√∞+\-−]", after)
    digits = re.search(r"[\d)]$", before) and re.match(r"[\d(]", after)
    if mark in "&<>" and not (spaced and between):
        return None
    names_variable = mark == "=" and re.search(r"(?:^|\s)\w{1,2}$", before)
    if mark in "+=" and not (between and (spaced or digits or names_variable)):
        return None
    if mark == "√" and not re.match(r"\s?[\w(]", after):
        return None
    word = words.plus if mark == "+" else words.signs[mark].replace("{0}", "").strip()
    return word + " " if mark == "√" and words.space and not after[:1].isspace() else word
