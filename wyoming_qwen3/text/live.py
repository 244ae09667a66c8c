"""Prepares the text of one utterance for live rows: clean words as soon as they arrive, not whole sentences.

Feeds the model's own text track, which takes one token per frame and waits if there is none. Synchronous and without a
clock, like pieces.py, and with the same methods.
"""

from collections import deque
from collections.abc import Iterable

import regex

from .delivery import DEFAULT_DELIVERY, Delivery
from .markup import Pause, Retraction
from .pieces import Segment, SpokenPiece
from .sentences import speakable
from .text_reader import TextItem, TextReader

_SENTENCE = regex.compile(r"(?<=[.!?…؟。！？])(?=\s)|(?<=[。！？])")
_SPACE = regex.compile(r"\s+")


class LiveScript:
    """Words to speak, in order. A SpokenPiece continues the one before it; a Pause ends a stretch of speech.

    A stretch also ends, with a Pause of 0 seconds, at each `flush` and change of delivery, and at the first end of a
    sentence beyond `max_chars` characters, because the voice drifts if the model speaks for minutes.
    """

    def __init__(self, *, ssml: bool = False, max_chars: int = 1000) -> None:
        self._max_chars = max_chars
        self._reader = TextReader(ssml=ssml)
        self._ready: deque[Segment] = deque()
        self._delivery = DEFAULT_DELIVERY
        self._held = ""
        self._length = 0
        self._speaking = False
        self._finished = False
        self.unflushed = False
        """Whether text was fed since the last `flush`."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the text so far is no correct SSML, in sentences."""
        return self._reader.warnings

    def add_text(self, text: str) -> None:
        """Add text, split anywhere."""
        self.unflushed = True
        self._read(self._reader.feed(text))

    def end_text(self) -> None:
        """Mark the text as complete; calling it again changes nothing."""
        if not self._finished:
            self._finished = True
            self._read(self._reader.finish())

    def take(self) -> Segment | None:
        """Return the next segment; None if there is none yet."""
        segment = self._ready.popleft() if self._ready else None
        if segment:
            self._speaking = isinstance(segment, SpokenPiece)
        return segment

    def flush(self) -> None:
        """End the stretch, because the text has paused, so that all its words are spoken.

        What follows begins a new stretch.
        """
        self.unflushed = False
        self._read(self._reader.flush())
        self._end_stretch(0.0)

    @property
    def done(self) -> bool:
        """Whether the text is complete and all segments were taken."""
        return self._finished and not self._ready

    def _read(self, items: Iterable[TextItem]) -> None:
        for item in items:
            if isinstance(item, Retraction):
                self._retract()
            elif isinstance(item, Pause):
                self._end_stretch(item.seconds)
            elif isinstance(item, Delivery):
                self._end_stretch(0.0)
                self._delivery = item
            else:
                self._say(item)

    def _say(self, text: str) -> None:
        for sentence in _SENTENCE.split(text):
            self._say_words(sentence)
            if self._length > self._max_chars and _SENTENCE.search(sentence[-1:] + " "):
                self._end_stretch(0.0)

    def _say_words(self, text: str) -> None:
        """Queue words; hold back trailing whitespace, and any text until a stretch has its first letter or digit."""
        self._held = _SPACE.sub(" ", self._held + text)
        if not self._length:
            self._held = self._held.lstrip()
        words = self._held.rstrip()
        if words and (self._length or speakable(words)):
            self._ready.append(SpokenPiece(words, self._delivery))
            self._length += len(words)
            self._held = self._held[len(words) :]

    def _retract(self) -> None:
        self._ready.clear()
        self._length, self._held = 0, ""
        self._delivery = DEFAULT_DELIVERY
        if self._speaking:
            self._ready.append(Pause(0.0))

    def _end_stretch(self, seconds: float) -> None:
        if self._length or seconds:
            self._ready.append(Pause(seconds))
        self._length, self._held = 0, ""
