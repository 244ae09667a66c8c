"""Combines markup and cleanup: turns what was written into clean text and the pauses in it.

Markup that is left open before a pause ends there. Does NOT know sentences or words.
"""

from collections.abc import Iterator

from .cleanup import Cleaner
from .markup import PauseReader, SsmlReader, Stretch


class Stretches:
    """Turns text, fed in any split, into clean text and pauses in order; with `ssml` it is SSML, else markdown."""

    def __init__(self, *, ssml: bool) -> None:
        self._ssml = ssml
        self._markup: PauseReader = SsmlReader() if ssml else PauseReader()
        self._cleaner = Cleaner(markdown=not ssml)

    def feed(self, text: str) -> Iterator[Stretch]:
        """Add text and yield what no later text can change."""
        return self._clean(self._markup.feed(text))

    def finish(self) -> Iterator[Stretch]:
        """End the text and yield the rest."""
        yield from self._clean(self._markup.finish())
        yield self._cleaner.finish()

    def flush(self) -> str:
        """End the block and return all text so far, except markup that is still open."""
        return self._cleaner.flush()

    def _clean(self, stretches: list[Stretch]) -> Iterator[Stretch]:
        for stretch in stretches:
            if isinstance(stretch, str):
                yield self._cleaner.feed(stretch)
            else:
                yield self._cleaner.finish()
                self._cleaner = Cleaner(markdown=not self._ssml)
                yield stretch
