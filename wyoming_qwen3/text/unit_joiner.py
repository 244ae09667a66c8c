"""Joins what is spoken for units of text into lines and blocks. Does NOT know markdown."""

import regex

CJK_LETTERS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}ー々〆]+")
CJK_STOPS = "。！？，、；："


class UnitJoiner:
    """Joins the clean units: with single spaces, and without the space before punctuation that a dropped word left."""

    def __init__(self, *, spoke: bool = False) -> None:
        self._out: list[str] = []
        self._last = ""
        self._gap = ""
        self._hole = False
        self.spoke = spoke
        """Whether anything was said in this text."""
        self.retracted = False
        """Whether all text before what is taken next was retracted; the reader resets it."""
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

    def take(self) -> str:
        """Return the text since the last call."""
        out = "".join(self._out)
        self._out.clear()
        return out

    def say(self, text: str, written: str) -> None:
        """Add what is spoken for a unit, perhaps nothing; `written` is the unit."""
        words = text.split()
        self._hole |= not text.startswith(written[0])
        if not words:
            return
        if text[0].isspace():
            self.space()
        said = " ".join(words)
        if self._gap != " " or not (self._hole and said[0] in _NOT_AFTER_SPACE):
            self._out.append(self._gap)
        self._out.append(said)
        self._last = (self._last + said)[-8:]
        self._gap, self._hole = "", False
        self.spoke = True
        self.line_width += len(said) + 1
        if not said.isascii():
            self.line_width += sum(map(len, CJK_LETTERS.findall(said)))
        if text[-1].isspace():
            self.space()

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
        self._last, self._gap, self._hole = "", "", False
        self.spoke, self.retracted = False, True

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
