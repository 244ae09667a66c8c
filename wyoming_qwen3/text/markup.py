"""What is in a text besides words: pauses, and the end of reasoning that nobody announced."""

from dataclasses import dataclass

import regex

MAX_PAUSE = 10.0
"""Longest pause in seconds; longer ones are cut to this."""


@dataclass(frozen=True)
class Pause:
    """Silence of at most MAX_PAUSE seconds; 0 if live text only ends a stretch of speech."""

    seconds: float


@dataclass(frozen=True)
class Retraction:
    """All that came before it was reasoning: what of it is not spoken yet is not spoken, and its voice tags end."""


PAUSES = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 1.0, "x-strong": 1.5}
"""Strength of a break in SSML -> seconds."""

NUMBER = r"(?:\d{1,9}+(?:[.,]\d{1,6}+)?|[.,]\d{1,6}+)"
"""Matches a number without a sign; of up to 15 digits, with a point or a comma."""

BREAK = r"<(?i:break)(?P<break>\s[^<>]{0,200}+|/)?>"


def read_seconds(time: str) -> float | None:
    """Return the seconds of a time such as "500ms" or "1.5 s", at most MAX_PAUSE; None if it has no unit."""
    found = _TIME.fullmatch(time.strip())
    if found is None:
        return None
    seconds = float(found["number"].replace(",", ".")) / (1000 if found["milli"] else 1)
    return min(seconds, MAX_PAUSE)


def break_seconds(attributes: str) -> float:
    """Return the seconds of a break: by its time, else its strength, else medium (SSML 1.1, section 3.2.3)."""
    time = _TIME_ATTRIBUTE.search(attributes)
    if time and (seconds := read_seconds(time["time"])) is not None:
        return seconds
    strength = _STRENGTH_ATTRIBUTE.search(attributes)
    return PAUSES.get(strength["strength"].lower() if strength else "medium", PAUSES["medium"])


_TIME = regex.compile(rf"(?i)\+?(?P<number>{NUMBER})\s?(?P<milli>m)?s(?:ec(?:onds?)?)?")
_TIME_ATTRIBUTE = regex.compile(r"""\btime\s*=\s*["']?(?P<time>\s*\+?[\d.]+\s*m?s)\s*["'/]?""", regex.IGNORECASE)
_STRENGTH_ATTRIBUTE = regex.compile(r"""\bstrength\s*=\s*["']?\s*(?P<strength>[a-z-]+)""", regex.IGNORECASE)
