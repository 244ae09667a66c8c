"""What is said for codes, telephone and account numbers, versions and addresses that `grammar` recognises.

Each function takes the match, the lexicon, and whether numbers are written in words. It returns None if the match is
not what it looks like, such as a date with a 40th day.
"""

import re

from . import dates
from .lexicon import Lexicon
from .numerals import cardinal, digits_of, read_number, spell

# Codes, telephone numbers, versions


def code(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A number after a word such as "code", digit by digit."""
    digits = re.sub(r"\D", "", found["digits"])
    if not found["lead"].startswith("拨打"):
        return found["lead"] + digits_of(digits, words)
    return found["lead"] + _phone_digits(digits, words) if len(digits) < _SHORTEST_PHONE else None


_SHORTEST_PHONE = 7
"""Number of digits of the shortest telephone number that is read in groups."""


def telephone(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A telephone number, in its groups; French reads pairs of digits as numbers."""
    groups = re.findall(r"\d+", found["digits"])
    if len(groups) == 2 and groups[0] < groups[1] and all(dates.is_year(group) for group in groups):
        return None
    if sum(map(len, groups)) < _SHORTEST_PHONE:
        return None
    pairs = words.code == "fr" and all(len(group) <= 2 for group in groups)
    comma = {"zh": "，", "ja": "、"}.get(words.code, ", ")
    said = comma.join(
        spell("fr", int(group)) if pairs and group[0] != "0" else _phone_digits(group, words) for group in groups
    )
    return f"{words.plus}{words.space}{said}" if found[0][0] == "+" else said


def _phone_digits(digits: str, words: Lexicon) -> str:
    said = digits_of(digits, words)
    return said.replace("一", "幺") if words.code == "zh" else said


def iban(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """An account number after the code of its country, in groups of four."""
    written = found["iban"].replace(" ", "")
    if len(written) < _SHORTEST_IBAN:
        return None
    groups = [written[:2], *(written[at : at + 4] for at in range(2, len(written), 4))]
    comma = {"zh": "，", "ja": "、"}.get(words.code, ", ")
    return comma.join(
        " ".join(digits_of(each, words) if each.isdigit() else each for each in group) for group in groups
    )


_SHORTEST_IBAN = 13
"""Number of characters after the code of the country."""


def one_by_one(found: re.Match[str], words: Lexicon, in_words: bool) -> str | None:
    """A number in a name, such as that of a flight or a room in Chinese, digit by digit."""
    comma = {"zh": "，", "ja": "、"}.get(words.code, ", ")
    return comma.join(_phone_digits(group, words) for group in found["digits"].split("-")) if in_words else None


def dotted(found: re.Match[str], words: Lexicon, _: bool) -> str | None:
    """A version number, or an IP address, perhaps with a port, whose digits are read one by one."""
    number = read_number(found["parts"], words)
    parts = found["parts"].split(".")
    if number and number.is_whole:
        return None
    address = len(parts) == 4 and all(len(part) <= 3 and int(part) <= 255 for part in parts)
    if address:
        each = [digits_of(part, words) for part in parts]
    else:
        each = [dates.year(words, part) if dates.is_year(part) else cardinal(part, words) for part in parts]
    said = f"{words.space}{words.dot or words.point}{words.space}".join(each)
    if not found["port"]:
        return said
    return f"{said}{words.space}{words.colon}{words.space}{digits_of(found['port'], words)}" if address else None
