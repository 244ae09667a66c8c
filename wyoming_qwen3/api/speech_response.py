"""Speech as an HTTP answer: as it is made, whole, or as server-sent events.

Nothing is sent before the first sound is there, so that what fails before it has a status of its own. What fails
after it can't: then the connection is cut, which no client takes for an end.
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
from .validation import header_text

_LOGGER = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

_MAX_WARNING_LENGTH = 1000
"""Characters of warnings in a header: clients and proxies take some 8,000 of all headers together."""

MoreHeaders = Callable[[], dict[str, str]]
"""Headers that are known when the first sound is there."""


async def stream_audio(
    request: web.Request, chunks: AsyncIterable[FloatArray], audio_format: AudioFormat, more: MoreHeaders
) -> web.StreamResponse:
    """Send a file while it is made. Raises what `chunks` raises before the first of them."""
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
    """A file that was finished before any of it is sent, so that it knows its length."""
    audio, samples = await whole(chunks, audio_format)
    headers = _audio_headers(audio_format) | {"X-Audio-Duration-Ms": str(round(1000 * samples / SAMPLE_RATE))} | more()
    return web.Response(body=io.BytesIO(audio), headers=headers)  # sent piece by piece


async def stream_events(
    request: web.Request,
    chunks: AsyncIterable[FloatArray],
    audio_format: AudioFormat,
    more: MoreHeaders,
    last: Callable[[], Mapping[str, Any]],
) -> web.StreamResponse:
    """Send OpenAI's speech.audio.delta events with base64 pieces of a file, and `last` at the end.

    What fails in between is a speech.audio.error event, by which the openai SDK raises an APIError.
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
                _LOGGER.warning("An answer ended with error %s: %s", error.code, error)
                await send_event(response, {"type": "speech.audio.error"} | error_body(error))
            await response.write_eof()
    return response


def private_file(media_type: str, name: str) -> dict[str, str]:
    """Headers of a sound that a person may delete, and is then not to be heard from a cache; `name` is in ASCII."""
    disposition = f'inline; filename="{name}"'
    return {"Content-Type": media_type, "Content-Disposition": disposition, "Cache-Control": "private, no-cache"}


def with_warnings(headers: Mapping[str, str], warnings: Sequence[str]) -> dict[str, str]:
    """Return the headers with X-Warning, if there are `warnings`: their sentences in one line, with a blank between.

    In ASCII, other characters escaped as JSON does. Warnings that are in `headers` already come first.
    """
    if not warnings:
        return dict(headers)
    told = header_text(" ".join(warnings)[:_MAX_WARNING_LENGTH])
    return {**headers, "X-Warning": " ".join(filter(None, (headers.get("X-Warning"), told)))}


async def send_event(response: web.StreamResponse, event: Mapping[str, Any]) -> None:
    """One server-sent event, named by its type."""
    await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


@contextlib.contextmanager
def cut_on_failure(request: web.Request) -> Iterator[None]:
    """Around what is sent after the status: what fails in it is logged and cuts the connection, and goes no further.

    Return the response after it all the same, for aiohttp to find the connection closed.
    """
    transport = request.transport
    _reset_on_close(request, transport, True)
    try:
        yield
    except ConnectionError:
        _LOGGER.debug("A client left before its answer was complete")
    except SpeechError as error:
        _LOGGER.warning("An answer was cut: %s", error)
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
    """Whether the connection, once closed, is reset; for clients that would take its end for the answer's.

    By HTTP/1.1 the last chunk says that an answer is complete. Before that, and so to nginx as a proxy by default, an
    answer ends with its connection, and only a reset is no end (RFC 9112, 8). It is arranged beforehand, because
    aiohttp closes the connections of a server that stops before their handlers learn of it.
    """
    if transport is not None and request.version < HttpVersion11:
        linger = struct.pack("ii", on, 0)  # for no time
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
