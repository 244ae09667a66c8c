"""Chunks of samples -> pieces of a file, off the event loop, while the chunks are still being made."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable

import numpy as np

from wyoming_qwen3.request import FloatArray

from .encode import AudioFormat, encode, open_encoder


async def encoded(chunks: AsyncIterable[FloatArray], audio_format: AudioFormat) -> AsyncGenerator[bytes, None]:
    """The bytes of one file as they become certain, none of the pieces empty."""
    encoder = open_encoder(audio_format)
    try:
        async for chunk in chunks:
            if piece := await _in_thread(lambda chunk=chunk: encoder.feed(chunk)):  # type: ignore[misc]
                yield piece
        if piece := await _in_thread(encoder.finish):
            yield piece
    finally:
        encoder.close()


async def whole(chunks: AsyncIterable[FloatArray], audio_format: AudioFormat) -> tuple[bytes, int]:
    """The file in one piece, which knows its length, and the samples in it."""
    gathered = [chunk async for chunk in chunks]
    audio = await asyncio.to_thread(lambda: encode(np.concatenate(gathered), audio_format))
    return audio, sum(chunk.size for chunk in gathered)


async def _in_thread(work: Callable[[], bytes]) -> bytes:
    """The result of a few milliseconds' work; waited for even when cancelled, for an encoder has one user at a time."""
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    finally:
        await asyncio.wait([task])
