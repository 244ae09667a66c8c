"""Many texts at once: they are rows of the same decode steps, so they cost little more than one.

Knows no protocol; each text is an ordinary speech session.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

from wyoming_qwen3.audio.encode import AudioFormat
from wyoming_qwen3.audio.streaming import encoded
from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.core.request import SpeechRequest

from .report import Report
from .session import Synthesizer


@dataclass(frozen=True)
class BatchText:
    """One text and how it is spoken; an `error` where it can't be, which is then its result."""

    request: SpeechRequest | None
    text: str
    format: AudioFormat
    error: SpeechError | None = None


@dataclass(frozen=True)
class BatchSpeech:
    """What became of an item: all of its audio, or why there is none."""

    audio: bytes = b""
    report: Report = field(default_factory=Report)
    error: SpeechError | None = None


async def speak_all(
    synthesizer: Synthesizer, items: Sequence[BatchText], at_once: int
) -> AsyncGenerator[BatchSpeech, None]:
    """Speak the items, so many side by side, and yield their results in the items' order.

    One item's SpeechError is that item's result. Closing the iterator stops what is still being spoken.
    """
    places = asyncio.Semaphore(at_once)

    async def speak(item: BatchText) -> BatchSpeech:
        async with places:
            return await _speak(synthesizer, item)

    tasks = [asyncio.create_task(speak(item), name="batch item") for item in items]
    try:
        for task in tasks:
            await asyncio.wait([task])  # not the task itself: cancelled first, it would let another one begin
            yield task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _speak(synthesizer: Synthesizer, item: BatchText) -> BatchSpeech:
    if item.request is None:
        return BatchSpeech(error=item.error)
    try:
        async with synthesizer.open(replace(item.request, whole=True), "batch", behind=True) as session:
            session.feed(item.text)
            session.finish()
            async with contextlib.aclosing(encoded(session, item.format)) as pieces:
                audio = b"".join([piece async for piece in pieces])
    except SpeechError as error:
        return BatchSpeech(error=error)
    return BatchSpeech(audio, session.report)
