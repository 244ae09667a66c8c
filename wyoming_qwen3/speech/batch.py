"""Speaks many texts at once: as rows of the same decode steps they cost little more than one.

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
    """One text and how to speak it. If it can't be spoken, `request` is None and `error` is its result."""

    request: SpeechRequest | None
    text: str
    format: AudioFormat
    error: SpeechError | None = None


@dataclass(frozen=True)
class BatchSpeech:
    """The result of one item: all of its audio, encoded, or the error if there is none."""

    audio: bytes = b""
    report: Report = field(default_factory=Report)
    error: SpeechError | None = None


async def speak_all(
    synthesizer: Synthesizer, items: Sequence[BatchText], at_once: int
) -> AsyncGenerator[BatchSpeech, None]:
    """Speak the items, at most `at_once` at a time, and yield their results in the order of the items.

    A SpeechError of one item is that item's result. Closing the iterator stops what is still being spoken.
    """
    places = asyncio.Semaphore(at_once)

    async def speak(item: BatchText) -> BatchSpeech:
        async with places:
            return await _speak(synthesizer, item)

    tasks = [asyncio.create_task(speak(item), name="batch item") for item in items]
    try:
        for task in tasks:
            # not `await task`: if this generator is cancelled, that would cancel the task first and let another start
            await asyncio.wait([task])
            yield task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _speak(synthesizer: Synthesizer, item: BatchText) -> BatchSpeech:
    if item.request is None:
        return BatchSpeech(error=item.error)
    try:
        async with synthesizer.open(replace(item.request, whole=True), "batch", background=True) as session:
            session.add_text(item.text)
            session.end_text()
            async with contextlib.aclosing(encoded(session, item.format)) as pieces:
                audio = b"".join([piece async for piece in pieces])
    except SpeechError as error:
        return BatchSpeech(error=error)
    return BatchSpeech(audio, session.report)
