"""Writes speech to disk while it is spoken: lossless, on a thread, and without delaying the speech.

Knows no database: a callback gets the completed file.
"""

import contextlib
import errno
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import soundfile

from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray
from wyoming_qwen3.store.files import restore_folder

_LOGGER = logging.getLogger(__name__)

_MAX_WAITING = 32 * 2**20
"""Bytes of float32 samples that may wait for the disk, of all recordings together: five and a half minutes."""

_COMPLAIN_SECONDS = 60.0
"""Seconds between two warnings. A full disk fails with every sentence."""

_LOSSES = 1000
"""How many recordings that failed are remembered, each with the reason."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is stored about a generation besides its audio."""

    text: str
    source: str
    """The surface of the request: "wyoming", "speech", "batch", "realtime" ..."""

    voice: str
    """Name of the voice, as a person sees it."""

    model: str
    language: str | None
    """Code of the language; None if the model detected it from the text."""

    params: dict[str, Any]
    """Everything that is needed to speak it again, as JSON."""

    seed: int | None
    first_audio: float
    """Seconds from the request to the first audio."""

    wall: float
    """Seconds from the request to the last audio."""

    outcome: Literal["whole", "cut"]
    """"cut" if a limit ended it before the end of the text."""


@dataclass(frozen=True)
class AudioFile:
    """A complete recording on disk."""

    path: Path
    samples: int
    bytes: int


class Recorder:
    """The thread that writes all recordings. The amount of waiting samples and the number of warnings are limited."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "recordings")
        self._emptied: Future[None] | None = None
        self._taken = 0  # changed by the event loop only
        self._done = 0  # changed by the thread only
        self._quiet_until = 0.0
        self._losses: deque[tuple[str, str]] = deque(maxlen=_LOSSES)  # changed by both

    def submit(self, size: int, work: Callable[[], _T]) -> "Future[_T] | None":
        """Queue `work` of `size` bytes for the thread. Return None if that is too much, or after `close`."""
        if self._emptied is not None:
            return None
        if size and self._taken - self._done + size > _MAX_WAITING:
            return None
        self._taken += size
        return self._executor.submit(self._run, size, work)

    def lose(self, entry_id: str, problem: str) -> None:
        """Remember why a recording is not kept, and log that, at most once a minute."""
        self._losses.append((entry_id, problem))
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _COMPLAIN_SECONDS
            _LOGGER.warning("A generation is not kept in the history: %s", problem)

    def lost(self, entry_id: str) -> str | None:
        """Return a sentence on why a recording is not kept; None if it did not fail, or long ago."""
        problem = dict(self._losses.copy()).get(entry_id)
        return None if problem is None else f"This speech is not kept in the history: {problem}"

    @property
    def closed(self) -> bool:
        """Whether no more work is accepted."""
        return self._emptied is not None

    def close(self) -> "Future[None]":
        """Accept no more work. The returned future is done when all queued work is."""
        if self._emptied is None:
            self._emptied = self._executor.submit(lambda: None)
            self._executor.shutdown(wait=False)
        return self._emptied

    def _run(self, size: int, work: Callable[[], _T]) -> _T:
        try:
            return work()
        finally:
            self._done += size


class Recording:
    """A generation that is being recorded. Call its methods on the event loop; they return at once and never raise.

    End it with `store` or `discard`. A failure is logged, discards this recording only, and is told by `lost`.
    """

    def __init__(
        self,
        entry_id: str,
        path: Path,
        recorder: Recorder,
        keep: "Callable[[Recording, Facts, Future[AudioFile | None]], None]",
    ) -> None:
        """`path` is the path of the audio. `store` calls `keep` with a future of the completed file."""
        self.id = entry_id
        self.created_at = time.time()
        self._recorder = recorder
        self._keep = keep
        self._writing = _Writing(path)
        self._ended = False

    @property
    def lost(self) -> str | None:
        """A sentence on why this is not kept, as soon as that is known; None if nothing has failed."""
        return self._recorder.lost(self.id)

    def add(self, samples: FloatArray) -> None:
        """Add mono float32 [samples] in [-1, 1] at 24 kHz. They must not be changed afterwards."""
        if not self._ended and self._submit(samples.nbytes, lambda: self._writing.write(samples)) is None:
            if not self._recorder.closed:
                self._recorder.lose(self.id, "The disk is slower than the speech.")
            self.discard()

    def store(self, facts: Facts) -> None:
        """Complete the file and keep the facts. Without any samples nothing is kept."""
        if not self._ended:
            self._ended = True
            completing = self._submit(0, self._writing.complete)
            if completing is not None:
                self._keep(self, facts, completing)

    def discard(self) -> None:
        """Keep nothing. After `store` this does nothing."""
        if not self._ended:
            self._ended = True
            self._submit(0, self._writing.abandon)

    def _submit(self, size: int, work: Callable[[], _T]) -> "Future[_T | None] | None":
        return self._recorder.submit(size, lambda: self._run_unless_failed(work))

    def _run_unless_failed(self, work: Callable[[], _T]) -> _T | None:
        """Run `work` on the thread, unless something has failed before."""
        if self._writing.failed:
            return None
        try:
            return work()
        except Exception as error:  # any failure discards this entry, and not the speech
            self._ended = True
            self._recorder.lose(self.id, _reason(error))
            self._writing.fail()
            return None


class _Writing:
    """Writes PATH.part and renames it to PATH. Nothing is written before the first samples."""

    def __init__(self, path: Path) -> None:
        self.failed = False
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._flac: _Flac | None = None
        self._samples = 0

    def write(self, samples: FloatArray) -> None:
        if self._flac is None:
            restore_folder(self._part.parent)
            self._flac = _Flac(self._part)
        self._flac.write(pcm.quantize(samples))
        self._samples += len(samples)

    def complete(self) -> AudioFile | None:
        """Move the file to its path and return it; None if there were no samples."""
        if self._flac is None:
            return None
        size = self._flac.close()
        self._part.replace(self._path)
        return AudioFile(self._path, self._samples, size)

    def abandon(self) -> None:
        try:
            if self._flac is not None:
                self._flac.abandon()
        finally:
            self._part.unlink(missing_ok=True)

    def fail(self) -> None:
        self.failed = True
        with contextlib.suppress(OSError, soundfile.SoundFileError):  # the history removes it when it is opened
            self.abandon()


class _Flac:
    """A new FLAC file with 16 bits, 24 kHz, mono."""

    def __init__(self, path: Path) -> None:
        self._sink = _FlacFile(path)
        try:
            self._sound = soundfile.SoundFile(self._sink, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC")
        except BaseException:
            self._sink.close()
            raise

    def write(self, samples: npt.NDArray[np.int16]) -> None:
        try:
            self._sound.write(samples)
        except (soundfile.SoundFileError, AssertionError):
            self._sink.check()  # raises the actual cause, if there is one
            raise

    def close(self) -> int:
        """Complete the file on disk, and return its size in bytes."""
        self._sound.close()
        self._sink.check()
        return self._sink.sync_and_close()

    def abandon(self) -> None:
        """Close the file as it is. Closing again does nothing."""
        with contextlib.closing(self._sink):
            self._sound.close()


class _FlacFile:
    """A file for libsndfile, which loses errors while it closes. They are stored here."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._error: OSError | None = None
        self.seek = self._file.seek
        self.tell = self._file.tell

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest and not self._error:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._error = error
        return len(data) - len(rest)

    def check(self) -> None:
        """Raise the stored error, if there is one."""
        if self._error is not None:
            raise self._error

    def sync_and_close(self) -> int:
        with self._file:
            os.fsync(self._file.fileno())
            return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        self._file.close()


def _reason(error: Exception) -> str:
    """Return the error as one sentence without paths."""
    if isinstance(error, OSError):
        return "The disk is full." if error.errno == errno.ENOSPC else f"{error.strerror or type(error).__name__}."
    return str(error) or type(error).__name__
