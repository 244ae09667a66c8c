"""The one way to make speech. Every surface opens a session, feeds it text, and iterates its audio.

Knows neither protocol nor tensors: text goes through text/, audio comes from whoever `engines` finds.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

from .admission import Admission
from .audio import pcm
from .audio.chain import Chain, check_installed
from .audio.streaming import processed
from .audio.stretch import Stretcher
from .engines import Engaged, Engines, Local, Sound
from .errors import SpeechError, StorageFailed
from .metrics import Metrics
from .recall import facts
from .report import Report, log_line
from .request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray, SpeechRequest, TextStreaming
from .store.history import History, Recording
from .text.live import LiveScript
from .text.markup import Pause
from .text.script import Recital, Script, Segment, Spoken
from .worker import Row

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

    text_streaming: TextStreaming = "sentence"
    sentence_pause: float = 0.2
    """Seconds of silence between two pieces."""

    save: bool = False
    """Whether what is spoken is kept in the history where a request does not say."""


class Synthesizer:
    """Opens sessions on the engines that there are."""

    def __init__(
        self,
        engines: Engines,
        *,
        history: History | None,
        admission: Admission,
        metrics: Metrics,
        options: Options,
    ) -> None:
        self.engines = engines
        self._admission = admission
        self._metrics = metrics
        self._options = options
        self._history = history

    def open(self, request: SpeechRequest, source: str, segments: Sequence[Segment] | None = None) -> "SpeechSession":
        """A session for one utterance, which `source` asks for. Nothing is done before it is iterated.

        With `segments` it says those, whatever text it is fed. Raises NotSupported for effects that can't be had.
        """
        check_installed(request.effects)
        if request.sampling.seed is None:  # one seed for all pieces: the voice stays the same from piece to piece
            request = replace(request, sampling=replace(request.sampling, seed=secrets.randbits(48)))
        return SpeechSession(request, source, self, self._options, recording=self._record(request), segments=segments)

    def check(self, request: SpeechRequest) -> None:
        """Raise what would come of it if nobody could ever speak it here, before anything is spoken."""
        check_installed(request.effects)
        self.engines.check(request)

    async def reads_along(self, request: SpeechRequest) -> bool:
        """Whether text that still comes is fed to the model's own text track."""
        return self._options.text_streaming == "token" and await self.engines.reads_along(request)

    @contextlib.asynccontextmanager
    async def engage(self, request: SpeechRequest, text: str, *, live: bool) -> AsyncIterator[Engaged]:
        """Who speaks this request, the whole utterance long, when its turn has come.

        Raises QueueFull, and what Engines.engage raises.
        """
        async with self._admission.place(), self.engines.engage(request, text, live=live) as engaged:
            yield engaged

    def _record(self, request: SpeechRequest) -> Recording | None:
        """Of the speech, if it is to be kept. Raises StorageFailed where it was asked for and can't be."""
        if not (self._options.save if request.save is None else request.save):
            return None
        if self._history is None and request.save:
            raise StorageFailed("The history can't be used, as the log tells; leave save out.", param="save")
        return self._history.begin() if self._history else None

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

    def __init__(
        self,
        request: SpeechRequest,
        source: str,
        synthesizer: Synthesizer,
        options: Options,
        *,
        recording: Recording | None,
        segments: Sequence[Segment] | None,
    ) -> None:
        self.report = Report()
        self.request = request
        self._source = source
        self._synthesizer = synthesizer
        self._options = options
        self._recording = recording
        self._text: list[str] = []
        self._said: list[Segment] = []
        self._replay = segments is not None
        self._script: Script | LiveScript | Recital = (
            Script(ssml=request.ssml) if segments is None else Recital(segments)
        )
        self._raw: deque[str] = deque()
        self._finished = False
        self._changed = asyncio.Event()
        self._started = 0.0
        self._cut_short = False
        self._chunks = self._make_chunks()

    @property
    def history_id(self) -> str | None:
        """Under which it will be kept, if it is and goes well."""
        return self._recording.id if self._recording else None

    def feed(self, text: str) -> None:
        """More text, cut anywhere."""
        if self._recording:
            self._text.append(text)
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
        if self._recording:
            self._keep(self._recording)
            self._recording = None

    async def _make_chunks(self) -> AsyncGenerator[FloatArray, None]:
        speech = self._speak_script()
        if self.request.length is not None:
            speech = self._cut(speech, self.request.length)
        if self.request.speed != 1.0:
            speech = processed(speech, partial(Stretcher, self.request.speed))
        if self.request.effects:
            speech = processed(speech, partial(Chain, self.request.effects))
        try:
            async with contextlib.aclosing(speech) as chunks:
                async for chunk in chunks:
                    self._account(chunk)
                    if self._recording:
                        self._recording.feed(chunk)
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

    async def _speak_script(self) -> AsyncGenerator[FloatArray, None]:
        """All segments in order, on one engine: it is chosen when the first text is there."""
        live = not self._replay and not self._finished and await self._synthesizer.reads_along(self.request)
        if live:
            self._script = LiveScript(ssml=self.request.ssml)
        silence = 0.0
        while isinstance(segment := await self._next_segment(), Pause):
            silence += segment.seconds
        if segment is None:
            if silence:
                yield pcm.silence(silence, SAMPLE_RATE)
            return
        async with self._synthesizer.engage(self.request, segment.text, live=live) as engaged:
            self.report.model = engaged.model
            if silence:  # not before there is an engine: who hears the beginning is to hear the rest
                yield pcm.silence(silence, SAMPLE_RATE)
            if live and isinstance(engaged, Local):
                speech = self._speak_live(engaged, segment)
            else:
                speech = self._speak_pieces(engaged, segment)
            async with contextlib.aclosing(speech) as chunks:
                async for chunk in chunks:
                    self.report.model = engaged.model  # memory that ran out may have changed it
                    yield chunk

    async def _speak_pieces(self, engaged: Engaged, segment: Segment | None) -> AsyncGenerator[FloatArray, None]:
        """Piece after piece, each with all its text; the next is begun when one is made, heard or not."""
        after_speech = False
        with contextlib.ExitStack() as rows:
            row: Sound | None = None
            while segment is not None:
                if isinstance(segment, Pause):
                    yield pcm.silence(segment.seconds, SAMPLE_RATE)
                    after_speech, segment = False, await self._next_segment()
                    continue
                if after_speech and self._options.sentence_pause:
                    yield pcm.silence(self._options.sentence_pause, SAMPLE_RATE)
                row = row or rows.enter_context(engaged.submit(segment.text))
                following = asyncio.create_task(self._follow(engaged, row, rows))
                try:
                    async for chunk in row:
                        yield chunk
                    self._add_cost(row)
                    after_speech, (segment, row) = True, await following
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)

    async def _follow(
        self, engaged: Engaged, row: Sound, rows: contextlib.ExitStack
    ) -> tuple[Segment | None, Sound | None]:
        """The segment after a row, when all of the row is made; if it is to be spoken, its own row has begun."""
        await row.made.wait()
        segment = await self._next_segment()
        return segment, rows.enter_context(engaged.submit(segment.text)) if isinstance(segment, Spoken) else None

    async def _speak_live(self, engaged: Local, segment: Segment | None) -> AsyncGenerator[FloatArray, None]:
        """Stretch after stretch, the words of each fed to the model while it speaks."""
        while segment is not None:
            if isinstance(segment, Pause):
                yield pcm.silence(segment.seconds or self._options.sentence_pause, SAMPLE_RATE)
                segment = await self._next_segment()
                continue
            with engaged.submit_live(segment.text) as row:
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
                if self._recording:
                    self._said.append(segment)
                return segment
            if self._script.done:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(_FLUSH_SECONDS if self._script.has_tail else None):
                    await self._changed.wait()
            except TimeoutError:
                self._script.flush()

    def _add_cost(self, row: Sound) -> None:
        self.report.text_tokens += row.text_tokens
        self.report.frames += row.frames

    def _account(self, chunk: FloatArray) -> None:
        now = time.monotonic()
        self.report.first_audio = self.report.first_audio or now - self._started
        self.report.audio += chunk.size / SAMPLE_RATE
        self.report.wall = now - self._started

    def _keep(self, recording: Recording) -> None:
        """Put what was said into the history; a part of it, and nothing, are not kept."""
        report, request = self.report, self.request
        if report.outcome not in ("whole", "cut") or not report.audio:
            recording.discard()
            return
        said = None if isinstance(self._script, LiveScript) else self._said  # words that were fed are no pieces
        recording.finish(facts("".join(self._text), said, self._source, request, report))
