"""Combines markup and cleanup: turns what was written into clean text, and the pauses and directions in it.

Markup that is left open before a pause or direction ends there; one in what is hidden is hidden too. Does NOT know
sentences or words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .cleanup import Cleaner
from .delivery import Delivery
from .markup import Pause, PauseReader, SsmlReader, Stretch


@dataclass(frozen=True)
class Retraction:
    """All that came before it was reasoning: what of it is not spoken yet is not spoken, and its directions end."""


CleanStretch: TypeAlias = str | Pause | Delivery | Retraction
"""A Delivery applies to all that follows, up to the next one."""


class Stretches:
    """Turns text, fed in any split, into clean text, pauses and deliveries; with `ssml` it is SSML, else markdown."""

    def __init__(self, *, ssml: bool) -> None:
        self._ssml = ssml
        self._markup: PauseReader = SsmlReader() if ssml else PauseReader()
        self._cleaner = Cleaner(markdown=not ssml)

    @property
    def hides(self) -> bool:
        """Whether what is fed now is not heard, so that the last sentence has ended."""
        return self._cleaner.hides

    def feed(self, text: str) -> Iterator[CleanStretch]:
        """Add text and yield what no later text can change, except by a Retraction."""
        return self._clean(self._markup.feed(text))

    def finish(self) -> Iterator[CleanStretch]:
        """End the text and yield the rest."""
        yield from self._clean(self._markup.finish())
        yield from self._read(self._cleaner.finish())

    def flush(self) -> Iterator[CleanStretch]:
        """End the block and yield all text so far, except markup that is still open."""
        return self._read(self._cleaner.flush())

    def _clean(self, stretches: list[Stretch]) -> Iterator[CleanStretch]:
        for stretch in stretches:
            if isinstance(stretch, str):
                yield from self._read(self._cleaner.feed(stretch))
            elif not self._cleaner.hides:
                yield from self._read(self._cleaner.finish())
                self._cleaner = Cleaner(markdown=not self._ssml, spoke=self._cleaner.spoke)
                yield stretch

    def _read(self, clean: str) -> Iterator[CleanStretch]:
        if self._cleaner.take_retraction():
            yield Retraction()
        if clean:
            yield clean
