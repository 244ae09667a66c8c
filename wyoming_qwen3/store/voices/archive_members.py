"""The files of an archive in and out of a zip file, in memory; knows their names and bounds, not what is in them.

A zip file that is read is not trusted. Only the members that an archive of a voice has are read, one by one and no
further than is allowed, whatever the headers say; nothing is extracted.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence

from wyoming_qwen3.core.checkpoints import SIZES
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge

MAX_BYTES = 50 << 20
"""Of an archive, packed and unpacked alike."""

PARAM = "file"
"""Field of the request that an archive comes in."""


def write_members(members: Mapping[str, bytes]) -> bytes:
    """A zip file, the same for the same members. Nothing is deflated: speech hardly gets smaller.

    Raises TooLarge for more than `read_members` takes.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)  # of 1 January 1980
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.create_system = 3  # Unix, whose file modes these are
            archive.writestr(info, data)
    packed = file.getvalue()
    if len(packed) > MAX_BYTES or any(len(data) > _most_in(name) for name, data in members.items()):
        raise TooLarge(f"The voice does not fit into an archive, which takes {MAX_BYTES >> 20} MiB.")
    return packed


def read_members(data: bytes) -> dict[str, bytes]:
    """The contents of all members by name, which agree with their checksums.

    Names are `manifest.json`, `samples/<1 to 99>.wav` and `prompts/<size>.safetensors`. Raises TooLarge for more,
    larger or better compressed ones than are taken, and InvalidRequest for any others and for what is no whole zip
    file; nothing else, whatever the bytes are.
    """
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members)
            _check_places(members, archive.start_dir)
            return _contents(archive, [member for member in members if member.orig_filename not in _FOLDERS])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OverflowError, ValueError) as error:
        raise InvalidRequest("The archive is damaged.", param=PARAM) from error


_FOLDERS = frozenset({"samples/", "prompts/"})
"""Entries of their own for these are harmless: programs that pack a folder write them."""

_KNOWN = re.compile(
    rf"manifest\.json|samples/[1-9][0-9]?\.wav|prompts/({'|'.join(map(re.escape, SIZES))})\.safetensors"
)

_MAX_MEMBERS = 64

_MAX_RATIO = 100
"""Bytes that one deflated byte may become; a bomb reaches ten times as many."""

_FLAGS = 0b1000_0000_1110
"""What flags may say: how hard it was deflated, that sizes follow it, that its name is UTF-8 (APPNOTE.TXT, 4.4.4)."""

_ENCRYPTED = 0b10_0000_0100_0001

_END = struct.Struct("<4s4H2LH")
"""End of central directory record, without a comment (APPNOTE.TXT, 4.3.16)."""

_HEADER_BYTES = 30
"""Of a member, before its name (APPNOTE.TXT, 4.3.7)."""

_LOCATOR_BYTES = 20
"""Of the zip64 locator that may stand before it (APPNOTE.TXT, 4.3.15)."""


def _check_directory(data: bytes) -> None:
    """Hold the directory to its bounds before it is read, which takes memory for each entry."""
    if len(data) > MAX_BYTES:
        raise TooLarge(f"An archive must not have more than {MAX_BYTES >> 20} MiB.", param=PARAM)
    if len(data) < _END.size or data[:2] != b"PK" or data[-_END.size :][:4] != b"PK\5\6":
        raise InvalidRequest("The file is not a zip archive, or is not whole.", param=PARAM)
    _, disk, first_disk, here, count, size, offset, _ = _END.unpack_from(data, len(data) - _END.size)
    if disk or first_disk or here != count or data[-_END.size - _LOCATOR_BYTES :][:4] == b"PK\6\7":
        raise InvalidRequest("The archive must be a single zip file, not one in parts or of zip64.", param=PARAM)
    if count > _MAX_MEMBERS or size > _MAX_MEMBERS * 1024:
        raise TooLarge(_TOO_MANY, param=PARAM)
    if offset + size + _END.size != len(data):
        raise InvalidRequest("The archive has something before or behind it, or is damaged.", param=PARAM)


_TOO_MANY = f"An archive must not have more than {_MAX_MEMBERS} members."


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS:  # the end of the directory had said fewer
        raise TooLarge(_TOO_MANY, param=PARAM)
    names = [member.orig_filename for member in members]
    if len({name.casefold() for name in names}) < len(names):
        raise InvalidRequest("The archive has two members of the same name.", param=PARAM)
    for member in members:
        name = member.orig_filename
        if name not in _FOLDERS and not (_KNOWN.fullmatch(name) and member.filename == name):
            raise InvalidRequest(
                f"The archive has a member {name[:64]!r}, which does not belong to a voice.", param=PARAM
            )
        _check_kind(member)


def _check_kind(member: zipfile.ZipInfo) -> None:
    name = member.filename
    due = stat.S_IFDIR if name in _FOLDERS else stat.S_IFREG
    says_folder = bool(member.external_attr & 0x10)  # MS-DOS' attribute
    if stat.S_IFMT(member.external_attr >> 16) not in {0, due} or (says_folder and due != stat.S_IFDIR):
        raise InvalidRequest(f"{name} in the archive is a link, a folder or something else than a file.", param=PARAM)
    if member.flag_bits & _ENCRYPTED:
        raise InvalidRequest("The archive is encrypted; it must be open.", param=PARAM)
    if member.flag_bits & ~_FLAGS or member.volume:
        raise InvalidRequest(f"{name} in the archive is packed in a way that is not read.", param=PARAM)
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise InvalidRequest(f"{name} in the archive must be stored or deflated.", param=PARAM)
    if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
        raise InvalidRequest(f"{name} in the archive has two sizes.", param=PARAM)


def _check_places(members: Iterable[zipfile.ZipInfo], end: int) -> None:
    """Have each member end before the next one begins, so that none is longer than it can be and none is read twice."""
    for member in sorted(members, key=lambda member: member.header_offset, reverse=True):
        if member.header_offset + _HEADER_BYTES + len(member.orig_filename) + member.compress_size > end:
            raise InvalidRequest("The archive has members in each other's place, or is damaged.", param=PARAM)
        end = member.header_offset


def _contents(archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    left = MAX_BYTES
    for member in members:
        contents[member.filename] = content = _content(archive, member, left)
        left -= len(content)
    return contents


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int) -> bytes:
    """What is in a member, read until it ends or is more than may be: not even its header is believed."""
    name = member.filename
    most = min(left, _most_in(name), _MAX_RATIO * member.compress_size)
    with archive.open(member) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLarge(f"{name} in the archive is too large, alone or with the others.", param=PARAM)
    if len(content) != member.file_size:
        raise InvalidRequest(f"{name} in the archive is not as long as it says.", param=PARAM)
    return content


def _most_in(name: str) -> int:
    """Bytes that a member may have: of a clip, a minute in 16 bits at 192 kHz."""
    return 24 << 20 if name.startswith("samples/") else 1 << 20
