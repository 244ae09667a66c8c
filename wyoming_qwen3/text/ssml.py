"""Reads SSML, as people bring it from Azure, Google and Amazon, in any split.

A tag that directs the voice applies to what is in its element, and what applied before is restored at its closing tag.
Elements that can't be followed are dropped and their text is spoken. docs/expressive.md lists what each does; SSML 1.1
is https://www.w3.org/TR/speech-synthesis11/.

XML parsers end at the first error, and what assistants write has errors: `AT&T`, `a < b`, a missing closing tag. So
tags are read one by one, malformed markup is text, and a warning says so. No entities are defined, so none expand. Does
NOT know markdown or sentences.
"""

import html
from dataclasses import dataclass
from typing import TypeAlias

import regex

from .delivery import DEFAULT_DELIVERY, Delivery
from .hidden import MARKS, Hidden, hidden_after
from .inline import pause_in
from .markup import BREAK, Pause, Retraction, break_seconds, read_seconds
from .say_as import say_as
from .ssml_elements import EMPTY, SENTENCES, Scope, entered

SsmlItem: TypeAlias = str | Pause | Delivery | Retraction

MAX_DEPTH = 100
"""Most elements within each other; deeper ones direct nothing."""

MAX_WARNINGS = 10
"""Most warnings for one text."""


@dataclass
class _Element:
    """An element whose closing tag has not come yet."""

    tag: str
    scope: Scope
    seconds_after: float = 0.0
    """Length of the pause that follows it."""


class SsmlReader:
    """Turns SSML, fed in any split, into text, pauses and deliveries.

    `<p>`, `<s>` and hidden text become empty lines; any other whitespace becomes a space.
    """

    def __init__(self) -> None:
        self._held = ""
        self._elements: list[_Element] = []
        self._hidden: Hidden | None = None
        self._delivery = DEFAULT_DELIVERY
        self._items: list[SsmlItem] = []
        self._warnings: dict[str, None] = {}

    @property
    def hides(self) -> bool:
        """Whether what is fed now is not heard, because it is reasoning or a tool call."""
        return self._hidden is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong with the text so far, in sentences; at most MAX_WARNINGS."""
        return tuple(self._warnings)

    def feed(self, text: str) -> list[SsmlItem]:
        """Add text and return what no later text can change; markup that may be incomplete is held back."""
        return self._read(text, more=True)

    def finish(self) -> list[SsmlItem]:
        """End the text and return the rest; incomplete markup is text."""
        items = self._read("", more=False)
        for element in reversed(self._elements):
            self._warn_of_open(element)
        return items

    def _read(self, text: str, *, more: bool) -> list[SsmlItem]:
        text = self._held + text
        at = 0
        while at < len(text):
            end = self._skip(text, at, more=more) if self._hidden else self._read_on(text, at, more=more)
            if end is None:
                break
            at = end
        self._held = text[at:]
        items, self._items = self._items, []
        return items

    # Both read on from `at` and return the position reached, or None if they need more text.

    def _skip(self, text: str, at: int, *, more: bool) -> int | None:
        assert self._hidden
        reached, ends = self._hidden.skip(text, at, more=more)
        if ends:
            self._hidden = None
        return reached if ends or reached > at else None

    def _read_on(self, text: str, at: int, *, more: bool) -> int | None:
        opener = _OPENER.search(text, pos=at)
        end = opener.start() if opener else len(text)
        if end > at:
            self._say(text[at:end])
            return int(end)
        for pattern, follow in _MARKUP[text[at]]:
            if found := pattern.match(text, pos=at, partial=more):
                if found.partial:
                    return None
                follow(self, found)
                return int(found.end())
        if text[at] in _MEANT:
            self._warn(f"{text[at]} begins no markup; it is written {_MEANT[text[at]]}.")
        self._say(text[at])
        return at + 1

    @property
    def _scope(self) -> Scope:
        return self._elements[-1].scope if self._elements else Scope()

    def _say(self, text: str) -> None:
        """Add text; each run of whitespace is a space, because in XML it means no more."""
        scope = self._scope
        if not scope.is_spoken:
            return
        if not text.isspace() and scope.delivery != self._delivery:
            self._delivery = scope.delivery
            self._items.append(self._delivery)
        self._items.append(str(_SPACE.sub(" ", text)))

    def _pause(self, seconds: float) -> None:
        if seconds and self._scope.is_spoken:
            self._items.append(Pause(seconds))

    def _end_sentence(self) -> None:
        self._items.append("\n\n")

    def _hide(self, found: regex.Match[str]) -> None:
        if found["closed"]:
            self._items = [Retraction()]
            self._elements.clear()
            self._warnings.clear()
            self._delivery = DEFAULT_DELIVERY
        self._end_sentence()
        self._hidden = hidden_after(found)

    def _read_mark(self, found: regex.Match[str]) -> None:
        seconds = pause_in(found[0])
        if seconds is None:
            self._say(found[0])
        else:
            self._pause(seconds)

    def _read_break(self, found: regex.Match[str]) -> None:
        self._pause(break_seconds(found["break"] or ""))

    def _read_whole(self, found: regex.Match[str]) -> None:
        """Read an element whose content is replaced as a whole."""
        attributes = _attributes(found["attributes"])
        content = html.unescape(found["content"])
        if found["tag"].lower() == "sub":
            self._say(attributes.get("alias", content))
        else:
            self._say(say_as(content, attributes.get("interpret-as", ""), attributes.get("format", "")))

    def _read_text(self, found: regex.Match[str]) -> None:
        self._say(html.unescape(found[0]) if found[0].startswith("&") else found["cdata"])

    def _drop(self, found: regex.Match[str]) -> None:
        """Drop a comment or declaration."""

    def _read_tag(self, found: regex.Match[str]) -> None:
        tag = found["tag"].lower()
        if tag in SENTENCES:
            self._end_sentence()
        if found["closing"]:
            self._leave(tag)
            return
        attributes = _attributes(found["attributes"])
        if tag == "mstts:silence":
            self._read_silence(attributes)
        elif tag not in EMPTY and not found["empty"]:
            if len(self._elements) < MAX_DEPTH:
                self._elements.append(_Element(tag, entered(tag, attributes, self._scope)))
            else:
                self._warn(f"There are more than {MAX_DEPTH} elements within each other; deeper ones direct nothing.")

    def _read_silence(self, attributes: dict[str, str]) -> None:
        place = attributes.get("type", "").lower()
        seconds = read_seconds(attributes.get("value", "")) or 0.0
        if place.startswith("leading"):
            self._pause(seconds)
        elif place.startswith("tailing") and self._elements:
            self._elements[-1].seconds_after = seconds

    def _leave(self, tag: str) -> None:
        """Close the innermost element of this name, and those in it."""
        if not any(element.tag == tag for element in self._elements):
            if tag not in EMPTY:
                self._warn(f"</{tag}> closes nothing.")
            return
        while (element := self._elements.pop()).tag != tag:
            self._warn_of_open(element)
        self._pause(element.seconds_after)

    def _warn_of_open(self, element: _Element) -> None:
        self._warn(f"<{element.tag}> is not closed.")

    def _warn(self, sentence: str) -> None:
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings[f"The SSML is not correct: {sentence}"] = None


def _attributes(written: str) -> dict[str, str]:
    """Return the attributes of a tag by their names in lower case."""
    return {
        found["name"].lower(): html.unescape(found["double"] or found["single"] or found["bare"] or "").strip()
        for found in _ATTRIBUTE.finditer(written)
    }


_SPACE = regex.compile(r"\s+")
_OPENER = regex.compile(r"[\[<&]")
_MEANT = {"<": "&lt;", "&": "&amp;"}

# As in markdown_units.py, each pattern is bounded, possessive and ends in a definite character or a lookahead.
_ONE_ATTRIBUTE = r"""[A-Za-z_][\w:.-]{0,60}+\s{0,9}+=\s{0,9}+(?:"[^"<]{0,300}+"|'[^'<]{0,300}+'|[^\s"'<>/=]{1,100}+)"""
_ATTRIBUTES = rf"(?P<attributes>(?:\s{{1,50}}+{_ONE_ATTRIBUTE}){{0,20}}+)\s{{0,50}}+"
_ATTRIBUTE = regex.compile(
    r"""(?P<name>[\w:.-]+)\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"']+))"""
)

_HIDDEN = (regex.compile(MARKS), SsmlReader._hide)
_MARKUP = {
    "[": (_HIDDEN, (regex.compile(r"\[\s?(?i:pause)[^\[\]<>&]{0,30}+\]"), SsmlReader._read_mark)),
    "&": ((regex.compile(r"&(?:\#\d{1,7}+|\#[xX][0-9A-Fa-f]{1,6}+|[A-Za-z]\w{1,30}+);"), SsmlReader._read_text),),
    "<": (
        _HIDDEN,
        (regex.compile(BREAK), SsmlReader._read_break),
        (
            regex.compile(
                rf"<(?P<tag>(?i:sub|say-as)){_ATTRIBUTES}>(?P<content>[^<]{{0,300}}+)</(?i:(?P=tag))\s{{0,9}}+>"
            ),
            SsmlReader._read_whole,
        ),
        (regex.compile(r"<!--(?:[^-]{1,20}+|-(?!->)){0,60}+-->"), SsmlReader._drop),
        (regex.compile(r"<!\[CDATA\[(?P<cdata>(?:[^\]]{1,50}+|\](?!\]>)){0,60}+)\]\]>"), SsmlReader._read_text),
        (regex.compile(r"<!\[CDATA\["), SsmlReader._drop),
        (regex.compile(r"<[?!][A-Za-z][^<>\[]{0,500}+(?:\[[^\]]{0,500}+\]\s{0,9}+)?>"), SsmlReader._drop),
        (
            regex.compile(rf"<(?P<closing>/)?(?P<tag>[A-Za-z][\w:.-]{{0,40}}+){_ATTRIBUTES}(?P<empty>/)?>"),
            SsmlReader._read_tag,
        ),
    ),
}
"""What may be markup, by its first character, and how it is read; the first that matches decides."""
