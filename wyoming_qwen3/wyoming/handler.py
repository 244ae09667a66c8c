"""Connects Wyoming events with speech sessions; one handler per connection.

Reading and speaking are separate tasks: `handle_event` returns at once, so that the handler notices while it speaks if
the client leaves or starts another request.

Home Assistant caches an answer that ends normally, waits for ever for one that does not end, and takes a closed
connection for an end. So a failure is an `error` event followed by a closed connection, and no other answer ends
without its audio.
"""

import asyncio
import contextlib
import logging
import math
import time
from dataclasses import dataclass, replace

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
"""Most samples of one audio-chunk event, 160 ms. Longer audio is sent in equal parts."""

_LAST_WORD_SECONDS = 1.0
"""Seconds that a client has to read why the server closes the connection."""

_REPLY_SECONDS = 30.0
"""Seconds that a client has to read an answer that is not speech."""

_READ_BYTES = 64 << 10

_MAX_CHARACTERS = 40_000
"""Most characters of one text, in any number of events: about three quarters of an hour of speech."""

_WIDTH, _CHANNELS = 2, 1


@dataclass
class _Answer:
    """The answer to one request; a `streamed` one also ends with synthesize-stopped."""

    session: SpeechSession
    streamed: bool


class WyomingConnection(AsyncEventHandler):
    """One client's connection. If `patient`, it finishes its answers after the input has ended."""

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
        """Handle events until the client leaves, an event is invalid, or an answer fails."""
        self._is_running = True
        try:
            with self._limiter.enter(self._address, self.writer.transport, self):
                await self._converse()
        except QueueFull as error:
            with self._limiter.outside() as patiently:
                if patiently:
                    await self._send_error(error)
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
            _LOGGER.debug("A client left or does not read")
        except Exception:
            _LOGGER.exception("A connection failed")
        finally:
            await self.disconnect()
            if self._dismissal:
                await self._send_error(self._dismissal)
            await self._hang_up()

    @property
    def waiting_since(self) -> float | None:
        """Monotonic time in seconds since which it has waited for its client; None while it answers a request."""
        return None if self._owes else self._last

    def dismiss(self, error: SpeechError) -> None:
        """Tell the client why, and close the connection soon."""
        self._dismissal = error
        self._stay.reschedule(asyncio.get_running_loop().time())

    async def _hang_up(self) -> None:
        """Close the connection, after giving the client a second to read what was sent.

        Until then its input is read and discarded: closing a socket with unread input would drop data not yet sent.
        """
        self._hung_up = True
        try:
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                if not self.writer.is_closing():
                    self.writer.write_eof()
                    while await self.reader.read(_READ_BYTES):
                        pass
                    self.writer.close()
                await self.writer.wait_closed()
        except OSError:  # a timeout is one
            self.writer.transport.abort()
        except NotImplementedError:
            pass  # standard output can't signal its end

    async def stop(self) -> None:
        """Close the connection because the server stops; an incomplete answer ends with an error."""
        if self._queue.busy:
            await self._silence()
            await self._fail(Unavailable("The speech server is stopping; try again when it is back."))
        await super().stop()

    async def disconnect(self) -> None:
        """Stop speaking, because the client is gone."""
        await self._silence()

    async def handle_event(self, event: Event) -> bool:
        """Handle one event; False closes the connection. Requests that are already complete are answered first."""
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
        """Whether a complete request is being answered."""
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
            if self._open is None:  # within a stream it repeats the text, for servers that can't stream
                self._synthesize(parse(Synthesize, event))
        elif SynthesizeStart.is_type(event.type):
            await self._silence()
            start = parse(SynthesizeStart, event)
            self._open = self._answer(start.voice, start.text_format, streamed=True)
        elif SynthesizeChunk.is_type(event.type):
            self._add_text(parse(SynthesizeChunk, event))
        elif SynthesizeStop.is_type(event.type):
            if self._open:  # otherwise it is a repeated one
                self._open.end_text()
            self._open = None
        else:
            _LOGGER.debug("Ignored a %s event", event.type)

    def _synthesize(self, request: Synthesize) -> None:
        self._queue.check_room()
        session = self._answer(request.voice, request.text_format, streamed=False)
        _feed(session, request)
        session.end_text()

    def _add_text(self, chunk: SynthesizeChunk) -> None:
        if self._open:
            _feed(self._open, chunk)
        elif chunk.text:
            raise InvalidRequest("A synthesize-chunk with text came without a synthesize-start before it.")

    def _answer(self, voice: SynthesizeVoice | None, text_format: str | None, *, streamed: bool) -> SpeechSession:
        session = self._synthesizer.open(_request(self._resolver, self._address, voice, text_format), "wyoming")
        self._queue.add(_Answer(session, streamed))
        return session

    async def _silence(self) -> None:
        """Stop the answer being spoken and drop those waiting."""
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
        """Stop speaking and send the error; the reading task calls this and then closes the connection."""
        await self._silence()
        await self._send_error(error)

    async def _fail(self, error: SpeechError) -> None:
        """Send the error, and have the reading task close the connection."""
        await self._send_error(error)
        await super().stop()

    async def _send_error(self, error: SpeechError) -> None:
        self._limiter.turned_away(self._address, error)
        if self._hung_up:
            return
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._reply(Error(text=sendable(str(error)), code=error.code), _LAST_WORD_SECONDS)

    async def _reply(self, message: Eventable, seconds: float | None = None) -> None:
        """Send an answer that is not speech. Raises TimeoutError if the client does not read it in time."""
        async with asyncio.timeout(_REPLY_SECONDS if seconds is None else seconds):
            await self._send(message)

    async def _send(self, message: Eventable) -> None:
        await self.write_event(message.event())


def _request(
    resolver: VoiceResolver, client: str, voice: SynthesizeVoice | None, text_format: str | None
) -> SpeechRequest:
    """Return the request of the Wyoming client at this address.

    Raises InvalidRequest, and what VoiceResolver.choose_for raises.
    """
    if text_format not in (None, SynthesizeTextFormat.TEXT, SynthesizeTextFormat.SSML):
        raise InvalidRequest(f"The text format {text_format!r} is neither text nor ssml.")
    wanted = voice or SynthesizeVoice()
    resolved = resolver.choose_for("wyoming", VoiceNames(wanted.name, wanted.language, wanted.speaker), client)
    return replace(resolved.request(resolver.defaults.sampling), ssml=text_format == SynthesizeTextFormat.SSML)


def _feed(session: SpeechSession, message: Synthesize | SynthesizeChunk) -> None:
    """Feed a message's text to the session. Raises TooLarge if the text becomes too long."""
    if session.report.characters + len(message.text) > _MAX_CHARACTERS:
        raise TooLarge(f"A text may have at most {_MAX_CHARACTERS:,} characters.")
    session.add_text(message.text)
