"""A conversation: the turns of several speakers as one stream of audio, in order, with silence between them.

Each turn is an ordinary speech session. Some are spoken side by side, as rows of the same decode steps, while the first
of them is played. Knows no protocol and no script.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.errors import InvalidRequest, QueueFull, SpeechError, TooLarge
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray, SpeechRequest, new_seed
from wyoming_qwen3.text.dialogue import MAX_TURNS, check_speaker
from wyoming_qwen3.text.markup import MAX_PAUSE

from .report import Report
from .session import Synthesizer

_MAX_AHEAD = 120 * SAMPLE_RATE
"""Samples of one turn that may wait to be delivered: 120 seconds, 11 MB. Beyond that, generation of the turn waits."""


@dataclass(frozen=True)
class ConversationTurn:
    """One turn: what is said, how, and how many seconds of silence follow unless it is the last.

    Raises InvalidRequest if `check_speaker` refuses the name, the text is blank, or the pause is not within 0 and
    MAX_PAUSE.
    """

    speaker: str
    text: str
    request: SpeechRequest
    pause_after: float = 0.0

    def __post_init__(self) -> None:
        check_speaker(self.speaker)
        if not self.text.strip():
            raise InvalidRequest(f"{self.speaker} says nothing.", param="text")
        if not 0.0 <= self.pause_after <= MAX_PAUSE:
            raise InvalidRequest(
                f"A pause must be between 0 and {MAX_PAUSE:g} seconds, but is {self.pause_after:g}.",
                param="pause_after",
            )


@dataclass(frozen=True)
class TurnResult:
    """A turn that was delivered: its report, and where it starts and ends in the conversation, in seconds.

    Both times are whole samples divided by SAMPLE_RATE. Silence that the text itself asks for is part of the turn; the
    pause after it is not.
    """

    speaker: str
    start: float
    end: float
    report: Report


class Conversation:
    """All turns of a conversation. Iterate it for float32 24 kHz chunks, and close it when done.

    Turns start in order, each when the one before has its first audio, and at most `at_once` (1 or more) have started
    without being delivered. So the others do not delay the first, and a turn that waits, for a place in Admission or
    for the listener, waits for an earlier turn that has its place: one place is enough for the conversation. A turn
    that Admission refuses is tried again when an earlier one is over.

    Iterating raises a SpeechError if a turn fails, as soon as that is known, with the turn and its speaker in the
    message. Turns without a seed share one, so that a speaker keeps the same voice throughout.

    Raises InvalidRequest if there are no lines, and TooLarge if there are more than MAX_TURNS.
    """

    def __init__(
        self, synthesizer: Synthesizer, lines: Sequence[ConversationTurn], at_once: int, source: str = "conversation"
    ) -> None:
        if not lines:
            raise InvalidRequest("A conversation has at least one turn.", param="turns")
        if len(lines) > MAX_TURNS:
            raise TooLarge(
                f"A conversation has at most {MAX_TURNS} turns, but this one has {len(lines)}.", param="turns"
            )
        self.turns: list[TurnResult] = []
        """The turns that have been delivered so far."""

        self._synthesizer = synthesizer
        self._source = source
        seed = new_seed()
        self._speeches = [_TurnAudio(number, _seeded(line, seed)) for number, line in enumerate(lines, start=1)]
        self._tasks: list[asyncio.Task[None]] = []
        self._places = asyncio.Semaphore(at_once)
        self._failed: asyncio.Task[None] | None = None
        self._chunks = self._deliver()

    @property
    def warnings(self) -> list[str]:
        """What was left out of the requests of the turns that have started, a sentence each, with the speaker."""
        told = [(speech.line.speaker, warning) for speech in self._speeches for warning in speech.report.warnings]
        return [f"{speaker}: {warning}" for speaker, warning in dict.fromkeys(told)]

    def __aiter__(self) -> AsyncGenerator[FloatArray, None]:
        return self._chunks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop all turns that are still being spoken."""
        await self._chunks.aclose()

    async def _deliver(self) -> AsyncGenerator[FloatArray, None]:
        """Yield the audio of turn after turn, while tasks speak the next ones."""
        samples = 0
        try:
            self._tasks = [self._start(speech) for speech in self._speeches]
            for speech in self._speeches:
                start = samples
                while (chunk := await self._take(speech)) is not None:
                    samples += chunk.size
                    yield chunk
                self._places.release()
                line = speech.line
                self.turns.append(TurnResult(line.speaker, start / SAMPLE_RATE, samples / SAMPLE_RATE, speech.report))
                pause = pcm.silence(line.pause_after, SAMPLE_RATE)
                if pause.size and speech is not self._speeches[-1]:
                    samples += pause.size
                    yield pause
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, speech: "_TurnAudio") -> asyncio.Task[None]:
        task = asyncio.create_task(self._speak(speech), name=f"conversation turn {speech.number}")
        task.add_done_callback(partial(self._ended, speech))
        return task

    def _ended(self, speech: "_TurnAudio", task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            self._failed = self._failed or task
        speech.end()

    async def _take(self, speech: "_TurnAudio") -> FloatArray | None:
        """Return the next chunk of a turn, None at its end. Raises the error of any turn that has failed."""
        chunk = await speech.take()
        if self._failed:
            self._failed.result()
        return chunk

    async def _speak(self, speech: "_TurnAudio") -> None:
        """Speak a turn when it is time to. Raises the session's error with the turn and its speaker in the message."""
        await self._places.acquire()  # first come, first served: earlier turns get theirs first
        if speech.number > 1:
            await self._speeches[speech.number - 2].begun.wait()
        try:
            while not await self._spoke(speech):
                pass
        except SpeechError as error:
            message = f"Turn {speech.number} ({speech.line.speaker}): {error}"
            raise type(error)(message, param=error.param) from error

    async def _spoke(self, speech: "_TurnAudio") -> bool:
        """Speak a turn and return True.

        If Admission refuses it, wait until an earlier turn ends and return False: it can be tried again. Raises
        QueueFull if no earlier turn is being spoken.
        """
        line = speech.line
        try:
            async with self._synthesizer.open(line.request, self._source, background=True) as session:
                speech.report = session.report
                session.add_text(line.text)
                session.end_text()
                async for chunk in session:
                    await speech.put(chunk)
        except QueueFull:  # raised before there is any audio
            speaking = [task for task in self._tasks[: speech.number - 1] if not task.done()]
            if not speaking:
                raise
            await asyncio.wait(speaking, return_when=asyncio.FIRST_COMPLETED)
            return False
        return True


class _TurnAudio:
    """One turn's audio between the task that speaks it and its delivery."""

    def __init__(self, number: int, line: ConversationTurn) -> None:
        self.number = number
        self.line = line
        self.report = Report()
        self.begun = asyncio.Event()
        """Set once it has audio, and so a place in Admission, or once it is over."""

        self._chunks: deque[FloatArray] = deque()
        self._held = 0
        self._over = False
        self._taken = asyncio.Event()
        self._made = asyncio.Event()

    async def put(self, chunk: FloatArray) -> None:
        """Add a chunk. Waits while `_MAX_AHEAD` samples or more are waiting to be taken."""
        while self._held >= _MAX_AHEAD:
            self._taken.clear()
            await self._taken.wait()
        self._chunks.append(chunk)
        self._held += chunk.size
        self._made.set()
        self.begun.set()

    def end(self) -> None:
        """Note that no more chunks will come."""
        self._over = True
        self._made.set()
        self.begun.set()

    async def take(self) -> FloatArray | None:
        """Return the next chunk, None after the last."""
        while not self._chunks:
            if self._over:
                return None
            self._made.clear()
            await self._made.wait()
        chunk = self._chunks.popleft()
        self._held -= chunk.size
        self._taken.set()
        return chunk


def _seeded(line: ConversationTurn, seed: int) -> ConversationTurn:
    """Return the line, with `seed` if it has none."""
    sampling = line.request.sampling
    if sampling.seed is not None:
        return line
    return replace(line, request=replace(line.request, sampling=replace(sampling, seed=seed)))
