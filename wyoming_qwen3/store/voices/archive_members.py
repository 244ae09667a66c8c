"""Reads and writes the members of an archive of a voice as a zip file in memory.

Knows the names and the maximum sizes of the members, not their content. A zip file is not trusted: only these members
are read, one by one and up to a limit, whatever the headers say. Nothing is extracted to disk.
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
"""Maximum size of an archive, both packed and unpacked."""

PARAM = "file"
"""Field of the request that contains an archive."""


def write_members(members: Mapping[str, bytes]) -> bytes:
    """Return a zip file, with the same bytes for the same members. Nothing is compressed: speech hardly gets smaller.

    Raises TooLarge if it is larger than `read_members` accepts.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)  # dated 1 January 1980
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.create_system = 3  # Unix, for the file mode
            archive.writestr(info, data)
    packed = file.getvalue()
    if len(packed) > MAX_BYTES or any(len(data) > _most_in(name) for name, data in members.items()):
        raise TooLarge(f"The voice is too large for an archive, which may have {MAX_BYTES >> 20} MiB.")
    return packed


def read_members(data: bytes) -> dict[str, bytes]:
    """Return the contents of all members by name. Their checksums are right.

    Names are `manifest.json`, `samples/<1 to 99>.wav` and `prompts/<size>.safetensors`. Raises TooLarge if members are
    too many, too large or compressed too much, and InvalidRequest for any other name or if it is not a complete zip
    file. No other error is raised, whatever the bytes are.
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
"""Members that are ignored: programs that pack a folder write them."""

_KNOWN = re.compile(
    rf"manifest\.json|samples/[1-9][0-9]?\.wav|prompts/({'|'.join(map(re.escape, SIZES))})\.safetensors"
)

_MAX_MEMBERS = 64

_MAX_RATIO = 100
"""Maximum ratio of uncompressed to compressed bytes. A zip bomb reaches ten times as much."""

_FLAGS = 0b1000_0000_1110
"""Accepted flags: the level of compression, sizes after the data, a name in UTF-8 (APPNOTE.TXT, 4.4.4)."""

_ENCRYPTED = 0b10_0000_0100_0001

_END = struct.Struct("<4s4H2LH")
"""End of central directory record, without a comment (APPNOTE.TXT, 4.3.16)."""

_HEADER_BYTES = 30
"""Size of a member's header before its name (APPNOTE.TXT, 4.3.7)."""

_LOCATOR_BYTES = 20
"""Size of the zip64 locator that may precede the end record (APPNOTE.TXT, 4.3.15)."""


def _check_directory(data: bytes) -> None:
    """Check the size of the directory before it is read, which takes memory for each entry."""
    if len(data) > MAX_BYTES:
        raise TooLarge(f"An archive must not have more than {MAX_BYTES >> 20} MiB.", param=PARAM)
    if len(data) < _END.size or data[:2] != b"PK" or data[-_END.size :][:4] != b"PK\5\6":
        raise InvalidRequest("The file is not a zip archive, or is incomplete.", param=PARAM)
    _, disk, first_disk, here, count, size, offset, _ = _END.unpack_from(data, len(data) - _END.size)
    if disk or first_disk or here != count or data[-_END.size - _LOCATOR_BYTES :][:4] == b"PK\6\7":
        raise InvalidRequest("The archive must be a single zip file, not in parts or in zip64 format.", param=PARAM)
    if count > _MAX_MEMBERS or size > _MAX_MEMBERS * 1024:
        raise TooLarge(_TOO_MANY, param=PARAM)
    if offset + size + _END.size != len(data):
        raise InvalidRequest("The archive has data before or after it, or is damaged.", param=PARAM)


_TOO_MANY = f"An archive must not have more than {_MAX_MEMBERS} members."


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS:  # the end record may declare fewer
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
    says_folder = bool(member.external_attr & 0x10)  # the attribute of MS-DOS
    if stat.S_IFMT(member.external_attr >> 16) not in {0, due} or (says_folder and due != stat.S_IFDIR):
        raise InvalidRequest(f"{name} in the archive is a link, a folder or another special file.", param=PARAM)
    if member.flag_bits & _ENCRYPTED:
        raise InvalidRequest("The archive must not be encrypted.", param=PARAM)
    if member.flag_bits & ~_FLAGS or member.volume:
        raise InvalidRequest(f"{name} in the archive is packed in a way that is not supported.", param=PARAM)
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise InvalidRequest(f"{name} in the archive must be stored or deflated.", param=PARAM)
    if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
        raise InvalidRequest(f"{name} in the archive has two different sizes.", param=PARAM)


def _check_places(members: Iterable[zipfile.ZipInfo], end: int) -> None:
    """Check that each member ends before the next one starts, so that no data is read twice."""
    for member in sorted(members, key=lambda member: member.header_offset, reverse=True):
        if member.header_offset + _HEADER_BYTES + len(member.orig_filename) + member.compress_size > end:
            raise InvalidRequest("The archive has overlapping members, or is damaged.", param=PARAM)
        end = member.header_offset


def _contents(archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    left = MAX_BYTES
    for member in members:
        contents[member.filename] = content = _content(archive, member, left)
        left -= len(content)
    return contents


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int) -> bytes:
    """Return the content of a member. It is read up to its limit, whatever size its header declares."""
    name = member.filename
    most = min(left, _most_in(name), _MAX_RATIO * member.compress_size)
    with archive.open(member) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLarge(f"{name} in the archive is too large, alone or with the others.", param=PARAM)
    if len(content) != member.file_size:
        raise InvalidRequest(f"{name} in the archive does not have the size in its header.", param=PARAM)
    return content


def _most_in(name: str) -> int:
    """Return the maximum size of a member in bytes. For a clip, it is a minute in 16 bits at 192 kHz."""
    return 24 << 20 if name.startswith("samples/") else 1 << 20
