"""What is said for sizes, scores, addresses and durations: numbers with something between.

As in `readings`, each function takes the match, the lexicon, and whether numbers are written in words, and returns None
if the match is not what it looks like.
"""

import re

from .agreement import number_text
from .amounts import Amount, measured
from .lexicon import Lexicon
from .marks import final_dot, last_word
from .numerals import Numeral, cardinal, choose, read_number, spell
from .units import unit_symbols


def dimensions(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Numbers with a multiplication sign between: read as a product if there are spaces, else as a size."""
    spaced, unit = found["times"][0].isspace(), found["unit"] or ""
    if found["times"].strip() != "×" and spaced and not in_words and not unit:
        return None
    is_length = unit_symbols(words.code).get(unit) in ("m", "cm", "mm", "in", "ft", "px", "″", "′")
    link = (
        "по"
        if unit and words.code == "ru" and not is_length
        else words.by
        if is_length or (not spaced and not unit)
        else words.signs["×"]
    )
    end = found.start("unit") if unit else found.end()
    numbers = [read_number(digits, words) for digits in re.findall(r"[\d.,]+", found.string[found.start() : end])]
    known = [number for number in numbers if number]
    each = [number_text(words, number, "", in_words=in_words) for number in known]
    if unit:
        each[-1] = measured(Amount(words, (known[-1],), ("",), in_words), unit) + final_dot(found, unit)
    return f"{words.space}{link}{words.space}".join(each) if len(known) == len(numbers) else None


def ratio(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Two numbers with a colon between, such as a score."""
    second = read_number(found["b"], words)
    if not in_words or second is None or not second.is_whole:
        return None
    return f"{words.space}{words.ratio}{words.space}".join(
        (cardinal(found["a"], words), _ratio_end(second.whole, words))
    )


def score(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A score such as 3-1; a second number that is greater makes a range. English and Russian read a score as it is."""
    numbers = found["a"], found["b"]
    is_range = int(found["a"]) < int(found["b"]) or any(number[0] == "0" < number for number in numbers)
    if not in_words or is_range or words.code in ("en", "ru"):
        return None
    return f"{words.space}{words.ratio}{words.space}".join(cardinal(number, words) for number in numbers)


def chain(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Three or four numbers with hyphens between, such as a Japanese address, which are no range."""
    if not in_words:
        return found[0]
    link = "の" if words.code == "ja" else "-"
    return link.join(cardinal(number, words) for number in found["a"].split("-"))


def _ratio_end(digits: str, words: Lexicon) -> str:
    if words.code != "ru":
        return cardinal(digits, words)
    return spell("ru", int(digits), "cardinal-masculine-dative").replace("нолю", "нулю")


def fold(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number of times, such as 3x."""
    number = Numeral(found["number"])
    noun = choose(words.fold, number, words.code)
    space = "" if words.code == "de" and in_words else " "
    return number_text(words, number, noun.capitalize(), in_words=in_words) + space + noun


def duration(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Hours, minutes and seconds, such as 1h 30m, in which m is no length."""
    parts = [(digits, unit) for unit in ("h", "min", "s") if (digits := found.groupdict().get(unit))]
    said = (measured(Amount(words, (Numeral(digits),), ("",), in_words), unit) for digits, unit in parts)
    return words.space.join(said)


def span(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """How long something takes, such as 1:30 h or 0:04:59; None after a word that is before a time of day."""
    noun = found.groupdict().get("noun") or ""
    is_time = noun in ("h", "ч", "ч.") and words.code != "en" and int(found["h"]) > _LONGEST_SPAN
    if is_time or last_word(found) in words.before_times.split():
        return None
    parts = [(digits.lstrip("0") or "0", unit) for unit in ("h", "min", "s") if (digits := found[unit])]
    parts = [part for part in parts if part[0] != "0"] or parts[-1:]
    said = [measured(Amount(words, (Numeral(digits),), ("",), in_words), unit) for digits, unit in parts]
    return words.space.join(said) + final_dot(found, found[0])


_LONGEST_SPAN = 5
"""Hours above which "20:15 h" is a time of day, except in English."""


def feet_and_inches(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A length such as 5'10"."""
    parts = ((found["feet"], "ft"), (found["inches"], "in"))
    return " ".join(measured(Amount(words, (Numeral(digits),), ("",), in_words), unit) for digits, unit in parts)


def percent_adjective(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """The German 5%ig, an adjective."""
    number = read_number(found["number"], words)
    if number is None:
        return None
    said = number_text(words, number, "", in_words=in_words)
    return f"{said}{'' if number.is_whole and in_words else ' '}prozent{found['end']}"


def meters_and_centimeters(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """The French 1m85."""
    meters = measured(Amount(words, (Numeral(found["m"]),), ("",), in_words), "m")
    return f"{meters} {number_text(words, Numeral(found['cm'].lstrip('0') or '0'), '', in_words=in_words)}"


def round_the_clock(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """The French 24h/24 and 7j/7."""
    number = Numeral(found["number"])
    whole = measured(Amount(words, (number,), ("",), in_words), found["unit"])
    return f"{whole} sur {number_text(words, number, '', in_words=in_words)}"
