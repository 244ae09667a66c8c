"""WS /v1/realtime: OpenAI's Realtime API, without audio input and without a language model.

The client's conversation items are spoken; instructions say how. One task reads events, so that a response can be
stopped at any time; another speaks the current response. Both send events directly: aiohttp writes a whole message
before it waits for the client to read.

A mistake of the client is answered with an `error` event; the connection stays open.
"""

import asyncio
import contextlib
import json
import logging
import socket
from dataclasses import replace
from functools import partial

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from pydantic import Field

from wyoming_qwen3.api.access import SUBPROTOCOLS
from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.errors import error_body
from wyoming_qwen3.api.failures import log_failure
from wyoming_qwen3.api.model_names import MODEL, find_model
from wyoming_qwen3.api.operation import add_route
from wyoming_qwen3.api.speech_request import check_text, understand
from wyoming_qwen3.api.validation import Query, parse_json, parse_leniently, parse_query
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError, TooLarge
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.speech.utterance_queue import UtteranceQueue
from wyoming_qwen3.voices.resolver import VoiceNames

from .client_events import (
    ClientEvent,
    EventRefused,
    ItemCreate,
    ItemEvent,
    ItemReference,
    ItemTruncate,
    Message,
    ResponseCancel,
    ResponseCreate,
    ResponseFields,
    SessionUpdate,
    SettingsFields,
    fresh_id,
)
from .conversation import Item, RealtimeConversation, joined
from .response import RealtimeUtterance, Response
from .server_objects import session_object
from .session_settings import SessionSettings

_LOGGER = logging.getLogger(__name__)

PATH = "/v1/realtime"

MAX_CHARACTERS = 256 * 1024
"""Maximum number of characters of one event."""

_MAX_RECEIVED = 4 * 1024 * 1024
"""Maximum size of a message in bytes; a larger one can't be skipped, so it closes the connection with code 1009."""

_IN_FLIGHT = 64 * 1024
"""Bytes that the kernel may buffer for a client: more than a second of sound.

By default it buffers minutes, and a client that reads only as fast as it plays would learn that late that a response
was cancelled.
"""

_HEARTBEAT_SECONDS = 120.0
"""Seconds between pings.

A client has half of that to answer, because it reads the ping only after the sound that was sent before it.
"""

_GOODBYE_SECONDS = 1.0
"""Seconds that a client has to answer a close."""


class RealtimeQuery(Query):
    """The query parameters of the handshake."""

    model: str | None = Field(None, max_length=200)


def add_to(app: web.Application) -> None:
    """Serve the WebSocket. It is no `Resource`, because OpenAPI can't describe WebSockets."""
    websockets: set[web.WebSocketResponse] = set()

    async def serve(request: web.Request) -> web.StreamResponse:
        settings = _first_settings(request)
        websocket = web.WebSocketResponse(
            protocols=SUBPROTOCOLS,
            timeout=_GOODBYE_SECONDS,
            heartbeat=_HEARTBEAT_SECONDS,
            compress=False,  # base64 of sound hardly shrinks, and compressing would await before a message is written
            max_msg_size=_MAX_RECEIVED,
        )
        if not websocket.can_prepare(request):
            raise InvalidRequest(f"{PATH} accepts only WebSocket connections.")
        await websocket.prepare(request)
        _keep_little_in_flight(request)
        websockets.add(websocket)
        try:
            await _RealtimeConnection(websocket, request, settings).run()
        finally:
            websockets.discard(websocket)
        return websocket

    async def hang_up(_: web.Application) -> None:
        await asyncio.gather(*[_say_goodbye(websocket) for websocket in websockets])

    add_route(app, "GET", PATH, serve, head=False)
    app.on_shutdown.append(hang_up)


def _first_settings(request: web.Request) -> SessionSettings:
    """Return the settings of a new session. Raises ModelNotFound."""
    resolved = request.app[CONFIG].resolver.choose_for("http", VoiceNames())
    settings = SessionSettings(voice=resolved.label, model=parse_query(request, RealtimeQuery).model or MODEL)
    find_model(settings.speech_fields().model, fallback=request.app[CONFIG].resolver.fallback == "on")
    return settings


def _keep_little_in_flight(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _IN_FLIGHT)


async def _say_goodbye(websocket: web.WebSocketResponse) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await websocket.close(code=WSCloseCode.GOING_AWAY, message=b"The server is stopping.")


class _RealtimeConnection:
    """One client."""

    def __init__(self, websocket: web.WebSocketResponse, request: web.Request, settings: SessionSettings) -> None:
        self._id = fresh_id("sess")
        self._websocket = websocket
        self._request = request
        self._settings = settings
        self._services = request.app[SERVICES]
        self._config = request.app[CONFIG]
        self._conversation = RealtimeConversation()
        self._queue: UtteranceQueue[RealtimeUtterance] = UtteranceQueue(
            RealtimeUtterance.speak, RealtimeUtterance.end, "realtime speaker"
        )
        self._current: RealtimeUtterance | None = None
        """The newest response; None before the first."""

    async def run(self) -> None:
        """Answer events until the client leaves, then stop speaking."""
        try:
            await self._send_event("session.created", session=session_object(self._id, self._settings))
            async for message in self._websocket:
                await self._handle(message)
        except ConnectionError:
            _LOGGER.debug("A client left before it was answered")
        finally:
            await self._queue.clear()

    async def _handle(self, message: WSMessage) -> None:
        if message.type is WSMsgType.ERROR:  # it violated the WebSocket protocol, and aiohttp has disconnected it
            return
        event_id = None
        try:
            data = _text_of(message)
            event = parse_json(data, ClientEvent)
            event_id = event.event_id
            await self._act(event.type, data)
        except SpeechError as error:
            await self._send_error(error, event_id)
        except ConnectionError:
            raise
        except Exception:
            _LOGGER.exception("A Realtime event failed")
            await self._send_error(SpeechError("The server failed on this event; its log says why."), event_id)

    async def _act(self, event_type: str, data: str) -> None:
        match event_type:
            case "session.update":
                await self._update(*parse_leniently(data, SessionUpdate, "session", SettingsFields))
            case "conversation.item.create":
                await self._create_item(parse_json(data, ItemCreate))
            case "conversation.item.retrieve":
                item = self._conversation.find(parse_json(data, ItemEvent).item_id, "retrieve")
                await self._send_event("conversation.item.retrieved", item=item.to_json())
            case "conversation.item.delete":
                item_id = parse_json(data, ItemEvent).item_id
                self._conversation.delete(item_id)
                await self._send_event("conversation.item.deleted", item_id=item_id)
            case "conversation.item.truncate":
                await self._truncate(parse_json(data, ItemTruncate))
            case "response.create":
                await self._respond(*parse_leniently(data, ResponseCreate, "response", SettingsFields))
            case "response.cancel":
                await self._cancel(parse_json(data, ResponseCancel))
            case _:
                raise _not_taken(event_type)

    async def _update(self, event: SessionUpdate, refused: list[str]) -> None:
        settings, unmet = self._settings.updated(event.session)
        self._settings, request, unknown = await self._understand(settings)
        warnings = [*refused, *unmet, *unknown, *request.warnings]
        more = {"warnings": warnings} if warnings else {}
        await self._send_event("session.updated", session=session_object(self._id, self._settings), **more)

    async def _create_item(self, event: ItemCreate) -> None:
        self._check_length(event.item)
        item, before = self._conversation.create(event.item, event.previous_item_id)
        await self._send_event("conversation.item.added", previous_item_id=before, item=item.to_json())
        await self._send_event("conversation.item.done", previous_item_id=before, item=item.to_json())

    async def _truncate(self, event: ItemTruncate) -> None:
        """Drop the transcript: nobody can say which of its words were heard."""
        item = self._conversation.find(event.item_id, "truncate")
        if not item.content or "transcript" not in item.content[0]:
            raise EventRefused("unsupported_content_type", "Only an answer that was spoken can be truncated.")
        item.content = [item.content[0] | {"transcript": ""}]
        told = event.model_dump(include={"item_id", "content_index", "audio_end_ms"})
        await self._send_event("conversation.item.truncated", **told)

    async def _respond(self, event: ResponseCreate, refused: list[str]) -> None:
        if self._current and not self._current.response.over:
            raise EventRefused(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self._current.response.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        fields = event.response or ResponseFields()
        settings, unmet = self._settings.updated(fields)
        items = self._conversation.unspoken() if fields.input is None else []
        text = joined(items if fields.input is None else self._items(fields.input))
        if not text:
            raise InvalidRequest(
                "There is no text to speak; create an item with text, or send it as response.input.",
                param="response.input",
            )
        check_text(text, self._config.max_input)
        settings, request, unknown = await self._understand(settings)
        await self._queue.wait()
        conversation = None if fields.conversation == "none" else self._conversation
        response = Response(
            text,
            settings,
            conversation,
            metadata=fields.metadata,
            warnings=[*refused, *unmet, *unknown, *request.warnings],
            send_event=self._send_event,
        )
        await response.create()
        session = self._services.synthesizer.open(request, "realtime", client=self._request.remote)
        session.add_text(text)
        session.end_text()
        log = partial(log_failure, self._request, source="realtime")
        self._current = RealtimeUtterance(response, session, items, log)
        self._queue.add(self._current)

    def _items(self, given: list[Message | ItemReference]) -> list[Item]:
        """Return the items of a response's own input, leaving the conversation unchanged. Raises InvalidRequest."""
        scratch = RealtimeConversation()
        return [
            self._conversation.find(entry.id, "reference", "response.input")
            if isinstance(entry, ItemReference)
            else scratch.create(entry, None)[0]
            for entry in given
        ]

    async def _cancel(self, event: ResponseCancel) -> None:
        current = self._current
        if current and event.response_id in (None, current.response.id):
            await (self._queue.wait() if current.ending else self._queue.clear())
            if not current.ending:
                await current.end_cancelled()
                return
        raise EventRefused("response_cancel_not_active", "Cancellation failed: no active response found.")

    async def _understand(self, settings: SessionSettings) -> tuple[SessionSettings, SpeechRequest, list[str]]:
        """Return the settings, the request for speech that they mean, and warnings.

        If there is no such voice or model, the session's own stays, with a warning. Raises InvalidRequest for what else
        can never be met.
        """
        warnings: list[str] = []
        while True:
            try:
                request = await understand(settings.speech_fields(), self._config)
                await self._services.synthesizer.check(request)
            except InvalidRequest as error:
                field = "model" if error.param == "model" else "voice"
                own = getattr(self._settings, field)
                if getattr(settings, field) == own:
                    raise
                settings = replace(settings, **{field: own})
                warnings.append(f"{error} The {field} stays {own}.")
            else:
                return settings, request, warnings

    def _check_length(self, message: Message) -> None:
        length = sum(len(part.text) for part in message.content)
        if length > self._config.max_input:
            raise InvalidRequest(
                f"The item has {length} characters; at most {self._config.max_input} are accepted.", param="item"
            )

    async def _send_event(self, event: str, /, **fields: object) -> None:
        await self._websocket.send_str(json.dumps({"type": event, "event_id": fresh_id("event"), **fields}))

    async def _send_error(self, error: SpeechError, event_id: str | None) -> None:
        await self._send_event("error", error=error_body(error)["error"] | {"event_id": event_id})


def _text_of(message: WSMessage) -> str:
    if message.type is not WSMsgType.TEXT:
        raise InvalidRequest("An event must be a text message with JSON, not a binary one.")
    text: str = message.data
    if len(text) > MAX_CHARACTERS:
        raise TooLarge(f"The event has {len(text)} characters; at most {MAX_CHARACTERS} are accepted.")
    return text


def _not_taken(event_type: str) -> EventRefused:
    if event_type.startswith("input_audio_buffer."):
        message = "Audio input is not supported; send text as an item of the conversation."
        return EventRefused("not_supported", message, param="type")
    if event_type == "output_audio_buffer.clear":
        message = "output_audio_buffer.clear is only for WebRTC; send response.cancel instead."
        return EventRefused("not_supported", message, param="type")
    if not event_type:
        return EventRefused("invalid_event", "The event has no type.", param="type")
    return EventRefused("unknown_event", f"There is no event {event_type[:100]!r}.", param="type")
