"""One Realtime response: its events, in OpenAI's order."""

import base64
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from wyoming_qwen3.api.errors import error_body
from wyoming_qwen3.api.speech import usage
from wyoming_qwen3.audio.encode import Encoder, open_encoder
from wyoming_qwen3.audio.g711 import G711Encoder
from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray
from wyoming_qwen3.speech.report import Report
from wyoming_qwen3.speech.session import SpeechSession

from .client_events import fresh_id
from .conversation import Item, RealtimeConversation
from .formats import RealtimeFormat
from .server_objects import response_settings
from .session_settings import SessionSettings

_DELTA_SAMPLES = SAMPLE_RATE // 5
"""Maximum number of samples of one delta: 200 ms."""

ResponseStatus = Literal["in_progress", "completed", "cancelled", "failed"]


class SendEvent(Protocol):
    """Write an event at once, and wait until the client has read enough of the events before it."""

    async def __call__(self, event: str, /, **fields: object) -> None: ...  # noqa: D102


class Response:
    """Sent in three steps: `create`, `play`, `end`. `play` may be cancelled; `end` closes everything that was begun."""

    def __init__(
        self,
        text: str,
        settings: SessionSettings,
        conversation: RealtimeConversation | None,
        *,
        metadata: dict[str, str] | None,
        warnings: Sequence[str],
        send_event: SendEvent,
    ) -> None:
        """The answer becomes an item of `conversation`, if any. `warnings` are those of the speech request."""
        self.id = fresh_id("resp")
        self.over = False
        """Whether `response.done` is sent or being sent."""

        self._text = text
        self._settings = settings
        self._metadata = metadata
        self._warnings = warnings
        self._conversation = conversation
        self._send_event = send_event
        self._item = Item(fresh_id("item"), "assistant", [], "in_progress", spoken=True)
        self._before: str | None = None
        self._begun = False
        self._opening: deque[tuple[str, dict[str, Any]]] = deque()

    async def create(self) -> None:
        """Send `response.created`."""
        await self._send_event("response.created", response=self._response_object("in_progress"))

    async def play(self, chunks: AsyncIterable[FloatArray]) -> None:
        """Send audio (float32, 24 kHz) as it is generated, and before it the events that open the answer."""
        encoder = _open_encoder(self._settings.format)
        try:
            async for chunk in chunks:
                if not self._begun:
                    await self._begin()
                for part in _parts(chunk):
                    await self._send_audio(encoder.feed(part))
            await self._send_audio(encoder.finish())
        finally:
            encoder.close()

    async def end(self, status: ResponseStatus, report: Report, error: SpeechError | None = None) -> None:
        """Send the events that close the answer, if it was begun, and `response.done`."""
        if self._begun:
            await self._close(whole=status == "completed")
        self.over = True
        self._warnings = [*self._warnings, *report.warnings]
        response = self._response_object(status) | {"status_details": _details(status, error), "usage": _usage(report)}
        await self._send_event("response.done", response=response)

    async def _begin(self) -> None:
        self._begun = True
        item, part = self._item.to_json(), {"type": "audio", "transcript": ""}
        self._opening.append(("response.output_item.added", {**self._output(), "item": item}))
        if self._conversation:
            self._before = self._conversation.add(self._item)
            self._opening.append(("conversation.item.added", {"previous_item_id": self._before, "item": item}))
        self._opening.append(("response.content_part.added", {**self._content(), "part": part}))
        self._opening.append(("response.output_audio_transcript.delta", {**self._content(), "delta": self._text}))
        await self._open()

    async def _open(self) -> None:
        """Send those opening events that are not sent yet: a cancellation may come in the middle of them."""
        while self._opening:
            event, fields = self._opening.popleft()
            await self._send_event(event, **fields)

    async def _send_audio(self, audio: bytes) -> None:
        if audio:
            delta = base64.b64encode(audio).decode()
            await self._send_event("response.output_audio.delta", **self._content(), delta=delta)

    async def _close(self, *, whole: bool) -> None:
        await self._open()
        self._item.status = "completed" if whole else "incomplete"
        self._item.content = [{"type": "output_audio", "transcript": self._text}]
        part = {"type": "audio", "transcript": self._text}
        await self._send_event("response.output_audio.done", **self._content())
        await self._send_event("response.output_audio_transcript.done", **self._content(), transcript=self._text)
        await self._send_event("response.content_part.done", **self._content(), part=part)
        if self._conversation:
            await self._send_event("conversation.item.done", previous_item_id=self._before, item=self._item.to_json())
        await self._send_event("response.output_item.done", **self._output(), item=self._item.to_json())

    def _output(self) -> dict[str, Any]:
        return {"response_id": self.id, "output_index": 0}

    def _content(self) -> dict[str, Any]:
        return {**self._output(), "item_id": self._item.id, "content_index": 0}

    def _response_object(self, status: ResponseStatus) -> dict[str, Any]:
        return response_settings(self._settings) | {
            "object": "realtime.response",
            "id": self.id,
            "conversation_id": self._conversation.id if self._conversation else None,
            "status": status,
            "status_details": None,
            "output": [self._item.to_json()] if self._begun else [],
            "max_output_tokens": "inf",
            "metadata": self._metadata,
            "usage": None,
            **({"warnings": list(self._warnings)} if self._warnings else {}),
        }


@dataclass
class RealtimeUtterance:
    """A response, the session that speaks it, and the items of the conversation that it speaks."""

    response: Response
    session: SpeechSession
    items: list[Item]
    log: Callable[[SpeechError], None]
    """Logs the error that it ends with."""

    ending: bool = False
    """Whether its speech is over, so that it can't be cancelled any more."""

    def __post_init__(self) -> None:
        self._mark(spoken=True)

    async def speak(self) -> None:
        """Send the audio."""
        await self.response.play(self.session)

    async def end(self, failure: SpeechError | None) -> bool:
        """Send how it ended. The items of a response that failed are spoken by the next one."""
        self.ending = True
        if failure:
            self.log(failure)
            self._mark(spoken=False)
        await self.response.end("failed" if failure else "completed", self.session.report, failure)
        return True

    async def end_cancelled(self) -> None:
        """Send that it was cancelled."""
        self.ending = True
        await self.response.end("cancelled", self.session.report)

    def _mark(self, *, spoken: bool) -> None:
        for item in self.items:
            item.spoken = spoken


def _open_encoder(audio_format: RealtimeFormat) -> Encoder:
    if audio_format == "pcm16":
        return open_encoder("pcm")
    return G711Encoder("mulaw" if audio_format == "g711_ulaw" else "alaw")


def _parts(chunk: FloatArray) -> Iterator[FloatArray]:
    return (chunk[at : at + _DELTA_SAMPLES] for at in range(0, chunk.size, _DELTA_SAMPLES))


def _details(status: ResponseStatus, error: SpeechError | None) -> dict[str, Any] | None:
    if status == "cancelled":
        return {"type": "cancelled", "reason": "client_cancelled"}
    if error:
        told = error_body(error)["error"]
        return {"type": "failed", "error": {name: told[name] for name in ("type", "code", "message")}}
    return None


def _usage(report: Report) -> dict[str, Any]:
    """Return the usage: tokens of the text, and codec frames as audio tokens."""
    text = {"text_tokens": report.text_tokens, "audio_tokens": 0, "cached_tokens": 0}
    return {
        **usage(report),
        "input_token_details": text,
        "output_token_details": {"text_tokens": 0, "audio_tokens": report.frames},
    }
