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
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_read_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
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

from .audio import pcm
from .casting import Cast
from .errors import InvalidRequest, SpeechError, Unavailable
from .info import build_info
from .request import SAMPLE_RATE, FloatArray, SpeechRequest
from .speech import SpeechSession, Synthesizer

_LOGGER = logging.getLogger(__name__)

_CHUNK_SAMPLES = SAMPLE_RATE * 160 // 1000
"""Most samples of one audio-chunk: 160 ms. Longer audio is sent in equal parts."""

_LAST_WORD_SECONDS = 1.0
"""How long a client may take to read why the server hangs up."""

_MAX_WAITING = 8
"""Requests that may wait behind the one being spoken on a connection."""

_WIDTH, _CHANNELS = 2, 1


@dataclass
class _Answer:
    """One request being answered; `streamed` ones also end with synthesize-stopped."""

    session: SpeechSession
    streamed: bool


class Handler(AsyncEventHandler):
    """One client's connection, among `connections` while it is open.

    A `patient` one still says what was asked for before its input ended.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        cast: Cast,
        connections: set[asyncio.WriteTransport],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        patient: bool = False,
    ) -> None:
        super().__init__(reader, writer)
        self._synthesizer = synthesizer
        self._cast = cast
        self._connections = connections
        self._patient = patient
        self._open: SpeechSession | None = None
        self._waiting: deque[_Answer] = deque()
        self._speaking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Read events until the client leaves, sends what is no event, or an answer fails."""
        self._is_running = True
        self._connections.add(self.writer.transport)
        try:
            while self._is_running and (event := await self._read()) and await self.handle_event(event):
                pass
            if self._patient and self._speaking:
                await asyncio.wait([self._speaking])
        except (ConnectionError, asyncio.IncompleteReadError):
            _LOGGER.debug("A client left in the middle of an event")
        except Exception:
            _LOGGER.exception("A connection failed")
        finally:
            await self.disconnect()
            self.writer.close()
            self._connections.discard(self.writer.transport)

    async def stop(self) -> None:
        """Hang up because the server stops; an answer that is not whole ends in an error."""
        if self._speaking and not self._speaking.done():
            await self._silence()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORD_SECONDS):
                    await self._fail(Unavailable("The speech server is stopping; ask again when it is back."))
        await super().stop()

    async def disconnect(self) -> None:
        """Stop speaking: nobody listens any more."""
        await self._silence()

    async def handle_event(self, event: Event) -> bool:
        """Act on one event; False closes the connection."""
        try:
            await self._dispatch(event)
        except SpeechError as error:
            await self._fail(error)
            return False
        return True

    async def _read(self) -> Event | None:
        try:
            event = await async_read_event(self.reader)
        except (KeyError, TypeError, AttributeError):  # valid JSON, but no event
            event = None
        if event is not None and isinstance(event.type, str) and isinstance(event.data, dict):
            return event
        if self._is_running and (event is not None or not self.reader.at_eof()):
            await self._fail(InvalidRequest("That was no Wyoming event: a line of JSON with a type is expected."))
        return None

    async def _dispatch(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._send(build_info(self._cast.voices.all()))
        elif Ping.is_type(event.type):
            await self._send(Pong(text=Ping.from_event(event).text))
        elif Synthesize.is_type(event.type):
            if self._open is None:  # inside a stream it repeats the streamed text for servers that can't stream
                self._synthesize(_parse(Synthesize, event))
        elif SynthesizeStart.is_type(event.type):
            await self._silence()
            start = _parse(SynthesizeStart, event)
            self._open = self._answer(start.voice, start.text_format, streamed=True)
        elif SynthesizeChunk.is_type(event.type):
            self._stream(event.type).feed(_text(_parse(SynthesizeChunk, event)))
        elif SynthesizeStop.is_type(event.type):
            self._stream(event.type).finish()
            self._open = None
        else:
            _LOGGER.debug("Ignored a %s event", event.type)

    def _synthesize(self, request: Synthesize) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            raise InvalidRequest(f"More than {_MAX_WAITING} requests are waiting on this connection already.")
        session = self._answer(request.voice, request.text_format, streamed=False)
        session.feed(_text(request))
        session.finish()

    def _stream(self, event_type: str) -> SpeechSession:
        if self._open is None:
            raise InvalidRequest(f"There was a {event_type} without a synthesize-start before it.")
        return self._open

    def _answer(self, voice: SynthesizeVoice | None, text_format: str | None, *, streamed: bool) -> SpeechSession:
        session = self._synthesizer.open(_request(self._cast, voice, text_format), "wyoming")
        self._waiting.append(_Answer(session, streamed))
        if self._speaking is None or self._speaking.done():
            self._speaking = asyncio.create_task(self._speak(), name="wyoming speaker")
        return session

    async def _silence(self) -> None:
        """Stop the answer being spoken, and forget those waiting."""
        self._open = None
        speaking, self._speaking = self._speaking, None
        if speaking:
            speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await speaking
        while self._waiting:
            await self._waiting.popleft().session.close()

    async def _speak(self) -> None:
        """Answer what waits, one after the other."""
        while self._waiting:
            answer = self._waiting.popleft()
            try:
                await self._play(answer)
            except SpeechError as error:
                await self._fail(error)
            except ConnectionError:
                await super().stop()
            except Exception:
                _LOGGER.exception("An utterance failed")
                await self._fail(SpeechError("The speech server failed on this text; its log says why."))
            finally:
                await answer.session.close()

    async def _play(self, answer: _Answer) -> None:
        started = False
        async for chunk in answer.session:
            if not started:
                await self._send(AudioStart(rate=SAMPLE_RATE, width=_WIDTH, channels=_CHANNELS))
                started = True
            await self._send_audio(chunk)
        await self._send(AudioStop())
        if answer.streamed:
            await self._send(SynthesizeStopped())

    async def _send_audio(self, samples: FloatArray) -> None:
        for part in np.array_split(samples, math.ceil(samples.size / _CHUNK_SAMPLES)):
            await self._send(AudioChunk(audio=pcm.to_int16(part), rate=SAMPLE_RATE, width=_WIDTH, channels=_CHANNELS))

    async def _fail(self, error: SpeechError) -> None:
        """Say what went wrong, and hang up."""
        _LOGGER.warning("Answered with error %s: %s", error.code, error)
        self._waiting.clear()
        with contextlib.suppress(ConnectionError):
            await self._send(Error(text=str(error), code=error.code))
        await super().stop()

    async def _send(self, message: Eventable) -> None:
        await self.write_event(message.event())


def _request(cast: Cast, voice: SynthesizeVoice | None, text_format: str | None) -> SpeechRequest:
    """What a Wyoming client asked for. Raises VoiceNotFound, LanguageNotSupported or InvalidRequest."""
    if text_format not in (None, SynthesizeTextFormat.TEXT, SynthesizeTextFormat.SSML):
        raise InvalidRequest(f"The text format {text_format!r} is neither text nor ssml.")
    wanted = voice or SynthesizeVoice()
    part = cast.choose(wanted.name, wanted.language)
    if wanted.speaker and cast.choose(wanted.speaker, None).voice != part.voice:
        raise InvalidRequest(f"Voice {part.label} has no speaker {wanted.speaker!r}; ask for it as the voice.")
    return SpeechRequest(
        part.voice,
        part.language,
        part.instruct,
        cast.defaults.sampling,
        ssml=text_format == SynthesizeTextFormat.SSML,
        speed=part.speed,
        effects=part.effects,
        voice_name=part.name,
    )


def _parse(message: Any, event: Event) -> Any:
    """A message from its event. Raises InvalidRequest where fields are missing or of the wrong type."""
    voice = event.data.get("voice") or {}
    if not isinstance(voice, dict) or not all(value is None or isinstance(value, str) for value in voice.values()):
        raise InvalidRequest("The voice must be an object with the strings name, language or speaker.")
    try:
        return message.from_event(event)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"The {event.type} event lacks or garbles a field: {error}.") from error


def _text(message: Synthesize | SynthesizeChunk) -> str:
    if not isinstance(message.text, str):
        raise InvalidRequest("The text to speak must be a string.")
    return message.text
