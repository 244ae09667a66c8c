"""What is said for fractions, alone and before nouns and units.

As in `readings`, each function takes the match, the lexicon, and whether numbers are written in words, and returns None
if the match is not what it looks like.
"""

import re

from . import ordinals
from .agreement import german_noun_gender, is_feminine, is_noun, is_russian_noun, number_text
from .amounts import Amount, measured, next_noun
from .lexicon import Lexicon
from .marks import final_dot
from .numerals import Numeral, cardinal
from .units import noun_after, unit_pattern, unit_symbols


def slashed(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Two numbers with a slash between: a fraction, perhaps after a whole number, or no fraction."""
    above, below, whole = int(found["above"]), int(found["below"]), found["whole"]
    unit, noun = found.groupdict().get("unit") or "", next_noun(found)
    if unit:
        if not ordinals.is_fraction(above, below):
            return None if whole else _two_of_unit(found, words, in_words)
        said = _part_of_unit(words, whole, above, below, unit) + final_dot(found, unit)
    elif (above, below) == (1, 2) and not whole and (half := half_of(words, noun)):
        said = half
    elif ordinals.is_fraction(above, below):
        said = ordinals.mixed(words, whole, above, below) if whole else ordinals.fraction(words, above, below)
    elif whole or not in_words:
        return None
    elif (above, below, words.code) == (24, 7, "en"):
        said = "twenty-four seven"
    elif above == below:
        said = words.space.join([cardinal(found["above"], words)] * 2)
    else:
        link = f"{words.space}{words.slash}{words.space}"
        said = link.join(cardinal(found[name], words) for name in ("above", "below"))
    return _with_sign(found, words, said)


def vulgar_fraction(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A fraction that is one character; before a unit a half and quarters are decimals."""
    above, below = ordinals.VULGAR[found["vulgar"]]
    whole, unit = found["whole"], found["unit"]
    if unit and whole and below in (2, 4) and words.half:
        number = Numeral(whole, "5" if below == 2 else "25" if above == 1 else "75")
        compare = found["compare"] or ""
        return measured(Amount(words, (number,), (found["sign"] or "",), in_words, "", compare), unit)
    if unit:
        return _with_sign(found, words, _part_of_unit(words, whole, above, below, unit) + final_dot(found, unit))
    noun = found["noun"] or ""
    if not whole and below == 2 and (half := half_of(words, noun or next_noun(found))):
        return _with_sign(found, words, half + (found.string[found.start("noun") - 1] + noun if noun else ""))
    if noun and whole and below == 2 and is_noun(noun):
        number = Numeral(whole)
        half = words.half.split("|")[is_feminine(words.code, noun)]
        if whole == "1" and words.code in ("es", "pt"):
            return _with_sign(found, words, f"{number_text(words, number, noun, in_words=True)} {half} {noun}")
        return _with_sign(found, words, f"{number_text(words, number, noun, in_words=True)} {noun} {half}")
    said = ordinals.mixed(words, whole, above, below) if whole else ordinals.fraction(words, above, below)
    if noun:
        said += found.string[found.start("noun") - 1] + noun
    return _with_sign(found, words, said)


def _part_of_unit(words: Lexicon, whole: str | None, above: int, below: int, unit: str) -> str:
    """Return a fraction of a unit, perhaps after a whole number, in words."""
    unit = unit_symbols(words.code).get(unit, unit)
    if whole:
        number = ordinals.mixed(words, whole, above, below)
        return unit_pattern(words.code, unit, "other").replace("{0}", number)
    one = unit_pattern(words.code, unit, "other" if words.code == "ru" else "one")
    noun = noun_after(one)
    if (above, below) == (1, 2) and (half := half_of(words, noun, is_unit=True)):
        return one.replace("{0}", half)
    said = ordinals.fraction(words, above, below)
    if words.code == "en":
        said += f" of {_english_article(noun)}"
    elif words.of:
        said += f" {words.of}"
    said = one.replace("{0}", said)
    return re.sub(r"\bde (?=[aehiouéè])", "d’", said) if words.code == "fr" else said


def _two_of_unit(found: re.Match[str], words: Lexicon, in_words: bool) -> str:
    """Return two numbers with a slash between and a unit, such as a blood pressure."""
    first = number_text(words, Numeral(found["above"]), "", in_words=in_words)
    second = measured(Amount(words, (Numeral(found["below"]),), ("",), in_words), found["unit"])
    return f"{first}{words.space}{words.slash}{words.space}{second}" + final_dot(found, found["unit"])


def _english_article(noun: str) -> str:
    return "an" if re.match(r"[aeio]|hour", noun) else "a"


def half_of(words: Lexicon, noun: str, *, is_unit: bool = False) -> str:
    """Return a half as it is said before a noun; "" if it is the same as anywhere else."""
    forms = words.half_before.split("|")
    is_unit = is_unit or (words.code == "ru" and is_russian_noun(noun))
    if not words.half_before or not noun or not (is_unit or (len(forms) > 1 and is_noun(noun))):
        return ""
    if words.code == "en":
        return f"{words.half_before} {_english_article(noun)}"
    if words.code == "de":
        return forms["mfn".index(german_noun_gender(noun))] if noun[0].isupper() else ""
    return forms[is_feminine(words.code, noun)] if len(forms) == 2 else forms[0]


def _with_sign(found: re.Match[str], words: Lexicon, said: str) -> str:
    name = {None: "", "+": words.plus}.get(found["sign"], words.minus)
    said = f"{name}{words.space}{said}" if name else said
    return Amount(words, (), (), True, found.groupdict().get("case") or "", found["compare"] or "").around(said)
