"""Turns the bytes of a response into samples: raw PCM, or server-sent events that contain it. Knows no network.

https://platform.openai.com/docs/api-reference/audio-streaming
"""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, Protocol

from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.request import FloatArray

_MAX_LINE = 16 << 20


class StreamError(Exception):
    """The stream is invalid; the message completes "The server ..."."""


class SampleReader(Protocol):
    """Turns bytes, split anywhere, into float32 samples."""

    def feed(self, data: bytes) -> Iterator[FloatArray]:
        """Add bytes and yield the samples that they complete. Raises StreamError."""

    def finish(self) -> None:
        """Note that the stream has ended. Raises StreamError if it is incomplete."""


def reader_for(content_type: str) -> SampleReader:
    """Return the reader for a response's media type. Raises StreamError if that is not a stream of PCM."""
    match content_type:
        case "audio/pcm" | "audio/x-pcm":
            return PcmReader()
        case "text/event-stream":
            return SseReader()
    raise StreamError(f"answered with {content_type or 'nothing'} instead of PCM")


class PcmReader:
    """Reads 16-bit signed little-endian mono PCM; a chunk may end within a sample."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[FloatArray]:
        """See SampleReader."""
        data = self._rest + data if self._rest else data
        whole = len(data) & ~1
        self._rest = data[whole:]
        if whole:
            yield pcm.from_int16(data[:whole])

    def finish(self) -> None:
        """See SampleReader."""
        if self._rest:
            raise StreamError("ended its audio within a sample")


class SseReader:
    """Reads the events speech.audio.delta, .done and .error; ignores others."""

    def __init__(self) -> None:
        self._pcm = PcmReader()
        self._line = bytearray()
        self._data: list[bytes] = []
        self._done = False

    def feed(self, data: bytes) -> Iterator[FloatArray]:
        """See SampleReader."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line += line
            yield from self._take(bytes(self._line).rstrip(b"\r"))
            self._line.clear()
        self._line += rest
        if len(self._line) > _MAX_LINE:
            raise StreamError("sent an event that is too long")

    def finish(self) -> None:
        """See SampleReader."""
        if not self._done:
            raise StreamError("broke off its stream of events")
        self._pcm.finish()

    def _take(self, line: bytes) -> Iterator[FloatArray]:
        """Handle a line: a data line of an event, or an empty line, which ends the event."""
        if line.startswith(b"data:"):
            self._data.append(line[5:].lstrip(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            if data != b"[DONE]":
                yield from self._read_event(_parsed(data))

    def _read_event(self, event: dict[str, Any]) -> Iterator[FloatArray]:
        match event.get("type"):
            case "speech.audio.delta":
                try:
                    audio = base64.b64decode(event["audio"], validate=True)
                except (KeyError, TypeError, binascii.Error):
                    raise StreamError("sent an event without audio") from None
                yield from self._pcm.feed(audio)
            case "speech.audio.done":
                self._done = True
            case "speech.audio.error":
                error = event.get("error")
                told = error.get("message") if isinstance(error, dict) else error
                raise StreamError(f"failed: {' '.join(str(told).split())[:300]}")


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise StreamError("sent an event that is not a JSON object")
    return event
