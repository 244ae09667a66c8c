"""The one way to make speech. Every surface opens a session, feeds it text, and iterates its audio.

Knows neither protocol nor tensors: text goes through text/, audio comes from whoever `engines` finds.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

from .admission import Admission, Place
from .audio import pcm
from .audio.chain import Chain, check_installed
from .audio.streaming import processed
from .audio.stretch import Stretcher
from .engaged import Engaged, Local, Sound
from .engines import Engines
from .errors import SpeechError, StorageFailed
from .lineup import Lineup
from .metrics import Metrics
from .playback import Playback
from .recall import facts
from .report import Report, log_line
from .request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray, SpeechRequest, StartMode, TextStreaming
from .start import Start, expected_seconds
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

    start: StartMode = "auto"
    """When the first sound is sent."""

    save: bool = False
    """Whether what is spoken is kept in the history where a request does not say."""


@dataclass(frozen=True)
class Caller:
    """Who asks: the surface, its client if that is to be told from others, and whether it gives way to listeners."""

    source: str
    client: str | None
    behind: bool


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
        self._speeds: dict[str, float] = {}
        """How fast each model spoke lately, in seconds of sound a second."""

    def open(
        self,
        request: SpeechRequest,
        source: str,
        segments: Sequence[Segment] | None = None,
        *,
        behind: bool = False,
        client: str | None = None,
    ) -> "SpeechSession":
        """A session for one utterance, which `source` asks for. Nothing is done before it is iterated.

        With `segments` it says those, whatever text it is fed. One that is `behind` gives way to those that somebody
        listens to; a `client` that is named can't have all places. Raises NotSupported for effects that can't be had.
        """
        check_installed(request.effects)
        if request.sampling.seed is None:  # one seed for all pieces: the voice stays the same from piece to piece
            request = replace(request, sampling=replace(request.sampling, seed=secrets.randbits(48)))
        recording = self._record(request)
        caller = Caller(source, client, behind=behind)
        return SpeechSession(request, caller, self, self._options, recording=recording, segments=segments)

    def check(self, request: SpeechRequest) -> None:
        """Raise what would come of it if nobody could ever speak it here, before anything is spoken."""
        check_installed(request.effects)
        self.engines.check(request)

    async def reads_along(self, request: SpeechRequest) -> bool:
        """Whether text that still comes is fed to the model's own text track."""
        return self._options.text_streaming == "token" and await self.engines.reads_along(request)

    @contextlib.asynccontextmanager
    async def engage(
        self, caller: Caller, request: SpeechRequest, text: str, *, live: bool
    ) -> AsyncIterator[tuple[Engaged, Place]]:
        """Who speaks this request, the whole utterance long, when its turn has come.

        Raises QueueFull, and what Engines.engage raises.
        """
        async with (
            self._admission.place(behind=caller.behind, client=caller.client) as place,
            self.engines.engage(request, text, live=live) as engaged,
        ):
            yield engaged, place

    def start(self, caller: Caller, model: str) -> Start:
        """What tells when the sound of a model is sent."""
        asap = caller.behind or self._options.start == "asap"
        return Start(time.monotonic(), float("inf") if asap else self._speeds.get(model))

    def started(self, model: str, start: Start) -> None:
        """An answer has been sent; what it tells of the model's speed is of use for the next."""
        if start.speed is not None and start.speed != float("inf"):
            self._speeds[model] = start.speed

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
        caller: Caller,
        synthesizer: Synthesizer,
        options: Options,
        *,
        recording: Recording | None,
        segments: Sequence[Segment] | None,
    ) -> None:
        self.report = Report()
        self.request = request
        self._caller = caller
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
        self._place: Place | None = None
        self._finished = asyncio.Event()
        self._changed = asyncio.Event()
        self._playback = Playback()
        self._expected = 0.0
        """Seconds that the text known so far will take, about."""

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
        self._finished.set()
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
        self._synthesizer.account(self._caller.source, self.request, self.report)
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
                    with self._paused():
                        yield chunk
        except Exception as error:
            self.report.outcome = error.code if isinstance(error, SpeechError) else SpeechError.code
            raise
        if not self.report.audio:
            yield pcm.silence(_UNSPEAKABLE_SECONDS, SAMPLE_RATE)
        self.report.outcome = "cut" if self._cut_short else "whole"

    @contextlib.contextmanager
    def _paused(self) -> Iterator[None]:
        """While the listener has a chunk, and has not asked for more."""
        if self._place:
            self._place.pause()
        try:
            yield
        finally:
            if self._place:
                self._place.resume()

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
        live = not self._replay and not self._finished.is_set() and await self._synthesizer.reads_along(self.request)
        if live:
            self._script = LiveScript(ssml=self.request.ssml)
        silence = 0.0
        while isinstance(segment := await self._next_segment(), Pause):
            silence += segment.seconds
        if segment is None:
            if silence:
                yield pcm.silence(silence, SAMPLE_RATE)
            return
        async with self._synthesizer.engage(self._caller, self.request, segment.text, live=live) as (engaged, place):
            self._place = place
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

    async def _speak_pieces(self, engaged: Engaged, first: Segment) -> AsyncGenerator[FloatArray, None]:
        """Piece after piece, each with all its text, and begun before its turn has come."""
        after_speech = False
        start = self._synthesizer.start(self._caller, engaged.model)
        async with Lineup(engaged, first, self._next_segment, self._finished, behind=self._caller.behind) as lineup:
            async for segment, row in lineup:
                if isinstance(segment, Pause):
                    between, after_speech = segment.seconds, False
                else:
                    between, after_speech = self._options.sentence_pause if after_speech else 0.0, True
                if between:
                    for chunk in start.take(pcm.silence(between, SAMPLE_RATE), self._expected, time.monotonic()):
                        yield chunk
                if row is None:
                    continue
                row.hear(self._playback.in_hand(time.monotonic()))
                async for made in row:
                    lineup.sound()
                    for chunk in start.take(made, self._expected, time.monotonic()):
                        yield chunk
                self._add_cost(row)
                lineup.heard()
                if not self._finished.is_set():  # the next piece may be long in coming
                    for chunk in start.open():
                        yield chunk
        for chunk in start.open():
            yield chunk
        self._synthesizer.started(engaged.model, start)

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
                self._expected += expected_seconds(text := self._raw.popleft())
                self._script.feed(text)
                await asyncio.sleep(0)
            if self._finished.is_set():
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
        self._playback.take(chunk.size / SAMPLE_RATE, now)
        self.report.wall = now - self._started

    def _keep(self, recording: Recording) -> None:
        """Put what was said into the history; a part of it, and nothing, are not kept."""
        report, request = self.report, self.request
        if report.outcome not in ("whole", "cut") or not report.audio:
            recording.discard()
            return
        said = None if isinstance(self._script, LiveScript) else self._said  # words that were fed are no pieces
        recording.finish(facts("".join(self._text), said, self._caller.source, request, report))
