"""What SSML's `<say-as>` makes of its content, where that can be written as text."""

import datetime

import regex

_ONE_BY_ONE = ("characters", "character", "spell-out", "spell", "verbatim", "digits", "number_digit", "digit")
_NUMBERS = ("telephone", "phone")
_UNSPOKEN = ("expletive", "bleep")
_DATES = {"mdy": "mdy", "dmy": "dmy", "ymd": "ymd", "yyyymmdd": "ymd", "": "ymd"}
_CHARACTER = regex.compile(r"\X")
_NUMBER = regex.compile(r"\d+")
_CENTURY_BEGINS = 70
"""Year of two digits from which on it is of the 20th century."""


def say_as(content: str, interpret_as: str, date_format: str) -> str:
    """Return the text to speak for the content of `<say-as>`.

    Characters, digits and telephone numbers are separated by spaces, and their groups by commas. A date with a format
    becomes one of ISO 8601. An expletive is not spoken. All else is left as it is, for normalisation by language.
    """
    kind = interpret_as.strip().lower()
    if kind in _ONE_BY_ONE:
        return ", ".join(_one_by_one(group) for group in content.split())
    if kind in _NUMBERS:
        return ", ".join(_one_by_one(group) for group in regex.split(r"[^\p{L}\p{N}+*#]+", content) if group)
    if kind in _UNSPOKEN:
        return ""
    if kind == "date":
        return _iso_date(content, date_format.strip().lower()) or content
    return content


def _one_by_one(group: str) -> str:
    """Return the characters of a word, with single spaces between them, as capital letters if there are such."""
    capitals = (character.upper() for character in _CHARACTER.findall(group))
    return " ".join(
        capital if len(capital) == len(character) else character
        for capital, character in zip(capitals, _CHARACTER.findall(group), strict=True)
    )


def _iso_date(content: str, date_format: str) -> str | None:
    """Return the date in the form 2026-11-29; None if it is no date of that format."""
    order = _DATES.get(date_format)
    numbers = _NUMBER.findall(content)
    if numbers and len(numbers) == 1 and len(numbers[0]) == 8 and order:
        lengths = {"y": 4, "m": 2, "d": 2}
        digits, numbers = numbers[0], []
        for part in order:
            numbers.append(digits[: lengths[part]])
            digits = digits[lengths[part] :]
    if order is None or len(numbers) != 3 or regex.search(r"\p{L}", content):
        return None
    date = dict(zip(order, map(int, numbers), strict=True))
    if len(numbers[order.index("y")]) == 2:
        date["y"] += 1900 if date["y"] >= _CENTURY_BEGINS else 2000
    try:
        return datetime.date(date["y"], date["m"], date["d"]).isoformat()
    except ValueError:
        return None
