"""Clips that a person uploads, to samples.

Nothing in them is trusted: they come as bytes, never as a path or a URL; what kind of file they are is read from
their first bytes, so that none of libav's playlist, script or network readers is ever tried; and what they declare
of their length bounds nothing here, only what has been decoded does. Knows no voice and no protocol.
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

from wyoming_qwen3.errors import InvalidRequest, TooLarge
from wyoming_qwen3.request import FloatArray


@dataclass(frozen=True, eq=False)
class Clip:
    """Sound as it was uploaded: mono float32 [samples] in [-1, 1] at `sample_rate`, at least one sample."""

    samples: FloatArray
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples.size / self.sample_rate


def parse_data_url(text: str, max_bytes: int, param: str) -> bytes:
    """The bytes in a base64 `data:` URL (RFC 2397) of audio or of `application/octet-stream`.

    Raises InvalidRequest for anything else, a path or another kind of URL among it, and TooLarge for more than
    `max_bytes`, before they are decoded. `param` names the field of the request.
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


def read_clip(data: bytes, *, max_seconds: float, param: str, sample_rate: int | None = None) -> Clip:
    """Decode a WAV, FLAC, Ogg, MP3, MP4, WebM or AAC file of one or two channels at 8 to 192 kHz.

    Two channels are averaged. With `sample_rate` the samples are resampled to it. Raises TooLarge as soon as more
    than `max_seconds` have been decoded, and InvalidRequest for what can't be read whole; nothing else, whatever
    the bytes are. `param` names the field of the request.
    """
    demuxer = _sniff(data)
    if demuxer is None:
        raise InvalidRequest(f"{param} must be {_ACCEPTED}.", param=param)
    if demuxer == "mov" and _mp4_index_entries(data) > _MAX_INDEX_ENTRIES:
        raise TooLarge(f"{param} has more parts than a clip can have.", param=param)
    try:
        clip = _decode(data, demuxer, max_seconds, param)
    except av.FFmpegError as error:
        raise InvalidRequest(f"{param} is damaged or is not {_ACCEPTED}.", param=param) from error
    if sample_rate is None:
        return clip
    return Clip(resample(clip.samples, clip.sample_rate, sample_rate), sample_rate)


def resample(samples: FloatArray, from_rate: int, to_rate: int) -> FloatArray:
    """float32 [samples] in [-1, 1] at one rate, the whole signal -> the same at another, its length rounded up."""
    if from_rate == to_rate or not samples.size:
        return samples
    length = math.ceil(samples.size * to_rate / from_rate)
    run_out = np.zeros(from_rate // 20, np.float32)  # 50 ms, longer than the filter, which gives nothing for less
    resampler = av.AudioResampler(format="flt", layout="mono", rate=to_rate)
    parts: list[FloatArray] = []
    # Second by second: libav copies what it is given with the interpreter locked, and more than once.
    for block in (*(samples[at : at + from_rate] for at in range(0, samples.size, from_rate)), run_out, None):
        frame = None if block is None else av.AudioFrame.from_ndarray(block[np.newaxis], format="flt", layout="mono")
        if frame:
            frame.sample_rate = from_rate
        parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    out: FloatArray = np.clip(np.concatenate(parts)[:length], -1.0, 1.0).astype(np.float32, copy=False)
    return out


_ACCEPTED = "a WAV, FLAC, Ogg, MP3, MP4 (AAC), WebM or AAC file"

_NOT_BASE64 = "{} must have base64 (RFC 4648, padded, on one line) after the comma."

_DATA_URL = re.compile(
    r"data:(?:audio/[\w.+-]{1,64}|application/octet-stream)(?:;[\w.+-]{1,64}=[\w.+\-\",]{1,128}){0,8};base64,",
    re.ASCII | re.IGNORECASE,
)

_SLICE = 1 << 18
"""Base64 characters to decode at once: a fraction of a millisecond."""


def _decode_base64(text: str, start: int, end: int) -> Iterator[bytes]:
    """Decode slice by slice, because decoding holds the interpreter lock, and somebody's event loop waits for it."""
    for at in range(start, end, _SLICE):
        piece = text[at : min(at + _SLICE, end)]
        if at + _SLICE < end and piece.endswith("="):
            raise ValueError("Padding before the end.")
        yield binascii.a2b_base64(piece, strict_mode=True)
        time.sleep(0)  # lets go of the lock now, not when the switch interval is over


def _sniff(data: bytes) -> str | None:
    """Name of the libav demuxer for a file that begins like this, None for one that is not accepted."""
    if data[:4] in {b"RIFF", b"RF64"} and data[8:12] == b"WAVE":
        return "wav"
    if data[4:8] == b"ftyp":
        return "mov"
    for magic, demuxer in _MAGIC.items():
        if data.startswith(magic):
            return demuxer
    if len(data) < 2 or data[0] != 0xFF:
        return None
    if data[1] & 0xF6 == 0xF0:  # ADTS: 12 bits of sync, layer 0 (ISO/IEC 13818-7, 6.2)
        return "aac"
    return "mp3" if data[1] & 0xE6 == 0xE2 else None  # 11 bits of sync, layer III (ISO/IEC 11172-3, 2.4.2.3)


_MAGIC = {b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3", b"\x1aE\xdf\xa3": "matroska"}

_DECODERS = {"aac", "flac", "mp3", "mp3float", "opus", "vorbis"} | {
    f"pcm_{name}" for name in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw")
}

_MAX_STREAMS = 8

_DEMUXER_OPTIONS = {
    "codec_whitelist": ",".join(sorted(_DECODERS)),  # probing decodes too: covers and videos among it
    "protocol_whitelist": "none",  # a file may name others, which are not to be opened
    "max_streams": str(_MAX_STREAMS),  # each costs memory, and a file of a few bytes can declare a thousand
    "ignore_editlist": "1",  # a list of edits can repeat the clip any number of times
}

_PACKETS_PER_SECOND = 400
"""Of the shortest packets there are: 2.5 ms, in Opus."""


def _decode(data: bytes, demuxer: str, max_seconds: float, param: str) -> Clip:
    """Raises av.FFmpegError for what libav can't read, besides what `read_clip` raises."""
    first: av.AudioFrame | None = None
    parts: list[FloatArray] = []
    total = 0
    with av.open(
        io.BytesIO(data), "r", format=demuxer, container_options=_DEMUXER_OPTIONS, metadata_errors="ignore"
    ) as container:
        for frame in _frames(container, int(max_seconds * _PACKETS_PER_SECOND) + 1000, 2 * len(data), param):
            first = first or frame
            _check_kind(frame, first, param)
            total += frame.samples
            if total > max_seconds * first.sample_rate:
                raise TooLarge(f"{param} must not be longer than {max_seconds:g} seconds.", param=param)
            parts.append(_mono(frame, param))
    if first is None or not total:
        raise InvalidRequest(f"{param} has no sound in it.", param=param)
    return Clip(np.concatenate(parts), first.sample_rate)


def _frames(container: InputContainer, max_packets: int, max_bytes: int, param: str) -> Iterator[av.AudioFrame]:
    """All frames of the first audio stream; the packets of all streams count."""
    stream = next(iter(container.streams.audio), None)
    if stream is None or stream.codec_context is None or stream.codec_context.name not in _DECODERS:
        raise InvalidRequest(f"{param} must be {_ACCEPTED}.", param=param)
    stream.codec_context.thread_count = 1
    size = 0
    for number, packet in enumerate(container.demux()):
        size += packet.size
        if number > max_packets or size > max_bytes:
            raise TooLarge(f"{param} has more parts than a clip can have.", param=param)
        if packet.stream is stream:
            yield from stream.decode(packet)


def _check_kind(frame: av.AudioFrame, first: av.AudioFrame, param: str) -> None:
    if not 8_000 <= frame.sample_rate <= 192_000:
        raise InvalidRequest(f"{param} must have 8000 to 192000 samples a second.", param=param)
    if frame.layout.nb_channels not in {1, 2}:
        raise InvalidRequest(f"{param} must have one or two channels.", param=param)
    if (frame.sample_rate, frame.layout.nb_channels) != (first.sample_rate, first.layout.nb_channels):
        raise InvalidRequest(f"{param} must not change its sample rate or channels in the middle.", param=param)


def _mono(frame: av.AudioFrame, param: str) -> FloatArray:
    """A frame of any sample format -> float32 [samples] in [-1, 1]."""
    values = frame.to_ndarray()
    if frame.format.is_packed:  # [1, samples * channels], a sample of each channel in turn
        values = values.reshape(-1, frame.layout.nb_channels).T
    if not np.isfinite(values).all():
        raise InvalidRequest(f"{param} has samples that are not numbers.", param=param)
    mono: FloatArray = np.clip(_scaled(values), -1.0, 1.0).mean(axis=0).astype(np.float32)
    return mono


def _scaled(values: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    """Integers of any width to [-1, 1); floats as they are."""
    if values.dtype == np.uint8:
        return (values.astype(np.float64) - 128.0) / 128.0
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.dtype.itemsize - 1)
    return values.astype(np.float64) / scale


_MAX_INDEX_ENTRIES = 1_000_000
"""24 MB of libav's memory; a minute of AAC has 2,800."""


def _mp4_index_entries(data: bytes) -> int:
    """Upper bound of how many samples the tables of an MP4 file declare (ISO/IEC 14496-12, 8.7 and 8.8).

    libav builds an index of them all before anything is read, and a table of 20 bytes can declare 4 billion. The
    tables are searched for, not walked to, so that nothing which a walk might miss is missed.
    """
    index = b"".join(_outside_mdat(data))
    if index.count(b"stsc") > _MAX_STREAMS or b"dcomzlib" in index:  # decoys, or tables that are compressed
        return _MAX_INDEX_ENTRIES + 1
    samples = sum(_numbers(index, b"stsz", 8)) + sum(_numbers(index, b"trun", 4))
    chunks = sum(_numbers(index, b"stco", 4)) + sum(_numbers(index, b"co64", 4))
    return samples + chunks * max(map(_longest_chunk, index.split(b"stsc")[1:]), default=0)


def _numbers(index: bytes, box: bytes, offset: int) -> Iterator[int]:
    """The 32 bit number that lies so many bytes behind the name of each such box."""
    return (_u32(index, found.end() + offset) for found in re.finditer(box, index))


def _longest_chunk(stsc: bytes) -> int:
    """Most samples of a chunk that a sample-to-chunk table declares: the second of each three numbers."""
    rows = stsc[8 : 8 + 12 * _u32(stsc, 4)]
    return int(np.frombuffer(rows[: len(rows) // 4 * 4], ">u4")[1::3].max(initial=0))


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4])


def _outside_mdat(data: bytes) -> Iterator[bytes]:
    """What is not media: there any four bytes can come up by chance."""
    at = kept = 0
    while at + 8 <= len(data):
        size, head = _u32(data, at), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        if size < head:  # the last box, or nothing that makes sense
            break
        if data[at + 4 : at + 8] == b"mdat":
            yield data[kept:at]
            kept = at + size
        at += size
    yield data[kept:]
