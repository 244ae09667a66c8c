"""Estimates of how long a text takes to say: the usual length, the range for a person, and the limit of a runaway."""

import unicodedata

_LETTER_SECONDS, _SYLLABLE_SECONDS = 0.065, 0.22
"""Usual length of a character: of an alphabet, and of a script whose characters are syllables. Spaces count."""

_PERSON_SECONDS = {
    "syllable": (1 / 8, 1 / 2),
    "mora": (1 / 12, 1 / 3),
    "letter": (1 / 25, 1 / 6),
    "digit": (1 / 25, 4 / 3),
}
"""Shortest and longest length of a character as people speak, without pauses: a range, where the model has one pace.

After Pellegrino, Coupé and Marsico, A cross-language perspective on speech information rate, Language 87 (2011):
5 syllables a second in Chinese, 6 in English, 8 in Japanese. A digit may be a word of eight letters.
"""

_SCRIPTS = {
    "CJK": "syllable",
    "HANGUL": "syllable",
    "IDEOGRAPHIC": "syllable",
    "HIRAGANA": "mora",
    "KATAKANA": "mora",
    "KATAKANA-HIRAGANA": "mora",
}
"""First word of a letter's Unicode name -> what the letter stands for."""

_LETTER_FRAMES, _SYLLABLE_FRAMES = 4, 12
"""Limits, not expectations: four to five times the usual length. A digit counts as a syllable: it may be a word."""

_MIN_TEXT_FRAMES = 192

_TOKEN_FRAMES = 10
"""A limit, too: a token takes 3 to 4 frames at an ordinary pace."""

_MIN_TOKEN_FRAMES = 100
_FRAMES_AROUND_A_WORD = 50


def expected_seconds(text: str) -> float:
    """Return roughly how many seconds a text takes to say."""
    return sum(_SYLLABLE_SECONDS if _is_wide(character) else _LETTER_SECONDS for character in text)


def seconds_by_person(text: str) -> tuple[float, float] | None:
    """Return the shortest and longest time in seconds in which a person says a text; None if it has no letters."""
    kinds = [_kind(character) for character in unicodedata.normalize("NFKC", text) if character.isalnum()]
    if not kinds:
        return None
    shortest, longest = (sum(_PERSON_SECONDS[kind][end] for kind in kinds) for end in (0, 1))
    return shortest, longest


def frame_limit_of_text(text: str, max_frames: int) -> int:
    """Return the most codec frames that a text may take, at most `max_frames`. Speech beyond that is a runaway."""
    long = sum(character.isdigit() or _is_wide(character) for character in text)
    limit = _SYLLABLE_FRAMES * long + _LETTER_FRAMES * (len(text) - long)
    return min(max(_MIN_TEXT_FRAMES, limit), max_frames)


def frame_limit_of_tokens(text_tokens: int, max_frames: int | None) -> int:
    """Return the most codec frames that a text of so many tokens may take, at most `max_frames` if that is given.

    Speech beyond that is a runaway. A short text may take 50 frames more, for the sound around its words, as long as
    that does not bring the limit above 100.
    """
    around = min(_MIN_TOKEN_FRAMES, _FRAMES_AROUND_A_WORD + _TOKEN_FRAMES * text_tokens)
    limit = max(around, _TOKEN_FRAMES * text_tokens)
    return limit if max_frames is None else min(limit, max_frames)


def _is_wide(character: str) -> bool:
    """Return whether a character is of a script whose characters are syllables or words."""
    return unicodedata.east_asian_width(character) in ("W", "F")


def _kind(character: str) -> str:
    if character.isdigit():
        return "digit"
    return _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0], "letter")
