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

from .audio import pcm
from .checkpoints import Checkpoint
from .models import ModelManager, State, choose_model
from .request import SAMPLE_RATE, FloatArray, SpeechRequest, StandbyMode, TextStreaming
from .standby import StandbyVoice, choose_engine
from .text.language import LanguageGuesser
from .text.live import LiveScript
from .text.markup import Pause
from .text.script import Script, Segment, Spoken
from .voices import Speaker
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


@dataclass
class Report:
    """What one utterance was, for the log line."""

    engine: str = "none"
    characters: int = 0
    first_audio: float = 0.0
    """Seconds from the first text to the first audio."""

    audio: float = 0.0
    """Seconds of audio."""

    wall: float = 0.0
    """Seconds from the first text to the last audio."""

    whole: bool = False
    """Whether all of it was spoken."""


class Synthesizer:
    """Opens sessions on the engines that there are."""

    def __init__(self, models: ModelManager, standby: StandbyVoice, guesser: LanguageGuesser, options: Options) -> None:
        self._models = models
        self._standby = standby
        self._guesser = guesser
        self._options = options

    def open(self, request: SpeechRequest) -> "SpeechSession":
        """A session for one utterance. Nothing is done before it is iterated."""
        if request.sampling.seed is None:  # one seed for all pieces: the voice stays the same from piece to piece
            request = replace(request, sampling=replace(request.sampling, seed=secrets.randbits(48)))
        return SpeechSession(request, self, self._options)

    async def reads_along(self, request: SpeechRequest) -> bool:
        """Whether text that still comes can be fed to the model's own text track."""
        if self._options.text_streaming != "token" or self._options.standby == "only":
            return False
        return (await self._models.look(choose_model(request, self._models.size))).state is State.READY

    @contextlib.asynccontextmanager
    async def engine(self, request: SpeechRequest, text: str) -> AsyncIterator[tuple[Worker, Checkpoint | None]]:
        """The engine that speaks this request, the whole utterance long, and the checkpoint if it is Qwen3.

        Raises Unavailable where nobody can speak it now.
        """
        mode = self._options.standby
        checkpoint = choose_model(request, self._models.size)
        model = None if mode == "only" else await self._models.look(checkpoint)
        guessed = None if request.language else await asyncio.to_thread(self._guesser.guess, text)
        chosen = choose_engine(mode, model.state if model else None, request, guessed)
        if chosen == "standby":
            async with self._standby.use() as worker:
                yield worker, None
        elif chosen == "qwen3":
            async with self._models.use(checkpoint) as worker:
                yield worker, checkpoint
        elif model is not None:
            raise model.explain()


class SpeechSession:
    """One utterance: `feed` text as it comes, `finish`, and iterate float32 24 kHz chunks. Close it when done.

    Iterating raises a SpeechError where the audio can't be completed. A text with nothing speakable in it is a
    short silence.
    """

    def __init__(self, request: SpeechRequest, synthesizer: Synthesizer, options: Options) -> None:
        self.report = Report()
        self._request = request
        self._synthesizer = synthesizer
        self._options = options
        self._script: Script | LiveScript = Script(ssml=request.ssml)
        self._raw: deque[str] = deque()
        self._finished = False
        self._changed = asyncio.Event()
        self._started = 0.0
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

    async def close(self) -> None:
        """Stop the engine's work for this session, and log what it was."""
        await self._chunks.aclose()
        _LOGGER.info("%s", _log_line(self._request, self.report))

    async def _make_chunks(self) -> AsyncGenerator[FloatArray, None]:
        async with contextlib.aclosing(self._speak_script()) as chunks:
            async for chunk in chunks:
                self._account(chunk)
                yield chunk
        if not self.report.audio:
            yield pcm.silence(_UNSPEAKABLE_SECONDS, SAMPLE_RATE)
        self.report.whole = True

    async def _speak_script(self) -> AsyncGenerator[FloatArray, None]:
        """All segments in order, on one engine: it is chosen when the first text is there."""
        live = not self._finished and await self._synthesizer.reads_along(self._request)
        if live:
            self._script = LiveScript(ssml=self._request.ssml)
        segment = await self._next_segment()
        while isinstance(segment, Pause):
            yield pcm.silence(segment.seconds, SAMPLE_RATE)
            segment = await self._next_segment()
        if segment is None:
            return
        async with self._synthesizer.engine(self._request, segment.text) as (worker, checkpoint):
            self.report.engine = checkpoint.name if checkpoint else "standby"
            speak = self._speak_live if live else self._speak_pieces
            async with contextlib.aclosing(speak(worker, checkpoint, segment)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _speak_pieces(
        self, worker: Worker, checkpoint: Checkpoint | None, segment: Segment | None
    ) -> AsyncGenerator[FloatArray, None]:
        """Piece after piece, each with all its text."""
        after_speech = False
        while segment is not None:
            if isinstance(segment, Pause):
                yield pcm.silence(segment.seconds, SAMPLE_RATE)
            else:
                if after_speech and self._options.sentence_pause:
                    yield pcm.silence(self._options.sentence_pause, SAMPLE_RATE)
                with worker.submit(checkpoint, self._request, segment.text) as row:
                    async for chunk in row:
                        yield chunk
            after_speech = isinstance(segment, Spoken)
            segment = await self._next_segment()

    async def _speak_live(
        self, worker: Worker, checkpoint: Checkpoint | None, segment: Segment | None
    ) -> AsyncGenerator[FloatArray, None]:
        """Stretch after stretch, the words of each fed to the model while it speaks."""
        while segment is not None:
            if isinstance(segment, Pause):
                yield pcm.silence(segment.seconds or self._options.sentence_pause, SAMPLE_RATE)
                segment = await self._next_segment()
                continue
            with worker.submit(checkpoint, self._request, segment.text, live=True) as row:
                feeding = asyncio.create_task(self._feed_stretch(row))
                try:
                    async for chunk in row:
                        yield chunk
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

    def _account(self, chunk: FloatArray) -> None:
        now = time.monotonic()
        self.report.first_audio = self.report.first_audio or now - self._started
        self.report.audio += chunk.size / SAMPLE_RATE
        self.report.wall = now - self._started


def _log_line(request: SpeechRequest, report: Report) -> str:
    voice = request.voice.id if isinstance(request.voice, Speaker) else "custom"
    language = request.language.code if request.language else "auto"
    speed = report.audio / report.wall if report.wall else 0.0
    return (
        f"{'Spoke' if report.whole else 'Stopped'} voice={voice} language={language} model={report.engine} "
        f"characters={report.characters} first_audio={report.first_audio:.3f}s audio={report.audio:.2f}s "
        f"speed={speed:.2f}x"
    )
