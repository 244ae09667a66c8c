"""Turns the text of one utterance into pieces to speak: markup, cleanup, sentences, in that order.

Callers feed text as it arrives, and take a piece when the voice is ready for one, so that pieces are as long as the
text allows and speech never waits for more than a sentence. Synchronous and without a clock: the caller decides when
the text has paused.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from wyoming_qwen3.core.errors import InvalidRequest, SpeechError

from .delivery import DEFAULT_DELIVERY, Delivery
from .markup import Pause, Retraction
from .sentences import Sentences, clause_end, speakable, split_point
from .text_reader import TextItem, TextReader

__all__ = ["KnownPieces", "Pause", "Script", "Segment", "SpokenPiece", "segments_of"]


MAX_CHARS = 300
"""Maximum number of characters of a piece, unless another is given: the voice drifts in longer ones."""


@dataclass(frozen=True)
class SpokenPiece:
    """One piece to speak: clean text with at least one letter or digit."""

    text: str
    delivery: Delivery = DEFAULT_DELIVERY


Segment: TypeAlias = SpokenPiece | Pause


class Script:
    """Splits text into segments to speak, in order.

    If all text is known (`end_text` before the first `take`), a piece is as many whole sentences as fit in `max_chars`
    characters, however the text was split when fed. While text still arrives, the first piece may be a clause, so that
    audio starts early; after that a piece is as many complete sentences as have arrived and fit. Only a sentence longer
    than `max_chars` is cut inside; see `sentences.split_point`. With `ssml` the text is SSML, else markdown.
    """

    def __init__(self, *, ssml: bool = False, max_chars: int = MAX_CHARS) -> None:
        if max_chars < 1:
            raise InvalidRequest(f"max_chars must be at least 1, but is {max_chars}.")
        self._max_chars = max_chars
        self._reader = TextReader(ssml=ssml)
        self._sentences = Sentences()
        self._ready: deque[str | Pause | Delivery] = deque()
        self._delivery = DEFAULT_DELIVERY
        self._spoke = False
        self._finished = False
        self.unflushed = False
        """Whether text was fed since the last `flush`."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the text so far is no correct SSML, in sentences."""
        return self._reader.warnings

    def add_text(self, text: str) -> None:
        """Add text, split anywhere. Raises SpeechError after `end_text`."""
        if self._finished:
            raise SpeechError("Text was fed to an utterance that had been finished.")
        self.unflushed = True
        self._read(self._reader.feed(text))

    def end_text(self) -> None:
        """Mark the text as complete; calling it again changes nothing."""
        if not self._finished:
            self._finished = True
            self._read(self._reader.finish())
            self._queue(self._sentences.finish())

    def take(self) -> Segment | None:
        """Return the next segment; None if none can be spoken yet."""
        while self._ready or self._release(self._early_end()):
            head = self._ready.popleft()
            if isinstance(head, Pause):
                return head
            if isinstance(head, Delivery):
                self._delivery = head
            elif speakable(piece := self._group(head)):
                self._spoke = True
                return SpokenPiece(_with_end(piece) if len(piece) < self._max_chars else piece, self._delivery)
        return None

    def flush(self) -> None:
        """End the sentence, because the text has paused: `take` gets all text so far, except markup that is still open.

        What follows begins a new sentence.
        """
        self.unflushed = False
        self._read(self._reader.flush())
        self._queue(self._sentences.finish())

    @property
    def done(self) -> bool:
        """Whether the text is complete and all segments were taken."""
        return self._finished and not self._ready

    def _read(self, items: Iterable[TextItem]) -> None:
        for item in items:
            if isinstance(item, Retraction):
                self._sentences.finish()
                self._ready.clear()
                self._delivery = DEFAULT_DELIVERY
            elif isinstance(item, Pause | Delivery):
                self._queue(self._sentences.finish())
                self._ready.append(item)
            else:
                self._queue(self._sentences.feed(item))
        if self._reader.hides and self._sentences.tail:
            self._queue(self._sentences.feed("\n\n"))
            self._queue(self._sentences.finish())

    def _queue(self, sentences: list[str]) -> None:
        self._ready.extend(sentence for sentence in sentences if speakable(sentence))

    def _release(self, end: int) -> bool:
        """Make the first `end` characters of the tail ready; return whether there were any."""
        if end:
            self._ready.append(self._sentences.cut(end))
        return end > 0

    def _early_end(self) -> int:
        """Return how many characters of the tail can be spoken before its sentence is complete."""
        tail = self._sentences.tail
        if len(tail) > self._max_chars:
            return split_point(tail, self._max_chars)
        return 0 if self._spoke else clause_end(tail)

    def _group(self, text: str) -> str:
        """Return as much of `text` and the sentences after it as fits in one piece; put the rest back."""
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


def segments_of(text: str, max_chars: int = MAX_CHARS) -> list[Segment]:
    """Return the segments of a complete text in markdown."""
    script = Script(max_chars=max_chars)
    script.add_text(text)
    script.end_text()
    return list(iter(script.take, None))


class KnownPieces:
    """Segments that are known already, spoken again as they are; has Script's methods but ignores text."""

    unflushed = False
    warnings: tuple[str, ...] = ()

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._segments = deque(segments)

    @property
    def done(self) -> bool:
        """Whether all segments were taken."""
        return not self._segments

    def add_text(self, text: str) -> None:
        """Do nothing: the segments are known."""

    def end_text(self) -> None:
        """Do nothing: the segments are known."""

    def flush(self) -> None:
        """Do nothing: the segments are known."""

    def take(self) -> Segment | None:
        """Return the next segment; None at the end."""
        return self._segments.popleft() if self._segments else None


_ONE_WORD = re.compile(r"\w{1,12}")
_CHINESE_OR_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def _with_end(piece: str) -> str:
    """Add a full stop to a piece of a single word, without which the model may not know where to end."""
    if not _ONE_WORD.fullmatch(piece):
        return piece
    return piece + ("。" if _CHINESE_OR_JAPANESE.search(piece) else ".")
