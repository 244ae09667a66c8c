"""The segments of one utterance, as its text arrives."""

import asyncio
from collections.abc import Sequence

from wyoming_qwen3.core.speech_length import expected_seconds
from wyoming_qwen3.text.live import LiveScript
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import KnownPieces, Script, Segment, SpokenPiece

from .text_feed import TextFeed
from .verbalizer import UtteranceVerbalizer


class SegmentFeed:
    """Takes text in any split and returns the segments to speak, in order, as soon as they can be spoken."""

    def __init__(
        self,
        verbalizer: UtteranceVerbalizer,
        timeout: float,
        *,
        ssml: bool,
        segments: Sequence[Segment] | None = None,
    ) -> None:
        """Read text, or return `segments` as they are, whatever text is fed.

        `timeout` is the longest wait for text, in seconds.
        """
        self._incoming = TextFeed(timeout)
        self._verbalizer = verbalizer
        self._ssml = ssml
        self._known = segments is not None
        self._script: Script | LiveScript | KnownPieces = (
            Script(ssml=ssml) if segments is None else KnownPieces(segments)
        )
        self._kept_back: list[Segment] = []
        """Segments that come before all others, the next one last."""

        self._prepared: SpokenPiece | None = None
        """A piece that was taken from the script and is being prepared."""

        self._said: list[Segment] = []
        self.expected = 0.0
        """Roughly how many seconds of audio the text known so far takes."""

    @property
    def complete(self) -> asyncio.Event:
        """Set when all text has arrived."""
        return self._incoming.finished

    @property
    def known(self) -> bool:
        """Whether no segment depends on text that has not arrived."""
        return self._known or self.complete.is_set()

    @property
    def said(self) -> Sequence[Segment] | None:
        """All segments that were returned; None if they are single words."""
        return None if isinstance(self._script, LiveScript) else self._said

    @property
    def warnings(self) -> Sequence[str]:
        """What of the text so far is no correct SSML, in sentences."""
        return self._script.warnings

    def add_text(self, text: str) -> None:
        """Add text, split anywhere."""
        self._incoming.add(text)

    def end_text(self) -> None:
        """Note that the text is complete."""
        self._incoming.end()

    def return_words(self) -> None:
        """Return words as they arrive instead of whole sentences. To be called before anything was returned."""
        self._script = LiveScript(ssml=self._ssml)

    def keep_back(self, segment: Segment) -> None:
        """Take back a segment: it is the next one to be returned."""
        self._kept_back.append(segment)

    async def next(self) -> Segment | None:
        """Wait for the next segment; return None at the end of the text.

        Raises TextTimeout if no text comes for `timeout` seconds.
        """
        while (segment := await self.take()) is None and not self._script.done:
            if await self._incoming.wait(for_pause=self._script.unflushed):
                self._script.flush()
        return segment

    async def take(self) -> Segment | None:
        """Return the next segment; None if there is none yet."""
        if self._kept_back:
            return self._kept_back.pop()
        while self._incoming.waiting:
            text = self._incoming.take()
            if text is None:
                self._script.flush()
            else:
                self.expected += expected_seconds(text)
                self._script.add_text(text)
            await asyncio.sleep(0)
        if self._incoming.finished.is_set():
            self._script.end_text()
        if segment := await self._take_verbalized():
            self._said.append(segment)
        return segment

    async def _take_verbalized(self) -> Segment | None:
        """Return the next segment as it is to be pronounced; None if there is none, or its words wait for others."""
        while segment := await self._take_prepared():
            if self._known:
                return segment
            if isinstance(segment, Pause):
                if waiting := self._verbalizer.finish_words():
                    self._kept_back.append(segment)
                return waiting or segment
            words = isinstance(self._script, LiveScript)
            if said := self._verbalizer.verbalize_words(segment) if words else self._verbalizer.verbalize(segment):
                return said
        return self._verbalizer.finish_words() if self._script.done else None

    async def _take_prepared(self) -> Segment | None:
        """Take a segment from the script. None is lost if this is cancelled."""
        segment = self._prepared or self._script.take()
        if isinstance(segment, SpokenPiece) and not self._known:
            self._prepared = segment
            await self._verbalizer.prepare(segment)
            self._prepared = None
        return segment
