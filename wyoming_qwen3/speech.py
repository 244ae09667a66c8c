"""The one way to make speech. Every surface opens a session, feeds it text, and iterates its audio.

Knows neither protocol nor tensors: text goes through text/, audio comes from an engine process.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from .admission import Admission
from .audio import pcm
from .audio.stretch import Stretcher
from .checkpoints import Checkpoint
from .cloning import ClonePrompts
from .errors import SpeechError
from .metrics import Metrics
from .models.manager import ModelManager, choose_model
from .models.state import State
from .report import Report, log_line
from .request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray, Reference, SpeechRequest, StandbyMode, TextStreaming
from .standby import StandbyVoice, choose_engine, language_matters, standby_mode
from .text.language import LanguageGuesser
from .text.live import LiveScript
from .text.markup import Pause
from .text.script import Script, Segment, Spoken
from .worker import Row, Worker

_LOGGER = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0
"""Text that pauses so long is spoken as far as it is speakable: an LLM may be away calling a tool."""

_SLICE = 200
"""Characters of text cleaned at once, some 3 ms at the worst, so that a long text does not hold up the event loop."""

_UNSPEAKABLE_SECONDS = 0.2
"""Home Assistant stores an answer without samples and never asks again; this much silence it accepts."""


@dataclass(frozen=True)
class Options:
    """How texts become speech, whoever asks."""

    standby: StandbyMode = "auto"
    text_streaming: TextStreaming = "sentence"
    sentence_pause: float = 0.2
    """Seconds of silence between two pieces."""


@dataclass(frozen=True)
class _Engaged:
    """An engine, for one utterance; `checkpoint` is None for the standby voice."""

    worker: Worker
    checkpoint: Checkpoint | None
    request: SpeechRequest

    def submit(self, text: str, *, live: bool = False) -> Row:
        return self.worker.submit(self.checkpoint, self.request, text, live=live)


class Synthesizer:
    """Opens sessions on the engines that there are."""

    def __init__(
        self,
        models: ModelManager,
        standby: StandbyVoice,
        guesser: LanguageGuesser,
        *,
        admission: Admission,
        metrics: Metrics,
        options: Options,
    ) -> None:
        self._models = models
        self._standby = standby
        self._guesser = guesser
        self._admission = admission
        self._metrics = metrics
        self._options = options
        self._prompts = ClonePrompts()

    def open(self, request: SpeechRequest, source: str) -> "SpeechSession":
        """A session for one utterance, which `source` asks for. Nothing is done before it is iterated."""
        if request.sampling.seed is None:  # one seed for all pieces: the voice stays the same from piece to piece
            request = replace(request, sampling=replace(request.sampling, seed=secrets.randbits(48)))
        return SpeechSession(request, source, self, self._options)

    async def reads_along(self, request: SpeechRequest) -> bool:
        """Whether text that still comes can be fed to the model's own text track."""
        if self._options.text_streaming != "token" or standby_mode(self._options.standby, request.standby) == "only":
            return False
        return (await self._models.look(choose_model(request, self._models.size))).state is State.READY

    @contextlib.asynccontextmanager
    async def engine(self, request: SpeechRequest, text: str) -> AsyncIterator[_Engaged]:
        """The engine that speaks this request, the whole utterance long, when its turn has come.

        Raises QueueFull, Unavailable where nobody can speak it now, InvalidRequest where nobody ever can.
        """
        mode = standby_mode(self._options.standby, request.standby)
        wanted = None if mode == "only" else choose_model(request, self._models.size)
        async with self._admission.place(), contextlib.AsyncExitStack() as held:
            model = await self._models.look(wanted) if wanted else None
            state = model.state if model else None
            unknown = request.language is None and language_matters(mode, state)
            guessed = await asyncio.to_thread(self._guesser.guess, text) if unknown else None
            chosen = choose_engine(mode, state, request, guessed)
            if chosen == "standby":
                worker = await held.enter_async_context(self._standby.use())
                yield _Engaged(worker, None, request)
            elif model is not None and chosen == "qwen3":
                checkpoint = model.checkpoint
                worker = await held.enter_async_context(self._models.use(checkpoint))
                if isinstance(request.voice, Reference):
                    prompt = await self._prompts.prompt(worker, checkpoint, request.voice)
                    request = replace(request, voice=prompt)
                yield _Engaged(worker, checkpoint, request)
            elif model is not None:
                raise model.explain()

    def account(self, source: str, request: SpeechRequest, report: Report) -> None:
        """An utterance is over."""
        _LOGGER.info("%s", log_line(source, request, report))
        self._metrics.spoke(
            source,
            report.model,
            report.outcome,
            first_audio=report.first_audio,
            audio=report.audio,
            wall=report.wall,
        )


class SpeechSession:
    """One utterance: `feed` text as it comes, `finish`, and iterate float32 24 kHz chunks. Close it when done.

    Iterating raises a SpeechError where the audio can't be completed. A text with nothing speakable in it is a
    short silence.
    """

    def __init__(self, request: SpeechRequest, source: str, synthesizer: Synthesizer, options: Options) -> None:
        self.report = Report()
        self.request = request
        self._source = source
        self._synthesizer = synthesizer
        self._options = options
        self._script: Script | LiveScript = Script(ssml=request.ssml)
        self._raw: deque[str] = deque()
        self._finished = False
        self._changed = asyncio.Event()
        self._started = 0.0
        self._cut_short = False
        self._chunks = self._make_chunks()

    def feed(self, text: str) -> None:
        """More text, cut anywhere."""
        self._started = self._started or time.monotonic()
        self.report.characters += len(text)
        self._raw.extend(text[start : start + _SLICE] for start in range(0, len(text), _SLICE))
        self._changed.set()

    def finish(self) -> None:
        """The text is complete."""
        self._finished = True
        self._changed.set()

    def __aiter__(self) -> AsyncGenerator[FloatArray, None]:
        return self._chunks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the engine's work for this session, and account for it."""
        await self._chunks.aclose()
        self._synthesizer.account(self._source, self.request, self.report)

    async def _make_chunks(self) -> AsyncGenerator[FloatArray, None]:
        speech = self._speak_script()
        if self.request.length is not None:
            speech = self._cut(speech, self.request.length)
        if self.request.speed != 1.0:
            speech = self._stretch(speech)
        try:
            async with contextlib.aclosing(speech) as chunks:
                async for chunk in chunks:
                    self._account(chunk)
                    yield chunk
        except Exception as error:
            self.report.outcome = error.code if isinstance(error, SpeechError) else SpeechError.code
            raise
        if not self.report.audio:
            yield pcm.silence(_UNSPEAKABLE_SECONDS, SAMPLE_RATE)
        self.report.outcome = "cut" if self._cut_short else "whole"

    async def _cut(self, speech: AsyncGenerator[FloatArray, None], frames: int) -> AsyncGenerator[FloatArray, None]:
        """The beginning of it, so many frames at the most."""
        wanted = frames * FRAME_SAMPLES
        async with contextlib.aclosing(speech) as chunks:
            async for chunk in chunks:
                if wanted:
                    yield chunk[:wanted]
                if chunk.size > wanted:
                    self._cut_short, self.report.frames = True, frames
                    return
                wanted -= chunk.size

    async def _stretch(self, speech: AsyncGenerator[FloatArray, None]) -> AsyncGenerator[FloatArray, None]:
        """The same at the speed that was asked for."""
        stretcher = Stretcher(self.request.speed)
        async with contextlib.aclosing(speech) as chunks:
            async for chunk in chunks:
                if (faster := await asyncio.to_thread(stretcher.feed, chunk)).size:
                    yield faster
        if (rest := stretcher.finish()).size:
            yield rest

    async def _speak_script(self) -> AsyncGenerator[FloatArray, None]:
        """All segments in order, on one engine: it is chosen when the first text is there."""
        live = not self._finished and await self._synthesizer.reads_along(self.request)
        if live:
            self._script = LiveScript(ssml=self.request.ssml)
        silence = 0.0
        while isinstance(segment := await self._next_segment(), Pause):
            silence += segment.seconds
        if segment is None:
            if silence:
                yield pcm.silence(silence, SAMPLE_RATE)
            return
        async with self._synthesizer.engine(self.request, segment.text) as engaged:
            self.report.model = engaged.checkpoint.name if engaged.checkpoint else "standby"
            if silence:  # not before there is an engine: who hears the beginning is to hear the rest
                yield pcm.silence(silence, SAMPLE_RATE)
            speak = self._speak_live if live else self._speak_pieces
            async with contextlib.aclosing(speak(engaged, segment)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _speak_pieces(self, engaged: _Engaged, segment: Segment | None) -> AsyncGenerator[FloatArray, None]:
        """Piece after piece, each with all its text."""
        after_speech = False
        while segment is not None:
            if isinstance(segment, Pause):
                yield pcm.silence(segment.seconds, SAMPLE_RATE)
            else:
                if after_speech and self._options.sentence_pause:
                    yield pcm.silence(self._options.sentence_pause, SAMPLE_RATE)
                with engaged.submit(segment.text) as row:
                    async for chunk in row:
                        yield chunk
                    self._add_cost(row)
            after_speech = isinstance(segment, Spoken)
            segment = await self._next_segment()

    async def _speak_live(self, engaged: _Engaged, segment: Segment | None) -> AsyncGenerator[FloatArray, None]:
        """Stretch after stretch, the words of each fed to the model while it speaks."""
        while segment is not None:
            if isinstance(segment, Pause):
                yield pcm.silence(segment.seconds or self._options.sentence_pause, SAMPLE_RATE)
                segment = await self._next_segment()
                continue
            with engaged.submit(segment.text, live=True) as row:
                feeding = asyncio.create_task(self._feed_stretch(row))
                try:
                    async for chunk in row:
                        yield chunk
                    self._add_cost(row)
                    segment = await feeding
                finally:
                    feeding.cancel()

    async def _feed_stretch(self, row: Row) -> Segment | None:
        """Feed a row to the end of its stretch, and return what follows: a pause, or nothing."""
        try:
            while isinstance(segment := await self._next_segment(), Spoken):
                row.feed(segment.text)
        finally:
            row.finish()
        return segment

    async def _next_segment(self) -> Segment | None:
        """The next segment as soon as there is one; None at the end of the text."""
        while True:
            while self._raw:
                self._script.feed(self._raw.popleft())
                await asyncio.sleep(0)
            if self._finished:
                self._script.finish()
            if segment := self._script.take():
                return segment
            if self._script.done:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(_FLUSH_SECONDS if self._script.has_tail else None):
                    await self._changed.wait()
            except TimeoutError:
                self._script.flush()

    def _add_cost(self, row: Row) -> None:
        self.report.text_tokens += row.text_tokens
        self.report.frames += row.frames

    def _account(self, chunk: FloatArray) -> None:
        now = time.monotonic()
        self.report.first_audio = self.report.first_audio or now - self._started
        self.report.audio += chunk.size / SAMPLE_RATE
        self.report.wall = now - self._started
