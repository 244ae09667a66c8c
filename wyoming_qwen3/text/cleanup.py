"""Turns markdown, as a language model streams it, into the words that a person would read out.

Blocks are recognised line by line. Within a line the text is cut into units: a word, with any markup that must be read
as a whole (a link, a code span, a tag, a stage direction). Where a unit ends depends only on the text, never on how it
was split when fed, so any split gives the same result. markdown-it decides what a unit says. Emphasis does not have to
wait for its closing mark: a mark next to a word is dropped either way.

Marks that pause or direct the voice (inline.py) are read here too, because one in code or reasoning is none. The text
around a voice tag is cleaned as if the tag were not there.

Does NOT know sentences or voices.
"""

import regex

from .delivery import Delivery
from .hidden import CodeBlock, Hidden, JsonValue, hidden_after
from .inline import MARK_OPENERS, Meaning, mark_at
from .lines import PROSE, BlockKind, continues_prose, line_start
from .markdown_units import BLOCK_BREAK, OPENERS, unit_end
from .markup import Pause, Retraction
from .spoken import markdown_parser, spoken
from .stage_directions import FIRST_STAGE_DIRECTION, LATER_STAGE_DIRECTION
from .unit_joiner import Joined, UnitJoiner
from .voice_tags import VoiceTagKind


class Cleaner:
    """Turns text, fed in any split, into clean text in whole words; an empty line separates blocks.

    A heading, a list item, a table row, and a paragraph before another block end in punctuation: a full stop is added
    if there is none. So does a line of a paragraph that the next one does not continue. Without `markdown` only emoji,
    control characters and whitespace are cleaned, and no marks are read. What is held back is bounded: markup that does
    not close within its line, or within a few hundred characters, is text.
    """

    def __init__(self, *, markdown: bool = True) -> None:
        self._markdown = markdown
        self._markdown_it = markdown_parser() if markdown else None
        self._joiner = UnitJoiner()
        self._raw = ""
        self._settled = 0
        self._after_return = False
        self._line_start = True
        self._begins_line = True
        self._begins_emphasised = False
        self._block: BlockKind = "paragraph"
        self._hidden: Hidden | None = None
        self._tag_kinds: set[VoiceTagKind] = set()

    def feed(self, text: str) -> list[Joined]:
        """Add text and return what no later text can change: clean text, and the pauses and voice tags in it."""
        self._raw += self._legible(text)
        self._advance(more=True)
        return self._joiner.take()

    def insert(self, item: Pause | Delivery | Retraction) -> list[Joined]:
        """Add what is between the text so far and the text that follows, and end the word before it."""
        if self._raw:
            self._raw += " "
            self._advance(more=False)
        if isinstance(item, Pause):
            self._joiner.pause(item)
        elif isinstance(item, Delivery):
            self._joiner.change_delivery(item)
        else:
            self._joiner.retract()
        return self._joiner.take()

    def flush(self) -> list[Joined]:
        """End the block and return all text so far, except markup that is still open; what follows begins a new block.

        What is hidden, such as a code block or reasoning, stays open.
        """
        if not self._hidden:
            held, self._raw = (self._raw, "") if self._is_open() else ("", self._raw + "\n")
            self._advance(more=False)
            if not self._hidden:
                self._begin_block("paragraph")
                self._line_start |= not held
            self._raw = held
        return self._joiner.take()

    def finish(self) -> list[Joined]:
        """End the text and return the rest: open markup without its marks, but nothing of what is hidden."""
        self._raw += "\n"
        self._advance(more=False)
        if self._block != "paragraph":
            self._joiner.end_block()
        return self._joiner.take()

    @property
    def hides(self) -> bool:
        """Whether what is fed now is not heard, because it is code, reasoning or a tool call."""
        return self._hidden is not None

    def _is_open(self) -> bool:
        """Return whether the incomplete unit is markup, or marks without a letter or digit so far."""
        if not any(character.isalnum() for character in self._raw):
            return True
        if self._line_start:
            return self._raw[0] in MARK_OPENERS or self._raw[0] == "{"
        if self._stage_direction_end(self._raw, 0, more=True) is None:
            return True
        reached, ends = self._unit_end(self._raw, 0, more=True)
        return not ends and reached < len(self._raw) and self._raw[reached] in OPENERS

    def _legible(self, text: str) -> str:
        """Remove characters that neither markup nor speech needs, and make line ends and minus signs those of ASCII."""
        if text:
            half_read = self._after_return and text[0] == "\n"
            self._after_return = text[-1] == "\r"
            text = text[half_read:]
        return str(_ILLEGIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").translate(_TO_ASCII)))

    def _advance(self, *, more: bool) -> None:
        text, at = self._raw, 0
        while at < len(text):
            if self._hidden:
                end = self._skip(self._hidden, text, at, more=more)
            elif self._line_start:
                end = self._start_line(text, at, more=more)
            else:
                end = self._read_unit(text, at, more=more)
            if end is None:
                break
            at = end
        self._raw = text[at:]

    # Each of these reads on from `at` and returns the position it reached, or None if it needs more text.

    def _skip(self, hidden: Hidden, text: str, at: int, *, more: bool) -> int | None:
        reached, ends = hidden.skip(text, at, more=more)
        if ends:
            self._hidden = None
            self._line_start = True
        return reached if ends or reached > at else None

    def _start_line(self, text: str, at: int, *, more: bool) -> int | None:
        """Recognise the kind of block by the marks at the start of a line, and skip them."""
        if text[at] in " \t":
            return at + 1
        mark_end = self._mark_end(text, at, more=more)
        if mark_end != at:
            return mark_end
        line = line_start(text, at, markdown=self._markdown, more=more)
        if line is None:
            return None
        if line.kind is None:
            self._begin_block("paragraph")
            self._hidden = JsonValue() if line.is_tool_call else None
            return line.end
        joins = line.kind == "paragraph" and self._joins(text, line.end, more=more)
        if joins is None:
            return None
        if joins:
            self._joiner.space()
        else:
            self._begin_block("line" if line.kind == "paragraph" and self._block in PROSE else line.kind)
        self._line_start = False
        self._begins_line = True
        self._joiner.begin_line()
        return line.end

    def _joins(self, text: str, at: int, *, more: bool) -> bool | None:
        """Return whether the line at `at` continues the line before; None if that depends on more text."""
        if not self._markdown or self._joiner.block_ended or self._block not in (*PROSE, "item"):
            return self._block in PROSE
        if self._block == "item":
            return text[at].islower()
        return self._joiner.line_ended or continues_prose(text, at, self._joiner.line_width, more=more)

    def _begin_block(self, block: BlockKind) -> None:
        self._joiner.end_block()
        self._block = block

    def _read_unit(self, text: str, at: int, *, more: bool) -> int | None:
        if text[at] == "\n":
            self._line_start = True
            return at + 1
        if text[at].isspace():
            self._joiner.space()
            return at + 1
        if self._block == "row" and text[at] == "|":
            self._joiner.end_cell()
            return at + 1
        if self._markdown and (breaks := BLOCK_BREAK.match(text, pos=at, partial=more)):
            if breaks.partial:
                return None
            self._break_block(breaks)
            return int(breaks.end())
        mark_end = self._mark_end(text, at, more=more)
        if mark_end != at:
            return mark_end
        direction_end = self._stage_direction_end(text, at, more=more)
        if direction_end is None:
            return None
        if direction_end > at:
            self._joiner.say("", text[at:direction_end])
            return direction_end
        reached, ends = self._unit_end(text, at, more=more)
        if not ends:
            self._settled = reached - at
            return None
        self._settled = 0
        unit = text[at:reached]
        if unit.strip("*_") or text[reached : reached + 1].isspace():  # else emphasis around a mark and more
            self._say(unit)
        return reached

    def _unit_end(self, text: str, at: int, *, more: bool) -> tuple[int, bool]:
        return unit_end(
            text,
            at,
            at + self._settled,
            markdown=self._markdown,
            in_row=self._block == "row",
            kinds_before=self._tag_kinds,
            more=more,
        )

    def _mark_end(self, text: str, at: int, *, more: bool) -> int | None:
        """Follow the mark at `at` and return its end; `at` itself if there is none; None if it may be incomplete."""
        if not self._markdown or text[at] not in MARK_OPENERS:
            return at
        mark = mark_at(text, at, kinds_before=self._tag_kinds, more=more)
        if mark and mark.meaning is not None:
            self._follow(mark.meaning)
        return mark.end if mark else None

    def _follow(self, meaning: Meaning) -> None:
        if not isinstance(meaning, Pause):
            for tag in meaning:
                self._joiner.change_delivery(tag)
                self._tag_kinds.add(tag.kind)
            return
        if self._line_start and self._block != "paragraph":
            self._joiner.end_block()
        if meaning.seconds:
            self._joiner.pause(meaning)

    def _stage_direction_end(self, text: str, at: int, *, more: bool) -> int | None:
        """Return the end of the stage direction at `at`; `at` itself if there is none; None if it may be incomplete."""
        if not self._markdown or text[at] not in "*_" or self._block not in PROSE:
            return at
        if not (self._begins_line or self._joiner.sentence_ended):
            return at
        pattern = LATER_STAGE_DIRECTION if self._joiner.spoke and not self._begins_emphasised else FIRST_STAGE_DIRECTION
        found = pattern.match(text, pos=at, partial=more)
        if found is None:
            return at
        return None if found.partial else int(found.end())

    def _break_block(self, breaks: regex.Match[str]) -> None:
        if breaks["closed"]:
            self._joiner.retract()
            self._tag_kinds.clear()
        self._hidden = CodeBlock(breaks["fence"]) if breaks["fence"] else hidden_after(breaks)
        self._line_start = not breaks["html"]
        self._joiner.end_block()
        if self._line_start:
            self._block = "paragraph"

    def _say(self, unit: str) -> None:
        if not self._joiner.spoke and _EMPHASIS.match(unit):
            self._begins_emphasised = True
        if unit == "|":
            self._joiner.end_cell()
        elif not (self._block == "heading" and set(unit) == {"#"}):
            self._joiner.say(spoken(unit, self._markdown_it, begins_line=self._begins_line), unit)
        self._begins_line = False


_ILLEGIBLE = regex.compile(r"(?V1)[[\p{Cc}\p{Cf}\p{Cs}\p{Co}\uFFFD]--[\t\n\u200D\U000E0020-\U000E007F]]")
_TO_ASCII = str.maketrans("\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029\u2010\u2011\u2212\uff0d", "\n\n     \n\n----")
_EMPHASIS = regex.compile(r"[*_](?![*_])")
