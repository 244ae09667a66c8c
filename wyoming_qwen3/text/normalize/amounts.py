"""What is said for numbers with signs, units and currencies, for ranges and fractions, and for plain numbers.

As in `readings`, each function takes the match, the lexicon, and whether numbers are written in words, and returns None
if the match is not what it looks like.
"""

import re
from dataclasses import dataclass, replace

from . import dates, ordinals
from .agreement import is_native_korean, number_text
from .lexicon import Lexicon
from .marks import final_dot, last_word
from .money import NOUNS, cents, currency_signs, magnitude_pattern, money_pattern
from .numerals import SPACES, Numeral, category, digits_of, read_number, spell
from .units import TEMPERATURES, divided, noun_after, periods, scaled, unit_pattern, unit_symbols

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
        if self.words.code != "ru":
            return False
        return bool(self.before) or self.compare in _GENITIVE or (len(self.numbers) == 2 and bool(self.start))

    @property
    def plural(self) -> str:
        """The plural category of the noun."""
        if self._is_genitive and self.last.is_whole:
            return "few" if re.search(r"(?<!1)1$", self.last.whole) else "many"
        return category(self.last, self.words.code)

    def said(self, pattern: str, *, minus: str = "") -> str:
        """Return a pattern with the numbers in place of "{0}". `minus` is what a minus is called, if not as usual."""
        words, noun = self.words, noun_after(pattern)
        names = {"": "", "+": words.plus, "正": "正"}
        front = ""
        parts = []
        for number, sign in zip(self.numbers, self.signs, strict=True):
            text = number_text(words, number, noun, in_words=self.in_words, genitive=self._is_genitive)
            name = names.get(sign, minus or words.minus)
            if "分之{0}" in pattern and len(self.numbers) == 1:
                front, name = name, ""
            parts.append(f"{name}{words.space}{text}" if name else text)
        if words.code == "ko" and not self.in_words:
            pattern = pattern.replace("{0} ", "{0}")
        if pattern == "百分之{0}" and parts == ["一百"]:
            parts = ["百"]
        said = front + pattern.replace("{0}", self._range(parts)).strip()
        return self.around(re.sub(r"\buna (?=[aeiou])", "un’", said) if words.code == "it" else said)

    def _range(self, parts: list[str]) -> str:
        if len(parts) == 1:
            return parts[0]
        if self.words.code == "ru":
            return f"от {parts[0]} до {parts[1]}" if self._is_genitive and not self.before else "-".join(parts)
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
            is_positive = sign == "+" and words.code == "zh" and not found.string[: found.start()][-1:].isdigit()
            numbers.append(number)
            signs.append("正" if is_positive else sign or "")
    if len(numbers) == 2 and not signs[1] and not signs[0] and not _is_range(*numbers):
        return None
    start = f"{words.start} " if words.start and not _after_preposition(found, words) else ""
    before, compare = groups.get("case") or "", groups.get("compare") or ""
    return Amount(words, tuple(numbers), tuple(signs), in_words, before, compare, start)


def _after_preposition(found: re.Match[str], words: Lexicon) -> bool:
    return last_word(found) in words.prepositions.split()


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
    if found["unit"] in _LETTERS and found.string[found.start("unit") - 1].isdigit() and _is_labelled(found, words):
        return None
    plural = "one" if last_word(found) in words.articles.split() else ""
    return measured(amount, found["unit"], plural) + (_link(found, words) or final_dot(found, found["unit"]))


_LETTERS = frozenset("ABCDFHJKLNTVWdghlmstвгмтсдлчВАКТ")


def _is_labelled(found: re.Match[str], words: Lexicon) -> bool:
    """Return whether the word before a number tells that this is the name of a place or a vehicle."""
    word = last_word(found).lstrip("(\"'„“«[")
    endings = words.label_endings.split()
    return word in words.labels.split() or (word not in endings and word.endswith(tuple(endings)))


def measured(amount: Amount, unit: str, plural: str = "") -> str:
    """Return an amount with a unit, whose plural category is the amount's if none is given."""
    words = amount.words
    symbol, places = scaled(unit_symbols(words.code).get(unit, unit))
    if places:
        numbers = tuple(number.shifted(places) for number in amount.numbers)
        amount = replace(amount, numbers=numbers)
    minus = words.below_zero if symbol in TEMPERATURES else ""
    return amount.said(unit_pattern(words.code, symbol, plural or amount.plural), minus=minus)


def price(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """An amount of money, or a range."""
    amount = _read(found, words, in_words)
    if amount is None:
        return None
    currency = {**currency_signs(words.code), **NOUNS}[found["currency"]]
    magnitude, per = found["magnitude"] or "", found["per"] or ""
    is_divided = per and per not in periods(words.code) and not amount.last.whole.strip("0")
    is_single = not (magnitude or is_divided) and len(amount.numbers) == 1
    if is_single and (with_cents := cents(words, amount.last, currency, in_words=in_words)):
        number, pattern = with_cents
        pattern = divided(words.code, pattern, per) if per else pattern
        said = replace(amount, numbers=(number,), before="").said(pattern)
        return said + (_link(found, words) or final_dot(found, per or found["currency"]))
    if not per:
        numbers = tuple(_without_zeros(number) for number in amount.numbers)
        amount = replace(amount, numbers=numbers)
    plural = "one" if last_word(found) in words.articles.split() else amount.plural
    pattern = money_pattern(words, amount.last, currency, magnitude, per, plural=plural)
    return amount.said(pattern) + (_link(found, words) or final_dot(found, found["per"] or found["currency"]))


def _without_zeros(number: Numeral) -> Numeral:
    """Return a price without the zeros of its cents."""
    return Numeral(number.whole, number.fraction.rstrip("0")) if len(number.fraction) == 2 else number


def millions(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number of millions and the like, abbreviated."""
    amount = _read(found, words, in_words)
    if amount is None:
        return None
    ends = found["magnitude"][-1] == "." and not found.string[found.end() :].strip()
    noun = next_noun(found)
    if found["magnitude"] == "mil" and words.code in ("es", "pt") and in_words and amount.last.is_whole and noun:
        return f"{number_text(words, amount.last, noun, in_words=True)} mil"
    return amount.said(magnitude_pattern(words, found["magnitude"], amount.plural)) + "." * ends


# Without units


def number_range(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A range of two numbers."""
    amount = _read(found, words, in_words)
    if amount is None:
        return None
    texts = [found["a"], found["b"]]
    if any(len(text) > 1 and text[0] == "0" and text.isdigit() for text in texts):
        return None
    if in_words and all(dates.is_year(text) for text in texts):
        if words.code in ("en", "de", "zh"):
            return amount.around(words.link.join(dates.year(words, text) for text in texts))
        if words.code == "ru" and not amount.before:
            return " — ".join(ordinals.ordinal(words, int(text)) for text in texts)
    noun = next_noun(found)
    if words.code == "ru" and noun and category(amount.last, "ru") == "few":
        amount = replace(amount, start="")  # the noun is not in the form after "до"
    return _before_noun(amount, found, noun)


def plain(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number alone; a year as a year, a long one digit by digit."""
    digits = found["a"]
    amount = _read(found, words, in_words)
    marked = found["sign"] or found["compare"]
    if digits.isdigit() and len(digits) >= CODE_DIGITS and not marked:
        return (found.groupdict().get("case") or "") + digits_of(digits, words)
    if amount is None or not (in_words or marked):
        return None
    if words.code == "ru" and amount.last.is_whole and last_word(found) in ("к", "ко"):
        return spell("ru", amount.last.value, "cardinal-masculine-dative")
    if words.code == "es" and digits == "1" and last_word(found) == "la" and not next_noun(found):
        return "una"
    noun = "" if found.string[found.start() - 1 : found.start()] in ("제", "第") else next_noun(found)
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


def next_noun(found: re.Match[str]) -> str:
    """Return the word after a number, which may be a noun with which the number agrees."""
    following = _NEXT_NOUN.match(found.string, found.end())
    if not following or _KOREAN_NUMBERED.match(found.string, found.end()):
        return ""
    return following[1]


_KOREAN_NUMBERED = re.compile(
    r"번 (?:승강장|출구|입구|국도|도로|버스|홈|게이트|방|채널|트랙|좌석|창구|테이블|라인|구역|선수|타자|문제|노선"
    r"|정류장|탑승구|플랫폼|카메라|센서|스위치|서버|포트|레인|코스|칸)"
)
"""What is numbered in Korean and not counted: "5번 출구" is exit 5."""
