"""WS /v1/audio/speech/stream: text while it is written, audio while it is generated, with vLLM-Omni's messages.

https://docs.vllm.ai/projects/vllm-omni/en/stable/serving/speech_api/

    client  session.config                first; the fields of POST /v1/audio/speech except `input`
            input.text {text}             any number, cut anywhere
            input.done                    ends the utterance; the next one has the same config or a new session.config
            session.close                 stops at once, also in the middle of an utterance
    server  session.configured            what was understood, and the fields that were not; `warnings`, a list of
                                          sentences, if the voice or its clip could be better
            audio.start, binary frames, audio.done, session.done
            error {message, code, param, error_type}

Differences from vLLM-Omni:

- An utterance is one "sentence", of index 0, since the session decides when to speak. So `split_granularity` has no
  effect, and `sentence_text` is the text that had come when the audio began: all of it if it came at once.
- Audio is streamed in every format (`wav` by default, as in vLLM-Omni), while text still comes. The binary frames
  of an utterance, joined, are one file. `stream_audio: false` sends the file in one frame, with its length.
- If an utterance fails, `error` and `audio.done` say so, the rest of its text is ignored, and the connection stays
  open. It also stays open after a message that is not understood, except for the first, because nothing can be spoken
  without a config. If a later config is not understood, the previous one stays in effect.
- Utterances are spoken in turn. A limited number may wait; one more ends the connection, as in the Wyoming server.
"""

import asyncio
import contextlib
import logging
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from wyoming_qwen3.api.access import SUBPROTOCOLS
from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.errors import error_body
from wyoming_qwen3.api.failures import log_failure
from wyoming_qwen3.api.operation import add_route
from wyoming_qwen3.api.speech_request import understand
from wyoming_qwen3.core.errors import InvalidRequest, QueueFull, SpeechError, TextTimeout, Unavailable
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.speech.utterance_queue import UtteranceQueue

from .messages import SessionConfig, StreamMessage, check_task, configured, parse_any
from .utterance import Utterance

_LOGGER = logging.getLogger(__name__)

PATH = "/v1/audio/speech/stream"

_MAX_CONFIG = 4 * 1024 * 1024
"""Maximum size in bytes of a session.config, which may hold a clip."""

_GOODBYE_SECONDS = 1.0
"""Seconds that a client has to read why the connection ends, and to close its side."""


def add_to(app: web.Application, *, config_seconds: float = 10.0, idle_seconds: float = 30.0) -> None:
    """Serve the WebSocket.

    A client has `config_seconds` to send its first message. It is disconnected after `idle_seconds` without a message
    from it or audio for it, unless it waits for audio. A text that was begun and neither goes on nor ends fails by the
    session's own, longer limit, and then the connection is closed.
    """
    connections: set[_StreamConnection] = set()

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            protocols=SUBPROTOCOLS, max_msg_size=_MAX_CONFIG, compress=False, timeout=_GOODBYE_SECONDS
        )
        if not socket.can_prepare(request):
            raise InvalidRequest(f"{PATH} accepts only WebSocket connections.")
        await socket.prepare(request)
        connection = _StreamConnection(socket, request, config_seconds, idle_seconds)
        connections.add(connection)
        try:
            await connection.run()
        finally:
            connections.discard(connection)
        return socket

    async def hang_up(_: web.Application) -> None:
        await asyncio.gather(*(connection.stop() for connection in connections))

    add_route(app, "GET", PATH, serve, head=False)
    app.on_shutdown.append(hang_up)


class _HangUp(Exception):
    """Closes the connection with `code`, after sending `error` if there is one."""

    def __init__(self, code: int, error: SpeechError | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.error = error


class _StreamConnection:
    """One client. Reading and speaking are separate tasks, so that a session.close is read during speech."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        config_seconds: float,
        idle_seconds: float,
    ) -> None:
        self._socket = socket
        self._request = request
        self._synthesizer = request.app[SERVICES].synthesizer
        self._server = request.app[CONFIG]
        self._idle_seconds = idle_seconds
        self._now = asyncio.get_running_loop().time
        self._deadline = self._now() + config_seconds
        self._config: tuple[SessionConfig, SpeechRequest] | None = None
        self._begun = 0
        self._open: Utterance | None = None
        self._owed = 0
        """Number of complete utterances that are not answered to their end."""

        self._queue: UtteranceQueue[Utterance] = UtteranceQueue(self._speak, self._end, "stream speaker")

    async def run(self) -> None:
        """Answer until the client leaves or is disconnected. Raises only CancelledError."""
        code: int = WSCloseCode.INTERNAL_ERROR
        try:
            code = await self._converse()
        except ConnectionError:
            _LOGGER.debug("A client left while something was being sent to it")
        except Exception:
            _LOGGER.exception("A connection failed")
        finally:
            await self._queue.clear()
            await self._close(code)

    async def stop(self) -> None:
        """Close the connection because the server stops, with an error if an answer has not ended."""
        await self._queue.clear()
        if self._owed or self._open:
            await self._last_word(Unavailable("The speech server is stopping; retry when it is back."))
        await self._close(WSCloseCode.GOING_AWAY)

    async def _converse(self) -> int:
        """Act on messages until the last one, and return the code to close with."""
        try:
            await self._read()
        except _HangUp as reason:
            await self._queue.clear()
            if reason.error:
                await self._last_word(reason.error)
            return reason.code
        return WSCloseCode.OK

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            self._stay()
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                return
            try:
                if message.type is WSMsgType.BINARY:
                    raise InvalidRequest("Messages must be text frames with JSON, not binary frames.")
                await self._dispatch(message.data)
            except SpeechError as error:
                if self._config is None:
                    raise _HangUp(WSCloseCode.POLICY_VIOLATION, error) from error
                await self._send_error(error)

    async def _receive(self) -> WSMessage:
        """Return the next message. The WebSocket's own timeout would restart with each ping."""
        while (now := self._now()) < self._deadline or self._busy:
            timeout = self._idle_seconds if self._busy else self._deadline - now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    return await self._socket.receive()
        wanted = "text came" if self._config else "session.config came"
        error = InvalidRequest(f"No {wanted} in time, so this connection is closed.")
        raise _HangUp(WSCloseCode.POLICY_VIOLATION, error)

    @property
    def _busy(self) -> bool:
        """Whether an utterance's session waits for text, or a complete utterance is not answered to its end."""
        return self._owed > 0 or (self._open is not None and not self._open.over)

    def _stay(self) -> None:
        """Restart the idle timeout."""
        self._deadline = self._now() + self._idle_seconds

    async def _dispatch(self, data: str) -> None:
        """Act on one message. Raises SpeechError for a message that changed nothing."""
        kind = (await parse_any(data, StreamMessage)).type
        if kind == "session.config":
            await self._configure(await parse_any(data, SessionConfig))
        elif kind == "session.close":
            raise _HangUp(WSCloseCode.OK)
        elif kind == "input.text":
            self._open = self._open or self._begin()
            self._open.add_text(data, self._server.max_input)
        else:
            utterance = self._open or self._begin()
            self._open = None
            self._owed += 1
            utterance.session.end_text()
            utterance.complete.set()

    async def _configure(self, config: SessionConfig) -> None:
        if self._open:
            raise InvalidRequest("A session.config is not accepted within an utterance; send input.done first.")
        request = await understand(config, self._server)
        check_task(config, request)
        self._config = config, request
        await self._send(configured(config, request))

    def _begin(self) -> Utterance:
        if self._config is None:
            raise InvalidRequest("The first message must be a session.config.")
        try:
            self._queue.check_room()
        except QueueFull as error:
            raise _HangUp(WSCloseCode.TRY_AGAIN_LATER, error) from error
        config, request = self._config
        session = self._synthesizer.open(request, "stream", client=self._request.remote)
        utterance = Utterance(self._begun, session, config)
        self._begun += 1
        self._queue.add(utterance)
        return utterance

    async def _speak(self, utterance: Utterance) -> None:
        """Send audio.start and the audio."""
        async with contextlib.aclosing(utterance.audio()) as pieces:
            async for piece in pieces:
                utterance.check()
                if not utterance.sent:
                    await self._send(utterance.start())
                utterance.sent += len(piece)
                await self._socket.send_bytes(piece)
                self._stay()
            utterance.check()

    async def _end(self, utterance: Utterance, failure: SpeechError | None) -> bool:
        """Send everything from the end of the audio to session.done.

        After a failure the rest of the utterance's text is awaited. If it failed because that did not come, the
        connection is closed, and the result is False.
        """
        utterance.over = True
        about = {"utterance_index": utterance.index, "sentence_index": 0}
        if failure:
            if not utterance.sent:
                await self._send(utterance.start())
            partial = {"partial_audio": True, "action": "discard"} if utterance.sent else {}
            await self._send_error(failure, about | partial)
        await self._send({"type": "audio.done", **about, "total_bytes": utterance.sent, "error": failure is not None})
        gave_up = isinstance(failure, TextTimeout)
        if not gave_up:
            await utterance.complete.wait()
        await self._send({"type": "session.done", "utterance_index": utterance.index, "total_sentences": 1})
        self._owed -= 1
        self._stay()
        if gave_up:
            await self._close(WSCloseCode.POLICY_VIOLATION)
        return not gave_up

    async def _send_error(self, error: SpeechError, more: dict[str, Any] | None = None) -> None:
        log_failure(self._request, error, "stream")
        told = error_body(error)["error"]
        await self._send(told | {"error_type": told["type"], "type": "error"} | (more or {}))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_json(message)

    async def _last_word(self, error: SpeechError) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):  # the client no longer reads
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._send_error(error)

    async def _close(self, code: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * _GOODBYE_SECONDS):
                await self._socket.close(code=code)
