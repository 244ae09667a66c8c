"""Amounts of money: signs and codes of currencies, cents, and prices per unit."""

import re
from functools import lru_cache

from babel.numbers import get_currency_name

from .agreement import number_text
from .lexicon import Lexicon, lexicon
from .numerals import Numeral, category, choose, choose_form
from .units import divided

_SIGNS = {
    "US$": "US", "R$": "BRL", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "HK$": "HKD",
    "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "￥": "JPY", "₽": "RUB", "₩": "KRW", "₹": "INR", "₺": "TRY",
    "₴": "UAH", "₪": "ILS", "₫": "VND", "฿": "THB", "₱": "PHP", "¢": "¢", "zł": "PLN", "Kč": "CZK",
}  # fmt: skip
_CODES = (
    "EUR USD GBP CHF JPY CNY RUB BRL PLN CZK SEK NOK DKK HUF RON TRY INR KRW AUD CAD NZD MXN SGD HKD ZAR ILS UAH THB"
    " ARS CLP COP"
).split()
_LOCAL = {
    "de": {"ct": "¢", "Ct": "¢", "Fr.": "CHF"},
    "ru": {"руб.": "RUB", "руб": "RUB", "р.": "RUB", "коп.": "копейка", "долл.": "USD"},
    "zh": {"¥": "CNY", "￥": "CNY"},
    "fr": {"cts": "¢"},
    "es": {"cts.": "¢"},
}


NOUNS = {"元": "CNY", "円": "JPY", "원": "KRW"}
"""Nouns of currencies that are read as such only before what is paid for, as in 0.6元/kWh."""


@lru_cache(16)
def currency_signs(code: str) -> dict[str, str]:
    """Return all signs and codes of currencies in a language -> the currency by which `money` knows it."""
    return {**_SIGNS, **{each: each for each in _CODES}, "USD": "US", **_LOCAL.get(code, {})}


@lru_cache(16)
def currency_expression(code: str) -> str:
    """Return a regular expression for the sign or code of a currency."""
    signs = sorted(currency_signs(code), key=len, reverse=True)
    return "|".join(re.escape(sign) + r"(?![A-Za-zÀ-ÖØ-öø-ɏЀ-ӿ])" * sign[-1].isalpha() for sign in signs)


def money_pattern(
    words: Lexicon, number: Numeral, currency: str, magnitude: str = "", per: str = "", *, plural: str = ""
) -> str:
    """Return how an amount is said, with "{0}" for the number.

    `currency` is what `currency_signs` returns, `magnitude` is an abbreviation such as "Mio.", `per` is the symbol of
    the unit that is paid for, and `plural` is the plural category, if it is not the number's.
    """
    plural = plural or category(number, words.code)
    if magnitude:
        return magnitude_pattern(
            words, magnitude, plural, _noun(words, currency, "many" if words.code == "ru" else "other")
        )
    pattern = "{0}" + words.space + _noun(words, currency, plural)
    return divided(words.code, pattern, per) if per else pattern


def magnitude_pattern(words: Lexicon, magnitude: str, plural: str, noun: str = "") -> str:
    """Return how a number of millions and the like is said, with "{0}" for the number."""
    millions = choose_form(words.magnitudes[magnitude], plural)
    of = f"{words.of} " if noun and words.of and millions not in ("mil", "mille", "mila") else ""
    if words.code == "fr" and noun[:1] in tuple("aeéiou"):
        of = of.replace("de ", "d’")
    return words.space.join(part for part in ("{0}", millions, of + noun) if part)


def cents(words: Lexicon, number: Numeral, currency: str, *, in_words: bool) -> tuple[Numeral, str] | None:
    """Return an amount with cents as a number and a pattern for it; None if it is not read so."""
    minor = words.minor.get("USD" if currency == "US" else currency)
    if not words.cents or not minor or len(number.fraction) != 2 or not number.fraction.strip("0"):
        return None
    part = Numeral(number.fraction.lstrip("0"))
    noun = choose(minor, part, words.code)
    if not number.whole.strip("0"):
        return part, f"{{0}} {noun}"
    whole = Numeral(number.whole)
    alone = number_text(words, part, "", in_words=in_words)
    with_noun = f"{number_text(words, part, noun, in_words=in_words)} {noun}"
    return whole, words.cents.format(major=money_pattern(words, whole, currency), minor=with_noun, number=alone)


def _noun(words: Lexicon, currency: str, plural: str) -> str:
    """Return the noun of a currency in a plural form."""
    if currency == "копейка":
        return choose_form(words.minor["RUB"], plural)
    if forms := words.money.get(currency):
        return choose_form(forms, plural)
    return _name(words.code, "USD" if currency == "US" else currency, plural)


@lru_cache(512)
def _name(code: str, currency: str, plural: str) -> str:
    counted = {"one": 1, "few": 2, "many": 5, "other": 10}[plural]
    name = get_currency_name(currency, counted if code != "ru" or plural != "other" else 2, locale=code)
    name = name.replace(" ", "") if code in ("ja", "zh") else name
    return name[0].lower() + name[1:] if code == "pt" else name


def currency_name(code: str, sign: str) -> str:
    """Return what a currency is called without an amount, in the plural."""
    return _noun(lexicon(code), currency_signs(code)[sign], "many" if code == "ru" else "other")
