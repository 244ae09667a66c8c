"""Reads a dialogue script: who says what, and where there is silence.

    [Ann] Good morning.
    [Bob] Is it? [pause:500ms] I had not noticed.
    It is early.
    [pause 2s]
    # nobody hears this
    [Ann] Coffee?

A pure function of the text, in linear time. Does NOT know voices: a speaker is any name in brackets.
"""

import re
import unicodedata
from dataclasses import dataclass, field

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

from .inline import is_voice_tag, pause_in
from .markup import MAX_PAUSE

MAX_TURNS = 200
"""Most turns in one dialogue."""

MAX_SPEAKER = 64
"""Most characters in a speaker's name."""


@dataclass(frozen=True)
class Turn:
    """What one speaker says without another in between.

    `text` may contain paragraphs and pauses. `pause_after` is how many seconds of silence follow, at most MAX_PAUSE;
    None if the script does not say.
    """

    speaker: str
    text: str
    pause_after: float | None = None


def read_script(script: str) -> tuple[Turn, ...]:
    """Return the turns of a script, in order.

    A line `[Speaker] text` begins a turn, which continues on the lines below it; an empty line begins a paragraph. The
    brackets may be 【】 or ［］. A line that begins with `#` or `//` is a comment; within a line these are text.

    A pause as inline.py reads it, `[pause:500ms]` or `[pause]`, is never a speaker, and neither is a voice tag with a
    kind, `[style: tired]`. Within a turn they stay in the text. Pauses on lines of their own at the end of a turn
    replace the usual silence after the turn; several add up, and `[pause:0s]` means no silence.

    Raises InvalidRequest, naming the line, if there is text or a pause before the first speaker, if a speaker says
    nothing or `check_speaker` rejects the name, or if a line begins with a bracket and does not close it. Raises
    InvalidRequest also if there are no turns, and TooLarge if there are more than MAX_TURNS.
    """
    turns: list[_Open] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", script.removeprefix("\ufeff")), start=1):
        try:
            _read_line(line.strip(), number, turns)
        except InvalidRequest as error:
            raise type(error)(f"Line {number}: {error}", param="script") from None
    if not turns:
        raise InvalidRequest("The script has no turns; write lines like [Speaker] text.", param="script")
    return tuple(turn.closed() for turn in turns)


def check_speaker(name: str) -> str:
    """Return a speaker's name without whitespace around it, and with single spaces within.

    Raises InvalidRequest if the name is empty, longer than MAX_SPEAKER or contains control characters.
    """
    clean = " ".join(name.split())
    if not clean:
        raise InvalidRequest("A speaker's name is empty.", param="speaker")
    if len(clean) > MAX_SPEAKER:
        raise InvalidRequest(
            f"A speaker's name has at most {MAX_SPEAKER} characters, but this one has {len(clean)}.", param="speaker"
        )
    if any(unicodedata.category(character) in _NOT_IN_NAMES for character in clean):
        raise InvalidRequest("A speaker's name has control characters in it.", param="speaker")
    return clean


_NOT_IN_NAMES = ("Cc", "Cs")
"""Unicode's categories of control characters, which the log would send to terminals, and of surrogates."""

_COMMENTS = ("#", "//")
_OPENING = ("[", "【", "［")
_CLOSING = re.compile("[]】］]")
_MAX_MARK = 40
"""Within how many characters a pause's bracket must close: a few more than the longest pause has."""


@dataclass(frozen=True)
class _Quiet:
    """Pauses on a line of their own."""

    written: str
    seconds: float


@dataclass
class _Open:
    """A turn that may continue; an empty line is an empty string."""

    speaker: str
    line: int
    lines: list[str | _Quiet] = field(default_factory=list)

    def closed(self) -> Turn:
        """Return the complete turn. Raises InvalidRequest if it has no text."""
        quiet = []
        while self.lines and (isinstance(last := self.lines[-1], _Quiet) or not last):
            if isinstance(last, _Quiet):
                quiet.append(last.seconds)
            self.lines.pop()
        text = "\n".join(line.written if isinstance(line, _Quiet) else line for line in self.lines).strip()
        if not text:
            raise InvalidRequest(f"Line {self.line}: {self.speaker} says nothing.", param="script")
        return Turn(self.speaker, re.sub(r"\n{3,}", "\n\n", text), min(sum(quiet), MAX_PAUSE) if quiet else None)


def _read_line(line: str, number: int, turns: list[_Open]) -> None:
    """Add a line, which has no whitespace around it, to the turns."""
    if line.startswith(_COMMENTS):
        return
    quiet, rest = _leading_pauses(line)
    named = rest.startswith(_OPENING) and not is_voice_tag(rest)
    if line and not turns and (quiet or not named):
        raise InvalidRequest("There is something before the first speaker; start with a line like [Speaker] text.")
    if quiet and (named or not rest):
        turns[-1].lines.append(quiet)
    if named:
        speaker, text = _split_speaker(rest)
        if len(turns) == MAX_TURNS:
            raise TooLarge(f"A script has at most {MAX_TURNS} turns.")
        turns.append(_Open(speaker, number, [text]))
    elif turns and (rest or not quiet):
        turns[-1].lines.append(line)


def _split_speaker(line: str) -> tuple[str, str]:
    """Return the speaker in the bracket at the start of a line, and the text after it."""
    closing = _CLOSING.search(line)
    if closing is None:
        raise InvalidRequest("A bracket is not closed; write [Speaker] text.")
    return check_speaker(line[1 : closing.start()]), line[closing.end() :].strip()


def _leading_pauses(line: str) -> tuple[_Quiet | None, str]:
    """Return the pauses at the start of a line, None if there are none, and the text after them."""
    at, seconds = 0, 0.0
    while line.startswith("[", at) and (end := line.find("]", at, at + _MAX_MARK) + 1):
        pause = pause_in(line[at:end])
        if pause is None:
            break
        seconds += pause
        at = end
        while at < len(line) and line[at].isspace():
            at += 1
    return (_Quiet(line[:at].rstrip(), seconds), line[at:]) if at else (None, line)
