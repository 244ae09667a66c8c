"""Turns what was written into clean text, and the pauses in it and how it is spoken.

Does NOT know words, or the length of what is spoken at once.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from .cleanup import Cleaner
from .delivery import DEFAULT_DELIVERY, Delivery
from .markup import Pause, Retraction
from .ssml import SsmlReader
from .unit_joiner import Joined
from .voice_tags import ActiveVoiceTags, VoiceTag

TextItem: TypeAlias = str | Pause | Delivery | Retraction
"""A Delivery applies to all that follows, up to the next one or a Retraction."""


class TextReader:
    """Turns text, fed in any split, into clean text, pauses and deliveries; with `ssml` it is SSML, else markdown."""

    def __init__(self, *, ssml: bool) -> None:
        self._ssml = SsmlReader() if ssml else None
        self._cleaner = Cleaner(markdown=not ssml)
        self._tags = ActiveVoiceTags()
        self._delivery = DEFAULT_DELIVERY

    @property
    def hides(self) -> bool:
        """Whether what is fed now is not heard, so that the last sentence has ended."""
        return self._ssml.hides if self._ssml else self._cleaner.hides

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the text so far is no correct SSML, in sentences."""
        return self._ssml.warnings if self._ssml else ()

    def feed(self, text: str) -> Iterator[TextItem]:
        """Add text and yield what no later text can change, except by a Retraction."""
        return self._apply_tags(self._clean(self._ssml.feed(text)) if self._ssml else self._cleaner.feed(text))

    def finish(self) -> Iterator[TextItem]:
        """End the text and yield the rest."""
        if self._ssml:
            yield from self._apply_tags(self._clean(self._ssml.finish()))
        yield from self._apply_tags(self._cleaner.finish())

    def flush(self) -> Iterator[TextItem]:
        """End the block and yield all text so far, except markup that is still open."""
        yield from self._apply_tags(self._cleaner.flush())
        self._tags.end_sentence()

    def _clean(self, read: Iterable[str | Pause | Delivery | Retraction]) -> Iterator[Joined]:
        for item in read:
            yield from self._cleaner.feed(item) if isinstance(item, str) else self._cleaner.insert(item)

    def _apply_tags(self, joined: Iterable[Joined]) -> Iterator[TextItem]:
        for item in joined:
            if isinstance(item, VoiceTag):
                self._tags.apply(item)
            elif isinstance(item, Delivery):
                self._tags.override(item)
            elif isinstance(item, Pause):
                self._tags.end_sentence()
                yield item
            elif isinstance(item, Retraction):
                self._tags, self._delivery = ActiveVoiceTags(), DEFAULT_DELIVERY
                yield item
            else:
                yield from self._say(item)

    def _say(self, text: str) -> Iterator[TextItem]:
        for part, delivery in self._tags.parts(text):
            if part and delivery != self._delivery:
                self._delivery = delivery
                yield delivery
            if part:
                yield part
