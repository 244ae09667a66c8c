"""What lies in the folder that voices are dropped into: which files make a voice, and what is in them.

    anna/first.wav  anna/first.txt  anna/second.mp3  anna/second.txt     one voice of several clips
    bob.flac        bob.txt                                              one of a single clip

Each text says, in UTF-8, what the clip of the same name says. All functions wait for the disk: not for an event loop.
Nothing is ever written. Knows neither the store's voices nor what became of an entry before.
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
from wyoming_qwen3.audio.reference import MAX_SECONDS, require_usable
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import SAMPLE_RATE, Reference
from wyoming_qwen3.store.voices.checks import MAX_SAMPLES

Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, its bytes, and when its content and its facts were changed, in nanoseconds."""


@dataclass(frozen=True)
class FolderFile:
    """A plain file, as it was when it was looked at."""

    path: Path
    facts: os.stat_result

    @property
    def stem(self) -> str:
        """Its name without ending, as a clip's and its text's are compared: whatever the case and composition."""
        return _nfc(self.path.stem).casefold()

    @property
    def ending(self) -> str:
        """With the dot, in lower case."""
        return self.path.suffix.lower()


@dataclass(frozen=True)
class FolderEntry:
    """A voice to be. `problem` is one sentence on what is wrong with it without any of it being read."""

    name: str
    """In NFC."""

    clips: tuple[tuple[FolderFile, FolderFile | None], ...]
    """Each with its text, by name."""

    stamp: Stamp
    changed_at: float
    """Seconds since 1970."""

    problem: str | None


@dataclass(frozen=True, eq=False)
class FolderContent:
    """What the files of an entry hold; no recordings where the digest was the known one."""

    digest: str
    recordings: tuple[Reference, ...]


def look(folder: Path) -> list[FolderEntry]:
    """The entries: folders by name, then single clips. Nothing is read but what the file system says of the files.

    Left out are hidden, half-copied and system files, and links that lead out of the folder. Raises OSError.
    """
    root = folder.resolve()
    files, folders = _list(root, root)
    by_stem: dict[str, list[FolderFile]] = {}
    for file in files:
        by_stem.setdefault(file.stem, []).append(file)
    singles = [_entry(group) for group in by_stem.values()]
    return [_folder_entry(path, root) for path in folders] + [entry for entry in singles if entry.clips]


def read(entry: FolderEntry, known: str | None) -> FolderContent:
    """Digest and recordings of an entry without a problem; nothing is decoded if the digest is the `known` one.

    Recordings are at `SAMPLE_RATE`: what is cloned is at that, and more would be kept for nothing. Raises OSError,
    and InvalidRequest for what is no text, or no clip to clone.
    """
    pairs = [(clip, text) for clip, text in entry.clips if text is not None]
    digest = hashlib.sha256()
    for clip, text in pairs:
        digest.update(hashlib.sha256(_bytes(clip, _MAX_BYTES)).digest())
        digest.update(hashlib.sha256(_bytes(text, _MAX_TEXT_BYTES)).digest())
    if digest.hexdigest() == known:
        return FolderContent(known, ())
    return FolderContent(digest.hexdigest(), tuple(_recording(clip, text) for clip, text in pairs))


_MAX_BYTES = 50 << 20
"""In a clip: half a minute of two channels in 32 bits at 192 kHz."""

_MAX_TEXT_BYTES = 1 << 16

_ENDINGS = frozenset(
    ".wav .flac .mp3 .ogg .oga .opus .m4a .mp4 .mov .aac .webm .aif .aiff .aifc .au .snd .caf .amr .awb .3gp".split()
)
"""Of clips, with or without a text. Any other file with a text is taken for one too, whatever then is said of it."""

_LITTER = frozenset("__macosx @eadir #recycle #snapshot $recycle.bin lost+found thumbs.db desktop.ini".split())
"""Of macOS, of network storage and of Windows."""

_UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp", "~")


def _folder_entry(path: Path, root: Path) -> FolderEntry:
    try:
        files, _ = _list(path, root)
        return _entry(files, path)
    except OSError as error:
        return FolderEntry(_nfc(path.name), (), (), 0.0, f"The folder can't be read: {error.strerror}.")


def _list(folder: Path, root: Path) -> tuple[list[FolderFile], list[Path]]:
    """Files and folders in a folder, by name. Raises OSError."""
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
    """Of a file or folder; of a link's target, where that lies in the folder. None of what is gone meanwhile."""
    try:
        if item.is_symlink() and not Path(os.path.realpath(item.path)).is_relative_to(root):
            return None
        return item.stat()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP}:
            return None
        raise


def _entry(files: Sequence[FolderFile], folder: Path | None = None) -> FolderEntry:
    """What the files in a folder make, or those of one stem, at least one."""
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
    if len(clips) > MAX_SAMPLES:
        return f"It has {len(clips)} clips, but a voice has at most {MAX_SAMPLES}."
    for clip, text in clips:
        if text is None:
            return f"{clip.path.name} has no text; put what it says into {clip.path.stem}.txt."
    return None


def _nfc(name: str) -> str:
    """As macOS does not write names, but everybody else does."""
    return unicodedata.normalize("NFC", name)


def _bytes(file: FolderFile, most: int) -> bytes:
    with file.path.open("rb") as opened:
        data = opened.read(most + 1)
    if len(data) > most:
        raise InvalidRequest(f"{file.path.name} must not have more than {most} bytes.")
    return data


def _recording(clip: FolderFile, text: FolderFile) -> Reference:
    name = clip.path.name
    said = _text(text, name)
    sound = read_clip(_bytes(clip, _MAX_BYTES), max_seconds=MAX_SECONDS, param=name, sample_rate=SAMPLE_RATE)
    try:
        require_usable(sound.samples, sound.sample_rate, said, name)
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error}") from error
    return Reference(sound.samples, sound.sample_rate, said)


def _text(file: FolderFile, clip: str) -> str:
    try:
        text = " ".join(_bytes(file, _MAX_TEXT_BYTES).decode("utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file.path.name} must be UTF-8.") from error
    if not text:
        raise InvalidRequest(f"{file.path.name} is empty; write into it what {clip} says.")
    return text
