"""WS /v1/realtime: OpenAI's Realtime API as far as a server can have it that speaks and neither hears nor thinks.

What is said is the text that the client puts into the conversation; instructions are how it is said. One task reads
events, so that a response can be stopped at any time; another speaks the response there is. Both send when they
have something to say: aiohttp writes a message whole before it waits for the client to read.

A client's mistake is answered by an `error` event, and never by a closed connection.
"""

import asyncio
import contextlib
import json
import logging
import socket

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from pydantic import Field

from wyoming_qwen3.api.access import SUBPROTOCOLS
from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.errors import error_body
from wyoming_qwen3.api.model_names import MODEL, find_model
from wyoming_qwen3.api.speech_request import check_text, understand
from wyoming_qwen3.api.validation import Query, parse_json, parse_query
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
    SessionSettings,
    SessionUpdate,
    fresh_id,
)
from .conversation import Item, RealtimeConversation, joined
from .response import RealtimeUtterance, Response
from .server_objects import session_object

_LOGGER = logging.getLogger(__name__)

PATH = "/v1/realtime"

MAX_BYTES = 256 * 1024
"""Of one event."""

_MAX_RECEIVED = 4 * 1024 * 1024
"""Bytes of a message beyond which the connection is closed with code 1009: it can't be skipped without taking it in."""

_IN_FLIGHT = 64 * 1024
"""Bytes that the kernel may hold for a client: more than a second of sound, so that one that reads no faster than it
plays soon hears that a response was cancelled. By itself it would hold minutes."""

_HEARTBEAT_SECONDS = 120.0
"""Between pings. A client has half of it to answer: it comes to the ping only after the sound that is on its way."""

_GOODBYE_SECONDS = 1.0
"""How long a client may take to answer a close."""


class RealtimeQuery(Query):
    """What is asked for before anything is said."""

    model: str | None = Field(None, max_length=200)


def add_to(app: web.Application) -> None:
    """Serve the socket. OpenAPI has no words for one, so that this is no `Resource`."""
    websockets: set[web.WebSocketResponse] = set()

    async def serve(request: web.Request) -> web.StreamResponse:
        settings = _first_settings(request)
        websocket = web.WebSocketResponse(
            protocols=SUBPROTOCOLS,
            timeout=_GOODBYE_SECONDS,
            heartbeat=_HEARTBEAT_SECONDS,
            compress=False,  # base64 of sound does not shrink, and a message must be written before anything is awaited
            max_msg_size=_MAX_RECEIVED,
        )
        if not websocket.can_prepare(request):
            raise InvalidRequest(f"{PATH} takes WebSocket connections alone.")
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

    app.router.add_get(PATH, serve, allow_head=False)
    app.on_shutdown.append(hang_up)


def _first_settings(request: web.Request) -> SessionSettings:
    """What is spoken with until the client says otherwise. Raises ModelNotFound."""
    part = request.app[CONFIG].resolver.choose_for("http", VoiceNames())
    settings = SessionSettings(voice=part.label, model=parse_query(request, RealtimeQuery).model or MODEL)
    find_model(settings.speech_fields().model)
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
        self._client = request.remote
        self._settings = settings
        self._services = request.app[SERVICES]
        self._config = request.app[CONFIG]
        self._conversation = RealtimeConversation()
        self._queue: UtteranceQueue[RealtimeUtterance] = UtteranceQueue(
            RealtimeUtterance.speak, RealtimeUtterance.end, "realtime speaker"
        )
        self._current: RealtimeUtterance | None = None
        """The newest response."""

    async def run(self) -> None:
        """Answer events until the client leaves, and stop speaking then."""
        try:
            await self._send_event("session.created", session=session_object(self._id, self._settings))
            async for message in self._websocket:
                await self._handle(message)
        except ConnectionError:
            _LOGGER.debug("A client left before it was answered")
        finally:
            await self._queue.clear()

    async def _handle(self, message: WSMessage) -> None:
        if message.type is WSMsgType.ERROR:  # it broke the protocol of WebSockets, and has been disconnected for it
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
                await self._update(parse_json(data, SessionUpdate))
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
                await self._respond(parse_json(data, ResponseCreate))
            case "response.cancel":
                await self._cancel(parse_json(data, ResponseCancel))
            case _:
                raise _not_taken(event_type)

    async def _update(self, event: SessionUpdate) -> None:
        settings = self._settings.updated(event.session)
        request = await self._understand(settings)
        self._settings = settings
        more = {"warnings": request.warnings} if request.warnings else {}
        await self._send_event("session.updated", session=session_object(self._id, settings), **more)

    async def _create_item(self, event: ItemCreate) -> None:
        self._check_length(event.item)
        item, before = self._conversation.create(event.item, event.previous_item_id)
        await self._send_event("conversation.item.added", previous_item_id=before, item=item.to_json())
        await self._send_event("conversation.item.done", previous_item_id=before, item=item.to_json())

    async def _truncate(self, event: ItemTruncate) -> None:
        """Of an answer that was not heard to its end nobody can say which words were: the transcript is dropped."""
        item = self._conversation.find(event.item_id, "truncate")
        if not item.content or "transcript" not in item.content[0]:
            raise EventRefused("unsupported_content_type", "Only an answer that was spoken can be truncated.")
        item.content = [item.content[0] | {"transcript": ""}]
        told = event.model_dump(include={"item_id", "content_index", "audio_end_ms"})
        await self._send_event("conversation.item.truncated", **told)

    async def _respond(self, event: ResponseCreate) -> None:
        if self._current and not self._current.response.over:
            raise EventRefused(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self._current.response.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        fields = event.response or ResponseFields()
        settings = self._settings.updated(fields)
        items = self._conversation.unspoken() if fields.input is None else []
        text = joined(items if fields.input is None else self._items(fields.input))
        if not text:
            raise InvalidRequest(
                "There is no text to speak; create an item with text, or send it as response.input.",
                param="response.input",
            )
        check_text(text, self._config.max_input)
        request = await self._understand(settings)
        await self._queue.wait()
        conversation = None if fields.conversation == "none" else self._conversation
        response = Response(
            text,
            settings,
            conversation,
            metadata=fields.metadata,
            warnings=request.warnings,
            send_event=self._send_event,
        )
        await response.create()
        session = self._services.synthesizer.open(request, "realtime", client=self._client)
        session.feed(text)
        session.finish()
        self._current = RealtimeUtterance(response, session, items)
        self._queue.add(self._current)

    def _items(self, given: list[Message | ItemReference]) -> list[Item]:
        """A response's own input, which leaves the conversation alone. Raises InvalidRequest."""
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

    async def _understand(self, settings: SessionSettings) -> SpeechRequest:
        """The request for speech that these settings mean. Raises InvalidRequest for one that nobody ever can meet."""
        request = await understand(settings.speech_fields(), self._config)
        self._services.synthesizer.check(request)
        return request

    def _check_length(self, message: Message) -> None:
        length = sum(len(part.text) for part in message.content)
        if length > self._config.max_input:
            raise InvalidRequest(
                f"The item has {length} characters; at most {self._config.max_input} are taken at once.", param="item"
            )

    async def _send_event(self, event: str, /, **fields: object) -> None:
        await self._websocket.send_str(json.dumps({"type": event, "event_id": fresh_id("event"), **fields}))

    async def _send_error(self, error: SpeechError, event_id: str | None) -> None:
        await self._send_event("error", error=error_body(error)["error"] | {"event_id": event_id})


def _text_of(message: WSMessage) -> str:
    if message.type is not WSMsgType.TEXT:
        raise InvalidRequest("An event is a text message with JSON, not a binary one.")
    text: str = message.data
    if len(text) > MAX_BYTES:
        raise TooLarge(f"An event must not have more than {MAX_BYTES} characters, but this has {len(text)}.")
    return text


def _not_taken(event_type: str) -> EventRefused:
    if event_type.startswith("input_audio_buffer."):
        message = "This server does not understand speech; send text as an item of the conversation."
        return EventRefused("not_supported", message, param="type")
    if event_type == "output_audio_buffer.clear":
        message = "output_audio_buffer.clear is for WebRTC; over a WebSocket send response.cancel."
        return EventRefused("not_supported", message, param="type")
    if not event_type:
        return EventRefused("invalid_event", "The event has no type.", param="type")
    return EventRefused("unknown_event", f"There is no event {event_type[:100]!r}.", param="type")
