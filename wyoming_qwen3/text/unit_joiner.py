"""Joins what is spoken for units of text into lines and blocks. Does NOT know markdown."""

from typing import TypeAlias

import regex

from .delivery import Delivery
from .markup import Pause, Retraction
from .voice_tags import VoiceTag

Joined: TypeAlias = str | Pause | VoiceTag | Delivery | Retraction
"""Clean text, or what is between two parts of it."""

CJK_LETTERS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}ー々〆]+")
CJK_STOPS = "。！？，、；："


class UnitJoiner:
    """Joins the clean units: with single spaces, and without the space before punctuation that a dropped word left.

    A mark of punctuation right after a pause is dropped, because it ends what was said before it. A change of delivery
    is placed before the next words: after the punctuation and the end of the block that come before them.
    """

    def __init__(self) -> None:
        self._joined: list[Joined] = []
        self._out: list[str] = []
        self._waiting: list[VoiceTag | Delivery] = []
        self._last = ""
        self._gap = ""
        self._hole = False
        self._paused = False
        self.spoke = False
        """Whether anything was said in this text."""
        self.line_width = 0
        """Columns of the text in this line; a CJK letter takes two."""

    @property
    def block_ended(self) -> bool:
        """Whether nothing was said in this block."""
        return not self._last

    @property
    def line_ended(self) -> bool:
        """Whether what was said ends with punctuation, so that the next line may follow without another mark."""
        return _ENDED.search(self._last) is not None or _CONTINUED.search(self._last) is not None

    @property
    def sentence_ended(self) -> bool:
        """Whether no sentence is incomplete."""
        return not self._last or _SENTENCE_END.search(self._last) is not None

    def take(self) -> list[Joined]:
        """Return what was joined since the last call."""
        self._join()
        joined, self._joined = self._joined, []
        return joined

    def _join(self) -> None:
        if self._out:
            self._joined.append("".join(self._out))
            self._out.clear()

    def say(self, text: str, written: str) -> None:
        """Add what is spoken for a unit, perhaps nothing; `written` is the unit."""
        words = text.split()
        self._hole |= not text.startswith(written[0])
        if not words or (self._paused and text in _NOT_AFTER_SPACE):
            return
        if text[0].isspace():
            self.space()
        said = " ".join(words)
        if self._gap != " " or not (self._hole and said[0] in _NOT_AFTER_SPACE):
            self._out.append(self._gap)
        if self._waiting and not self._completes_sentence(said):
            self._join()
            self._joined += self._waiting
            self._waiting.clear()
        self._out.append(said)
        self._last = (self._last + said)[-8:]
        self._gap, self._hole, self._paused = "", False, False
        self.spoke = True
        self.line_width += len(said) + 1
        if not said.isascii():
            self.line_width += sum(map(len, CJK_LETTERS.findall(said)))
        if text[-1].isspace():
            self.space()

    def _completes_sentence(self, said: str) -> bool:
        """Return whether `said` is punctuation that belongs to the words before it."""
        return not self.sentence_ended and all(mark in _NOT_AFTER_SPACE for mark in said)

    def change_delivery(self, change: VoiceTag | Delivery) -> None:
        """Change how the words that follow are spoken."""
        self._waiting.append(change)
        self._hole = True

    def pause(self, pause: Pause) -> None:
        """Add silence; what was said before it and what follows are apart."""
        self._join()
        self._joined.append(pause)
        self._last, self._gap, self._paused = "", "", True

    def begin_line(self) -> None:
        """Begin to measure a line."""
        self.line_width = 0

    def space(self) -> None:
        """End a word."""
        if self._last and not self._gap:
            self._gap = " "

    def end_cell(self) -> None:
        """End a cell of a table."""
        if self._last and not _ENDED.search(self._last):
            self._gap = ", "

    def retract(self) -> None:
        """Forget all text so far."""
        self._out.clear()
        self._waiting.clear()
        self._joined = [Retraction()]
        self._last, self._gap, self._hole, self._paused = "", "", False, False
        self.spoke = False

    def end_block(self) -> None:
        """End a block, with punctuation."""
        if not self._last:
            return
        if not _ENDED.search(self._last):
            self._out.append("。" if CJK_LETTERS.match(self._last[-1]) else ".")
        self._last, self._gap = "", "\n\n"


_NOT_AFTER_SPACE = ",.;:!?…)" + CJK_STOPS
_CLOSERS = r"""["'”’»›)\]}」』）】》〉*_~`]"""
_ENDED = regex.compile(rf"[.!?…:;,。！？：；，、؟؛،।]{_CLOSERS}*$")

_SENTENCE_END = regex.compile(rf"[.!?…。！？؟]{_CLOSERS}*$")

_CONTINUED = regex.compile(r"[-–—(/&]$")
