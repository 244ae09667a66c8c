"""Sends speech as an HTTP answer: while it is generated, whole, or as server-sent events.

Nothing is sent before the first sound, so that an error before it has a status of its own. A later error can't have
one: the connection is cut, so that no client takes the answer for complete.
"""

import asyncio
import base64
import contextlib
import io
import json
import logging
import socket
import struct
from collections.abc import AsyncIterable, Callable, Iterator, Mapping, Sequence
from typing import Any

from aiohttp import HttpVersion11, web

from wyoming_qwen3.audio.encode import MEDIA_TYPES, AudioFormat
from wyoming_qwen3.audio.streaming import encoded, whole
from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

from .errors import error_body
from .failures import log_failure
from .validation import header_text

_LOGGER = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

_MAX_WARNING_LENGTH = 1000
"""Maximum number of characters of warnings; clients and proxies accept some 8,000 for all headers."""

MoreHeaders = Callable[[], dict[str, str]]
"""Returns the headers that are known once there is sound."""


async def stream_audio(
    request: web.Request, chunks: AsyncIterable[FloatArray], audio_format: AudioFormat, more: MoreHeaders
) -> web.StreamResponse:
    """Send an audio file while it is generated. Raises what `chunks` raises before its first chunk."""
    async with contextlib.aclosing(encoded(chunks, audio_format)) as pieces:
        first = await anext(pieces)
        response = web.StreamResponse(headers=_audio_headers(audio_format) | STREAM_HEADERS | more())
        with cut_on_failure(request):
            await response.prepare(request)
            await response.write(first)
            async for piece in pieces:
                await response.write(piece)
            await response.write_eof()
    return response


async def whole_audio(
    chunks: AsyncIterable[FloatArray], audio_format: AudioFormat, more: MoreHeaders
) -> web.StreamResponse:
    """Answer with a complete audio file, which has its length in a header. Raises what `chunks` raises."""
    audio, samples = await whole(chunks, audio_format)
    headers = _audio_headers(audio_format) | {"X-Audio-Duration-Ms": str(round(1000 * samples / SAMPLE_RATE))} | more()
    return web.Response(body=io.BytesIO(audio), headers=headers)  # a file object is sent in parts


async def stream_events(
    request: web.Request,
    chunks: AsyncIterable[FloatArray],
    audio_format: AudioFormat,
    more: MoreHeaders,
    last: Callable[[], Mapping[str, Any]],
) -> web.StreamResponse:
    """Send OpenAI's speech.audio.delta events with parts of an audio file in base64, then the event `last`.

    Raises what `chunks` raises before its first chunk. A later error becomes a speech.audio.error event, for which the
    openai SDK raises an APIError.
    """
    async with contextlib.aclosing(encoded(chunks, audio_format)) as pieces:
        first = await anext(pieces)
        response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM} | STREAM_HEADERS | more())
        with cut_on_failure(request):
            await response.prepare(request)
            await send_event(response, _delta(first))
            try:
                async for piece in pieces:
                    await send_event(response, _delta(piece))
                await send_event(response, last())
            except SpeechError as error:
                log_failure(request, error)
                await send_event(response, {"type": "speech.audio.error"} | error_body(error))
            await response.write_eof()
    return response


def private_file(media_type: str, name: str) -> dict[str, str]:
    """Return headers for audio that a person may delete, so that no cache plays it later. `name` must be ASCII."""
    disposition = f'inline; filename="{name}"'
    return {"Content-Type": media_type, "Content-Disposition": disposition, "Cache-Control": "private, no-cache"}


def with_warnings(headers: Mapping[str, str], warnings: Sequence[str]) -> dict[str, str]:
    """Return the headers with `warnings` added to X-Warning, joined by spaces into one line.

    Characters beyond ASCII are escaped as in JSON. Warnings that `headers` has already come first. Without warnings the
    headers are returned unchanged.
    """
    if not warnings:
        return dict(headers)
    told = header_text(" ".join(warnings)[:_MAX_WARNING_LENGTH])
    return {**headers, "X-Warning": " ".join(filter(None, (headers.get("X-Warning"), told)))}


async def send_event(response: web.StreamResponse, event: Mapping[str, Any]) -> None:
    """Send one server-sent event, named by its type."""
    await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


@contextlib.contextmanager
def cut_on_failure(request: web.Request) -> Iterator[None]:
    """Log an error of what is sent after the status, cut the connection, and suppress the error.

    Return the response afterwards all the same, so that aiohttp finds the connection closed.
    """
    transport = request.transport
    _reset_on_close(request, transport, True)
    try:
        yield
    except ConnectionError:
        _LOGGER.debug("A client left before its answer was complete")
    except SpeechError as error:
        log_failure(request, error)
    except Exception:
        _LOGGER.exception("An answer was cut")
    else:
        _reset_on_close(request, transport, False)
        return
    if transport is not None:
        transport.abort()


def _audio_headers(audio_format: AudioFormat) -> dict[str, str]:
    headers = {
        "Content-Type": MEDIA_TYPES[audio_format],
        "Content-Disposition": f'inline; filename="speech.{audio_format}"',
        "X-Sample-Rate": str(SAMPLE_RATE),
        "X-Channels": "1",
    }
    return headers | {"X-Sample-Format": "s16le"} if audio_format == "pcm" else headers


def _delta(piece: bytes) -> dict[str, str]:
    return {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}


def _reset_on_close(request: web.Request, transport: asyncio.Transport | None, on: bool) -> None:
    """Set whether closing the connection resets it, for clients that take its end for the end of the answer.

    In HTTP/1.1 the last chunk says that an answer is complete. In HTTP/1.0, which nginx as a proxy uses by default, an
    answer ends with its connection, and only a reset shows that it is incomplete (RFC 9112, 8). This is set beforehand,
    because a stopping server's connections are closed by aiohttp before their handlers learn of it.
    """
    if transport is not None and request.version < HttpVersion11:
        linger = struct.pack("ii", on, 0)  # close at once, without lingering
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
