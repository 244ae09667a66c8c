"""Passes the text of one utterance from its writer to the script: slices in order, pauses, and the end."""

import asyncio
import re
import time
from collections import deque

from wyoming_qwen3.core.errors import TextTimeout

TEXT_TIMEOUT_SECONDS = 300.0
"""How long an utterance waits for more text or for its end.

An assistant may call a tool that takes a minute or two, and its own requests rarely last longer than five. Home
Assistant never ends the text of an answer that was cancelled.
"""

_PAUSE_SECONDS = 1.0
"""Shortest wait that counts as a pause."""

_MAX_PAUSE_SECONDS = 5.0
_GAPS = 3.0
"""A pause is at least this many times the longest recent gap: some models write a word in a second or two."""

_FIRST_GAP_SECONDS = 0.6
"""Assumed before any gap is known."""

_MAX_GAP_SECONDS = 1.5
"""Longer gaps count as this much: the writer is slow, but hardly slower than this."""

_MAX_PAUSED_GAP_SECONDS = 0.75
"""The same for a gap that was a pause: it says little about the writer's pace."""

_HALF_LIFE_SECONDS = 3.0
"""Time in which a gap counts half. It is not a number of parts, since words may come in bursts."""

_HALVES = re.compile("[\ud800-\udfff]")

_SLICE = 200
"""Characters of text cleaned at a time, about 3 ms at worst, so that a long text does not block the event loop."""


class TextFeed:
    """Takes text as it arrives, split anywhere, and returns slices of it, and None where the text has paused.

    A pause is a wait that is long compared with those before it, such as when an assistant calls a tool. The text
    before a pause is then a sentence of its own, even without a full stop.
    """

    def __init__(self, timeout: float = TEXT_TIMEOUT_SECONDS) -> None:
        """`timeout` is how long `wait` waits for text, in seconds."""
        self.finished = asyncio.Event()
        """Set when the text is complete."""

        self._timeout = timeout
        self._slices: deque[str | None] = deque()
        self._changed = asyncio.Event()
        self._last = 0.0
        self._half = ""
        self._gap = _FIRST_GAP_SECONDS
        """The longest recent gap between two parts of the text, in seconds."""

    def add(self, text: str) -> None:
        """Add text. Halves of a character (UTF-16 surrogates) are joined; one without the other is dropped."""
        now = time.monotonic()
        text = self._joined(text)
        if self._last:
            gap, most = now - self._last, _MAX_GAP_SECONDS
            if gap >= self._pause:
                self._slices.append(None)
                most = _MAX_PAUSED_GAP_SECONDS
            self._gap = max(min(gap, most), self._gap * 0.5 ** (gap / _HALF_LIFE_SECONDS))
        self._last = now
        self._slices.extend(text[start : start + _SLICE] for start in range(0, len(text), _SLICE))
        self._changed.set()

    def _joined(self, text: str) -> str:
        if not self._half and not _HALVES.search(text):
            return text
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":  # the other half may come with the next part
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")

    def end(self) -> None:
        """Note that the text is complete."""
        self.finished.set()
        self._changed.set()

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._slices)

    def take(self) -> str | None:
        """Return the next slice, None for a pause. Raises IndexError if there is nothing to take."""
        return self._slices.popleft()

    async def wait(self, *, for_pause: bool) -> bool:
        """Wait for text, for its end or, with `for_pause`, for a pause in it. Return whether the text has paused.

        Raises TextTimeout if neither text nor its end comes in time; not with `for_pause`.
        """
        if self._slices or self.finished.is_set():
            return False
        since = time.monotonic() - self._last if self._last else 0.0
        limit = max(self._pause - since, 0.0) if for_pause else self._timeout
        self._changed.clear()
        try:
            async with asyncio.timeout(limit):
                await self._changed.wait()
        except TimeoutError:
            if for_pause:
                return True
            raise TextTimeout(
                f"Neither text nor its end arrived for {self._timeout:g} seconds, so this utterance has ended."
            ) from None
        return False

    @property
    def _pause(self) -> float:
        return min(max(_GAPS * self._gap, _PAUSE_SECONDS), _MAX_PAUSE_SECONDS)
