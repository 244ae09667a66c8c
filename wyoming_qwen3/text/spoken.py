"""Determines what a person says for a unit of markdown: a word with its markup. markdown-it parses the unit."""

from collections.abc import Iterator, Sequence

import emoji
import regex
from markdown_it import MarkdownIt
from markdown_it.common.html_blocks import block_names
from markdown_it.token import Token

from .latex import FORMULA_IN_UNIT, plain_formula
from .stage_directions import STAGE_DIRECTION
from .unit_joiner import CJK_STOPS

_INLINE_TAG = regex.compile(
    r"(?i)a|abbr|amazon|audio|b|bd[io]|br|break|button|canvas|cite|code|data|del|dfn|em|emphasis|font|i|img|input|ins|kbd"
    r"|label|lang|map|mark|meter|object|output|phoneme|picture|pre|progress|prosody|q|r[bpt]|ruby|s|samp|say-as|script"
    r"|select|small|span|speak|strike|strong|style|su[bp]|svg|template|textarea|time|tt|u|var|video|voice|w|wbr"
)
ATTRIBUTES = r"(?:\s{0,20}+|\s{1,20}+[A-Za-z_:@][\w:.-]{0,40}+\s{0,9}+(?:=[^<>]{0,300}+)?)/?"
"""Attributes of a tag: one without a value, or any number of which the first has one; `a<b and b>c` has no tag."""

TAG = rf"</?(?P<tag>[A-Za-z][A-Za-z0-9-]{{0,20}}+)(?::[A-Za-z-]{{1,20}}+)?{ATTRIBUTES}>"
KEYCAP = r"(?:(?P<key>[0-9*\#])\uFE0F?+\u20E3|\U0001F51F)"

_UNSPOKEN = regex.compile(r"[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\uFE00-\uFE0F\u20E3\uFFFD\U0001F1E6-\U0001F1FF]")
_MARKED = regex.compile(r"[\\$`*_~\[\]<&(（【]|\w[.:@]\w|//")
# In literal text, such as code, marks become private characters for the last steps; by then no other text has these.
_KEPT = "*_~`[]()<>"
_PRIVATE = "".join(chr(0xE000 + i) for i in range(len(_KEPT)))
_SHIELD = str.maketrans(_KEPT, _PRIVATE)
_UNSHIELD = str.maketrans(_PRIVATE, _KEPT)

_SOURCE = r"\^?\d{1,3}+(?:[ ]?[,;–-][ ]?\^?\d{1,3}+){0,9}+"
CITATION = rf"\[{{1,2}}+{_SOURCE}\]{{1,2}}+(?:[,;]?[ ]?\[{{1,2}}+{_SOURCE}\]{{1,2}}+){{0,9}}+"
WIDE_CITATION = r"【\d[^】\n]{0,60}+】"
_CITED = regex.compile(rf"\[?{_SOURCE}\]?")
_CODE_OR_FORMULA = regex.compile(
    rf"(`{{1,20}}+)(?s:.){{0,600}}?\1|(?P<formula>\^\\circ|\^\{{\\circ\}})|{FORMULA_IN_UNIT}"
)
_KEYCAP = regex.compile(KEYCAP)
_MINUS = regex.compile(r"(?<![\p{L}\p{N})\]%°])–(?=[.,]?\d)")
_LIST_MARK = regex.compile(r"\[\d{1,3}\][.:)]?")
_WORD = r"[[\p{L}\p{N}]--[\p{Han}\p{Hiragana}\p{Katakana}]]"
_POWER = regex.compile(r"(?i)(?<=\d|\)|\b\p{L}|\b(?:[ckm]m|ft|in))<sup>([23])</sup>")
_TIMES = regex.compile(r"(?<=\d)\*(?=\d)")
_BROKEN_LINK = regex.compile(rf"!?\[((?!{_SOURCE}\])[^\[\]]+)\](?:\([^()\s]*\)?|\[[^\[\]]*\])")
_UNSPOKEN_MARKS = regex.compile(
    rf"""(?xV1)
    \[\^[^\[\]\s]*\] | {CITATION} | {WIDE_CITATION}
    | `+ | ~~+ | (?<!{_WORD})_+ | _+(?!{_WORD})
    | (?<!{_WORD})\*+(?=[^\s*]) | (?<=[^\s*])\*+(?!{_WORD}|\*) | \*\*+(?!{_WORD}|\*)
    """
)
_EMPTY_PAIR = regex.compile(r"\([\s,;]*\)|\[\s*\]|（\s*）")
_URL = regex.compile(
    r"(?i)(?:[a-z][a-z0-9+.-]*:)?(?://)?(?:[^\s/@]*@)?(?:www\.)?(?P<host>[^\s/:?\#]*)"
    rf"[^{CJK_STOPS}\p{{Han}}\p{{Hiragana}}\p{{Katakana}}]*"
)


def markdown_parser() -> MarkdownIt:
    """Return a parser for `spoken`; a text shares one, since creating it takes a while."""
    return MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["linkify", "strikethrough"])


def spoken(unit: str, markdown_it: MarkdownIt | None, *, begins_line: bool) -> str:
    """Return what a person would say for a unit; markdown is parsed if a parser is given.

    A number in brackets is a citation, which is not spoken, except where it begins a line: there it counts.
    """
    if begins_line and _LIST_MARK.fullmatch(unit):
        return unit
    if not unit.isascii():
        unit = _MINUS.sub("-", _KEYCAP.sub(lambda keycap: (keycap["key"] or "10").translate(_SHIELD), unit))
    if markdown_it and _MARKED.search(unit):
        if "$" in unit or "\\" in unit:
            unit = _CODE_OR_FORMULA.sub(_plain, unit)
        if "`" not in unit:
            unit = _POWER.sub(lambda power: "²" if power[1] == "2" else "³", unit)
        unit = _TIMES.sub(lambda times: times[0].translate(_SHIELD), STAGE_DIRECTION.sub("", unit))
        unit = "".join(_said(markdown_it.parseInline(unit)[0].children or ()))
        unit = _UNSPOKEN_MARKS.sub("", _BROKEN_LINK.sub(r"\1", unit))
        unit = _EMPTY_PAIR.sub("", unit.translate(_UNSHIELD))
    if unit.isascii():
        return unit
    return str(_UNSPOKEN.sub("", emoji.replace_emoji(unit.translate(_UNSHIELD), "")))


def _plain(found: regex.Match[str]) -> str:
    """Return a code span as it is, and a formula without LaTeX."""
    return found[0] if found["formula"] is None else plain_formula(found["formula"]).translate(_SHIELD)


def _said(tokens: Sequence[Token]) -> Iterator[str]:
    link: list[str] | None = None
    is_url = False
    for token in tokens:
        if token.type == "link_open":
            link, is_url = [], token.info == "auto" and not str(token.attrGet("href")).startswith("mailto:")
        elif token.type == "link_close" and link is not None:
            text = "".join(link)
            yield "" if _CITED.fullmatch(text) else text
            link, is_url = None, False
        elif link is None:
            yield from _said_token(token, is_url=False)
        else:
            link += _said_token(token, is_url=is_url)


def _said_token(token: Token, *, is_url: bool) -> Iterator[str]:
    if token.type == "code_inline":
        yield token.content.translate(_SHIELD)
    elif token.type == "image":
        yield from _said(token.children or ())
    elif token.type == "html_inline":
        yield "" if _is_markup(token.content) else token.content.translate(_SHIELD)
    elif is_url or token.content.startswith(("http://", "https://")):
        yield _host(token.content)
    else:
        yield token.content


def _is_markup(html: str) -> bool:
    tag = regex.match(TAG, html)
    return tag is None or tag["tag"].lower() in block_names or _INLINE_TAG.fullmatch(tag["tag"]) is not None


def _host(url: str) -> str:
    """Return the host of a URL, and the text that follows the URL without a space."""
    found = _URL.match(url)
    return str(found["host"]) + url[found.end() :]
