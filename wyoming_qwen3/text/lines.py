"""Recognises the kind of a line of markdown by its first characters, and whether it continues the line before.

A line of a paragraph continues the line before if it begins in lower case; if the line before ends within a sentence,
as at a comma; or if an editor may have wrapped the line, because its first word did not fit into 60 columns. Each other
line is an item of its own, as in a list without bullets.
"""

from typing import Literal, NamedTuple

import regex

from .hidden import TOOL_CALL
from .spoken import KEYCAP

BlockKind = Literal["paragraph", "line", "item", "heading", "row"]
"""`line` is a line of a paragraph that does not continue the line before, and any line that continues it."""

PROSE = ("paragraph", "line")


class LineStart(NamedTuple):
    """Where the marks at the start of a line end, and what begins there; None if that is not spoken."""

    end: int
    kind: BlockKind | None
    is_tool_call: bool = False


def line_start(text: str, at: int, *, markdown: bool, more: bool) -> LineStart | None:
    """Read the start of the line at `at`, of a line that is not spoken all; return None if it depends on more text."""
    for pattern in _UNSPOKEN_LINES if markdown else _BLANK_LINES:
        if line := pattern.match(text, pos=at, partial=more):
            return None if line.partial else LineStart(line.end(), None)
    if not markdown:
        return LineStart(at, "paragraph")
    if text[at] in "[{" and (call := TOOL_CALL.match(text, pos=at, partial=more)):
        return None if call.partial else LineStart(at, None, is_tool_call=True)
    kind: BlockKind = "paragraph"
    for pattern, begins in _LINE_MARKS:
        if mark := pattern.match(text, pos=at, partial=more):
            if mark.partial:
                return None
            at, kind = mark.end(), begins or kind
    return LineStart(at, kind)


def continues_prose(text: str, at: int, width: int, *, more: bool) -> bool | None:
    """Return whether the line at `at` continues a line of `width` columns that ended without punctuation.

    Return None if that depends on more text.
    """
    start = _LINE_START.match(text, pos=at, partial=more)
    if start is None:
        return False
    if start.partial:
        return None
    if start["sign"]:
        return False
    return bool(start["letter"].islower() or width + len(start["word"]) >= _WRAPPED_WIDTH)


# As in markdown_units.py, each pattern is bounded, possessive and ends in a definite character or a lookahead.
_WRAPPED_WIDTH = 60
_LINE_START = regex.compile(
    r"""(?P<sign>\p{Extended_Pictographic})"""
    r"""|[*_~`"'“‘«„(\[¿¡….]{0,6}+(?:(?P<letter>\p{Ll})|(?P<word>(?P<letter>[^\s])[^\s]{0,30}+)(?=[\s\S]))"""
)

_BLANK_LINES = (regex.compile(r"\n"),)
_UNSPOKEN_LINES = (
    regex.compile(r"[ \t|:*_=+\#>-]{0,400}+\n"),  # blank, a rule, an underlined heading, a table's second row
    regex.compile(r"\[[^\[\]\n]{1,100}+\]:[ \t]{0,9}+<?https?://[^\n]{0,500}+\n"),  # the target of a reference link
)
_LINE_MARKS: tuple[tuple[regex.Pattern[str], BlockKind | None], ...] = (
    (regex.compile(r"(?:>[ \t]{0,9}+){1,9}+(?=[^>\s])"), None),
    (regex.compile(r"(?:[-*+–—][ \t]{1,9}+|[•‣◦▪●][ \t]{0,9}+)(?=\S)"), "item"),
    (regex.compile(r"\[[ xX]\][ \t]{1,9}+(?=\S)"), None),
    (regex.compile(r"\#{1,6}+[ \t]{1,9}+(?=\S)"), "heading"),
    (regex.compile(r"(?=\d{1,3}+[.)][ \t])"), "item"),  # the number is spoken: it may be the day of a date
    (regex.compile(rf"(?={KEYCAP})"), "item"),
    (regex.compile(r"\[\^[^\[\]\s]{1,30}+\]:[ \t]{0,9}+(?=\S)"), "item"),
    (regex.compile(r"\|[ \t]{0,9}+(?=[^|\s])"), "row"),
)
