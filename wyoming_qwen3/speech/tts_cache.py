"""Has the standby voice's speech removed from Home Assistant's TTS cache.

Home Assistant caches the speech of a whole text on disk and never asks for that text again, so it would play what the
standby voice spoke while Qwen3 could not for ever. As soon as Qwen3 can speak, Home Assistant is therefore asked to
clear its cache, or a person is told to do that. Knows neither how Home Assistant is asked nor how the note is shown.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.core.errors import StorageFailed
from wyoming_qwen3.ops.supervisor import CallFailed, Supervisor
from wyoming_qwen3.store.files import storing

from .report import Report

_LOGGER = logging.getLogger(__name__)

NOTE = (
    "The standby voice spoke while Qwen3 could not, and Home Assistant goes on playing that speech for the same texts: "
    "call its action tts.clear_cache (Developer tools > Actions)."
)
"""What a person should do if the server can't do it."""

CLEAN, STALE, TOLD = b"clean\n", b"stale\n", b"told.\n"
"""Contents of the file.

`CLEAN`: the cache holds no speech of the standby voice. `STALE`: it may. `TOLD`: it may, and a person was told so. All
have the same length, so that the file never shrinks while a backup reads it. Anything else counts as `STALE`.
"""


def retry_pause(failures: int) -> float | None:
    """Return the seconds to wait after `failures` failed calls in a row; None to give up, after half an hour in all.

    Home Assistant takes a minute to restart, and longer for an update.
    """
    return None if failures > 11 else min(5.0 * 2.0 ** (failures - 1), 300.0)


@dataclass(frozen=True)
class Timing:
    """Waiting times, in seconds."""

    look: float = 2.0
    """Time between two checks whether Qwen3 can speak."""

    settle: float = 5.0
    """Time after the standby voice's last speech: Home Assistant caches speech only when it has ended."""

    retry_pause: Callable[[int], float | None] = retry_pause


class TtsCache:
    """Notes when the standby voice speaks and, while `run` runs, has the cache cleared once Qwen3 can speak.

    `file` stores across restarts whether there is something to clear. `can_speak` returns whether Qwen3 can speak now.
    Without a `supervisor`, a person is told what to do, in the log and by `note`.
    """

    def __init__(
        self, file: Path, can_speak: Callable[[], bool], supervisor: Supervisor | None, timing: Timing | None = None
    ) -> None:
        self._file = file
        self._can_speak = can_speak
        self._supervisor = supervisor
        self._timing = timing or Timing()
        self._stale = asyncio.Event()
        """Set while the cache may hold speech of the standby voice and nothing has been done about it."""

        self._told = False
        self._texts = 0
        """How many texts the standby voice has spoken."""

        self._last_speech = float("-inf")
        """When the standby voice last finished a text, by the event loop's clock."""

        self._written: bytes | None = None
        self._writing = asyncio.Lock()

    @property
    def note(self) -> str | None:
        """A sentence that says what a person should do; None if there is nothing to do or the note was dismissed."""
        return NOTE if self._told else None

    def spoke(self, source: str, report: Report) -> None:
        """Note that an utterance is over. Only those that the standby voice spoke to the end over Wyoming count."""
        if (source, report.model, report.outcome) == ("wyoming", "standby", "whole"):
            self._texts += 1
            self._last_speech = asyncio.get_running_loop().time()
            self._stale.set()

    async def dismiss(self) -> None:
        """Remove the note, because a person has done what it says or does not want to see it."""
        self._told = False
        await self._write()

    async def run(self) -> None:
        """Clear the cache, or tell a person to, whenever it is needed and Qwen3 can speak. Runs until cancelled."""
        await self._read()
        while True:
            await self._stale.wait()
            await self._write()
            if self._is_time():
                await self._act()
            else:
                await asyncio.sleep(self._timing.look)

    def _is_time(self) -> bool:
        waited = asyncio.get_running_loop().time() - self._last_speech
        return waited >= self._timing.settle and self._can_speak()

    async def _act(self) -> None:
        """Clear the cache, or tell a person to. If the standby voice speaks meanwhile, this is done again."""
        texts = self._texts
        self._told = not await self._clear()
        if self._texts == texts:
            self._stale.clear()
        await self._write()

    async def _clear(self) -> bool:
        """Have the cache cleared, and return whether that succeeded. The log says why if it did not."""
        if self._supervisor is None:
            _LOGGER.warning("%s", NOTE)
            return False
        failures = 0
        while True:
            try:
                await self._supervisor.clear_tts_cache()
            except CallFailed as error:
                failures += 1
                pause = None if error.final else self._timing.retry_pause(failures)
                if pause is None:
                    _LOGGER.warning("Home Assistant's speech cache was not cleared: %s. %s", error, NOTE)
                    return False
                _LOGGER.debug("Home Assistant's speech cache was not cleared; next try in %.0f s: %s", pause, error)
                await asyncio.sleep(pause)
            else:
                _LOGGER.info("Cleared Home Assistant's speech cache: the standby voice had spoken instead of Qwen3")
                return True

    async def _read(self) -> None:
        """Read what was left to do before a restart. With a supervisor it is tried again even if a person was told."""
        try:
            self._written = await asyncio.to_thread(_read_file, self._file)
        except OSError as error:
            _LOGGER.warning("%s can't be read: %s", self._file, error.strerror)
            return
        self._told = self._written == TOLD
        if self._written not in (CLEAN, TOLD) or (self._told and self._supervisor):
            self._stale.set()

    async def _write(self) -> None:
        """Write the current state to the file. If the disk can't be written, the state is lost on a restart."""
        async with self._writing:
            state = STALE if self._stale.is_set() else TOLD if self._told else CLEAN
            if state == self._written:
                return
            try:
                await asyncio.to_thread(_write_file, self._file, state)
            except StorageFailed as error:
                _LOGGER.warning("The state of Home Assistant's speech cache could not be stored: %s", error)
            self._written = state


def _read_file(file: Path) -> bytes:
    """Return the content of the file; `CLEAN` if there is none. Raises OSError if it can't be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(STALE))
    except FileNotFoundError:
        return CLEAN


def _write_file(file: Path, state: bytes) -> None:
    """Overwrite the file in place, or create it. Raises StorageFailed if it can't be written."""
    with storing(), os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o644), "wb") as opened:
        opened.write(state)
