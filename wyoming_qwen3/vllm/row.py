"""One piece of speech from a server, with the same interface as a row of an engine process."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from wyoming_qwen3.core.errors import EngineFailed, SpeechError
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray

_LOGGER = logging.getLogger(__name__)

AHEAD = 20 * SAMPLE_RATE
"""Most samples that are read ahead of the listener; beyond that the server has to wait."""


class VllmRow:
    """Iterate it for float32 chunks at 24 kHz; leaving its context stops it and closes the request at the server.

    Audio is read ahead from the start. Iterating raises a SpeechError if the audio can't be completed.
    """

    def __init__(self, chunks: AsyncGenerator[FloatArray, None]) -> None:
        self.text_tokens = 0
        """Always 0: a streaming server does not report it."""

        self.made = asyncio.Event()
        """Set when all audio has arrived or no more will."""

        self._begun = asyncio.Event()
        self._samples = 0
        self._held = 0
        self._chunks: deque[FloatArray] = deque()
        self._error: SpeechError | None = None
        self._moved = asyncio.Event()
        self._reading = asyncio.create_task(self._read(chunks), name="remote row")

    @property
    def frames(self) -> int:
        """Number of codec frames received so far."""
        return round(self._samples / FRAME_SAMPLES)

    async def begun(self) -> None:
        """Wait for the first audio. Raises the SpeechError that occurred instead."""
        await self._begun.wait()
        if self._error and not self._samples:
            raise self._error

    def set_playing(self, buffered_seconds: float) -> None:
        """Do nothing: servers do not use the listener's position."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FloatArray:
        while not self._chunks:
            if self.made.is_set():
                if self._error:
                    raise self._error
                raise StopAsyncIteration
            self._moved.clear()
            await self._moved.wait()
        chunk = self._chunks.popleft()
        self._held -= chunk.size
        self._moved.set()
        return chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reading.cancel()

    async def _read(self, chunks: AsyncGenerator[FloatArray, None]) -> None:
        try:
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    await self._take(chunk)
        except SpeechError as error:
            self._error = error
        except Exception:
            _LOGGER.exception("A request to a vLLM server failed")
            self._error = EngineFailed("Receiving the speech from the vLLM server failed; the log says why.")
        finally:
            self.made.set()
            self._begun.set()
            self._moved.set()

    async def _take(self, chunk: FloatArray) -> None:
        self._chunks.append(chunk)
        self._samples += chunk.size
        self._held += chunk.size
        self._begun.set()
        self._moved.set()
        while self._held >= AHEAD:
            self._moved.clear()
            await self._moved.wait()
