"""What a text may write for speed, volume and pitch, in SSML and in brackets: words, numbers and percentages.

The words are those of SSML. It does not say how much they mean; here they are about what Azure, Google and Amazon make
of them. A number or percentage with a sign is relative to what applies around it, one without a sign to the default.
"""

import math

import regex

from wyoming_qwen3.core.request import MAX_SPEED, MIN_SPEED

MIN_GAIN, MAX_GAIN = -40.0, 12.0
"""Range of a gain in dB."""

SILENT = -math.inf
"""Gain of what is not heard at all."""

_SPEEDS = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.3, "x-fast": 1.7}
_GAINS = {"silent": SILENT, "x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0, "loud": 6.0, "x-loud": 10.0}
_PITCHES = {"x-low": -8.0, "low": -4.0, "medium": 0.0, "default": 0.0, "high": 4.0, "x-high": 8.0}
_WORDS = {"quiet": "soft", "normal": "medium", "very slow": "x-slow", "very fast": "x-fast"}

_AMOUNT = regex.compile(r"(?i)(?P<sign>[+-])?(?P<number>\d{1,6}(?:[.,]\d{1,6})?)\s?(?P<unit>%|db|hz|st)?")
_LEAST_SHARE = 20
"""A percentage without a sign below which it is an increase, as Azure writes it: `rate="10%"`. Amazon's least is 20."""

_VOICE_HZ = 160.0
"""Pitch of a voice between most women's and most men's, by which a change in Hz becomes one in semitones."""


def speed_after(value: str, current: float) -> float | None:
    """Return the factor for the speed that `value` makes of the current one; None if it is not understood.

    A number or percentage is the factor itself: "0.9", "90%". With a sign it changes the current one: "+10%", "-0.1".
    """
    if (word := _word(value)) in _SPEEDS:
        return _SPEEDS[word]
    amount = _AMOUNT.fullmatch(word)
    if amount is None or amount["unit"] not in (None, "%"):
        return None
    share = _number(amount) / (100 if amount["unit"] else 1)
    if amount["sign"] or (amount["unit"] and share * 100 < _LEAST_SHARE):
        share = current * (1 + share)
    return min(max(share, MIN_SPEED), MAX_SPEED)


def gain_after(value: str, current: float) -> float | None:
    """Return the gain in dB that `value` makes of the current one, SILENT for none; None if it is not understood.

    "+6dB" changes the current one. A number from 0 to 100, or a percentage, is a share of the default amplitude, and
    with a sign a change of it.
    """
    if (word := _word(value)) in _GAINS:
        return _GAINS[word]
    amount = _AMOUNT.fullmatch(word)
    if amount is None or amount["unit"] not in (None, "%", "db"):
        return None
    number = _number(amount)
    if amount["unit"] == "db":
        return _clamped(number + (current if amount["sign"] else 0.0))
    if not amount["sign"]:
        return _clamped(20 * math.log10(number / 100)) if number > 0 else SILENT
    return _clamped(current + 20 * math.log10(max(1 + number / 100, 0.01)))


def pitch_style(value: str) -> str | None:
    """Return the style, in words, for a pitch; "" for the default or an absolute one; None if not understood."""
    if (word := _word(value)) in _PITCHES:
        return _pitch_words(_PITCHES[word])
    amount = _AMOUNT.fullmatch(word)
    if amount is None or amount["unit"] == "db":
        return None
    if not amount["sign"] and amount["unit"] in (None, "hz"):
        return ""
    number = _number(amount)
    if amount["unit"] == "st":
        return _pitch_words(number)
    share = {"%": number / 100, "hz": number / _VOICE_HZ}.get(amount["unit"], number)
    return _pitch_words(12 * math.log2(max(1 + share, 0.1)))


def _word(value: str) -> str:
    word = " ".join(value.lower().split())
    return _WORDS.get(word, word)


def _number(amount: regex.Match[str]) -> float:
    number = float(amount["number"].replace(",", "."))
    return -number if amount["sign"] == "-" else number


def _clamped(gain: float) -> float:
    return min(max(gain, MIN_GAIN), MAX_GAIN)


def _pitch_words(semitones: float) -> str:
    if abs(semitones) < 0.5:
        return ""
    degree = "slightly " if abs(semitones) < 2 else "much " if abs(semitones) > 6 else ""
    return f"in a {degree}{'higher' if semitones > 0 else 'lower'} pitch"
