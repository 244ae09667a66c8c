"""WS /v1/audio/speech/stream: text in as it is written, audio out as it is made, by vLLM-Omni's messages.

https://docs.vllm.ai/projects/vllm-omni/en/stable/serving/speech_api/

    client  session.config                first; the fields of POST /v1/audio/speech but for `input`
            input.text {text}             any number, cut anywhere
            input.done                    ends the utterance; the next one has the same config or a new session.config
            session.close                 stops at once what is being spoken
    server  session.configured            what was understood, and the fields that were not; `warnings`, a list of
                                          sentences, where the voice or its clip could be better
            audio.start, binary frames, audio.done, session.done
            error {message, code, param, error_type}

What is particular here:

- An utterance is one "sentence", of index 0: when to speak is decided behind this route. So `split_granularity` changes
  nothing, and `sentence_text` is what had come of the text when the audio began: all of it where it came at once.
- Audio is streamed in every format (`wav` by default, as in vLLM-Omni), while text still comes. The binary frames
  of an utterance, joined, are one file. `stream_audio: false` sends it in one frame that knows its length.
- An utterance that fails says so in an `error` and in its `audio.done`, the rest of its text is ignored, and the
  connection goes on. So it does after a message that is not understood, but for the first: without a config there is
  nothing to go on with. A later config that is not understood leaves the one before in place.
- Utterances are spoken in turn; so many may wait, and one more ends the connection, as the Wyoming server has it.

Knows no rule about text, voices or engines.
"""

import asyncio
import contextlib
import logging
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from wyoming_qwen3.api.access import SUBPROTOCOLS
from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.errors import error_body, rule_for
from wyoming_qwen3.api.speech_request import understand
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError, TextTimeout, Unavailable
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.speech.utterance_queue import UtteranceQueue

from .messages import SessionConfig, StreamMessage, check_task, configured, parse_any
from .utterance import Utterance

_LOGGER = logging.getLogger(__name__)

PATH = "/v1/audio/speech/stream"

_MAX_CONFIG = 4 * 1024 * 1024
"""Bytes of a session.config, which may hold a clip."""

_GOODBYE_SECONDS = 1.0
"""How long a client may take to read why it is sent away, and to close its side."""


def add_to(app: web.Application, *, config_seconds: float = 10.0, idle_seconds: float = 30.0) -> None:
    """Serve the socket.

    A client has `config_seconds` to send its first message. After `idle_seconds` in which no message comes and no
    audio leaves it is disconnected, unless it waits for audio. A text that was begun and neither goes on nor ends fails
    by the session's own limit, which is longer, and then the connection is closed.
    """
    connections: set[_StreamConnection] = set()

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            protocols=SUBPROTOCOLS, max_msg_size=_MAX_CONFIG, compress=False, timeout=_GOODBYE_SECONDS
        )
        if not socket.can_prepare(request):
            raise InvalidRequest(f"{PATH} takes WebSocket connections alone.")
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

    app.router.add_get(PATH, serve, allow_head=False)
    app.on_shutdown.append(hang_up)


class _HangUp(Exception):
    """The connection is to be closed, and why."""

    def __init__(self, code: int, error: SpeechError | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.error = error


class _StreamConnection:
    """One client. Reading and speaking are separate tasks, so that a session.close is seen while it is spoken."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        config_seconds: float,
        idle_seconds: float,
    ) -> None:
        self._socket = socket
        self._client = request.remote
        self._synthesizer = request.app[SERVICES].synthesizer
        self._server = request.app[CONFIG]
        self._idle_seconds = idle_seconds
        self._now = asyncio.get_running_loop().time
        self._deadline = self._now() + config_seconds
        self._config: tuple[SessionConfig, SpeechRequest] | None = None
        self._begun = 0
        self._open: Utterance | None = None
        self._owed = 0
        """Complete utterances that have not been answered to their end."""

        self._queue: UtteranceQueue[Utterance] = UtteranceQueue(self._speak, self._end, "stream speaker")

    async def run(self) -> None:
        """Answer until the client leaves or is sent away. Raises nothing but CancelledError."""
        code: int = WSCloseCode.INTERNAL_ERROR
        try:
            code = await self._converse()
        except ConnectionError:
            _LOGGER.debug("A client left while it was sent something")
        except Exception:
            _LOGGER.exception("A connection failed")
        finally:
            await self._queue.clear()
            await self._close(code)

    async def stop(self) -> None:
        """Hang up because the server stops; what was not answered to its end is told to have failed."""
        await self._queue.clear()
        if self._owed or self._open:
            await self._last_word(Unavailable("The speech server is stopping; ask again when it is back."))
        await self._close(WSCloseCode.GOING_AWAY)

    async def _converse(self) -> int:
        """Act on messages to the last one. Returns the code to close with."""
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
                    raise InvalidRequest("Messages are text frames with JSON; binary frames are not taken.")
                await self._dispatch(message.data)
            except SpeechError as error:
                if self._config is None:
                    raise _HangUp(WSCloseCode.POLICY_VIOLATION, error) from error
                await self._send_error(error)

    async def _receive(self) -> WSMessage:
        """The next message. The socket's own timeout would begin anew with each ping."""
        while (now := self._now()) < self._deadline or self._busy:
            timeout = self._idle_seconds if self._busy else self._deadline - now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    return await self._socket.receive()
        wanted = "text came" if self._config else "session.config came first"
        error = InvalidRequest(f"No {wanted} in time, so this connection is closed.")
        raise _HangUp(WSCloseCode.POLICY_VIOLATION, error)

    @property
    def _busy(self) -> bool:
        """Whether there is an utterance whose session waits for text, or has all of it and is not over."""
        return self._owed > 0 or (self._open is not None and not self._open.over)

    def _stay(self) -> None:
        """Something happened: the idle timeout begins anew."""
        self._deadline = self._now() + self._idle_seconds

    async def _dispatch(self, data: str) -> None:
        """Act on one message. Raises SpeechError for what leaves things as they were."""
        kind = (await parse_any(data, StreamMessage)).type
        if kind == "session.config":
            await self._configure(await parse_any(data, SessionConfig))
        elif kind == "session.close":
            raise _HangUp(WSCloseCode.OK)
        elif kind == "input.text":
            self._open = self._open or self._begin()
            self._open.feed(data, self._server.max_input)
        else:
            utterance = self._open or self._begin()
            self._open = None
            self._owed += 1
            utterance.session.finish()
            utterance.complete.set()

    async def _configure(self, config: SessionConfig) -> None:
        if self._open:
            raise InvalidRequest("A session.config may not come within an utterance; send input.done first.")
        request = await understand(config, self._server)
        check_task(config, request)
        self._config = config, request
        await self._send(configured(config, request))

    def _begin(self) -> Utterance:
        if self._config is None:
            raise InvalidRequest("The first message must be a session.config.")
        try:
            self._queue.check_room()
        except InvalidRequest as error:
            raise _HangUp(WSCloseCode.POLICY_VIOLATION, error) from error
        config, request = self._config
        session = self._synthesizer.open(request, "stream", client=self._client)
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
        """Send everything from the audio's end to session.done.

        The rest of the text of an utterance that failed is waited for, unless it failed because the text did not come:
        then the connection is closed.
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
        if rule_for(error).status >= 500:
            _LOGGER.warning("Answered with error %s: %s", error.code, error)
        told = error_body(error)["error"]
        await self._send(told | {"error_type": told["type"], "type": "error"} | (more or {}))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_json(message)

    async def _last_word(self, error: SpeechError) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):  # a client that reads nothing any more
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._send_error(error)

    async def _close(self, code: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * _GOODBYE_SECONDS):
                await self._socket.close(code=code)
