"""Encodes samples to the bytes of a file: chunk by chunk while speech is generated, or all at once.

All input is mono float32 [samples] at `SAMPLE_RATE`; samples outside [-1, 1] are clipped. Knows no protocol.
"""

import io
import struct
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, Protocol

import av
import numpy as np

from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

from .libav import to_frame
from .pcm import quantize, to_int16

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

MEDIA_TYPES: dict[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",  # Opus in an Ogg container: RFC 7845, section 9
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


class Encoder(Protocol):
    """Encodes samples as they arrive, and returns bytes as early as the format allows.

    The bytes of all calls together are one file. Only one thread may call it at a time, but not always the same one.
    After `finish` or `close`, only `close` may be called, any number of times.
    """

    def feed(self, samples: FloatArray) -> bytes:
        """Add float32 [samples], and return the bytes that are ready, perhaps none."""

    def finish(self) -> bytes:
        """Return the remaining bytes."""

    def close(self) -> None:
        """Free all resources. What was not finished is lost."""


def open_encoder(audio_format: AudioFormat) -> Encoder:
    """Return an encoder for bytes that are played while it is fed.

    The length is not known at the start and can't be added later. The sizes in a WAV are 0xFFFFFFFF; FLAC and MP3 have
    none.
    """
    if audio_format == "pcm":
        return _PlainEncoder(header=b"")
    if audio_format == "wav":
        return _PlainEncoder(header=_wav_header(_UNKNOWN_SIZE))
    return _CodecEncoder(_CODECS[audio_format])


def encode(samples: FloatArray, audio_format: AudioFormat) -> bytes:
    """Encode a complete signal, float32 [samples], to a file that has its length in it, if the format allows that."""
    file = io.BytesIO()
    writer = open_writer(file, audio_format)
    for at in range(0, samples.size, SAMPLE_RATE):  # a block is copied with the lock held
        writer.write(samples[at : at + SAMPLE_RATE])
    writer.end()
    return file.getvalue()


class FileWriter(Protocol):
    """Writes samples to a file, as they arrive. After `end` or `close`, only `close` may be called."""

    def write(self, samples: FloatArray) -> None:
        """Add float32 [samples]."""

    def end(self) -> None:
        """Complete the file, with its length if the format allows that. The file itself stays open."""

    def close(self) -> None:
        """Free all resources. What was not ended is not complete."""


def open_writer(file: BinaryIO, audio_format: AudioFormat) -> FileWriter:
    """Return a writer of an open file that can seek."""
    if audio_format in ("pcm", "wav"):
        return _PlainWriter(file, has_header=audio_format == "wav")
    return _Writer(_CODECS[audio_format], file)


@dataclass(frozen=True)
class _LibavFormat:
    """How libav writes a format."""

    muxer: str
    encoder: Literal["libmp3lame", "libopus", "aac", "flac"]
    sample_format: str
    bit_rate: int
    encoder_options: dict[str, str] = field(default_factory=dict)
    muxer_options: dict[str, str] = field(default_factory=dict)


# At these bit rates no 20 ms of a synthetic voice had a signal-to-noise ratio below 17 dB, and a minute is smaller than
# 1 MB.
_CODECS: dict[AudioFormat, _LibavFormat] = {
    # An ID3 tag would delay the first audio.
    "mp3": _LibavFormat("mp3", "libmp3lame", "fltp", 64_000, muxer_options={"id3v2_version": "0"}),
    # A page for each packet of 20 ms: libav's default of one second would hold back the first second.
    "opus": _LibavFormat("ogg", "libopus", "flt", 64_000, muxer_options={"page_duration": "20000"}),
    # libav's default search for scale factors fails in some blocks: 3 dB at 64 kbit/s, against 17 dB with the fast one.
    "aac": _LibavFormat("adts", "aac", "fltp", 96_000, {"aac_coder": "fast"}),
    # Blocks of 40 ms instead of 96 make it 1 % larger. Padding for tags would be 8 KiB before the first audio.
    "flac": _LibavFormat("flac", "flac", "s16", 0, {"frame_size": "960"}, {"metadata_header_padding": "0"}),
}

_UNKNOWN_SIZE = 0xFFFFFFFF


def _wav_header(data_size: int) -> bytes:
    """Return a RIFF header of 44 bytes for 16-bit mono. Sizes beyond 32 bits become 0xFFFFFFFF: "to the end"."""
    size = min(data_size, _UNKNOWN_SIZE)
    riff_size = min(36 + data_size, _UNKNOWN_SIZE)
    layout = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", riff_size, b"WAVE", b"fmt ", 16) + layout + struct.pack("<4sI", b"data", size)
    )


class _PlainEncoder:
    """Returns 16-bit samples, with the header before the first of them."""

    def __init__(self, header: bytes) -> None:
        self._header = header

    def feed(self, samples: FloatArray) -> bytes:
        return self.finish() + to_int16(samples) if samples.size else b""

    def finish(self) -> bytes:
        header, self._header = self._header, b""
        return header

    def close(self) -> None:
        self._header = b""


class _PlainWriter:
    """Writes 16-bit samples, and puts their number into the header in the end."""

    def __init__(self, file: BinaryIO, *, has_header: bool) -> None:
        self._file = file
        self._start = file.tell()
        self._header = _wav_header if has_header else lambda _: b""
        self._size = 0
        file.write(self._header(0))

    def write(self, samples: FloatArray) -> None:
        self._size += self._file.write(to_int16(samples))

    def end(self) -> None:
        self._file.seek(self._start)
        self._file.write(self._header(self._size))

    def close(self) -> None:
        """Nothing to free."""


class _CodecEncoder:
    """Writes with libav, and returns the bytes of each call."""

    def __init__(self, codec: _LibavFormat) -> None:
        self._outbox = _Outbox()
        self._writer = _Writer(codec, self._outbox)

    def feed(self, samples: FloatArray) -> bytes:
        self._writer.write(samples)
        return self._outbox.take()

    def finish(self) -> bytes:
        self._writer.end()
        return self._outbox.take()

    def close(self) -> None:
        self._writer.close()
        self._outbox.take()


class _Outbox:
    """A file for libav that can't seek, so that bytes already sent are never rewritten."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class _Writer:
    """Writes a file with a codec and a container of libav. Raises ValueError after `end` or `close`."""

    def __init__(self, codec: _LibavFormat, file: _Outbox | BinaryIO) -> None:
        self._codec = codec
        self._container = av.open(file, "w", format=codec.muxer, container_options=codec.muxer_options)
        self._stream = self._container.add_stream(
            codec.encoder,
            rate=SAMPLE_RATE,
            options=dict(codec.encoder_options),
            layout="mono",
            format=codec.sample_format,
            bit_rate=codec.bit_rate,
            thread_count=1,
        )
        self._written = 0
        self._open = True
        self._container.start_encoding()

    def write(self, samples: FloatArray) -> None:
        self._check_open()
        if samples.size:
            self._container.mux(self._stream.encode(self._frame(samples)))
            self._written += samples.size

    def end(self) -> None:
        self._check_open()
        self._container.mux(self._stream.encode(None))
        self.close()

    def close(self) -> None:
        self._open = False
        self._container.close()

    def _check_open(self) -> None:
        if not self._open:  # libav would read memory that it has freed
            raise ValueError("The encoder is closed.")

    def _frame(self, samples: FloatArray) -> av.AudioFrame:
        """Return the frame of a chunk. With one channel, packed and planar formats have the same layout: one row."""
        sample_format = self._codec.sample_format
        row = quantize(samples) if sample_format == "s16" else np.clip(samples, -1.0, 1.0)
        frame = to_frame(row, sample_format=sample_format)
        frame.pts = self._written
        return frame
