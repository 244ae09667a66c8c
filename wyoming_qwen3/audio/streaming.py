"""Processes and encodes chunks of samples off the event loop, while more are still being generated."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from wyoming_qwen3.core.request import FloatArray

from .encode import AudioFormat, encode, open_encoder

_T = TypeVar("_T")


class Processor(Protocol):
    """Changes samples as they arrive."""

    def feed(self, samples: FloatArray) -> FloatArray:
        """Add float32 [samples], and return the samples that are ready, perhaps none."""

    def finish(self) -> FloatArray:
        """Return the rest."""


async def processed(
    chunks: AsyncGenerator[FloatArray, None], make: Callable[[], Processor]
) -> AsyncGenerator[FloatArray, None]:
    """Yield the output of a processor for the chunks, never empty. Closing this also closes `chunks`."""
    async with contextlib.aclosing(chunks):
        processor = await asyncio.to_thread(make)
        async for chunk in chunks:
            if (changed := await in_thread(partial(processor.feed, chunk))).size:
                yield changed
        if (rest := await in_thread(processor.finish)).size:
            yield rest


async def encoded(chunks: AsyncIterable[FloatArray], audio_format: AudioFormat) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of one file as they are ready, never empty."""
    with contextlib.closing(open_encoder(audio_format)) as encoder:
        async for chunk in chunks:
            if piece := await in_thread(partial(encoder.feed, chunk)):
                yield piece
        if piece := await in_thread(encoder.finish):
            yield piece


async def whole(chunks: AsyncIterable[FloatArray], audio_format: AudioFormat) -> tuple[bytes, int]:
    """Return the complete file, which has its length in it, and its number of samples."""
    gathered = [chunk async for chunk in chunks]
    audio = await asyncio.to_thread(lambda: encode(np.concatenate(gathered), audio_format))
    return audio, sum(chunk.size for chunk in gathered)


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run `work` on a thread and return its result.

    However often it is cancelled, it waits for the thread, because the objects used there may have one user at a time.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    finally:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
