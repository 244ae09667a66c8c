"""Stores audio for a limited time: uploads, previews and rendered conversations.

Knows no audio format: the caller passes a clip's type and length. There is no record besides the folder. A file's name
contains the clip's ID, length and type; its modification time is when the clip was added.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.core.errors import InvalidRequest, NotFound, TooLarge

from . import files

EXTENSIONS = ("aac", "flac", "m4a", "mp3", "mp4", "ogg", "opus", "pcm", "wav", "webm")
"""Types of clips that are accepted."""

_NAME = re.compile(rf"(?P<id>[0-9a-f-]{{36}})_(?P<milliseconds>\d+)\.(?P<extension>{'|'.join(EXTENSIONS)})")


@dataclass(frozen=True)
class StoredClip:
    """A clip: its ID, a UUID; the extension of its type; its size; its length; and when it was added, since 1970."""

    id: str
    extension: str
    bytes: int
    seconds: float
    created_at: float


class Clips:
    """The clips in a folder to which nothing else writes. For one event loop; no method blocks it.

    When the folder is full, the oldest clips are removed. Expired clips are no longer available, and are removed when
    the next clip is added.
    """

    def __init__(self, folder: Path, most_bytes: int = 512 * 2**20, keep_seconds: float = 24 * 3600.0) -> None:
        """`most_bytes` is the maximum size of all clips together."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._keep_seconds = keep_seconds
        self._clips: dict[str, StoredClip] = {}  # oldest first
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Read the folder and remove expired clips. Raises StorageFailed."""
        found = await asyncio.to_thread(_find, self._folder)
        self._clips = {clip.id: clip for clip in sorted(found, key=lambda clip: clip.created_at)}
        async with self._changing:
            await self._make_room()

    async def add(self, data: bytes, extension: str, seconds: float) -> StoredClip:
        """Store a clip of the type `extension`.

        Raises InvalidRequest for a type that is not accepted, TooLarge for a clip that would never fit, and
        StorageFailed. Other clips are not changed then.
        """
        if extension not in EXTENSIONS:
            raise InvalidRequest(f"A clip must be one of {', '.join(EXTENSIONS)}, not {extension}.")
        if len(data) > self._most_bytes:
            raise TooLarge(f"A clip may have at most {self._most_bytes} bytes, but this one has {len(data)}.")
        clip = StoredClip(str(uuid.uuid4()), extension, len(data), round(seconds, 3), time.time())
        await asyncio.shield(self._add(clip, data))  # else the file would stay, without a clip
        return clip

    def get(self, clip_id: str) -> StoredClip:
        """Return a clip. Raises NotFound, also if it has expired."""
        clip = self._clips.get(clip_id)
        if clip is None or self._expired(clip):
            hours = self._keep_seconds / 3600
            raise NotFound(f"There is no clip {clip_id}; it may have expired: clips are kept for {hours:g} hours.")
        return clip

    def path(self, clip_id: str) -> Path:
        """Return the path of a clip's file, which may be removed at any time. Raises NotFound."""
        return self._path(self.get(clip_id))

    def expires_at(self, clip: StoredClip) -> float:
        """Return when a clip expires, in seconds since 1970."""
        return clip.created_at + self._keep_seconds

    async def delete(self, clip_id: str) -> None:
        """Remove a clip. Raises NotFound and StorageFailed."""
        async with self._changing:
            await asyncio.shield(self._remove([self.get(clip_id)]))

    async def _add(self, clip: StoredClip, data: bytes) -> None:
        async with self._changing:
            await asyncio.to_thread(files.restore_folder, self._folder)
            await asyncio.to_thread(files.write_file, self._path(clip), data)
            self._clips[clip.id] = clip
            await self._make_room()

    async def _make_room(self) -> None:
        """Remove expired clips, and the oldest ones until the rest fits."""
        room = self._most_bytes - sum(clip.bytes for clip in self._clips.values())
        leaving = []
        for clip in self._clips.values():
            if room >= 0 and not self._expired(clip):
                break
            leaving.append(clip)
            room += clip.bytes
        await self._remove(leaving)

    async def _remove(self, clips: Iterable[StoredClip]) -> None:
        for clip in clips:
            await asyncio.to_thread(_unlink, self._path(clip))
            del self._clips[clip.id]

    def _expired(self, clip: StoredClip) -> bool:
        return self.expires_at(clip) < time.time()

    def _path(self, clip: StoredClip) -> Path:
        return self._folder / f"{clip.id}_{round(clip.seconds * 1000)}.{clip.extension}"


def _find(folder: Path) -> list[StoredClip]:
    """Return the clips in a folder. Create it if needed, and remove incomplete files."""
    found = []
    with files.storing():
        folder.mkdir(parents=True, exist_ok=True)
        files.sweep(folder)
        for path in folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                state = path.stat()
                found.append(
                    StoredClip(
                        match["id"],
                        match["extension"],
                        state.st_size,
                        int(match["milliseconds"]) / 1000,
                        state.st_mtime,
                    )
                )
    return found


def _unlink(path: Path) -> None:
    with files.storing():
        path.unlink(missing_ok=True)
