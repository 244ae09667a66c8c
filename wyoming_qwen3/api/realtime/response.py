"""One Realtime response: what is told about it, in OpenAI's order, and the task that speaks it. Knows no socket."""

import asyncio
import base64
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterable, Iterator, Sequence
from typing import Any, Literal, Protocol

from wyoming_qwen3.api.errors import error_body
from wyoming_qwen3.api.speech import usage
from wyoming_qwen3.audio.encode import Encoder, open_encoder
from wyoming_qwen3.audio.g711 import G711Encoder
from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray
from wyoming_qwen3.speech.report import Report
from wyoming_qwen3.speech.session import SpeechSession

from .conversation import Item, RealtimeConversation
from .dialects import Dialect
from .events import Format, SessionSettings, fresh_id

_LOGGER = logging.getLogger(__name__)

_DELTA_SAMPLES = SAMPLE_RATE // 5
"""Most samples of one delta: 200 ms."""

Status = Literal["in_progress", "completed", "cancelled", "failed"]


class Tell(Protocol):
    """Send an event by its general name, at once, and wait until the client has read enough of those before."""

    async def __call__(self, event: str, /, **fields: object) -> None: ...  # noqa: D102


class Response:
    """Told in three steps: `create`, `play`, `end`. Playing may be broken off; whatever was begun is ended."""

    def __init__(
        self,
        text: str,
        settings: SessionSettings,
        conversation: RealtimeConversation | None,
        *,
        metadata: dict[str, str] | None,
        warnings: Sequence[str],
        dialect: Dialect,
        tell: Tell,
    ) -> None:
        """`conversation` is what the answer becomes part of, if it does; `warnings` are the request's."""
        self.id = fresh_id("resp")
        self.over = False
        """Whether the client has been told of its end, or is being told just now."""

        self._text = text
        self._settings = settings
        self._metadata = metadata
        self._warnings = warnings
        self._dialect = dialect
        self._conversation = conversation
        self._tell = tell
        self._item = Item(fresh_id("item"), "assistant", [], "in_progress", spoken=True)
        self._before: str | None = None
        self._begun = False
        self._opening: deque[tuple[str, dict[str, Any]]] = deque()

    async def create(self) -> None:
        """Say that it has been understood."""
        await self._tell("response.created", response=self._told("in_progress"))

    async def play(self, chunks: AsyncIterable[FloatArray]) -> None:
        """Send sound as it is made. Nothing is said of an answer before there is one."""
        encoder = _open_encoder(self._settings.format)
        try:
            async for chunk in chunks:
                if not self._begun:
                    await self._begin()
                for part in _parts(chunk):
                    await self._send(encoder.feed(part))
            await self._send(encoder.finish())
        finally:
            encoder.close()

    async def end(self, status: Status, report: Report, error: SpeechError | None = None) -> None:
        """Close what was begun, and say how it ended."""
        if self._begun:
            await self._close(whole=status == "completed")
        self.over = True
        told = self._told(status) | {"status_details": _details(status, error), "usage": _usage(report)}
        await self._tell("response.done", response=told)

    async def _begin(self) -> None:
        self._begun = True
        told, part = self._item.told(), {"type": "audio", "transcript": ""}
        self._opening.append(("response.output_item.added", {**self._output(), "item": told}))
        if self._conversation:
            self._before = self._conversation.add(self._item)
            self._opening.append(("conversation.item.added", {"previous_item_id": self._before, "item": told}))
        self._opening.append(("response.content_part.added", {**self._content(), "part": part}))
        self._opening.append(("response.output_audio_transcript.delta", {**self._content(), "delta": self._text}))
        await self._open()

    async def _open(self) -> None:
        """Tell what has not been told yet: who cancels may do so in the middle of it."""
        while self._opening:
            event, fields = self._opening.popleft()
            await self._tell(event, **fields)

    async def _send(self, sound: bytes) -> None:
        if sound:
            delta = base64.b64encode(sound).decode()
            await self._tell("response.output_audio.delta", **self._content(), delta=delta)

    async def _close(self, *, whole: bool) -> None:
        await self._open()
        self._item.status = "completed" if whole else "incomplete"
        self._item.content = [{"type": self._dialect.spoken_type, "transcript": self._text}]
        part = {"type": "audio", "transcript": self._text}
        await self._tell("response.output_audio.done", **self._content())
        await self._tell("response.output_audio_transcript.done", **self._content(), transcript=self._text)
        await self._tell("response.content_part.done", **self._content(), part=part)
        if self._conversation:
            await self._tell("conversation.item.done", previous_item_id=self._before, item=self._item.told())
        await self._tell("response.output_item.done", **self._output(), item=self._item.told())

    def _output(self) -> dict[str, Any]:
        return {"response_id": self.id, "output_index": 0}

    def _content(self) -> dict[str, Any]:
        return {**self._output(), "item_id": self._item.id, "content_index": 0}

    def _told(self, status: Status) -> dict[str, Any]:
        return self._dialect.response(self._settings) | {
            "object": "realtime.response",
            "id": self.id,
            "conversation_id": self._conversation.id if self._conversation else None,
            "status": status,
            "status_details": None,
            "output": [self._item.told()] if self._begun else [],
            "max_output_tokens": "inf",
            "metadata": self._metadata,
            "usage": None,
            **({"warnings": list(self._warnings)} if self._warnings else {}),
        }


class Speaking:
    """A response, and the task that speaks it."""

    def __init__(self, response: Response, session: SpeechSession, items: list[Item]) -> None:
        self.response = response
        self._session = session
        self._items = items
        self._ending = False
        self._mark(spoken=True)
        self._task = asyncio.create_task(self._speak(), name="realtime speaker")

    async def wait(self) -> None:
        """Until the client has taken all of it."""
        await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Stop speaking and tell nobody."""
        self._task.cancel()
        await self.wait()

    async def cancel(self) -> bool:
        """Stop speaking and tell so; False if there was nothing left to stop."""
        if not self._ending:
            self._task.cancel()
        await self.wait()
        if self._ending:
            return False
        self._ending = True
        await self.response.end("cancelled", self._session.report)
        return True

    async def _speak(self) -> None:
        failure: SpeechError | None = None
        with contextlib.suppress(ConnectionError):  # who reads the socket sees it too
            try:
                async with self._session as session:
                    await self.response.play(session)
            except SpeechError as error:
                _LOGGER.warning("A response ended with error %s: %s", error.code, error)
                failure = error
            except ConnectionError:
                raise
            except Exception:
                _LOGGER.exception("A response failed")
                failure = SpeechError("The server failed on this response; its log says why.")
            self._ending = True
            if failure:
                self._mark(spoken=False)  # so that a client may just ask again
            await self.response.end("failed" if failure else "completed", self._session.report, failure)

    def _mark(self, *, spoken: bool) -> None:
        for item in self._items:
            item.spoken = spoken


def _open_encoder(audio_format: Format) -> Encoder:
    if audio_format == "pcm16":
        return open_encoder("pcm")
    return G711Encoder("mulaw" if audio_format == "g711_ulaw" else "alaw")


def _parts(chunk: FloatArray) -> Iterator[FloatArray]:
    return (chunk[at : at + _DELTA_SAMPLES] for at in range(0, chunk.size, _DELTA_SAMPLES))


def _details(status: Status, error: SpeechError | None) -> dict[str, Any] | None:
    if status == "cancelled":
        return {"type": "cancelled", "reason": "client_cancelled"}
    if error:
        told = error_body(error)["error"]
        return {"type": "failed", "error": {name: told[name] for name in ("type", "code", "message")}}
    return None


def _usage(report: Report) -> dict[str, Any]:
    """Tokens of the text, and codec frames as tokens of the audio."""
    text = {"text_tokens": report.text_tokens, "audio_tokens": 0, "cached_tokens": 0}
    return {
        **usage(report),
        "input_token_details": text,
        "output_token_details": {"text_tokens": 0, "audio_tokens": report.frames},
    }
