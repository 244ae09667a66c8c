"""Decodes clips that a person uploads to samples.

Nothing in a clip is trusted. It is given as bytes, never as a path or URL. The first bytes decide which demuxer is
used, so that libav's readers of playlists, scripts and network addresses are never tried. The declared length is
ignored; only decoded samples count. Knows no voice and no protocol.
"""

import binascii
import io
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import FloatArray

from .containers import ACCEPTED, MAX_STREAMS, check_cookie, check_tables, decoders, probed_decoders, sniff
from .libav import Resampler


@dataclass(frozen=True, eq=False)
class DecodedClip:
    """A decoded clip: mono float32 [samples] in [-1, 1] at `sample_rate`, at least one sample."""

    samples: FloatArray
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.samples.size / self.sample_rate


def parse_data_url(text: str, max_bytes: int, param: str) -> bytes:
    """Return the bytes in a base64 `data:` URL (RFC 2397) of type audio or `application/octet-stream`.

    Raises InvalidRequest for anything else, such as a path or another kind of URL. Raises TooLarge for more than
    `max_bytes`, before anything is decoded. `param` is the field of the request.
    """
    head = _DATA_URL.match(text)
    if not head:
        raise InvalidRequest(
            f"{param} must be audio as a base64 data URL (data:audio/wav;base64,…); no other URL or path is read.",
            param=param,
        )
    start, end = head.end(), len(text)
    if (end - start) % 4 or start == end:
        raise InvalidRequest(_NOT_BASE64.format(param), param=param)
    if (end - start) // 4 * 3 - text.count("=", end - 2) > max_bytes:
        raise TooLarge(f"{param} must not have more than {max_bytes} bytes.", param=param)
    try:
        return b"".join(_decode_base64(text, start, end))
    except ValueError as error:
        raise InvalidRequest(_NOT_BASE64.format(param), param=param) from error


def read_clip(data: bytes, *, max_seconds: float, param: str, sample_rate: int | None = None) -> DecodedClip:
    """Decode a file of an ACCEPTED kind with one or two channels at 8 to 192 kHz.

    Two channels are averaged. With `sample_rate` the samples are resampled to it. Raises TooLarge as soon as more than
    `max_seconds` have been decoded, and InvalidRequest if the file can't be read completely. No other error is raised,
    whatever the bytes are. `param` is the field of the request.
    """
    demuxer = sniff(data)
    if demuxer is None:
        raise InvalidRequest(f"{param} must be {ACCEPTED}.", param=param)
    check_tables(data, demuxer, param)
    try:
        clip = _decode(data, demuxer, max_seconds, param)
    except av.FFmpegError as error:
        raise InvalidRequest(f"{param} is damaged or is not {ACCEPTED}.", param=param) from error
    if sample_rate is None:
        return clip
    return DecodedClip(resample(clip.samples, clip.sample_rate, sample_rate), sample_rate)


def resample(samples: FloatArray, from_rate: int, to_rate: int) -> FloatArray:
    """Return a complete signal, float32 [samples] in [-1, 1], at another sample rate. Its length is rounded up."""
    if from_rate == to_rate or not samples.size:
        return samples
    length = math.ceil(samples.size * to_rate / from_rate)
    resampler = Resampler(from_rate, to_rate)
    # One second at a time: libav copies its input more than once while it holds the interpreter lock.
    parts = [resampler.feed(samples[at : at + from_rate]) for at in range(0, samples.size, from_rate)]
    out: FloatArray = np.clip(np.concatenate([*parts, resampler.finish()])[:length], -1.0, 1.0)
    return out


_NOT_BASE64 = "{} must have base64 (RFC 4648, padded, on one line) after the comma."

_DATA_URL = re.compile(
    r"data:(?:audio/[\w.+-]{1,64}|application/octet-stream)(?:;[\w.+-]{1,64}=[\w.+\-\",]{1,128}){0,8};base64,",
    re.ASCII | re.IGNORECASE,
)

_SLICE = 1 << 18
"""Base64 characters to decode at a time; they take a fraction of a millisecond."""


def _decode_base64(text: str, start: int, end: int) -> Iterator[bytes]:
    """Decode in slices, because decoding holds the interpreter lock and would block the event loop."""
    for at in range(start, end, _SLICE):
        piece = text[at : min(at + _SLICE, end)]
        if at + _SLICE < end and piece.endswith("="):
            raise ValueError("Padding before the end.")
        yield binascii.a2b_base64(piece, strict_mode=True)
        time.sleep(0)  # releases the lock now, not at the end of the switch interval


_PROBING = {
    "protocol_whitelist": "none",  # a file may refer to others, which must not be opened
    "max_streams": str(MAX_STREAMS),  # each takes memory, and a few bytes can declare a thousand
    "ignore_editlist": "1",  # an edit list can repeat the clip any number of times
}

_PACKETS_PER_SECOND = 400
"""Maximum: the shortest packets are 2.5 ms long, in Opus."""


def _decode(data: bytes, demuxer: str, max_seconds: float, param: str) -> DecodedClip:
    """Decode as `read_clip` does. Also raises av.FFmpegError if libav can't read the file."""
    first: av.AudioFrame | None = None
    parts: list[FloatArray] = []
    total = 0
    probing = _PROBING | {
        "codec_whitelist": ",".join(sorted(probed_decoders(demuxer)))
    }  # else libav decodes cover images and videos
    with av.open(
        io.BytesIO(data), "r", format=demuxer, container_options=probing, metadata_errors="ignore"
    ) as container:
        for frame in _frames(container, demuxer, int(max_seconds * _PACKETS_PER_SECOND) + 1000, 2 * len(data), param):
            first = first or frame
            _check_kind(frame, first, param)
            total += frame.samples
            if total > max_seconds * first.sample_rate:
                raise TooLarge(f"{param} must not be longer than {max_seconds:g} seconds.", param=param)
            parts.append(_mono(frame, param))
    if first is None or not total:
        raise InvalidRequest(f"{param} contains no audio.", param=param)
    return DecodedClip(np.concatenate(parts), first.sample_rate)


def _frames(
    container: InputContainer, demuxer: str, max_packets: int, max_bytes: int, param: str
) -> Iterator[av.AudioFrame]:
    """Yield all frames of the first audio stream. The packets of all streams count for the limits."""
    stream = next(iter(container.streams.audio), None)
    if stream is None or stream.codec_context is None or stream.codec_context.name not in decoders(demuxer):
        raise InvalidRequest(f"{param} must be {ACCEPTED}.", param=param)
    check_cookie(stream.codec_context.name, stream.codec_context.extradata, param)
    stream.codec_context.thread_count = 1
    size = 0
    for number, packet in enumerate(container.demux()):
        size += packet.size
        if number > max_packets or size > max_bytes:
            raise TooLarge(f"{param} has more packets than a clip may have.", param=param)
        if packet.stream is stream:
            yield from stream.decode(packet)


def _check_kind(frame: av.AudioFrame, first: av.AudioFrame, param: str) -> None:
    if not 8_000 <= frame.sample_rate <= 192_000:
        raise InvalidRequest(f"{param} must have a sample rate of 8000 to 192000 Hz.", param=param)
    if frame.layout.nb_channels not in {1, 2}:
        raise InvalidRequest(f"{param} must have one or two channels.", param=param)
    if (frame.sample_rate, frame.layout.nb_channels) != (first.sample_rate, first.layout.nb_channels):
        raise InvalidRequest(f"{param} must not change its sample rate or number of channels.", param=param)


def _mono(frame: av.AudioFrame, param: str) -> FloatArray:
    """Return a frame of any sample format as float32 [samples] in [-1, 1]."""
    values = frame.to_ndarray()
    if frame.format.is_packed:  # [1, samples * channels], interleaved
        values = values.reshape(-1, frame.layout.nb_channels).T
    if not np.isfinite(values).all():
        raise InvalidRequest(f"{param} has samples that are not numbers.", param=param)
    mono: FloatArray = np.clip(_scaled(values), -1.0, 1.0).mean(axis=0).astype(np.float32)
    return mono


def _scaled(values: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    """Return integers of any width scaled to [-1, 1); floats are not changed."""
    if values.dtype == np.uint8:
        return (values.astype(np.float64) - 128.0) / 128.0
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.dtype.itemsize - 1)
    return values.astype(np.float64) / scale
