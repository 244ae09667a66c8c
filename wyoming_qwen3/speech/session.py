"""The one path from text to speech: every surface opens a session, feeds it text, and iterates its audio.

Knows neither protocol nor tensors: text goes through text/, audio comes from the backend that BackendSelector chooses.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

from wyoming_qwen3.audio import pcm
from wyoming_qwen3.audio.chain import Chain, check_installed
from wyoming_qwen3.audio.streaming import processed
from wyoming_qwen3.audio.stretch import Stretcher
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError, StorageFailed, Unavailable
from wyoming_qwen3.core.playback import Playback
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray, SpeechRequest, new_seed
from wyoming_qwen3.core.speech_length import expected_seconds
from wyoming_qwen3.models.worker import EngineRow
from wyoming_qwen3.ops.logs import RequestLog, WarningLog
from wyoming_qwen3.ops.metrics import Metrics
from wyoming_qwen3.store.history.store import History, Recording
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Segment, SpokenPiece

from .admission import Admission, Place
from .backend import Backend, EngineBackend, PieceAudio
from .backend_selector import BackendSelector
from .deliveries import ApplyDelivery, DeliveryRequests, EngagedBackend, sounds_alike
from .options import Caller, Options
from .piece_queue import PieceQueue
from .playback_buffer import PlaybackBuffer
from .replay import facts
from .report import LOGGED_OUTCOMES, Report, key_values, log_line
from .segment_feed import SegmentFeed
from .verbalizer import UtteranceVerbalizer, Verbalizer

_LOGGER = logging.getLogger(__name__)

_UNSPEAKABLE_SECONDS = 0.2
"""Seconds of silence sent for a text with nothing to speak.

Home Assistant caches an answer without samples and never asks for it again; it accepts this much silence.
"""


class Synthesizer:
    """Opens sessions on the available backends."""

    def __init__(
        self,
        backends: BackendSelector,
        *,
        history: History | None,
        admission: Admission,
        metrics: Metrics,
        options: Options,
        request_log: RequestLog,
        apply_delivery: ApplyDelivery,
        verbalizer: Verbalizer,
    ) -> None:
        """`request_log` is the log of requests that were answered in another way than they asked for."""
        self.backends = backends
        self.apply_delivery = apply_delivery
        self.verbalizer = verbalizer
        self._admission = admission
        self._metrics = metrics
        self._options = options
        self._history = history
        self.on_spoken: Callable[[str, Report], None] | None = None
        """Called at the end of each utterance with its source and its report."""

        self._warnings = WarningLog(request_log)
        self._speeds: dict[str, float] = {}
        """The last measured generation speed of each model, in seconds of audio per second."""

    def open(
        self,
        request: SpeechRequest,
        source: str,
        segments: Sequence[Segment] | None = None,
        *,
        background: bool = False,
        client: str | None = None,
    ) -> "SpeechSession":
        """Return a session for one utterance from the surface `source`. No work starts before it is iterated.

        With `segments`, the session speaks those, whatever text it is fed. A session in the `background` gives way to
        those that somebody listens to. Admission limits the places and the queue that a named `client` can take.
        Raises NotSupported if an effect is not available, and StorageFailed if the request asks to be saved and the
        history can't be used.
        """
        check_installed(request.effects)
        if request.sampling.seed is None:  # one seed for all pieces: the voice stays the same from piece to piece
            request = replace(request, sampling=replace(request.sampling, seed=new_seed()))
        recording = self._record(request)
        caller = Caller(source, client, background=background)
        return SpeechSession(request, caller, self, self._options, recording=recording, segments=segments)

    async def check(self, request: SpeechRequest) -> None:
        """Raise an error if no backend of this server could ever speak the request. Nothing is spoken for that."""
        check_installed(request.effects)
        await self.backends.check(request)

    async def reads_along(self, request: SpeechRequest) -> bool:
        """Return whether text that still arrives is fed to the model's own text track."""
        return self._options.text_streaming == "token" and await self.backends.reads_along(request)

    @contextlib.asynccontextmanager
    async def engage(
        self, caller: Caller, request: SpeechRequest, text: str, *, live: bool, resumed: bool
    ) -> AsyncIterator[tuple[Backend, Place]]:
        """Wait for a place, and yield it with the backend that speaks this request from `text` on.

        With `resumed`, the request had a place before and comes before those that have not started. Raises QueueFull
        if too many wait already, and what BackendSelector.engage raises.
        """
        async with (
            self._admission.place(background=caller.background, client=caller.client, resumed=resumed) as place,
            self.backends.engage(request, text, place.aside, live=live) as backend,
        ):
            yield backend, place

    def buffer(self, caller: Caller, model: str) -> PlaybackBuffer:
        """Return a new playback buffer for audio of `model`."""
        asap = caller.background or self._options.start == "asap"
        speed = float("inf") if asap else self._speeds.get(model)
        return PlaybackBuffer(speed, self._options.max_hold)

    def measured(self, model: str, speed: float) -> None:
        """Store a model's generation speed for the next answer, in seconds of audio per second."""
        self._speeds[model] = speed

    @property
    def speeds(self) -> Mapping[str, float]:
        """The last measured generation speed of each model that has spoken, in seconds of audio per second."""
        return self._speeds.copy()

    def log_warning(self, caller: Caller, warning: str) -> None:
        """Log that an utterance differs from what its client asked for, once for each client."""
        self._warnings.add((caller.source, caller.client or "local"), warning)

    def _record(self, request: SpeechRequest) -> Recording | None:
        """Return a new recording if the speech is to be kept in the history.

        Raises StorageFailed if the request asks for that and the history can't be used.
        """
        if not (self._options.save if request.save is None else request.save):
            return None
        if self._history is None and request.save:
            raise StorageFailed("The history can't be used, as the log says; leave save out.", param="save")
        return self._history.begin() if self._history else None

    def finish_utterance(self, source: str, request: SpeechRequest, report: Report) -> None:
        """Note that an utterance is over: log it unless it failed, count it, and call `on_spoken`.

        Whoever answers a client with the error logs that, with its `utterance`.
        """
        if report.outcome in LOGGED_OUTCOMES:
            _LOGGER.info("%s", log_line(source, request, report))
        self._metrics.spoke(
            source,
            report.model,
            report.outcome,
            first_audio=report.first_audio,
            audio=report.audio,
            speed=report.speed,
        )
        if self.on_spoken:
            self.on_spoken(source, report)


class SpeechSession:
    """One utterance: `add_text` as it arrives, `end_text`, and iterate over float32 24 kHz chunks. Close it when done.

    Iterating raises a SpeechError if the audio can't be completed. A text with nothing to speak gives a short silence.
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
        self._requests = DeliveryRequests(request, synthesizer.apply_delivery)
        verbalizer = UtteranceVerbalizer(synthesizer.verbalizer, lambda piece: self._requests.find(piece).language)
        self._segments = SegmentFeed(verbalizer, options.text_timeout, ssml=request.ssml, segments=segments)
        self._place: Place | None = None
        self._buffer: PlaybackBuffer | None = None
        self._playback = Playback()
        self._after_speech = False
        """Whether the last segment was a piece of speech and not a pause."""

        self._started = 0.0
        self._uncut = 0
        """Samples so far, as they were generated."""

        self._cut_short = False
        self._chunks = self._make_chunks()

    @property
    def history_id(self) -> str | None:
        """ID under which the history keeps this speech, or says why it does not; None if it is not to be kept."""
        return self._recording.id if self._recording else None

    def add_text(self, text: str) -> None:
        """Add text, split anywhere."""
        if self._recording:
            self._text.append(text)
        self._started = self._started or time.monotonic()
        self.report.characters += len(text)
        self._segments.add_text(text)

    def end_text(self) -> None:
        """Note that the text is complete."""
        self._segments.end_text()

    def __aiter__(self) -> AsyncGenerator[FloatArray, None]:
        return self._chunks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the backend's work for this session, account for the utterance, and keep or discard its recording."""
        try:
            await self._chunks.aclose()
        finally:
            self._synthesizer.finish_utterance(self._caller.source, self.request, self.report)
            if self._recording:
                self._keep(self._recording)
                self._recording = None

    async def _make_chunks(self) -> AsyncGenerator[FloatArray, None]:
        try:
            async with contextlib.aclosing(self._speak_runs()) as chunks:
                async for chunk in chunks:
                    self._count_chunk(chunk)
                    if self._recording:
                        self._recording.add(chunk)
                    with self._paused():
                        yield chunk
        except Exception as error:
            self.report.outcome = SpeechError.code
            if isinstance(error, SpeechError):
                self.report.outcome, error.utterance = error.code, key_values(self.request, self.report)
            raise
        if self._recording and (lost := self._recording.lost):
            self.report.warnings.append(lost)
        if not self.report.audio:
            yield pcm.silence(_UNSPEAKABLE_SECONDS, SAMPLE_RATE)
        self.report.outcome = "cut" if self._cut_short else "whole"

    @contextlib.contextmanager
    def _paused(self) -> Iterator[None]:
        """Mark the place as paused while the listener has a chunk and has not asked for more."""
        if self._place:
            self._place.pause()
        try:
            yield
        finally:
            if self._place:
                self._place.resume()

    async def _speak_runs(self) -> AsyncGenerator[FloatArray, None]:
        """Yield the audio of run after run. A run is consecutive segments with the same speed and effects."""
        live = not self._segments.known and await self._synthesizer.reads_along(self.request)
        if live:
            self._segments.return_words()
        frames = self.request.length
        while not self._cut_short and (first := await self._segments.next()) is not None:
            self._segments.keep_back(first)
            request = self._requests.find(first)
            speech = self._speak_run(request, live=live)
            if frames is not None:
                speech = self._cut(speech, frames)
            if request.speed != 1.0:
                speech = processed(speech, partial(Stretcher, request.speed))
            if request.effects:
                speech = processed(speech, partial(Chain, request.effects))
            async with contextlib.aclosing(speech) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _cut(self, speech: AsyncGenerator[FloatArray, None], frames: int) -> AsyncGenerator[FloatArray, None]:
        """Yield the speech until the utterance has `frames` codec frames in all."""
        wanted = frames * FRAME_SAMPLES - self._uncut
        async with contextlib.aclosing(speech) as chunks:
            async for chunk in chunks:
                if wanted:
                    yield chunk[:wanted]
                if chunk.size > wanted:
                    self._cut_short, self.report.frames = True, frames
                    return
                wanted -= chunk.size
                self._uncut += chunk.size

    async def _speak_run(self, request: SpeechRequest, *, live: bool) -> AsyncGenerator[FloatArray, None]:
        """Yield the audio of the segments of a run, in order.

        Hold neither a place nor a backend while no segment is there.
        """
        silence = 0.0
        while (segment := await self._segments.next()) is not None:
            if isinstance(segment, Pause):
                silence += segment.seconds
                self._after_speech = False
                continue
            if not sounds_alike(self._requests.find(segment), request):
                self._segments.keep_back(segment)
                break
            async with contextlib.aclosing(self._speak_from(segment, silence, live=live)) as chunks:
                async for chunk in chunks:
                    yield chunk
            silence = 0.0
        if silence:
            yield pcm.silence(silence, SAMPLE_RATE)

    async def _speak_from(self, first: SpokenPiece, silence: float, *, live: bool) -> AsyncGenerator[FloatArray, None]:
        """Yield `silence` seconds, then the audio of `first` and of what follows with the same backend in this run."""
        async with contextlib.AsyncExitStack() as held:
            backend = await self._engage(held, first, live=live)
            request = self._requests.find(first)
            engaged = EngagedBackend(backend, request, first)
            if self._buffer is None:
                self._buffer = self._synthesizer.buffer(self._caller, backend.model)
            self._buffer.restart(time.monotonic(), request.speed)
            if silence:  # only once there is a backend: a listener who gets the beginning is to get the rest
                yield pcm.silence(silence, SAMPLE_RATE)
            if live and isinstance(backend, EngineBackend):
                speech = self._speak_live(engaged, first)
            else:
                speech = self._speak_pieces(engaged, first, self._buffer)
            async with contextlib.aclosing(speech) as chunks:
                async for chunk in chunks:
                    yield chunk
        self._place = None

    async def _engage(self, held: contextlib.AsyncExitStack, piece: SpokenPiece, *, live: bool) -> Backend:
        """Return the backend that speaks from this piece on.

        If what the text directs is not available, the piece is spoken as the request says, with a warning.
        """
        directed, lacking = self._requests.find(piece), self._synthesizer.backends.lacking
        why = await lacking(directed) if self._requests.outdoes_standby(directed) else None
        if why and not await lacking(self.request):
            self._requests.keep_voice(piece, why)
        resumed = self._buffer is not None
        engage = partial(self._synthesizer.engage, self._caller, text=piece.text, live=live, resumed=resumed)
        try:
            backend, self._place = await held.enter_async_context(engage(self._requests.find(piece)))
        except (InvalidRequest, Unavailable) as error:
            if not self._requests.keep_voice(piece, error):
                raise
            backend, self._place = await held.enter_async_context(engage(self._requests.find(piece)))
        self.report.model = backend.model
        self._requests.standby = backend.model == "standby"
        self._warn((*self._segments.warnings, *self._requests.warnings, *backend.warnings))
        return backend

    async def _speak_pieces(
        self, engaged: EngagedBackend, first: SpokenPiece, buffer: PlaybackBuffer
    ) -> AsyncGenerator[FloatArray, None]:
        """Yield the audio of piece after piece. All text of a piece is known, and it is submitted before its turn."""
        known, background = self._segments.complete, self._caller.background
        following = partial(self._next_for, engaged)
        async with PieceQueue(engaged, first, following, known, background=background) as pieces:
            async for segment, row in pieces:
                silence = self._silence_before(segment)
                for chunk in buffer.add(silence) if silence.size else ():
                    yield chunk
                if row is None or isinstance(segment, Pause):
                    continue
                buffer.begin(time.monotonic())
                row.set_playing(self._playback.buffered_seconds(time.monotonic()))
                expected = expected_seconds(segment.text)
                async for made in row:
                    pieces.sound()
                    now = time.monotonic()
                    for chunk in buffer.take(
                        made, self._segments.expected, expected, self._playback.buffered_seconds(now), now
                    ):
                        yield chunk
                self._add_cost(row)
                pieces.played()
                for chunk in buffer.end(known=known.is_set()):  # the next piece may take long to arrive
                    yield chunk
        for chunk in buffer.release():
            yield chunk
        if buffer.measured:
            self.report.speed = buffer.measured
            self._synthesizer.measured(self.report.model, buffer.measured)

    def _silence_before(self, segment: Segment) -> FloatArray:
        """Return the silence [samples] of a pause, or the one between two consecutive pieces of speech."""
        after_speech, self._after_speech = self._after_speech, isinstance(segment, SpokenPiece)
        if isinstance(segment, Pause):
            return pcm.silence(segment.seconds, SAMPLE_RATE)
        return pcm.silence(self._options.sentence_pause if after_speech else 0.0, SAMPLE_RATE)

    async def _speak_live(self, engaged: EngagedBackend, segment: Segment | None) -> AsyncGenerator[FloatArray, None]:
        """Yield the audio up to each pause in turn. Words are fed to the model while it speaks."""
        while segment is not None:
            if isinstance(segment, Pause):
                yield pcm.silence(segment.seconds or self._options.sentence_pause, SAMPLE_RATE)
                segment = await self._take_if_speakable(engaged, await self._segments.take())
                continue
            with contextlib.ExitStack() as stack:
                row = stack.enter_context(engaged.submit_live(segment))
                feeding = asyncio.create_task(self._feed_until_pause(row))
                stack.callback(feeding.cancel)
                async for chunk in row:
                    yield chunk
                self._add_cost(row)
                segment = await feeding

    async def _feed_until_pause(self, row: EngineRow) -> Segment | None:
        """Feed a row up to the next pause, and return that; None at the end of the text."""
        try:
            while isinstance(segment := await self._segments.next(), SpokenPiece):
                row.add_text(segment.text)
        finally:
            row.end_text()
        return segment

    async def _next_for(self, engaged: EngagedBackend) -> Segment | None:
        """Wait for the next segment; return None at the end of the text and where another backend or run begins."""
        return await self._take_if_speakable(engaged, await self._segments.next())

    async def _take_if_speakable(self, engaged: EngagedBackend, segment: Segment | None) -> Segment | None:
        """Return the segment if what is engaged can speak it; else keep it back and return None."""
        if isinstance(segment, Pause) or segment is None or engaged.speaks(segment):
            return segment
        self._segments.keep_back(segment)  # first: whoever awaits this may be cancelled
        request = self._requests.find(segment)
        if not sounds_alike(request, engaged.request):
            return None
        backend = await self._synthesizer.backends.reuse_for(engaged.backend, request)
        if backend is None:
            return None
        self._warn((*self._segments.warnings, *self._requests.warnings, *backend.warnings))
        engaged.add_delivery(segment, backend)
        return await self._segments.take()

    def _warn(self, warnings: Sequence[str]) -> None:
        """Report warnings that are new to this utterance, and log those that are new to its client."""
        new = [warning for warning in warnings if warning not in self.report.warnings]
        self.report.warnings += new
        for warning in new:
            self._synthesizer.log_warning(self._caller, warning)

    def _add_cost(self, row: PieceAudio) -> None:
        self.report.text_tokens += row.text_tokens
        self.report.frames += row.frames

    def _count_chunk(self, chunk: FloatArray) -> None:
        now = time.monotonic()
        self.report.first_audio = self.report.first_audio or now - self._started
        self.report.audio += chunk.size / SAMPLE_RATE
        self._playback.take(chunk.size / SAMPLE_RATE, now)
        self.report.wall = now - self._started

    def _keep(self, recording: Recording) -> None:
        """Store the recording in the history. Discard it if the speech is incomplete or empty."""
        report, request = self.report, self.request
        if report.outcome not in ("whole", "cut") or not report.audio:
            recording.discard()
            return
        said = self._segments.said
        recording.store(facts("".join(self._text), said, self._caller.source, request, report))
