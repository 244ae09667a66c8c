"""Speech as an HTTP answer: as it is made, whole, or as server-sent events.

Nothing is sent before the first sound is there, so that what fails before it has a status of its own. What fails
after it can't: then the connection is cut, which no client takes for an end.
"""

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from typing import Any

import numpy as np
from aiohttp import web

from wyoming_qwen3.audio.encode import MEDIA_TYPES, AudioFormat, encode
from wyoming_qwen3.audio.streaming import encoded
from wyoming_qwen3.errors import SpeechError
from wyoming_qwen3.request import SAMPLE_RATE, FloatArray

from .errors import error_body

_LOGGER = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

MoreHeaders = Callable[[], dict[str, str]]
"""Headers that are known when the first sound is there."""


async def stream_audio(
    request: web.Request, chunks: AsyncIterable[FloatArray], audio_format: AudioFormat, more: MoreHeaders
) -> web.StreamResponse:
    """Send a file while it is made. Raises what `chunks` raises before the first of them."""
    async with contextlib.aclosing(encoded(chunks, audio_format)) as pieces:
        first = await anext(pieces)
        response = web.StreamResponse(headers=_audio_headers(audio_format) | STREAM_HEADERS | more())
        with _cut_on_failure(request):
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
    samples = np.concatenate([chunk async for chunk in chunks])
    headers = _audio_headers(audio_format) | {"X-Audio-Duration-Ms": str(milliseconds(samples.size))} | more()
    return web.Response(body=await asyncio.to_thread(encode, samples, audio_format), headers=headers)


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
        with _cut_on_failure(request):
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


async def send_event(response: web.StreamResponse, event: Mapping[str, Any]) -> None:
    """One server-sent event, named by its type."""
    await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


def milliseconds(samples: int) -> int:
    """Duration of that many samples."""
    return round(1000 * samples / SAMPLE_RATE)


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


@contextlib.contextmanager
def _cut_on_failure(request: web.Request) -> Iterator[None]:
    """Around what is sent after the status: a failure cuts the connection."""
    try:
        yield
    except ConnectionError:
        raise
    except Exception as error:
        _LOGGER.log(
            logging.WARNING if isinstance(error, SpeechError) else logging.ERROR,
            "An answer was cut: %s",
            error,
            exc_info=not isinstance(error, SpeechError),
        )
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("The answer could not be completed.") from error
