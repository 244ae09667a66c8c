"""Reads the folder that voices are dropped into: which files make up a voice, and what they contain.

    anna/first.wav  anna/first.txt  anna/second.mp3  anna/second.txt     one voice of several clips
    bob.flac        bob.txt                                              one of a single clip

Each text file contains, in UTF-8, the words of the clip of the same name. All functions wait for the disk, so don't
call them on an event loop. Nothing is ever written. Knows neither the store's voices nor earlier scans.
"""

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from wyoming_qwen3.audio.decode import read_clip
from wyoming_qwen3.audio.reference import RECORDING_SECONDS, require_usable, try_recording
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import SAMPLE_RATE, Reference
from wyoming_qwen3.store.voices.checks import MAX_VOICE_CLIPS

Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""For each file: path, size in bytes, and the times of its last content and metadata changes, in nanoseconds."""


@dataclass(frozen=True)
class FolderFile:
    """A regular file, with its metadata at the time of the look."""

    path: Path
    facts: os.stat_result

    @property
    def stem(self) -> str:
        """Name without extension, in NFC and case-folded. A clip and its text have the same."""
        return _nfc(self.path.stem).casefold()

    @property
    def ending(self) -> str:
        """Extension with the dot, in lower case."""
        return self.path.suffix.lower()


@dataclass(frozen=True)
class FolderEntry:
    """The files that make up one voice."""

    name: str
    """Name of the voice, in NFC."""

    clips: tuple[tuple[FolderFile, FolderFile | None], ...]
    """Each clip with its text file, None if that is missing; sorted by name."""

    stamp: Stamp
    changed_at: float
    """Time of the last change, in seconds since 1970."""

    problem: str | None
    """What is wrong with the entry, in one sentence, as far as it shows without reading the files; None if nothing."""


@dataclass(frozen=True, eq=False)
class FolderContent:
    """The content of an entry's files; no recordings if the digest is the known one."""

    digest: str
    recordings: tuple[Reference, ...]
    cuts: tuple[str, ...] = ()
    """A sentence for each recording of which only a part is used."""


def look(folder: Path) -> list[FolderEntry]:
    """Return the entries: folders by name, then single clips. Reads only the metadata of the files.

    Hidden, half-copied and system files are left out, as are links that lead out of the folder. Raises OSError if the
    folder can't be read.
    """
    root = folder.resolve()
    files, folders = _list(root, root)
    by_stem: dict[str, list[FolderFile]] = {}
    for file in files:
        by_stem.setdefault(file.stem, []).append(file)
    singles = [_entry(group) for group in by_stem.values()]
    return [_folder_entry(path, root) for path in folders] + [entry for entry in singles if entry.clips]


def read(entry: FolderEntry, known: str | None) -> FolderContent:
    """Return the digest and the recordings of an entry without a problem.

    If the digest is the `known` one, nothing is decoded. Recordings are at `SAMPLE_RATE`, the rate of what is cloned; a
    higher one would take space without benefit. Raises OSError if a file can't be read, and InvalidRequest if a text is
    no text or a clip can't be cloned. Of a recording of more than half a minute the best part is used.
    """
    pairs = [(clip, text) for clip, text in entry.clips if text is not None]
    digest = hashlib.sha256()
    for clip, text in pairs:
        digest.update(hashlib.sha256(_bytes(clip, _MAX_BYTES)).digest())
        digest.update(hashlib.sha256(_bytes(text, _MAX_TEXT_BYTES)).digest())
    if digest.hexdigest() == known:
        return FolderContent(known, ())
    read_pairs = [_recording(clip, text) for clip, text in pairs]
    recordings, cuts = zip(*read_pairs, strict=True)
    return FolderContent(digest.hexdigest(), recordings, tuple(filter(None, cuts)))


_MAX_BYTES = 50 << 20
"""Largest clip file: half a minute of two channels in 32 bits at 192 kHz, five minutes of one in 24 bits at 48 kHz."""

_MAX_TEXT_BYTES = 1 << 16

_ENDINGS = frozenset(
    ".wav .flac .mp3 .ogg .oga .opus .m4a .mp4 .mov .aac .webm .aif .aiff .aifc .au .snd .caf .amr .awb .3gp".split()
)
"""Extensions of clips, with or without a text. Any other file that has a text counts as a clip too."""

_LITTER = frozenset("__macosx @eadir #recycle #snapshot $recycle.bin lost+found thumbs.db desktop.ini".split())
"""Files and folders that macOS, network storage and Windows create."""

_UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp", "~")


def _folder_entry(path: Path, root: Path) -> FolderEntry:
    try:
        files, _ = _list(path, root)
        return _entry(files, path)
    except OSError as error:
        return FolderEntry(_nfc(path.name), (), (), 0.0, f"The folder can't be read: {error.strerror}.")


def _list(folder: Path, root: Path) -> tuple[list[FolderFile], list[Path]]:
    """Return the files and folders in a folder, sorted by name. Raises OSError."""
    files, folders = [], []
    with os.scandir(folder) as found:
        for item in sorted(found, key=lambda item: item.name):
            facts = None if _is_litter(item.name) else _facts(item, root)
            if facts is not None and stat.S_ISDIR(facts.st_mode):
                folders.append(Path(item.path))
            elif facts is not None and stat.S_ISREG(facts.st_mode):
                files.append(FolderFile(Path(item.path), facts))
    return files, folders


def _is_litter(name: str) -> bool:
    name = name.lower()
    return name.startswith((".", "~")) or name.endswith(_UNFINISHED) or name in _LITTER or ".sync-conflict-" in name


def _facts(item: "os.DirEntry[str]", root: Path) -> os.stat_result | None:
    """Return the metadata of a file or folder, or of a link's target.

    None if the item is gone meanwhile, or if it is a link that leads out of `root`.
    """
    try:
        if item.is_symlink() and not Path(os.path.realpath(item.path)).is_relative_to(root):
            return None
        return item.stat()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP}:
            return None
        raise


def _entry(files: Sequence[FolderFile], folder: Path | None = None) -> FolderEntry:
    """Return the entry that the files in `folder` make up; without it, that of one or more files with the same stem."""
    texts = {file.stem: file for file in files if file.ending == ".txt"}
    others = [file for file in files if file.ending != ".txt"]
    clips = tuple((file, texts.get(file.stem)) for file in others if file.ending in _ENDINGS or file.stem in texts)
    used = [file for pair in clips for file in pair if file is not None]
    times = [max(file.facts.st_mtime, file.facts.st_ctime) for file in used]
    return FolderEntry(
        name=_nfc(folder.name if folder else [*others, *files][0].path.stem),
        clips=clips,
        stamp=tuple(
            (str(file.path), file.facts.st_size, file.facts.st_mtime_ns, file.facts.st_ctime_ns) for file in used
        ),
        changed_at=max([*times, folder.stat().st_mtime if folder else 0.0]),
        problem=_problem(clips),
    )


def _problem(clips: Sequence[tuple[FolderFile, FolderFile | None]]) -> str | None:
    if not clips:
        return "There is no clip in it; put one there, and a .txt of the same name that says what the clip says."
    if len(clips) > MAX_VOICE_CLIPS:
        return f"It has {len(clips)} clips, but a voice has at most {MAX_VOICE_CLIPS}."
    for clip, text in clips:
        if text is None:
            return f"{clip.path.name} has no text; write what it says to {clip.path.stem}.txt."
    return None


def _nfc(name: str) -> str:
    """Return the name in NFC, as most systems write names; macOS does not."""
    return unicodedata.normalize("NFC", name)


def _bytes(file: FolderFile, most: int) -> bytes:
    with file.path.open("rb") as opened:
        data = opened.read(most + 1)
    if len(data) > most:
        raise InvalidRequest(f"{file.path.name} must not have more than {most} bytes.")
    return data


def _recording(clip: FolderFile, text: FolderFile) -> tuple[Reference, str]:
    """Return what is cloned of a clip, and what of it is left out as a sentence, "" if nothing."""
    name = clip.path.name
    said = _text(text, name)
    sound = read_clip(_bytes(clip, _MAX_BYTES), max_seconds=RECORDING_SECONDS, param=name, sample_rate=SAMPLE_RATE)
    tried = try_recording(sound.samples, sound.sample_rate, said)
    require_usable(tried.findings, name)
    cuts = [finding.message for finding in tried.findings if finding.code in ("cut", "timbre")]
    return Reference(tried.samples, sound.sample_rate, tried.text), " ".join([f"{name}:", *cuts]) if cuts else ""


def _text(file: FolderFile, clip: str) -> str:
    try:
        text = " ".join(_bytes(file, _MAX_TEXT_BYTES).decode("utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file.path.name} must be UTF-8.") from error
    if not text:
        raise InvalidRequest(f"{file.path.name} is empty; write what {clip} says into it.")
    return text
