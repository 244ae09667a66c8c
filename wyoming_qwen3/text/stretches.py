"""Markup and cleanup in one go: from what was written to clean text and the pauses in it.

Nothing reaches across a pause, so markup left open before one ends there. Does not know sentences or words.
"""

from collections.abc import Iterator

from .cleanup import Cleaner
from .markup import PauseReader, SsmlReader, Stretch


class Stretches:
    """Takes text in any split, gives back clean text and pauses in order; with `ssml` it is SSML, else markdown."""

    def __init__(self, *, ssml: bool) -> None:
        self._ssml = ssml
        self._markup: PauseReader = SsmlReader() if ssml else PauseReader()
        self._cleaner = Cleaner(markdown=not ssml)

    def feed(self, text: str) -> Iterator[Stretch]:
        """What has become certain."""
        return self._clean(self._markup.feed(text))

    def finish(self) -> Iterator[Stretch]:
        """The rest."""
        yield from self._clean(self._markup.finish())
        yield self._cleaner.finish()

    def flush(self) -> str:
        """All the text so far but markup that is still open, as the end of a block."""
        return self._cleaner.flush()

    def _clean(self, stretches: list[Stretch]) -> Iterator[Stretch]:
        for stretch in stretches:
            if isinstance(stretch, str):
                yield self._cleaner.feed(stretch)
            else:
                yield self._cleaner.finish()
                self._cleaner = Cleaner(markdown=not self._ssml)
                yield stretch
