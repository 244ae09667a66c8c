"""What is said for numbers with signs, units and currencies, for ranges and fractions, and for plain numbers.

As in `sayings`, each function takes the match, the lexicon, and whether numbers are written in words, and returns None
if the match is not what it looks like.
"""

import re
from dataclasses import dataclass, replace

from . import dates, ordinals
from .agreement import is_feminine, is_native_korean, is_noun, number_text
from .lexicon import Lexicon
from .marks import final_dot
from .money import cents, currency_signs, magnitude_pattern, money_pattern
from .numerals import SPACES, Numeral, cardinal, category, choose, digits_of, read_number
from .units import TEMPERATURES, noun_after, scaled, unit_pattern, unit_symbols

CODE_DIGITS = 7
"""Number of digits without groups from which a number without a unit is read digit by digit."""

_GENITIVE = ("≤", "≥", "<", ">", "<=", ">=")
"""Signs that are read in Russian as words that need the genitive."""


@dataclass(frozen=True)
class Amount:
    """One number, or the two of a range, with what is written around them."""

    words: Lexicon
    numbers: tuple[Numeral, ...]
    signs: tuple[str, ...]
    in_words: bool
    before: str = ""
    """A Russian preposition, with the space after it."""

    compare: str = ""
    """A sign such as "<"."""

    start: str = ""
    """What is said before a range."""

    @property
    def last(self) -> Numeral:
        """The number with which the noun agrees."""
        return self.numbers[-1]

    @property
    def _is_genitive(self) -> bool:
        return self.words.code == "ru" and (bool(self.before) or len(self.numbers) == 2 or self.compare in _GENITIVE)

    @property
    def plural(self) -> str:
        """The plural category of the noun."""
        if self._is_genitive and self.last.is_whole:
            return "few" if re.search(r"(?<!1)1$", self.last.whole) else "many"
        return category(self.last, self.words.code)

    def said(self, pattern: str, *, minus: str = "") -> str:
        """Return a pattern with the numbers in place of "{0}". `minus` is what a minus is called, if not as usual."""
        words, noun = self.words, noun_after(pattern)
        names = {"": "", "+": words.plus}
        parts = []
        for number, sign in zip(self.numbers, self.signs, strict=True):
            text = number_text(words, number, noun, in_words=self.in_words, genitive=self._is_genitive)
            name = names.get(sign, minus or words.minus)
            parts.append(f"{name}{words.space}{text}" if name else text)
        if words.code == "ko" and not self.in_words:
            pattern = pattern.replace("{0} ", "{0}")
        if pattern == "百分之{0}" and parts == ["一百"]:
            parts = ["百"]
        said = pattern.replace("{0}", self._range(parts)).strip()
        return self.around(re.sub(r"\buna (?=[aeiou])", "un’", said) if words.code == "it" else said)

    def _range(self, parts: list[str]) -> str:
        if len(parts) == 1:
            return parts[0]
        if self.words.code == "ru":
            return f"{'от ' * (not self.before)}{parts[0]} до {parts[1]}"
        return self.start + self.words.link.join(parts)

    def around(self, said: str) -> str:
        """Add what is before the number."""
        if self.compare:
            word = self.words.signs[{"<=": "≤", ">=": "≥", "〜": "~"}.get(self.compare, self.compare)]
            said = word.format(said) if "{0}" in word else f"{word}{self.words.space}{said}"
        return self.before + said


def _read(found: re.Match[str], words: Lexicon, in_words: bool) -> Amount | None:
    """Read the numbers of a match, which are its groups a and b."""
    groups = found.groupdict()
    numbers, signs = [], []
    for name, sign in (("a", groups.get("sign") or groups.get("sign2")), ("b", groups.get("bsign"))):
        if text := groups.get(name):
            number = read_number(text, words)
            if number is None:
                return None
            numbers.append(number)
            signs.append(sign or "")
    if len(numbers) == 2 and not signs[1] and not signs[0] and not _is_range(*numbers):
        return None
    start = f"{words.start} " if words.start and not _after_preposition(found, words) else ""
    before, compare = groups.get("case") or "", groups.get("compare") or ""
    return Amount(words, tuple(numbers), tuple(signs), in_words, before, compare, start)


def _after_preposition(found: re.Match[str], words: Lexicon) -> bool:
    before = found.string[max(0, found.start() - 12) : found.start()]
    return before.rstrip().rpartition(" ")[2].lower() in words.prepositions.split()


def _is_range(first: Numeral, second: Numeral) -> bool:
    return float(f"{first.whole}.{first.fraction}") < float(f"{second.whole}.{second.fraction}")


def _link(found: re.Match[str], words: Lexicon) -> str:
    """Return what is said for a dash before another amount."""
    return words.link if found.groupdict().get("then") else ""


# With units and currencies


def measure(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number, or a range, with a unit."""
    amount = _read(found, words, in_words)
    if amount is None:
        return None
    if found["hyphen"] and words.code == "en":
        return amount.said(unit_pattern("en", found["unit"], "one").replace("{0} ", "{0}-"))
    return _measured(amount, found["unit"]) + (_link(found, words) or final_dot(found, found["unit"]))


def _measured(amount: Amount, unit: str) -> str:
    words = amount.words
    symbol, places = scaled(unit_symbols(words.code).get(unit, unit))
    if places:
        numbers = tuple(number.shifted(places) for number in amount.numbers)
        amount = replace(amount, numbers=numbers)
    minus = words.below_zero if symbol in TEMPERATURES else ""
    return amount.said(unit_pattern(words.code, symbol, amount.plural), minus=minus)


def price(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """An amount of money, or a range."""
    amount = _read(found, words, in_words)
    if amount is None:
        return None
    currency = currency_signs(words.code)[found["currency"]]
    magnitude, per = found["magnitude"] or "", found["per"] or ""
    is_single = not (magnitude or per) and len(amount.numbers) == 1
    if is_single and (with_cents := cents(words, amount.last, currency, in_words=in_words)):
        number, pattern = with_cents
        said = replace(amount, numbers=(number,), before="").said(pattern)
        return said + (_link(found, words) or final_dot(found, found["currency"]))
    if not per:
        numbers = tuple(_without_zeros(number) for number in amount.numbers)
        amount = replace(amount, numbers=numbers)
    pattern = money_pattern(words, amount.last, currency, magnitude, per, plural=amount.plural)
    return amount.said(pattern) + (_link(found, words) or final_dot(found, found["per"] or found["currency"]))


def _without_zeros(number: Numeral) -> Numeral:
    """Return a price without the zeros of its cents."""
    return Numeral(number.whole, number.fraction.rstrip("0")) if len(number.fraction) == 2 else number


def millions(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number of millions and the like, abbreviated."""
    amount = _read(found, words, in_words)
    return None if amount is None else amount.said(magnitude_pattern(words, found["magnitude"], amount.plural))


# Fractions


def slashed(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Two numbers with a slash between: a fraction, perhaps after a whole number, or no fraction."""
    above, below, whole = int(found["above"]), int(found["below"]), found["whole"]
    if ordinals.is_fraction(above, below):
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
    if unit and below in (2, 4):
        number = Numeral(whole or "0", "5" if below == 2 else "25" if above == 1 else "75")
        compare = found["compare"] or ""
        return _measured(Amount(words, (number,), (found["sign"] or "",), in_words, "", compare), unit)
    noun = found["noun"] or ""
    if noun and whole and below == 2 and is_noun(noun):
        number = Numeral(whole)
        half = words.half.split("|")[is_feminine(words.code, noun)]
        return _with_sign(found, words, f"{number_text(words, number, noun, in_words=True)} {noun} {half}")
    said = ordinals.mixed(words, whole, above, below) if whole else ordinals.fraction(words, above, below)
    if noun:
        said += found.string[found.start("noun") - 1] + noun
    if unit:
        said = unit_pattern(words.code, unit, category(Numeral("1"), words.code)).replace("{0}", said)
    return _with_sign(found, words, said)


def _with_sign(found: re.Match[str], words: Lexicon, said: str) -> str:
    name = {None: "", "+": words.plus}.get(found["sign"], words.minus)
    said = f"{name}{words.space}{said}" if name else said
    return Amount(words, (), (), True, found.groupdict().get("case") or "", found["compare"] or "").around(said)


# Without units


def number_range(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A range of two numbers."""
    amount = _read(found, words, in_words)
    if amount is None:
        return None
    texts = [found["a"], found["b"]]
    if any(len(text) > 1 and text[0] == "0" and text.isdigit() for text in texts):
        return None
    if in_words and words.code in ("en", "de") and all(dates.is_year(text) for text in texts):
        said = f" {words.to} ".join(dates.year(words, text) for text in texts)
        return amount.around(said)
    return _before_noun(amount, found, _next_noun(found))


def plain(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number alone; a year as a year, a long one digit by digit."""
    digits = found["a"]
    amount = _read(found, words, in_words)
    marked = found["sign"] or found["compare"]
    if digits.isdigit() and len(digits) >= CODE_DIGITS and not marked:
        return (found.groupdict().get("case") or "") + digits_of(digits, words)
    if amount is None or not (in_words or marked):
        return None
    noun = "" if found.string[found.start() - 1 : found.start()] in ("제", "第") else _next_noun(found)
    if in_words and words.code in ("en", "de") and dates.is_year(digits) and not marked:
        return dates.year(words, digits)
    return _before_noun(amount, found, noun)


def _before_noun(amount: Amount, found: re.Match[str], noun: str) -> str:
    """Return an amount as it is said before a noun that follows the match."""
    words = amount.words
    said = amount.said("{0}" + words.space + noun)
    said = said[: len(said) - len(noun)].rstrip()
    if said.endswith("un’"):
        return said.removesuffix("’") + "a"
    needs_space = amount.in_words and is_native_korean(words, amount.last, noun)
    return said + " " if needs_space and found.string[found.end() : found.end() + 1] != " " else said


_NEXT_NOUN = re.compile(rf"[ {SPACES}]?([^\W\d_]+(?:-[^\W\d_]+)?)")


def _next_noun(found: re.Match[str]) -> str:
    """Return the word after a number, which may be a noun with which the number agrees."""
    following = _NEXT_NOUN.match(found.string, found.end())
    return following[1] if following else ""


def dimensions(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Numbers with a multiplication sign between: read as a product if there are spaces, else as a size."""
    spaced = found["times"][0].isspace()
    if found["times"].strip() == "x" and spaced and not in_words:
        return None
    link = words.signs["×"] if spaced else words.by
    numbers = [Numeral(digits) for digits in re.findall(r"\d+", found[0])]
    each = (number_text(words, number, "", in_words=in_words) for number in numbers)
    return f"{words.space}{link}{words.space}".join(each)


def ratio(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Two numbers with a colon between, such as a score."""
    if not in_words:
        return None
    return f"{words.space}{words.ratio}{words.space}".join(cardinal(found[name], words) for name in ("a", "b"))


def fold(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number of times, such as 3x."""
    number = Numeral(found["number"])
    noun = choose(words.fold, number, words.code)
    space = "" if words.code == "de" and in_words else " "
    return number_text(words, number, noun.capitalize(), in_words=in_words) + space + noun


def duration(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """Hours, minutes and seconds, such as 1h 30m, in which m is no length."""
    parts = [(digits, unit) for unit in ("h", "min", "s") if (digits := found.groupdict().get(unit))]
    said = (_measured(Amount(words, (Numeral(digits),), ("",), in_words), unit) for digits, unit in parts)
    return words.space.join(said)


def feet_and_inches(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A length such as 5'10"."""
    parts = ((found["feet"], "ft"), (found["inches"], "in"))
    return " ".join(_measured(Amount(words, (Numeral(digits),), ("",), in_words), unit) for digits, unit in parts)


def round_the_clock(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """The French 24h/24 and 7j/7."""
    number = Numeral(found["number"])
    whole = _measured(Amount(words, (number,), ("",), in_words), found["unit"])
    return f"{whole} sur {number_text(words, number, '', in_words=in_words)}"
