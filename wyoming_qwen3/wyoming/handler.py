"""Wyoming events <-> speech sessions, one handler a connection.

Reading and speaking are separate tasks: `handle_event` returns at once, so that a client that leaves, or starts
anew, is seen while the last answer is still being made.

Home Assistant caches whatever ends well, waits for ever for what never ends, and takes a closed connection for an
end: so a failure is an `error` event and then a closed connection, and nothing else ends without its audio.
"""

import asyncio
import contextlib
import logging
import math
import time
from dataclasses import dataclass

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe
from wyoming.ping import Ping
from wyoming.server import AsyncEventHandler
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeTextFormat,
    SynthesizeVoice,
)

from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.errors import InvalidRequest, QueueFull, SpeechError, TooLarge, Unavailable
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray, SpeechRequest
from wyoming_qwen3.ops.connection_limit import ConnectionLimiter, address_of, watch_for_loss
from wyoming_qwen3.speech.session import SpeechSession, Synthesizer
from wyoming_qwen3.speech.utterance_queue import UtteranceQueue
from wyoming_qwen3.voices.resolver import VoiceNames, VoiceResolver

from .event_reader import EventReader
from .info import build_info
from .messages import parse, pong, sendable

_LOGGER = logging.getLogger(__name__)

_CHUNK_SAMPLES = SAMPLE_RATE * 160 // 1000
"""Most samples of one audio-chunk: 160 ms. Longer audio is sent in equal parts."""

_LAST_WORD_SECONDS = 1.0
"""How long a client may take to read why the server hangs up."""

_REPLY_SECONDS = 30.0
"""How long it may take to read an answer that is not speech."""

_PIECE = 64 << 10

_MAX_CHARACTERS = 40_000
"""Of one text, however many events it comes in: it is spoken for three quarters of an hour."""

_WIDTH, _CHANNELS = 2, 1


@dataclass
class _Answer:
    """One request being answered; `streamed` ones also end with synthesize-stopped."""

    session: SpeechSession
    streamed: bool


class Handler(AsyncEventHandler):
    """One client's connection. A `patient` one still says what was asked for before its input ended."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        resolver: VoiceResolver,
        limiter: ConnectionLimiter,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        patient: bool = False,
    ) -> None:
        super().__init__(reader, writer)
        self._synthesizer = synthesizer
        self._resolver = resolver
        self._limiter = limiter
        self._address = address_of(writer)
        self._events = EventReader(reader)
        self._patient = patient
        self._open: SpeechSession | None = None
        self._queue: UtteranceQueue[_Answer] = UtteranceQueue(self._speak, self._end, "wyoming speaker")
        self._refusal: SpeechError | None = None
        """Error of an event, sent when the requests before it are answered. No request after it is accepted."""

        self._last = time.monotonic()
        self._stay = asyncio.timeout(None)
        self._dismissal: SpeechError | None = None
        self._hung_up = False

    async def run(self) -> None:
        """Read events until the client leaves, sends what is no event, or an answer fails."""
        self._is_running = True
        try:
            with self._limiter.enter(self._address, self.writer.transport, self):
                await self._converse()
        except QueueFull as error:
            with self._limiter.outside() as patiently:
                if patiently:
                    await self._tell(error)
                    await self._hang_up()
                else:
                    self._limiter.turned_away(self._address, error)
                    self.writer.transport.abort()

    async def _converse(self) -> None:
        watch_for_loss(self.writer)
        try:
            async with self._stay:
                while self._is_running and (event := await self._read()) and await self.handle_event(event):
                    self._last = time.monotonic()
                if self._patient:
                    await self._queue.wait()
        except (ConnectionError, TimeoutError):
            _LOGGER.debug("A client left, or does not listen")
        except Exception:
            _LOGGER.exception("A connection failed")
        finally:
            await self.disconnect()
            if self._dismissal:
                await self._tell(self._dismissal)
            await self._hang_up()

    @property
    def waiting_since(self) -> float | None:
        """Monotonic time since which it has waited for its client; None while it owes its client something."""
        return None if self._owes else self._last

    def dismiss(self, error: SpeechError) -> None:
        """Tell the client why, and close the connection soon."""
        self._dismissal = error
        self._stay.reschedule(asyncio.get_running_loop().time())

    async def _hang_up(self) -> None:
        """Close the connection; what a client does not fetch in a second it does not get.

        What it still sends is read before: the system forgets what was said last to a client that was not heard out.
        """
        self._hung_up = True
        try:
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                if not self.writer.is_closing():
                    self.writer.write_eof()
                    while await self.reader.read(_PIECE):
                        pass
                    self.writer.close()
                await self.writer.wait_closed()
        except OSError:  # a timeout is one
            self.writer.transport.abort()
        except NotImplementedError:
            pass  # of standard output nobody is told that it is closed

    async def stop(self) -> None:
        """Hang up because the server stops; an answer that is not whole ends in an error."""
        if self._queue.busy:
            await self._silence()
            await self._fail(Unavailable("The speech server is stopping; ask again when it is back."))
        await super().stop()

    async def disconnect(self) -> None:
        """Stop speaking: nobody listens any more."""
        await self._silence()

    async def handle_event(self, event: Event) -> bool:
        """Act on one event; False closes the connection. Answers to complete requests before it are given first."""
        try:
            await self._dispatch(event)
        except SpeechError as error:
            if self._owes:
                self._refusal = error
                return True
            await self._refuse(error)
            return False
        return True

    @property
    def _owes(self) -> bool:
        """Whether a request that is complete is being answered."""
        return self._open is None and self._queue.busy

    async def _read(self) -> Event | None:
        try:
            return await self._events.read()
        except SpeechError as error:
            if self._is_running:
                await self._refuse(error)
            return None

    async def _dispatch(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._reply(build_info(self._resolver.voices.all()))
        elif Ping.is_type(event.type):
            await self._reply(pong(event))
        elif self._refusal:
            _LOGGER.debug("Ignored a %s event after one that was refused", event.type)
        elif Synthesize.is_type(event.type):
            if self._open is None:  # inside a stream it repeats the streamed text for servers that can't stream
                self._synthesize(parse(Synthesize, event))
        elif SynthesizeStart.is_type(event.type):
            await self._silence()
            start = parse(SynthesizeStart, event)
            self._open = self._answer(start.voice, start.text_format, streamed=True)
        elif SynthesizeChunk.is_type(event.type):
            self._add_text(parse(SynthesizeChunk, event))
        elif SynthesizeStop.is_type(event.type):
            if self._open:  # else it repeats one that came before
                self._open.finish()
            self._open = None
        else:
            _LOGGER.debug("Ignored a %s event", event.type)

    def _synthesize(self, request: Synthesize) -> None:
        self._queue.check_room()
        session = self._answer(request.voice, request.text_format, streamed=False)
        _feed(session, request)
        session.finish()

    def _add_text(self, chunk: SynthesizeChunk) -> None:
        if self._open:
            _feed(self._open, chunk)
        elif chunk.text:
            raise InvalidRequest("There was text in a synthesize-chunk without a synthesize-start before it.")

    def _answer(self, voice: SynthesizeVoice | None, text_format: str | None, *, streamed: bool) -> SpeechSession:
        session = self._synthesizer.open(_request(self._resolver, self._address, voice, text_format), "wyoming")
        self._queue.add(_Answer(session, streamed))
        return session

    async def _silence(self) -> None:
        """Stop the answer being spoken, and forget those waiting."""
        self._open = None
        await self._queue.clear()

    async def _speak(self, answer: _Answer) -> None:
        started = False
        try:
            async for chunk in answer.session:
                if not started:
                    await self._send(AudioStart(rate=SAMPLE_RATE, width=_WIDTH, channels=_CHANNELS))
                    started = True
                await self._send_audio(chunk)
            await self._send(AudioStop())
            if answer.streamed:
                await self._send(SynthesizeStopped())
        except ConnectionError:
            await super().stop()  # a closed standard output does not end what is read from standard input
            raise

    async def _end(self, _: _Answer, failure: SpeechError | None) -> bool:
        """Send the error of an answer, or of an event after the last answer. Return whether to go on."""
        if error := failure or (None if self._queue.waiting else self._refusal):
            await self._fail(error)
        return error is None

    async def _send_audio(self, samples: FloatArray) -> None:
        for part in np.array_split(samples, math.ceil(samples.size / _CHUNK_SAMPLES)):
            await self._send(AudioChunk(audio=pcm.to_int16(part), rate=SAMPLE_RATE, width=_WIDTH, channels=_CHANNELS))
            self._last = time.monotonic()

    async def _refuse(self, error: SpeechError) -> None:
        """Stop speaking, and say why; called by who reads, and hangs up after it."""
        await self._silence()
        await self._tell(error)

    async def _fail(self, error: SpeechError) -> None:
        """Say what went wrong, and have who reads hang up."""
        await self._tell(error)
        await super().stop()

    async def _tell(self, error: SpeechError) -> None:
        self._limiter.turned_away(self._address, error)
        if self._hung_up:
            return
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._reply(Error(text=sendable(str(error)), code=error.code), _LAST_WORD_SECONDS)

    async def _reply(self, message: Eventable, seconds: float | None = None) -> None:
        """Send what takes no time to make. Raises TimeoutError where the client does not take it soon."""
        async with asyncio.timeout(_REPLY_SECONDS if seconds is None else seconds):
            await self._send(message)

    async def _send(self, message: Eventable) -> None:
        await self.write_event(message.event())


def _request(
    resolver: VoiceResolver, client: str, voice: SynthesizeVoice | None, text_format: str | None
) -> SpeechRequest:
    """What a Wyoming client at that address asked for. Raises InvalidRequest, or as VoiceResolver.choose_for does."""
    if text_format not in (None, SynthesizeTextFormat.TEXT, SynthesizeTextFormat.SSML):
        raise InvalidRequest(f"The text format {text_format!r} is neither text nor ssml.")
    wanted = voice or SynthesizeVoice()
    part = resolver.choose_for("wyoming", VoiceNames(wanted.name, wanted.language, wanted.speaker), client)
    return SpeechRequest(
        part.voice,
        part.language,
        part.instruct,
        resolver.defaults.sampling,
        ssml=text_format == SynthesizeTextFormat.SSML,
        speed=part.speed,
        effects=part.effects,
        voice_name=part.name,
    )


def _feed(session: SpeechSession, message: Synthesize | SynthesizeChunk) -> None:
    """Pass a message's text on. Raises TooLarge for more than is spoken."""
    if session.report.characters + len(message.text) > _MAX_CHARACTERS:
        raise TooLarge(f"A text may have {_MAX_CHARACTERS:,} characters at most.")
    session.feed(message.text)
