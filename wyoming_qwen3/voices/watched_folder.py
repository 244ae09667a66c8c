"""Voices by way of a folder: what a person puts there can be spoken with, what is taken away is gone.

    anna/first.wav  anna/first.txt  anna/second.mp3  anna/second.txt     one voice of several clips
    bob.flac        bob.txt                                              one of a single clip

Each text says, in UTF-8, what the clip of the same name says. The folder is only read, never written to. Knows neither
protocols nor the engine.
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
    """One sentence on why an entry of the folder is no voice, or its voice is still as the entry was before."""

    entry: str
    message: str


class WatchedFolder:
    """Keeps a profile in the store for each entry of a folder, and has it follow what is in there.

    A profile's id, name and manner stay when its clips change. An entry with a problem leaves its voice as it was.
    While the folder itself is not there, like a share that is not mounted, all voices stay.
    """

    def __init__(self, folder: Path, store: VoiceStore, quiet_seconds: float = 2.0) -> None:
        """What somebody has written to less than `quiet_seconds` ago is perhaps not whole, and waits."""
        self._folder = folder
        self._store = store
        self._quiet_seconds = quiet_seconds
        self._problems: tuple[FolderProblem, ...] = ()
        self._first_seen: dict[str, tuple[Stamp, float]] = {}
        self._settled: dict[str, tuple[Stamp, str | None]] = {}
        self._scanning = asyncio.Lock()

    @property
    def problems(self) -> list[FolderProblem]:
        """What the last scan found."""
        return list(self._problems)

    async def run(self, interval: float = 10.0) -> None:
        """Scan for ever, so many seconds apart."""
        while True:
            await self.scan()
            await asyncio.sleep(interval)

    async def scan(self) -> list[FolderProblem]:
        """Bring the store's voices in line with the folder; gives its problems, and logs those that are new.

        Of an entry that is as it was, only the files' sizes and times are looked at.
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
                    _LOGGER.warning("%s among the dropped voices: %s", problem.entry, problem.message)
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
                    _LOGGER.info("The voice %s is gone, as what was dropped is", voice.name)
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
        """Have the store follow an entry, if it is another than before. Gives what is wrong with it."""
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
        except FileNotFoundError:  # taken away just now
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
        self._settled[entry.name] = entry.stamp, None
        return None

    def _is_quiet(self, entry: FolderEntry) -> bool:
        """Whether nobody writes to it any more, by the files' times or, where that clock is another, by ours."""
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
            _LOGGER.info("The voice %s was found among the dropped ones", name)
        elif digest != voice.digest:
            await self._store.replace_samples(voice.id, recordings, digest)
            _LOGGER.info("The voice %s has other clips now", voice.name)
