"""Audio that is kept for a while: uploads, previews, rendered conversations.

Knows no format: what is in a clip, and how long it is, was found out by who adds it. The folder is the only record;
a file's name says its id, length and type, its time when it came.
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
"""The types of clips that are taken."""

_NAME = re.compile(rf"(?P<id>[0-9a-f-]{{36}})_(?P<milliseconds>\d+)\.(?P<extension>{'|'.join(EXTENSIONS)})")


@dataclass(frozen=True)
class StoredClip:
    """One clip: its id, a UUID; the extension of its type; its size, length, and when it came (since 1970)."""

    id: str
    extension: str
    bytes: int
    seconds: float
    created_at: float


class Clips:
    """The clips in one folder, which nobody else writes to. For one event loop, which none of its methods blocks.

    The oldest go when there is no room. What is too old is not given out, and goes when the next one comes.
    """

    def __init__(self, folder: Path, most_bytes: int = 512 * 2**20, keep_seconds: float = 24 * 3600.0) -> None:
        """`most_bytes` bounds all clips together."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._keep_seconds = keep_seconds
        self._clips: dict[str, StoredClip] = {}  # oldest first
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Find what is there, and remove what is too old. Raises StorageFailed."""
        found = await asyncio.to_thread(_find, self._folder)
        self._clips = {clip.id: clip for clip in sorted(found, key=lambda clip: clip.created_at)}
        async with self._changing:
            await self._make_room()

    async def add(self, data: bytes, extension: str, seconds: float) -> StoredClip:
        """Keep a clip of that type and length.

        Raises InvalidRequest for a type that is not taken, TooLarge for what would never fit, and StorageFailed; then
        all others are as they were.
        """
        if extension not in EXTENSIONS:
            raise InvalidRequest(f"A clip must be one of {', '.join(EXTENSIONS)}, not {extension}.")
        if len(data) > self._most_bytes:
            raise TooLarge(f"A clip may have at most {self._most_bytes} bytes, but this one has {len(data)}.")
        clip = StoredClip(str(uuid.uuid4()), extension, len(data), round(seconds, 3), time.time())
        await asyncio.shield(self._add(clip, data))  # a file without its clip would stay
        return clip

    def get(self, clip_id: str) -> StoredClip:
        """One clip. Raises NotFound, also when its time is over."""
        clip = self._clips.get(clip_id)
        if clip is None or self._expired(clip):
            hours = self._keep_seconds / 3600
            raise NotFound(f"There is no clip {clip_id}; it may have expired: clips are kept for {hours:g} hours.")
        return clip

    def path(self, clip_id: str) -> Path:
        """Where its file lies, to be opened soon: it may go at any time. Raises NotFound."""
        return self._path(self.get(clip_id))

    def expires_at(self, clip: StoredClip) -> float:
        """Until when it is given out, in seconds since 1970."""
        return clip.created_at + self._keep_seconds

    async def delete(self, clip_id: str) -> None:
        """Remove one clip. Raises NotFound and StorageFailed."""
        async with self._changing:
            await asyncio.shield(self._remove([self.get(clip_id)]))

    async def _add(self, clip: StoredClip, data: bytes) -> None:
        async with self._changing:
            await asyncio.to_thread(files.write_file, self._path(clip), data)
            self._clips[clip.id] = clip
            await self._make_room()

    async def _make_room(self) -> None:
        """Remove what is too old, and the oldest until the rest fits."""
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
    """The clips in a folder, which is made if need be; what was half-written goes."""
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
