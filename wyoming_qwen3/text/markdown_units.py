"""Finds where a unit of markdown ends: a word, with any markup that must be read as a whole.

Does NOT know lines, or what is spoken for a unit.
"""

from collections.abc import Collection

import regex

from .hidden import MARKS
from .inline import MARK_OPENERS, mark_at
from .latex import FORMULA
from .spoken import ATTRIBUTES, CITATION, TAG, WIDE_CITATION
from .stage_directions import STAGE_DIRECTION
from .unit_joiner import CJK_LETTERS, CJK_STOPS
from .voice_tags import VoiceTagKind

# Patterns. One that is matched partially must not match in full what more text could change, so each ends in a definite
# character or a positive lookahead. Repetitions are bounded and possessive: a lazy one before a literal would wait for
# that literal without end.

_UNIT_LIMIT = 200

_PLAIN = regex.compile(rf"(?V1)[[^\s|`~$\\\[<(*_（【{CJK_STOPS}]--[\p{{Han}}\p{{Hiragana}}\p{{Katakana}}ー々〆]]+|.")
BLOCK_BREAK = regex.compile(
    r"(?P<fence>`{3,20}+|~{3,20}+)[^\n`]{0,60}+\n"
    r"|(?P<html></?(?i:p|br|div|li|ul|ol|h[1-6]|tr|table|hr|blockquote)"
    rf"{ATTRIBUTES}>)|{MARKS}"
)
"""Matches what ends a block in the middle of a line."""

_LINK = regex.compile(
    r"""(?x)\[(?:[^\[\]\\\n]|\\[^\n]|\[[^\[\]\n]{0,100}+\]){0,200}+\]
    (?:\([ ]{0,5}+(?:[^()\s]|\([^()\s]{0,60}+\)){0,500}+
         (?:[ ]{1,5}+(?:"[^"\n]{0,200}+"|'[^'\n]{0,200}+'))?[ ]{0,5}+\)
      |\[[^\[\]\n]{0,100}+\]
      |(?=[^(\[]))"""
)
_CITATIONS = regex.compile(rf"{CITATION}(?=[^,; (\[]|[,;](?:[^ \[]|[ ][^\[])|[ ][^\[])")
_SOURCES = regex.compile(rf"\((?:[ ]?(?:{CITATION})(?:\([^()\s]{{0,500}}+\)\]?)?[,;]?){{1,9}}+[ ]?\)")
OPENERS: dict[str, tuple[regex.Pattern[str], ...]] = {
    "$": (FORMULA,),
    "\\": (
        FORMULA,
        regex.compile(r"\\[^\n]|\\(?=\n)"),
    ),
    "`": (BLOCK_BREAK, regex.compile(r"(`{1,20}+)(?!`)(?:[^`\n]|(?<!`)(?!\1(?!`))`{1,20}+){1,200}+\1(?=[^`])")),
    "~": (BLOCK_BREAK,),
    "<": (
        BLOCK_BREAK,
        regex.compile(TAG),
        regex.compile(r"<!--(?:[^-]{1,20}+|-(?!->)){0,60}+-->"),
        regex.compile(r"<\w[^\s<>]{1,500}+>"),
    ),
    "[": (BLOCK_BREAK, STAGE_DIRECTION, _CITATIONS, _LINK),
    "(": (STAGE_DIRECTION, _SOURCES),
    "【": (STAGE_DIRECTION, regex.compile(WIDE_CITATION)),
    **dict.fromkeys("*_（", (STAGE_DIRECTION,)),
}
"""What may be markup, by its first character; the first pattern that matches decides."""

_BACKTICKS = regex.compile(r"`{1,20}+|.", regex.DOTALL)


def unit_end(
    text: str, start: int, at: int, *, markdown: bool, in_row: bool, kinds_before: Collection[VoiceTagKind], more: bool
) -> tuple[int, bool]:
    """Return the end of the unit that begins at `start` and is known up to `at`, and True.

    In a row of a table a unit ends before `|`. For `kinds_before` see `inline.mark_at`. If more text could move the
    end, return how far the unit is known now, and False.
    """
    while at < len(text):
        mark = text[at]
        if mark.isspace() or (mark == "|" and in_row):
            return at, True
        if mark in CJK_STOPS:
            return at + 1, True
        if letters := CJK_LETTERS.match(text, pos=at):
            # Each such letter is a word, but markup may be attached to the last one.
            if len(letters[0]) > 1:
                return letters.end() - 1, True
            if letters.end() == len(text):
                return at, False
            at += 1
        elif markdown and mark in OPENERS:
            end = _markup_end(text, at, kinds_before, more=more)
            if end is None:
                return at, False
            if end == at:
                return at, True
            at = end
        else:
            at = _PLAIN.match(text, pos=at, endpos=max(start + _UNIT_LIMIT, at + 1)).end()
        if at - start >= _UNIT_LIMIT:
            return at, True
    return at, False


def _markup_end(text: str, at: int, kinds_before: Collection[VoiceTagKind], *, more: bool) -> int | None:
    """Return the end of the markup that opens at `at`; None if it is still open.

    Return `at` itself if a block begins there, or a mark that pauses or directs the voice. If the opener does not open
    any markup, return the end of the opener.
    """
    if text[at] in MARK_OPENERS:
        mark = mark_at(text, at, kinds_before=kinds_before, more=more)
        if mark is None:
            return None
        if mark.end > at:
            return at
    for pattern in OPENERS[text[at]]:
        if found := pattern.match(text, pos=at, partial=more):
            if found.partial:
                return None
            return at if pattern is BLOCK_BREAK else int(found.end())
    return int(_BACKTICKS.match(text, pos=at).end())
