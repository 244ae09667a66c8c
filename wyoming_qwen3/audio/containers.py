"""Recognizes the audio files that are accepted by their first bytes, and limits the tables that libav would build.

Knows the layout of files, not their samples.
"""

import re
from collections.abc import Iterator

import numpy as np

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

ACCEPTED = "a WAV, AIFF, AU, CAF, FLAC, Ogg, MP3, MP4 or M4A (AAC or ALAC), WebM, AAC, AMR or 3GP file"

BROWSERS_CAN_PLAY = frozenset({"wav", "flac", "ogg", "mp3", "aac", "matroska"})
"""Demuxers of files that every browser plays. For MP4 it depends on the codec."""

MAX_STREAMS = 8

_LOSSLESS = {f"pcm_{name}" for name in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw")}
_BIG_ENDIAN = {f"pcm_{name}" for name in ("s8", "s16be", "s24be", "s32be", "f32be", "f64be")}
_COMMON = _LOSSLESS | {"aac", "flac", "mp3", "mp3float", "opus", "vorbis"}
_AMR = {"amrnb", "amrwb"}

_DECODERS = {
    "aiff": _LOSSLESS | _BIG_ENDIAN,
    "amr": _AMR,
    "au": _LOSSLESS | _BIG_ENDIAN,
    "caf": _COMMON | _BIG_ENDIAN | _AMR | {"alac"},
    "mov": _COMMON | _BIG_ENDIAN | _AMR | {"alac"},
}
"""Demuxer -> names of the libav decoders that its files may need. For all other demuxers they are _COMMON."""

_MAGIC = {
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"ID3": "mp3",
    b"\x1aE\xdf\xa3": "matroska",
    b".snd": "au",
    b"caff": "caf",
    b"#!AMR\n": "amr",
    b"#!AMR-WB\n": "amr",
}

_MAX_INDEX_ENTRIES = 1_000_000
"""These take libav 24 MB. A minute of AAC has 2,800."""

_MAX_ALAC_FRAME = 65_536
"""Samples in a packet. libav allocates memory for them before it reads any. Encoders write 4,096."""

_ALAC_COOKIE_BYTES = 36


def sniff(data: bytes) -> str | None:
    """Return the name of the libav demuxer for a file with these first bytes; None if it is not accepted."""
    if data[:4] in {b"RIFF", b"RF64"} and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"FORM" and data[8:12] in {b"AIFF", b"AIFC"}:
        return "aiff"
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


def decoders(demuxer: str) -> set[str]:
    """Return the names of the libav decoders that a file of this demuxer may need."""
    return _DECODERS.get(demuxer, _COMMON)


def probed_decoders(demuxer: str) -> set[str]:
    """Return the decoders that may be opened before `check_cookie` is called."""
    return decoders(demuxer) - {"alac"}


def browsers_can_play(data: bytes) -> bool:
    """Return whether every browser plays this accepted file."""
    demuxer = sniff(data)
    if demuxer != "mov":
        return demuxer in BROWSERS_CAN_PLAY
    index = b"".join(_outside_mdat(data))
    return not any(kind in index for kind in (b"alac", b"samr", b"sawb", b"sowt", b"twos"))


def check_tables(data: bytes, demuxer: str, param: str) -> None:
    """Raise TooLarge if libav would build an index that is too large before it reads any audio.

    Raises InvalidRequest if that can't be determined. `param` is the field of the request.
    """
    entries = 0
    if demuxer == "mov":
        entries = _mp4_index_entries(data)
    elif demuxer == "caf":
        entries = _caf_index_entries(data, param)
    if entries > _MAX_INDEX_ENTRIES:
        raise TooLarge(f"{param} has more packets than a clip may have.", param=param)


def check_cookie(decoder: str, cookie: bytes | None, param: str) -> None:
    """Raise TooLarge if a decoder's configuration makes it allocate too much memory for a packet.

    For ALAC, the number of samples in a packet follows after 12 bytes (Apple's ALACMagicCookieDescription).
    """
    if decoder != "alac" or not cookie or len(cookie) < _ALAC_COOKIE_BYTES:
        return  # libav does not open the decoder without a cookie
    if _u32(cookie, 12) > _MAX_ALAC_FRAME:
        raise TooLarge(f"{param} has more packets than a clip may have.", param=param)


def _caf_index_entries(data: bytes, param: str) -> int:
    """Return the number of packets in the tables of a CAF file (Core Audio Format Specification, "Packet Table").

    Chunks are followed as libav follows them. Only the audio at the end may be a chunk without a length.
    """
    at = 8
    entries = 0
    while at + 12 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 12], signed=True)
        if name == b"data" and size == -1:
            break
        if size <= 0:
            raise InvalidRequest(f"{param} is damaged or is not {ACCEPTED}.", param=param)
        if name == b"pakt":
            entries += int.from_bytes(data[at + 12 : at + 20])
        at += 12 + size
    return entries


def _mp4_index_entries(data: bytes) -> int:
    """Return an upper bound of the samples that the tables of an MP4 file declare (ISO/IEC 14496-12, 8.7 and 8.8).

    libav builds an index of all of them before it reads any, and a table of 20 bytes can declare 4 billion. The tables
    are searched for by name, because following the boxes might miss one.
    """
    index = b"".join(_outside_mdat(data))
    if index.count(b"stsc") > MAX_STREAMS or b"dcomzlib" in index:  # false tables, or compressed ones
        return _MAX_INDEX_ENTRIES + 1
    samples = sum(_numbers(index, b"stsz", 8)) + sum(_numbers(index, b"trun", 4))
    chunks = sum(_numbers(index, b"stco", 4)) + sum(_numbers(index, b"co64", 4))
    return samples + chunks * max(map(_longest_chunk, index.split(b"stsc")[1:]), default=0)


def _numbers(index: bytes, box: bytes, offset: int) -> Iterator[int]:
    """Yield the 32-bit number that is `offset` bytes after the name of each such box."""
    return (_u32(index, found.end() + offset) for found in re.finditer(box, index))


def _longest_chunk(stsc: bytes) -> int:
    """Return the most samples per chunk in a sample-to-chunk table: the second of each three numbers."""
    rows = stsc[8 : 8 + 12 * _u32(stsc, 4)]
    return int(np.frombuffer(rows[: len(rows) // 4 * 4], ">u4")[1::3].max(initial=0))


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4])


def _outside_mdat(data: bytes) -> Iterator[bytes]:
    """Yield everything outside of `mdat` boxes. The media in those may contain any name by chance."""
    at = kept = 0
    while at + 8 <= len(data):
        size, head = _u32(data, at), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        if size < head:  # the last box, or an invalid one
            break
        if data[at + 4 : at + 8] == b"mdat":
            yield data[kept:at]
            kept = at + size
        at += size
    yield data[kept:]
