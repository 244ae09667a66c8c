"""What is done to chunks of samples while more of them are still being made, off the event loop."""

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
    """Changes sound as it comes."""

    def feed(self, samples: FloatArray) -> FloatArray:
        """float32 [samples], any number, -> what has become certain, perhaps nothing."""

    def finish(self) -> FloatArray:
        """The rest."""


async def processed(
    chunks: AsyncGenerator[FloatArray, None], make: Callable[[], Processor]
) -> AsyncGenerator[FloatArray, None]:
    """The chunks as a processor gives them back, none empty. They are closed with it."""
    async with contextlib.aclosing(chunks):
        processor = await asyncio.to_thread(make)
        async for chunk in chunks:
            if (changed := await in_thread(partial(processor.feed, chunk))).size:
                yield changed
        if (rest := await in_thread(processor.finish)).size:
            yield rest


async def encoded(chunks: AsyncIterable[FloatArray], audio_format: AudioFormat) -> AsyncGenerator[bytes, None]:
    """The bytes of one file as they become certain, none of the pieces empty."""
    with contextlib.closing(open_encoder(audio_format)) as encoder:
        async for chunk in chunks:
            if piece := await in_thread(partial(encoder.feed, chunk)):
                yield piece
        if piece := await in_thread(encoder.finish):
            yield piece


async def whole(chunks: AsyncIterable[FloatArray], audio_format: AudioFormat) -> tuple[bytes, int]:
    """The file in one piece, which knows its length, and the samples in it."""
    gathered = [chunk async for chunk in chunks]
    audio = await asyncio.to_thread(lambda: encode(np.concatenate(gathered), audio_format))
    return audio, sum(chunk.size for chunk in gathered)


async def in_thread(work: Callable[[], _T]) -> _T:
    """What `work` returns, off the event loop; waited for even when cancelled: its object has one user at a time."""
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    finally:
        await asyncio.wait([task])
