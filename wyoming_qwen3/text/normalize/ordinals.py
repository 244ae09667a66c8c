"""Ordinals and fractions."""

from math import gcd

from .agreement import count
from .lexicon import Lexicon
from .numerals import Numeral, choose, spell

_RULES = {
    "en": {"": "ordinal"},
    "de": {"": "ordinal-r", "te": "ordinal", "ten": "ordinal-n", "tes": "ordinal-s"},
    "fr": {"": "ordinal-masculine", "f": "ordinal-feminine", "plural": "ordinal-masculine-plural"},
    "es": {"": "ordinal-masculine", "f": "ordinal-feminine", "plural": "ordinal-masculine-plural",
           "short": "ordinal-masculine-adjective"},
    "it": {"": "ordinal-masculine", "f": "ordinal-feminine", "plural": "ordinal-masculine-plural"},
    "pt": {"": "ordinal-masculine", "f": "ordinal-feminine"},
}  # fmt: skip

_RUSSIAN = {
    "й": "masculine", "ый": "masculine", "ой": "masculine", "я": "feminine", "ая": "feminine", "е": "neuter",
    "ое": "neuter", "го": "masculine-genitive", "ого": "masculine-genitive", "му": "masculine-dative",
    "ому": "masculine-dative", "м": "masculine-locative", "ом": "masculine-locative", "х": "plural-genitive",
    "ых": "plural-genitive",
    "ей": "feminine-genitive", "ю": "feminine-accusative", "ую": "feminine-accusative", "ми": "plural-ablative",
}  # fmt: skip
RUSSIAN_ENDINGS = "|".join(sorted(_RUSSIAN, key=len, reverse=True))

LARGEST_ORDINAL = 9999
"""Ordinals above it are not read as such."""


def ordinal(words: Lexicon, number: int, form: str = "") -> str:
    """Return an ordinal in words; `form` is a key of the language's table, in Russian a written ending."""
    if words.code == "ru":
        rules = _RUSSIAN.get(form, "masculine")
        if form in ("е", "ое") and number % 10 == 0:
            rules = "plural"
        return spell("ru", number, f"ordinal-{rules}")
    return spell(words.code, number, _RULES[words.code].get(form) or _RULES[words.code][""])


def is_fraction(above: int, below: int) -> bool:
    """Return whether two numbers with a slash between are read as a fraction."""
    return 0 < above < below and (below <= 10 or below in (16, 32, 64, 100)) and gcd(above, below) == 1


def fraction(words: Lexicon, above: int, below: int) -> str:
    """Return a fraction in words."""
    code = words.code
    if code in _ASIAN:
        upper, lower = (count(code, Numeral(str(number)), "") for number in (above, below))
        return _ASIAN[code].format(lower, upper)
    noun = _part(words, below, above)
    return f"{_counted(words, above, noun)} {noun}"


_ASIAN = {"ja": "{0}分の{1}", "zh": "{0}分之{1}", "ko": "{0}분의 {1}"}


def _counted(words: Lexicon, above: int, noun: str) -> str:
    if words.code == "de" and above == 1:
        return "ein"
    if words.code == "ru":
        return spell("ru", above, "cardinal-feminine")
    if words.code in ("es", "it") and above == 1:
        return "un"
    return count(words.code, Numeral(str(above)), noun if words.code != "pt" else "")


def _part(words: Lexicon, below: int, above: int) -> str:
    """Return the noun of an n-th part."""
    code = words.code
    if forms := words.fractions.get(str(below)):
        return choose(forms, Numeral(str(above)), code)
    if code == "en":
        return ordinal(words, below) + "s" * (above != 1)
    if code == "de":
        return ordinal(words, below, "te").removesuffix("e").capitalize() + "el"
    if code == "ru":
        return _russian_part(below, above)
    if code == "pt" and below > 10:
        return f"{spell('pt', below)} avos"
    if code == "pt":
        return ordinal(words, below) + "s" * (above != 1)
    return ordinal(words, below, "" if above == 1 else "plural")


def _russian_part(below: int, above: int) -> str:
    one = above % 10 == 1 and above % 100 != 11
    if below in (3, 4):
        return choose(("треть|трети|третей|трети", "четверть|четверти|четвертей|четверти")[below - 3],
                      Numeral(str(above)), "ru")  # fmt: skip
    return spell("ru", below, "ordinal-feminine" if one else "ordinal-plural-genitive")


def mixed(words: Lexicon, whole: str, above: int, below: int) -> str:
    """Return a whole number with a fraction in words."""
    number = count(words.code, Numeral(whole), "")
    if words.code == "de" and whole == "1" and below == 2:
        number = "ein"
    if below == 2 and words.mixed_half:
        return words.mixed_half.format(number)
    said = fraction(words, above, below)
    if words.code in ("es", "it", "pt") and (above, below) == (1, 2):
        said = said.split()[1]
    if words.code == "ko" and (ord(number[-1]) - 0xAC00) % 28:
        return f"{number}과 {said}"
    return words.mixed.format(number, said)


VULGAR = dict(zip("½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒", (
    (1, 2), (1, 3), (2, 3), (1, 4), (3, 4), (1, 5), (2, 5), (3, 5), (4, 5), (1, 6), (5, 6), (1, 7), (1, 8), (3, 8),
    (5, 8), (7, 8), (1, 9), (1, 10),
), strict=True))  # fmt: skip
"""Fractions that are one character."""
