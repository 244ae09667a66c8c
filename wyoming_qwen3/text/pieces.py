"""The text of one utterance, from what was written to pieces to speak: markup, cleanup, sentences, in that order.

Pull-based: text is fed as it arrives, and a piece is taken when the voice is ready for one, so that pieces are as
long as the text allows and speech never waits for more than a sentence. Synchronous; knows no clock: who waits for
the text decides when it has paused.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from wyoming_qwen3.core.errors import InvalidRequest, SpeechError

from .markup import Pause, Stretch
from .sentences import Sentences, clause_end, speakable, split_point
from .stretches import Stretches

__all__ = ["KnownPieces", "Pause", "Script", "Segment", "SpokenPiece"]


@dataclass(frozen=True)
class SpokenPiece:
    """One piece to speak: clean, and with at least one letter or digit."""

    text: str


Segment: TypeAlias = SpokenPiece | Pause


class Script:
    """What is to be said, in order.

    All text known (`finish` before the first `take`): pieces are whole sentences, as many as fit in `max_chars`, the
    same however the text was split. While text still comes: the first piece may be a clause, so that sound starts
    early; after that a piece is as many whole sentences as are there. Only a sentence longer than `max_chars` is cut
    within: see `sentences.split_point`. With `ssml` the text is SSML, else markdown.
    """

    def __init__(self, *, ssml: bool = False, max_chars: int = 300) -> None:
        if max_chars < 1:
            raise InvalidRequest(f"max_chars must be at least 1, but is {max_chars}.")
        self._max_chars = max_chars
        self._stretches = Stretches(ssml=ssml)
        self._sentences = Sentences()
        self._ready: deque[str | Pause] = deque()
        self._spoke = False
        self._finished = False
        self.unflushed = False
        """Whether text has come since the last `flush`."""

    def feed(self, text: str) -> None:
        """Text as it arrives, split anywhere. Raises SpeechError after `finish`."""
        if self._finished:
            raise SpeechError("Text was fed to an utterance that had been finished.")
        self.unflushed = True
        self._read(self._stretches.feed(text))

    def finish(self) -> None:
        """No more text will come; doing so again changes nothing."""
        if not self._finished:
            self._finished = True
            self._read(self._stretches.finish())
            self._queue(self._sentences.finish())

    def take(self) -> Segment | None:
        """The next segment, if one can be said now."""
        while self._ready or self._release(self._early_end()):
            head = self._ready.popleft()
            if isinstance(head, Pause):
                return head
            if speakable(piece := self._group(head)):
                self._spoke = True
                return SpokenPiece(_with_end(piece) if len(piece) < self._max_chars else piece)
        return None

    def flush(self) -> None:
        """The text has paused: let `take` have all of it, as a sentence's end. What follows begins a new sentence."""
        self.unflushed = False
        self._queue(self._sentences.feed(self._stretches.flush()))
        self._queue(self._sentences.finish())

    @property
    def done(self) -> bool:
        """Whether all has been taken, and no more will come."""
        return self._finished and not self._ready

    def _read(self, stretches: Iterable[Stretch]) -> None:
        for stretch in stretches:
            if isinstance(stretch, Pause):
                self._queue(self._sentences.finish())
                self._ready.append(stretch)
            else:
                self._queue(self._sentences.feed(stretch))

    def _queue(self, sentences: list[str]) -> None:
        self._ready.extend(sentence for sentence in sentences if speakable(sentence))

    def _release(self, end: int) -> bool:
        """Let the first `end` characters of the tail be taken; whether there were any."""
        if end:
            self._ready.append(self._sentences.cut(end))
        return end > 0

    def _early_end(self) -> int:
        """End of what of the tail can be spoken before its sentence is complete; 0 if nothing can."""
        tail = self._sentences.tail
        if len(tail) > self._max_chars:
            return split_point(tail, self._max_chars)
        return 0 if self._spoke else clause_end(tail)

    def _group(self, text: str) -> str:
        """As much of `text` and the sentences behind it as fits in one piece; the rest goes back."""
        text = text.lstrip()
        if len(text.rstrip()) > self._max_chars:
            end = split_point(text, self._max_chars)
            if speakable(text[end:]):
                self._ready.appendleft(text[end:])
            return " ".join(text[:end].split())
        while self._ready and isinstance(following := self._ready[0], str):
            if len(text) + len(following.rstrip()) > self._max_chars:
                break
            text += following
            self._ready.popleft()
        return " ".join(text.split())


class KnownPieces:
    """Segments that are known already, said again as they are; it takes no text and has Script's verbs."""

    unflushed = False

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._segments = deque(segments)

    @property
    def done(self) -> bool:
        """Whether all has been taken."""
        return not self._segments

    def feed(self, text: str) -> None:
        """Nothing: what is said is known."""

    def finish(self) -> None:
        """Nothing, for the same reason."""

    def flush(self) -> None:
        """Nothing, for the same reason."""

    def take(self) -> Segment | None:
        """The next segment."""
        return self._segments.popleft() if self._segments else None


_ONE_WORD = re.compile(r"\w{1,12}")
_CHINESE_OR_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def _with_end(piece: str) -> str:
    """The piece; one that is a single word gets a full stop, without which the model may not know where to end."""
    if not _ONE_WORD.fullmatch(piece):
        return piece
    return piece + ("。" if _CHINESE_OR_JAPANESE.search(piece) else ".")
