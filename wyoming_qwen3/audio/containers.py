"""Which files are taken for clips, told by their first bytes, and bounds on what libav would build of their tables.

Knows the layout of files, and no samples.
"""

import re
from collections.abc import Iterator

import numpy as np

from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

ACCEPTED = "a WAV, AIFF, AU, CAF, FLAC, Ogg, MP3, MP4 or M4A (AAC or ALAC), WebM, AAC, AMR or 3GP file"

BROWSERS_CAN_PLAY = frozenset({"wav", "flac", "ogg", "mp3", "aac", "matroska"})
"""Demuxers of files that every browser plays; of MP4 it depends on the codec."""

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
"""Names of libav's decoders for what may be in a file; those of all other demuxers are _COMMON."""

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
"""24 MB of libav's memory; a minute of AAC has 2,800."""

_MAX_ALAC_FRAME = 65_536
"""Samples of a packet, for which libav takes memory before it has read one; encoders write 4,096."""

_ALAC_COOKIE_BYTES = 36


def sniff(data: bytes) -> str | None:
    """Name of the libav demuxer for a file that begins like this, None for one that is not accepted."""
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
    """Names of the libav decoders that a file of this kind may need."""
    return _DECODERS.get(demuxer, _COMMON)


def probed_decoders(demuxer: str) -> set[str]:
    """Those that may be opened before `check_cookie` was asked."""
    return decoders(demuxer) - {"alac"}


def browsers_can_play(data: bytes) -> bool:
    """Whether every browser plays a file that is accepted."""
    demuxer = sniff(data)
    if demuxer != "mov":
        return demuxer in BROWSERS_CAN_PLAY
    index = b"".join(_outside_mdat(data))
    return not any(kind in index for kind in (b"alac", b"samr", b"sawb", b"sowt", b"twos"))


def check_tables(data: bytes, demuxer: str, param: str) -> None:
    """Raise TooLarge where libav would build too large an index of a file before anything is read.

    Raises InvalidRequest where that can't be told. `param` names the field of the request.
    """
    entries = 0
    if demuxer == "mov":
        entries = _mp4_index_entries(data)
    elif demuxer == "caf":
        entries = _caf_index_entries(data, param)
    if entries > _MAX_INDEX_ENTRIES:
        raise TooLarge(f"{param} has more parts than a clip can have.", param=param)


def check_cookie(decoder: str, cookie: bytes | None, param: str) -> None:
    """Raise TooLarge where a decoder's own data has it take memory for packets beyond measure.

    Of ALAC's, the number of samples in a packet stands behind 12 bytes (Apple's ALACMagicCookieDescription).
    """
    if decoder != "alac" or not cookie or len(cookie) < _ALAC_COOKIE_BYTES:
        return  # without one libav doesn't open it
    if _u32(cookie, 12) > _MAX_ALAC_FRAME:
        raise TooLarge(f"{param} has more parts than a clip can have.", param=param)


def _caf_index_entries(data: bytes, param: str) -> int:
    """How many packets the tables of a CAF file declare (Apple's Core Audio Format Specification, "Packet Table").

    Chunks are walked to as libav does. One without a length may only be the sound at the end.
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
    """Upper bound of how many samples the tables of an MP4 file declare (ISO/IEC 14496-12, 8.7 and 8.8).

    libav builds an index of them all before anything is read, and a table of 20 bytes can declare 4 billion. The
    tables are searched for, not walked to, so that nothing which a walk might miss is missed.
    """
    index = b"".join(_outside_mdat(data))
    if index.count(b"stsc") > MAX_STREAMS or b"dcomzlib" in index:  # decoys, or tables that are compressed
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
