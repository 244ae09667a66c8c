"""Turns what was written into clean text, and the pauses in it and how it is spoken.

Does NOT know words, or the length of what is spoken at once.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from .cleanup import Cleaner
from .delivery import UNDIRECTED, Delivery
from .directing import Direction, Directions
from .markup import Pause, Retraction
from .ssml import SsmlReader
from .unit_joiner import Joined

CleanStretch: TypeAlias = str | Pause | Delivery | Retraction
"""A Delivery applies to all that follows, up to the next one or a Retraction."""


class Stretches:
    """Turns text, fed in any split, into clean text, pauses and deliveries; with `ssml` it is SSML, else markdown."""

    def __init__(self, *, ssml: bool) -> None:
        self._ssml = SsmlReader() if ssml else None
        self._cleaner = Cleaner(markdown=not ssml)
        self._directions = Directions()
        self._delivery = UNDIRECTED

    @property
    def hides(self) -> bool:
        """Whether what is fed now is not heard, so that the last sentence has ended."""
        return self._ssml.hides if self._ssml else self._cleaner.hides

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the text so far is no correct SSML, in sentences."""
        return self._ssml.warnings if self._ssml else ()

    def feed(self, text: str) -> Iterator[CleanStretch]:
        """Add text and yield what no later text can change, except by a Retraction."""
        return self._direct(self._clean(self._ssml.feed(text)) if self._ssml else self._cleaner.feed(text))

    def finish(self) -> Iterator[CleanStretch]:
        """End the text and yield the rest."""
        if self._ssml:
            yield from self._direct(self._clean(self._ssml.finish()))
        yield from self._direct(self._cleaner.finish())

    def flush(self) -> Iterator[CleanStretch]:
        """End the block and yield all text so far, except markup that is still open."""
        yield from self._direct(self._cleaner.flush())
        self._directions.end_sentence()

    def _clean(self, read: Iterable[str | Pause | Delivery | Retraction]) -> Iterator[Joined]:
        for item in read:
            yield from self._cleaner.feed(item) if isinstance(item, str) else self._cleaner.insert(item)

    def _direct(self, joined: Iterable[Joined]) -> Iterator[CleanStretch]:
        for item in joined:
            if isinstance(item, Direction):
                self._directions.apply(item)
            elif isinstance(item, Delivery):
                self._directions.override(item)
            elif isinstance(item, Pause):
                self._directions.end_sentence()
                yield item
            elif isinstance(item, Retraction):
                self._directions, self._delivery = Directions(), UNDIRECTED
                yield item
            else:
                yield from self._say(item)

    def _say(self, text: str) -> Iterator[CleanStretch]:
        for part, delivery in self._directions.parts(text):
            if part and delivery != self._delivery:
                self._delivery = delivery
                yield delivery
            if part:
                yield part
