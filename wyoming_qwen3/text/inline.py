"""Reads marks in plain text that pause or direct the voice: `[pause:0.5s]`, `[style: tired]`, `[whispers]`, `[style]`.

A mark may be bold or italic as a whole. What is no mark, such as `[Enter]`, `[x]`, `[1]` or a link, is text; so is
`[voice]` alone in a text that has directed no voice before. Does NOT know which marks are in code or reasoning.
"""

from collections.abc import Collection
from typing import NamedTuple, TypeAlias

import regex

from .markup import BREAK, MAX_PAUSE, NUMBER, PAUSES, Pause, break_seconds, read_seconds
from .prosody import MIN_GAIN, gain_after, speed_after
from .style_words import StyleWord, read_style_words
from .voice_tags import VoiceTag, VoiceTagKind

MARK_OPENERS = frozenset("[【<*_")
"""The first characters of marks."""

Meaning: TypeAlias = Pause | tuple[VoiceTag, ...]


class Mark(NamedTuple):
    """Where a mark ends, and what it means; None if there is no mark, which then ends where it would begin."""

    end: int
    meaning: Meaning | None


def mark_at(text: str, at: int, *, kinds_before: Collection[VoiceTagKind], more: bool) -> Mark | None:
    """Read the mark at `at` in a text that has had tags of `kinds_before`.

    Return None if the mark may be incomplete.
    """
    found = _MARK.match(text, pos=at, partial=more)
    if found is None:
        return Mark(at, None)
    if found.partial:
        return None
    meaning = _meaning(found.groupdict(), kinds_before)
    return Mark(at if meaning is None else found.end(), meaning)


def pause_in(mark: str) -> float | None:
    """Return the seconds of a mark that is a pause; None if it is another mark or none."""
    found = mark_at(mark + "\n", 0, kinds_before=(), more=False)
    meaning = found.meaning if found and found.end == len(mark) else None
    return meaning.seconds if isinstance(meaning, Pause) else None


def is_voice_tag(text: str) -> bool:
    """Return whether a text begins with a voice tag that names its kind, such as `[style: tired]`."""
    return _SETTING.match(text) is not None


_KINDS: dict[str, VoiceTagKind] = {
    "style": "style", "tone": "style", "mood": "style", "emotion": "style", "voice": "voice",
    "language": "language", "lang": "language", "speed": "speed", "volume": "gain",
}  # fmt: skip
_LENGTHS = {"short": PAUSES["weak"], "brief": PAUSES["weak"], "medium": PAUSES["medium"], "long": PAUSES["strong"]}
_NONE = ("default", "none", "normal", "off")
_LEAST_MILLISECONDS = 20
"""A pause without a unit is in milliseconds from this number on, else in seconds."""

# As in markdown_units.py, the pattern is bounded, possessive and ends in a definite character or a lookahead.
_MARK = regex.compile(
    rf"""(?x)
    \[\s?(?i:pause)\s?[:=\s]\s?(?P<time>{NUMBER}\s?(?i:m?s(?:ec(?:onds?)?)?)?)\s?\]
    | {BREAK}
    | <(?P<sound>[a-z]{{3,12}}+)\s?/?>
    | (?P<emphasis>[*_]{{0,3}}+)[\[【]\s?(?:
        (?P<kind>(?i:{"|".join(_KINDS)}))\s?[:=：]\s?(?P<value>[^\[\]【】\n]{{1,200}}+)
        | (?P<slash>/)?(?P<words>\p{{L}}[\p{{L}}\p{{M}}\x20,，、&'’-]{{0,60}}+)
    )[\]】](?P=emphasis)(?=[^(])"""
)
_SETTING = regex.compile(rf"(?i)\[\s?(?:{'|'.join(_KINDS)})\s?[:=：][^\[\]\n]{{1,200}}\]")
_LANGUAGE = regex.compile(r"[\p{L}\p{M}][\p{L}\p{M}\d _().-]{1,39}")


def _meaning(found: dict[str, str | None], kinds_before: Collection[VoiceTagKind]) -> Meaning | None:
    if time := found["time"]:
        return Pause(_pause_seconds(time))
    if kind := found["kind"]:
        return _setting(_KINDS[kind.lower()], (found["value"] or "").strip())
    if sound := found["sound"]:
        return _styles(read_style_words(sound), sounds_only=True)
    if words := found["words"]:
        return _words(words.strip().lower(), kinds_before, closes=bool(found["slash"]))
    return Pause(break_seconds(found["break"] or ""))


def _pause_seconds(time: str) -> float:
    seconds = read_seconds(time)
    if seconds is None:
        number = float(time.replace(",", "."))
        seconds = number / 1000 if number >= _LEAST_MILLISECONDS else number
    return min(seconds, MAX_PAUSE)


def _setting(kind: VoiceTagKind, value: str) -> Meaning | None:
    """Return what a kind with a value directs; None if the value is not understood."""
    if not value:
        return None
    if value.lower() in _NONE:
        return (VoiceTag(kind, None),)
    if kind == "speed":
        speed = speed_after(value, 1.0)
        return None if speed is None else (VoiceTag(kind, speed),)
    if kind == "gain":
        gain = gain_after(value, 0.0)
        return None if gain is None else (VoiceTag(kind, max(gain, MIN_GAIN)),)
    return None if kind == "language" and not _LANGUAGE.fullmatch(value) else (VoiceTag(kind, value),)


def _words(words: str, kinds_before: Collection[VoiceTagKind], *, closes: bool) -> Meaning | None:
    """Return what words alone in brackets mean; `closes` is whether there is a slash before them."""
    length, _, noun = words.rpartition(" ")
    if noun in ("pause", "pauses") and not closes and (not length or length in _LENGTHS):
        return Pause(_LENGTHS.get(length, PAUSES["medium"]))
    if kind := _KINDS.get(words):
        return (VoiceTag(kind, None),) if closes or kind in kinds_before else None
    styles = _styles(read_style_words(words))
    return (VoiceTag("style", None),) if styles and closes else styles


def _styles(words: tuple[StyleWord, ...] | None, *, sounds_only: bool = False) -> tuple[VoiceTag, ...] | None:
    if words is None or (sounds_only and not all(word.is_sound for word in words)):
        return None
    return tuple(VoiceTag("style", word.style, adds=True, passing=word.is_sound) for word in words)
