"""Voices from a folder: a clip or subfolder that a person puts there becomes a voice; removing it deletes the voice.

    anna/first.wav  anna/first.txt  anna/second.mp3  anna/second.txt     one voice of several clips
    bob.flac        bob.txt                                              one of a single clip

Each text file contains, in UTF-8, the words of the clip of the same name. The folder is only read, never written to.
Knows neither protocols nor the engine.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.core.errors import InvalidRequest, SpeechError
from wyoming_qwen3.core.speakers import voice_key
from wyoming_qwen3.store.voices.checks import check_name
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import KeptVoice, Manner

from .folder_content import FolderContent, FolderEntry, Stamp, look, read

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderProblem:
    """Why an entry of the folder did not become a voice, or only in part, or its voice was not updated."""

    entry: str
    message: str


class WatchedFolder:
    """Keeps a profile in the store for each entry of a folder, and updates it when the entry changes.

    A profile's ID, name and manner stay when its clips change. If an entry has a problem, its voice stays as it was.
    While the folder itself is missing, like a share that is not mounted, all voices stay.
    """

    def __init__(self, folder: Path, store: VoiceStore, quiet_seconds: float = 2.0) -> None:
        """An entry that changed less than `quiet_seconds` ago may be incomplete, and waits for a later scan."""
        self._folder = folder
        self._store = store
        self._quiet_seconds = quiet_seconds
        self._problems: tuple[FolderProblem, ...] = ()
        self._first_seen: dict[str, tuple[Stamp, float]] = {}
        self._settled: dict[str, tuple[Stamp, str | None]] = {}
        self._scanning = asyncio.Lock()

    @property
    def problems(self) -> list[FolderProblem]:
        """The problems that the last scan found."""
        return list(self._problems)

    async def run(self, interval: float = 10.0) -> None:
        """Scan forever, with a pause of `interval` seconds after each scan."""
        while True:
            await self.scan()
            await asyncio.sleep(interval)

    async def scan(self) -> list[FolderProblem]:
        """Update the store's voices from the folder. Return all problems, and log those that are new.

        Of an entry that has not changed, only the sizes and times of the files are read.
        """
        async with self._scanning:
            try:
                entries = await asyncio.to_thread(look, self._folder)
            except FileNotFoundError:
                found: list[FolderProblem] = []
            except OSError as error:
                found = [FolderProblem(self._folder.name, f"The folder can't be read: {error.strerror}.")]
            else:
                found = [*await self._forget(entries), *await self._mirror_all(entries)]
            known = set(self._problems)
            for problem in found:
                if problem not in known:
                    _LOGGER.warning("%s in the folder of voices: %s", problem.entry, problem.message)
            self._problems = tuple(found)
            return found

    async def _forget(self, entries: Sequence[FolderEntry]) -> list[FolderProblem]:
        """Delete the voices whose entries are gone."""
        names = {entry.name for entry in entries}
        self._first_seen = {name: seen for name, seen in self._first_seen.items() if name in names}
        self._settled = {name: settled for name, settled in self._settled.items() if name in names}
        problems = []
        for voice in self._store.all():
            if voice.folder is not None and voice.folder not in names:
                try:
                    await self._store.delete(voice.id)
                except SpeechError as error:
                    problems.append(FolderProblem(voice.folder, str(error)))
                else:
                    _LOGGER.info("The voice %s was deleted: its entry in the folder of voices is gone", voice.name)
        return problems

    async def _mirror_all(self, entries: Sequence[FolderEntry]) -> list[FolderProblem]:
        mirrors = {voice.folder: voice for voice in self._store.all()}
        problems, keys = [], set()
        for entry in entries:
            key = voice_key(entry.name)
            if key in keys:
                message: str | None = f"Two entries are named {entry.name!r}; rename one."
            else:
                message = await self._mirror(entry, mirrors.get(entry.name))
            keys.add(key)
            if message is not None:
                problems.append(FolderProblem(entry.name, message))
            await asyncio.sleep(0)  # there may be thousands
        return problems

    async def _mirror(self, entry: FolderEntry, voice: KeptVoice | None) -> str | None:
        """Update the store from an entry if that has changed. Return what is wrong with it or left out, if anything."""
        if not self._is_quiet(entry):
            return None
        message = entry.problem or (self._name_problem(entry.name) if voice is None else None)
        if message is not None:
            return message
        stamp, message = self._settled.get(entry.name, (None, None))
        if stamp == entry.stamp and (voice is not None or message is not None):
            return message
        try:
            content = await asyncio.to_thread(read, entry, voice.digest if voice else None)
        except FileNotFoundError:  # deleted just now
            return None
        except OSError as error:
            return f"It can't be read: {error.strerror}."
        except InvalidRequest as error:
            self._settled[entry.name] = entry.stamp, str(error)
            return str(error)
        try:
            await self._keep(entry.name, voice, content)
        except SpeechError as error:  # of the store, not of the entry: the next scan tries again
            return str(error)
        cuts = " ".join(content.cuts) or None
        self._settled[entry.name] = entry.stamp, cuts
        return cuts

    def _is_quiet(self, entry: FolderEntry) -> bool:
        """Return whether the entry is no longer written to.

        Both the files' times and our own clock are used, as the files' times may come from another clock; one suffices.
        """
        now = time.monotonic()
        stamp, since = self._first_seen.get(entry.name, (None, now))
        if stamp != entry.stamp:
            self._first_seen[entry.name] = entry.stamp, now
            since = now
        return now - since >= self._quiet_seconds or time.time() - entry.changed_at >= self._quiet_seconds

    def _name_problem(self, name: str) -> str | None:
        try:
            check_name(name)
        except InvalidRequest as error:
            return str(error)
        taken = self._store.find(name)
        return f"There is another voice {taken.name!r} already; choose another name." if taken else None

    async def _keep(self, name: str, voice: KeptVoice | None, content: FolderContent) -> None:
        digest, recordings = content.digest, content.recordings
        if voice is None:
            await self._store.create(name, "profile", Manner(), recordings, folder=name, digest=digest)
            _LOGGER.info("The voice %s was added from the folder of voices", name)
        elif digest != voice.digest:
            await self._store.replace_samples(voice.id, recordings, digest)
            _LOGGER.info("The clips of the voice %s were replaced", voice.name)
