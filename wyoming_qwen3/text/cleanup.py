"""Turns markdown, as a language model streams it, into the words that a person would read out.

Blocks are recognised line by line. Within a line the text is cut into units: a word, with any markup that must be read
as a whole (a link, a code span, a tag, a stage direction). Where a unit ends depends only on the text, never on how it
was split when fed, so any split gives the same result. markdown-it decides what a unit says. Emphasis does not have to
wait for its closing mark: a mark next to a word is dropped either way.

Does NOT know sentences, pauses or voices.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import emoji
import regex
from markdown_it import MarkdownIt
from markdown_it.common.html_blocks import block_names
from markdown_it.token import Token


class Cleaner:
    """Turns text, fed in any split, into clean text in whole words; an empty line separates blocks.

    A heading, a list item, a table row, and a paragraph before another block end in punctuation: a full stop is added
    if there is none. Without `markdown` only emoji, control characters and whitespace are cleaned. What is held back is
    bounded: markup that does not close within its line, or within a few hundred characters, is text.
    """

    def __init__(self, *, markdown: bool = True) -> None:
        self._markdown = markdown
        self._markdown_it = _markdown_it() if markdown else None
        self._page = _Page()
        self._raw = ""
        self._settled = 0
        self._after_return = False
        self._line_start = True
        self._block: _Block = "paragraph"
        self._fence: str | None = None

    def feed(self, text: str) -> str:
        """Add text and return the clean text that no later text can change, perhaps none."""
        self._raw += self._legible(text)
        self._advance(more=True)
        return self._page.take()

    def flush(self) -> str:
        """End the block and return all text so far, except markup that is still open; what follows begins a new block.

        A code block that is being skipped stays open.
        """
        if not self._fence:
            held, self._raw = (self._raw, "") if self._is_open() else ("", self._raw + "\n")
            self._advance(more=False)
            if not self._fence:
                self._begin_block("paragraph")
                self._line_start = not held
            self._raw = held
        return self._page.take()

    def finish(self) -> str:
        """End the text and return the rest: open markup without its marks, but nothing of an open code block."""
        self._raw += "\n"
        self._advance(more=False)
        if self._block != "paragraph":
            self._page.end_block()
        return self._page.take()

    def _is_open(self) -> bool:
        """Return whether the incomplete unit is markup, or marks without a letter or digit so far."""
        if not any(character.isalnum() for character in self._raw):
            return True
        if self._line_start:
            return False
        reached, ends = self._unit_end(self._raw, 0, self._settled, more=True)
        return not ends and reached < len(self._raw) and self._raw[reached] in _OPENERS

    def _legible(self, text: str) -> str:
        """Remove characters that neither markup nor speech needs, and end all lines with a single line feed."""
        if text:
            half_read = self._after_return and text[0] == "\n"
            self._after_return = text[-1] == "\r"
            text = text[half_read:]
        return str(_ILLEGIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").translate(_VERTICAL)))

    def _advance(self, *, more: bool) -> None:
        text, at = self._raw, 0
        while at < len(text):
            if self._fence:
                end = self._skip_code(text, at, more=more)
            elif self._line_start:
                end = self._start_line(text, at, more=more)
            else:
                end = self._read_unit(text, at, more=more)
            if end is None:
                break
            at = end
        self._raw = text[at:]

    # Each of these reads on from `at` and returns the position it reached, or None if it needs more text.

    def _skip_code(self, text: str, at: int, *, more: bool) -> int | None:
        if self._line_start:
            closing = regex.match(rf"[ \t>]{{0,40}}+{self._fence}+[ \t]{{0,40}}+\n", text, pos=at, partial=more)
            if closing:
                if closing.partial:
                    return None
                self._fence = None
                return int(closing.end())
        newline = text.find("\n", at)
        self._line_start = newline >= 0
        return newline + 1 if self._line_start else len(text)

    def _start_line(self, text: str, at: int, *, more: bool) -> int | None:
        """Recognise the kind of block by the marks at the start of a line, and skip them."""
        if text[at] in " \t":
            return at + 1
        for pattern in _UNSPOKEN_LINES if self._markdown else _BLANK_LINES:
            if line := pattern.match(text, pos=at, partial=more):
                if line.partial:
                    return None
                self._begin_block("paragraph")
                return int(line.end())
        block: _Block = "paragraph"
        for pattern, begins in _LINE_MARKS if self._markdown else ():
            if mark := pattern.match(text, pos=at, partial=more):
                if mark.partial:
                    return None
                at, block = mark.end(), begins or block
        wraps = self._block == "paragraph" or (self._block == "item" and text[at].islower())
        if block == "paragraph" and wraps:
            self._page.space()
        else:
            self._begin_block(block)
        self._line_start = False
        return at

    def _begin_block(self, block: "_Block") -> None:
        self._page.end_block()
        self._block = block

    def _read_unit(self, text: str, at: int, *, more: bool) -> int | None:
        if text[at] == "\n":
            self._line_start = True
            return at + 1
        if text[at].isspace():
            self._page.space()
            return at + 1
        if self._block == "row" and text[at] == "|":
            self._page.end_cell()
            return at + 1
        if self._markdown and (breaks := _BLOCK_BREAK.match(text, pos=at, partial=more)):
            if breaks.partial:
                return None
            self._fence = breaks["fence"]
            self._line_start = self._fence is not None
            self._page.end_block()
            return int(breaks.end())
        reached, ends = self._unit_end(text, at, at + self._settled, more=more)
        if not ends:
            self._settled = reached - at
            return None
        self._settled = 0
        self._say(text[at:reached])
        return reached

    def _say(self, unit: str) -> None:
        if unit == "|":
            self._page.end_cell()
        elif not (self._block == "heading" and set(unit) == {"#"}):
            self._page.say(_spoken(unit, self._markdown_it), unit)

    def _unit_end(self, text: str, start: int, at: int, *, more: bool) -> tuple[int, bool]:
        """Return the end of the unit that begins at `start` and is known up to `at`, and True.

        If more text could move the end, return how far the unit is known now, and False.
        """
        while at < len(text):
            mark = text[at]
            if mark.isspace() or (mark == "|" and self._block == "row"):
                return at, True
            if mark in _CJK_STOPS:
                return at + 1, True
            if letters := _CJK_LETTERS.match(text, pos=at):
                # Each such letter is a word, but markup may be attached to the last one.
                if len(letters[0]) > 1:
                    return letters.end() - 1, True
                if letters.end() == len(text):
                    return at, False
                at += 1
            elif self._markdown and mark in _OPENERS:
                end = _markup_end(text, at, more=more)
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


_Block = Literal["paragraph", "item", "heading", "row"]


class _Page:
    """Joins the clean units: with single spaces, and without the space before punctuation that a dropped word left."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._last = ""
        self._gap = ""
        self._hole = False

    def take(self) -> str:
        out = "".join(self._out)
        self._out.clear()
        return out

    def say(self, text: str, written: str) -> None:
        words = text.split()
        self._hole |= not text.startswith(written[0])
        if not words:
            return
        if text[0].isspace():
            self.space()
        said = " ".join(words)
        if self._gap != " " or not (self._hole and said[0] in ",.;:!?…)"):
            self._out.append(self._gap)
        self._out.append(said)
        self._last = (self._last + said)[-8:]
        self._gap, self._hole = "", False
        if text[-1].isspace():
            self.space()

    def space(self) -> None:
        if self._last and not self._gap:
            self._gap = " "

    def end_cell(self) -> None:
        if self._last and not _ENDED.search(self._last):
            self._gap = ", "

    def end_block(self) -> None:
        if not self._last:
            return
        if not _ENDED.search(self._last):
            self._out.append("。" if _CJK_LETTERS.match(self._last[-1]) else ".")
        self._last, self._gap = "", "\n\n"


# Patterns. One that is matched partially must not match in full what more text could change, so each ends in a definite
# character or a positive lookahead. Repetitions are bounded and possessive: a lazy one before a literal would wait for
# that literal without end.

_UNIT_LIMIT = 200

_ILLEGIBLE = regex.compile(r"(?V1)[[\p{Cc}\p{Cf}\p{Cs}\p{Co}\uFFFD]--[\t\n\u200D\U000E0020-\U000E007F]]")
_UNSPOKEN = regex.compile(r"[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\uFE00-\uFE0F\u20E3\uFFFD\U0001F1E6-\U0001F1FF]")
_VERTICAL = str.maketrans("\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029", "\n\n     \n\n")

_CJK_LETTERS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}ー々〆]+")
_CJK_STOPS = "。！？，、；："
_PLAIN = regex.compile(rf"(?V1)[[^\s|`~\\\[<(*_（【{_CJK_STOPS}]--[\p{{Han}}\p{{Hiragana}}\p{{Katakana}}ー々〆]]+|.")
_CLOSERS = r"""["'”’»›)\]}」』）】》〉*_~`]"""
_ENDED = regex.compile(rf"[.!?…:;,。！？：；，、؟؛،।]{_CLOSERS}*$")

_BLANK_LINES = (regex.compile(r"\n"),)
_UNSPOKEN_LINES = (
    regex.compile(r"[ \t|:*_=+\#>-]{0,400}+\n"),  # blank, a rule, an underlined heading, a table's second row
    regex.compile(r"\[[^\[\]\n]{1,100}+\]:[ \t]{0,9}+<?https?://[^\n]{0,500}+\n"),  # the target of a reference link
)
_LINE_MARKS: tuple[tuple[regex.Pattern[str], _Block | None], ...] = (
    (regex.compile(r"(?:>[ \t]{0,9}+){1,9}+(?=[^>\s])"), None),
    (regex.compile(r"(?:[-*+][ \t]{1,9}+|[•‣◦▪●][ \t]{0,9}+)(?=\S)"), "item"),
    (regex.compile(r"\[[ xX]\][ \t]{1,9}+(?=\S)"), None),
    (regex.compile(r"\#{1,6}+[ \t]{1,9}+(?=\S)"), "heading"),
    (regex.compile(r"(?=\d{1,3}+[.)][ \t])"), "item"),  # the number is spoken: it may be the day of a date
    (regex.compile(r"\[\^[^\[\]\s]{1,30}+\]:[ \t]{0,9}+(?=\S)"), "item"),
    (regex.compile(r"\|[ \t]{0,9}+(?=[^|\s])"), "row"),
)

_INLINE_TAG = regex.compile(
    r"(?i)a|abbr|amazon|audio|b|bd[io]|br|break|button|canvas|cite|code|data|del|dfn|em|emphasis|font|i|img|input|ins|kbd"
    r"|label|lang|map|mark|meter|object|output|phoneme|picture|pre|progress|prosody|q|r[bpt]|ruby|s|samp|say-as|script"
    r"|select|small|span|speak|strike|strong|style|su[bp]|svg|template|think|textarea|time|tt|u|var|video|voice|w|wbr"
)
_TAG = r"</?(?P<tag>[A-Za-z][A-Za-z0-9-]{0,20}+)(?::[A-Za-z-]{1,20}+)?(?:\s[^<>]{0,300}+|/)?>"
_BLOCK_BREAK = regex.compile(
    r"(?P<fence>`{3,20}+|~{3,20}+)[^\n`]{0,60}+\n"
    r"|</?(?i:p|br|div|li|ul|ol|h[1-6]|tr|table|hr|blockquote)(?:\s[^<>]{0,300}+|/)?>"
)

_ACTS = r"""
    laugh(?:s|ing)|chuckl(?:es|ing)|giggl(?:es|ing)|snickers|cackles|sigh(?:s|ing)|gasp(?:s|ing)|whisper(?:s|ing)
    |cough(?:s|ing)|yawn(?:s|ing)|sob(?:s|bing)|sniff(?:s|les|ing)|groan(?:s|ing)|moan(?:s|ing)|grunts|gulps
    |humm?(?:s|ing)|smil(?:es|ing)|grin(?:s|ning)|smirk(?:s|ing)|wink(?:s|ing)|nod(?:s|ding)|shrug(?:s|ging)|blushes
    |frowns|scoffs|snorts|mutters|mumbles|exhales|inhales|claps|clear(?:s|ing)\s(?:\p{L}{2,5}\s)?throat
    |takes\sa(?:\s\p{L}{2,5})?\sbreath|rolls\s(?:\p{L}{2,5}\s)?eyes|tilts\s(?:\p{L}{2,5}\s)?head
    |raises\s(?:\p{L}{1,5}\s)?eyebrows?|pauses|lacht|seufzt|flüstert|kichert|lächelt|räuspert\ssich|hustet|gähnt|nickt
    |zwinkert|soupire|chuchote|ricane|sourit|tousse|bâille|suspira|susurra|sonríe|sospira|sussurra|sorride|sorri
    |смеётся|смеется|вздыхает|шепчет|улыбается|хихикает|кашляет
"""
_SOUNDS = r"""
    laugh|laughter|chuckle|giggle|sigh|gasp|whisper|cough|yawn|smile|grin|wink|nod|shrug|applause|pause|beat|silence
    |deep\sbreath|lachen|seufzer|rires?|soupir|risas?|risate|risos?|смех|вздох
    |轻?笑|大笑|微笑|笑声|叹气|叹息|咳嗽|低语|笑い|ため息|咳払い|웃음|한숨
"""
_STAGE = regex.compile(
    rf"""(?xi)(?:(?<![\p{{L}}\p{{N}}*_])[*_]|[(\[（【])
    (?:(?:\p{{L}}{{2,20}}+(?<=ly)\s)?(?:{_ACTS})(?:,?\s[\p{{L}}'’-]{{1,20}}+){{0,4}}+|{_SOUNDS})
    [.…!]{{0,3}}+[*_)\]）】]"""
)
_LINK = regex.compile(
    r"""(?x)\[(?:[^\[\]\\\n]|\\[^\n]|\[[^\[\]\n]{0,100}+\]){0,200}+\]
    (?:\([ ]{0,5}+(?:[^()\s]|\([^()\s]{0,60}+\)){0,500}+
         (?:[ ]{1,5}+(?:"[^"\n]{0,200}+"|'[^'\n]{0,200}+'))?[ ]{0,5}+\)
      |\[[^\[\]\n]{0,100}+\]
      |(?=[^(\[]))"""
)
_OPENERS: dict[str, tuple[regex.Pattern[str], ...]] = {
    "\\": (regex.compile(r"\\[^\n]|\\(?=\n)"),),
    "`": (_BLOCK_BREAK, regex.compile(r"(`{1,20}+)(?!`)(?:[^`\n]|(?<!`)(?!\1(?!`))`{1,20}+){1,200}+\1(?=[^`])")),
    "~": (_BLOCK_BREAK,),
    "<": (
        _BLOCK_BREAK,
        regex.compile(_TAG),
        regex.compile(r"<!--(?:[^-]{1,20}+|-(?!->)){0,60}+-->"),
        regex.compile(r"<\w[^\s<>]{1,500}+>"),
    ),
    "[": (_STAGE, _LINK),
    **dict.fromkeys("*_(（【", (_STAGE,)),
}
_BACKTICKS = regex.compile(r"`{1,20}+|.", regex.DOTALL)


def _markup_end(text: str, at: int, *, more: bool) -> int | None:
    """Return the end of the markup that opens at `at`; `at` itself if a block begins there; None if it is still open.

    If the opener does not open any markup, return the end of the opener.
    """
    for pattern in _OPENERS[text[at]]:
        if found := pattern.match(text, pos=at, partial=more):
            if found.partial:
                return None
            return at if pattern is _BLOCK_BREAK else int(found.end())
    return int(_BACKTICKS.match(text, pos=at).end())


# What is spoken for a unit.

_MARKED = regex.compile(r"[\\`*_~\[\]<&(（【]|\w[.:@]\w|//")
# In literal text, such as code, marks become private characters for the last steps; by then no other text has these.
_KEPT = "*_~`[]()<>"
_PRIVATE = "".join(chr(0xE000 + i) for i in range(len(_KEPT)))
_SHIELD = str.maketrans(_KEPT, _PRIVATE)
_UNSHIELD = str.maketrans(_PRIVATE, _KEPT)
_WORD = r"[[\p{L}\p{N}]--[\p{Han}\p{Hiragana}\p{Katakana}]]"
_TIMES = regex.compile(r"(?<=\d)\*(?=\d)")
_BROKEN_LINK = regex.compile(r"!?\[([^\[\]]+)\](?:\([^()\s]*\)?|\[[^\[\]]*\])")
_UNSPOKEN_MARKS = regex.compile(
    rf"""(?xV1)
    \[\^[^\[\]\s]*\] | (?<=\S)\[\d{{1,3}}\] | 【\d+[^】]*】   # notes
    | `+ | ~~+ | (?<!{_WORD})_+ | _+(?!{_WORD})
    | (?<!{_WORD})\*+(?=[^\s*]) | (?<=[^\s*])\*+(?!{_WORD}|\*) | \*\*+(?!{_WORD}|\*)
    """
)
_EMPTY_PAIR = regex.compile(r"\(\s*\)|\[\s*\]|（\s*）")
_URL = regex.compile(
    r"(?i)(?:[a-z][a-z0-9+.-]*:)?(?://)?(?:[^\s/@]*@)?(?:www\.)?(?P<host>[^\s/:?\#]*)"
    rf"[^{_CJK_STOPS}\p{{Han}}\p{{Hiragana}}\p{{Katakana}}]*"
)


def _markdown_it() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["linkify", "strikethrough"])


def _spoken(unit: str, markdown_it: MarkdownIt | None) -> str:
    """Return what a person would say for a unit; markdown is parsed if a parser is given."""
    if markdown_it and _MARKED.search(unit):
        unit = _TIMES.sub(lambda times: times[0].translate(_SHIELD), _STAGE.sub("", unit))
        unit = "".join(_said(markdown_it.parseInline(unit)[0].children or ()))
        unit = _UNSPOKEN_MARKS.sub("", _BROKEN_LINK.sub(r"\1", unit))
        unit = _EMPTY_PAIR.sub("", unit.translate(_UNSHIELD))
    if unit.isascii():
        return unit
    return str(_UNSPOKEN.sub("", emoji.replace_emoji(unit, "")))


def _said(tokens: Sequence[Token]) -> Iterator[str]:
    is_url = False
    for token in tokens:
        if token.type == "link_open":
            is_url = token.info == "auto" and not str(token.attrGet("href")).startswith("mailto:")
        elif token.type == "link_close":
            is_url = False
        elif token.type == "code_inline":
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
    tag = regex.match(_TAG, html)
    return tag is None or tag["tag"].lower() in block_names or _INLINE_TAG.fullmatch(tag["tag"]) is not None


def _host(url: str) -> str:
    """Return the host of a URL, and the text that follows the URL without a space."""
    found = _URL.match(url)
    return str(found["host"]) + url[found.end() :]
