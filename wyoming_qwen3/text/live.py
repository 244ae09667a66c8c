"""The text of one utterance for a voice that reads along: clean words as soon as they are there, not whole sentences.

Feeds a model's own text track, which takes a token a frame and waits when there is none. Synchronous, and knows no
clock, like pieces.py, whose verbs it has.
"""

from collections import deque
from collections.abc import Iterable

import regex

from .markup import Pause, Stretch
from .pieces import Segment, SpokenPiece
from .sentences import speakable
from .stretches import Stretches

_SENTENCE = regex.compile(r"(?<=[.!?…؟。！？])(?=\s)|(?<=[。！？])")
_SPACE = regex.compile(r"\s+")


class LiveScript:
    """Words to be said, in order. A SpokenPiece goes on where the one before ended; a Pause ends a stretch of speech.

    A stretch ends of itself (a Pause of no length) at the first sentence's end beyond `max_chars`, because a model
    drifts when it speaks for minutes on end, and where `flush` ends it.
    """

    def __init__(self, *, ssml: bool = False, max_chars: int = 1000) -> None:
        self._max_chars = max_chars
        self._stretches = Stretches(ssml=ssml)
        self._ready: deque[Segment] = deque()
        self._held = ""
        self._length = 0
        self._finished = False
        self.unflushed = False
        """Whether text has come since the last `flush`."""

    def feed(self, text: str) -> None:
        """Text as it arrives, split anywhere."""
        self.unflushed = True
        self._read(self._stretches.feed(text))

    def finish(self) -> None:
        """No more text will come; doing so again changes nothing."""
        if not self._finished:
            self._finished = True
            self._read(self._stretches.finish())

    def take(self) -> Segment | None:
        """What can be said next, if anything can."""
        return self._ready.popleft() if self._ready else None

    def flush(self) -> None:
        """The text has paused: end the stretch, so that all its words are spoken. What follows begins a new one."""
        self.unflushed = False
        self._say(self._stretches.flush())
        self._end_stretch(0.0)

    @property
    def done(self) -> bool:
        """Whether all has been taken, and no more will come."""
        return self._finished and not self._ready

    def _read(self, stretches: Iterable[Stretch]) -> None:
        for stretch in stretches:
            if isinstance(stretch, Pause):
                self._end_stretch(stretch.seconds)
            else:
                self._say(stretch)

    def _say(self, text: str) -> None:
        for sentence in _SENTENCE.split(text):
            self._say_words(sentence)
            if self._length > self._max_chars and _SENTENCE.search(sentence[-1:] + " "):
                self._end_stretch(0.0)

    def _say_words(self, text: str) -> None:
        """White space waits for the word behind it, and a stretch begins with something that can be said."""
        self._held = _SPACE.sub(" ", self._held + text)
        if not self._length:
            self._held = self._held.lstrip()
        words = self._held.rstrip()
        if words and (self._length or speakable(words)):
            self._ready.append(SpokenPiece(words))
            self._length += len(words)
            self._held = self._held[len(words) :]

    def _end_stretch(self, seconds: float) -> None:
        if self._length or seconds:
            self._ready.append(Pause(seconds))
        self._length, self._held = 0, ""
