"""How fast a loaded checkpoint speaks on this CPU: measured in spare time, and kept beside the checkpoint.

Knows decode steps, chunks and a file; does NOT know what follows from a speed (core/cpu_speed.py).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from wyoming_qwen3 import __version__
from wyoming_qwen3.core.checkpoints import SIZES, Checkpoint, Size
from wyoming_qwen3.core.cpu_speed import Quantize, choose_quantize, choose_size
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.core.hardware import CPU_NEEDS, Selection, available_memory
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, Sampling, SpeechRequest, Voice

from .checkpoint.on_disk import missing_files, places
from .codec.chunks import FrameDecoder
from .codec.thread import CodecThread
from .cpu_load import CpuTimes
from .lm.decode import Decoder, Row
from .measured_here import read_measured, write_measured

_FILE = "speed.json"
_ABOUT = "How many times as fast as real time this machine speaks. Delete this file to have it measured again."

_TEXT = "The quick brown fox jumps over the lazy dog, and nobody in the whole house minds it very much."
_CHUNK_FRAMES = 4
"""Frames of a chunk once a row has begun; see codec/chunks.py."""

_CHUNKS = 4
_TRIES = 5
"""Measurements that other programs disturb, before the best of them counts."""

_MOST_STEPS = 100
"""Steps after which speech that always ends at once is no longer tried."""

Spare = Callable[[], bool]
"""Whether nothing else is wanted of the engine now."""


@dataclass(frozen=True)
class Measurement:
    """A speed in times real time, and whether other programs kept the processor busy, so that it is too low."""

    speed: float
    disturbed: bool


@dataclass(frozen=True)
class SpeedRecord:
    """The speeds of a checkpoint, in times real time, that were measured by this version on this machine.

    Those that are `disturbed` were measured while other programs kept the processor busy, so they are too low.
    """

    file: Path
    key: Mapping[str, object]
    speeds: Mapping[Quantize, float]
    disturbed: frozenset[Quantize] = frozenset()

    @classmethod
    def read(cls, path: Path, kernels: str, threads: int) -> "SpeedRecord":
        """Return what is known of the checkpoint in a folder, with these kernels and so many threads; maybe nothing."""
        file = path / _FILE
        key = {"version": __version__, "kernels": kernels, "threads": threads}
        return cls(file, key, *(read_measured(file, key, _speeds) or ({}, frozenset())))

    def sure(self, quantize: Quantize) -> bool:
        """Return whether a speed is known that nothing disturbed."""
        return quantize in self.speeds and quantize not in self.disturbed

    def add(self, quantize: Quantize, found: Measurement) -> "SpeedRecord":
        """Return the record with one more speed, and write it. If it can't be written, each start measures again.

        Disturbed ones are dropped when one that is not can be compared with them.
        """
        others = {one: speed for one, speed in self.speeds.items() if found.disturbed or self.sure(one)}
        speeds: dict[Quantize, float] = {**others, quantize: round(found.speed, 3)}
        disturbed = self.disturbed | {quantize} if found.disturbed else frozenset[Quantize]()
        content = {"about": _ABOUT, "times_real_time": speeds, "disturbed": sorted(disturbed)}
        write_measured(self.file, self.key, content)
        return SpeedRecord(self.file, self.key, speeds, disturbed)


def _speeds(content: Mapping[str, Any]) -> tuple[Mapping[Quantize, float], frozenset[Quantize]]:
    """Return the speeds in a file's content, and which of them were disturbed."""
    names: tuple[Quantize, ...] = ("none", "int8", "int4")
    speeds, disturbed = content["times_real_time"], content["disturbed"]
    return {name: float(speeds[name]) for name in names if name in speeds}, frozenset(names) & set(disturbed)


class Speeds:
    """What an engine process knows of the speed of checkpoints in these ways to round their weights."""

    def __init__(self, candidates: Sequence[Quantize], kernels: str, threads: int) -> None:
        self._candidates = candidates
        self._computes_with = kernels, threads
        self._tries: dict[tuple[Path, Quantize], list[float]] = {}
        """What was measured by this process while other programs kept the processor busy."""

        self._measured: set[tuple[Path, Quantize]] = set()
        """What this process has measured to the end, even if it was disturbed."""

    def choose(self, path: Path) -> Quantize:
        """Return in which weights to load the checkpoint in a folder."""
        return choose_quantize(self._candidates, self._read(path).speeds)

    def known(self, path: Path, quantize: Quantize) -> float | None:
        """Return a speed; None if it should be measured."""
        record = self._read(path)
        sure = record.sure(quantize) or (path, quantize) in self._measured
        return record.speeds.get(quantize) if sure else None

    def learn(self, path: Path, quantize: Quantize, measure: Callable[[], Measurement | None]) -> bool:
        """Measure a speed unless it is known, and write it down. Return False if it is not known yet.

        What is disturbed is measured again, and the best counts at last, until the next start.
        """
        if self.known(path, quantize) is not None:
            return True
        if (found := measure()) is None:
            return False
        tries = self._tries.setdefault((path, quantize), [])
        tries.append(found.speed)
        if found.disturbed and len(tries) < _TRIES:
            return False
        self._read(path).add(quantize, Measurement(max(tries), found.disturbed))
        self._measured.add((path, quantize))
        return True

    def select_size(self, selection: Selection, models_dir: Path) -> Selection:
        """Return the selection of a CPU with the size that suits the speeds that were measured; see choose_size.

        1.7B also needs its CustomVoice checkpoint in the models folder, and free memory.
        """
        folders = {size: _folder(models_dir, size) for size in SIZES}
        speeds = {size: self._read(folder).speeds for size, folder in folders.items()}
        there = not missing_files(folders["1.7B"]) and available_memory() >= CPU_NEEDS["1.7B"]
        if choose_size(self._candidates, speeds, large_is_there=there) != "1.7B":
            return selection
        return replace(selection, size="1.7B", why=f"{selection.why} It keeps up with real time in 1.7B.")

    def _read(self, path: Path) -> SpeedRecord:
        return SpeedRecord.read(path, *self._computes_with)


def _folder(models_dir: Path, size: Size) -> Path:
    """Return where a size's checkpoint of named speakers is, or would be."""
    first, *others = places(models_dir, Checkpoint("custom_voice", size))
    return next((folder for folder in (first, *others) if folder.exists()), first)


def measure_speed(
    decoder: Decoder, codec: FrameDecoder, thread: CodecThread, voice: Voice, spare: Spare
) -> Measurement | None:
    """Measure the speed of one utterance; return None if `spare` becomes false.

    It follows from the median of four times that as many steps take as a chunk has frames, beside the chunk before
    them: memory that is shared with other machines can make single ones a third shorter than what speech gets. The
    decoder must be used by nobody else. Raises EngineFailed if speech always ends at once.
    """
    request = SpeechRequest(voice, sampling=Sampling(seed=0))
    state, row, gathered = codec.new_state(), None, list[Tensor]()
    steps, times, before = list[float](), list[float](), CpuTimes.now()
    chunk: Future[Tensor] | None = None
    for _ in range(_MOST_STEPS):
        if not spare():
            return None
        row = row if row and row.can_advance else decoder.admit(request, text=_TEXT)
        start = perf_counter()
        codes = _step(decoder, row)
        if codes is None:
            continue
        if row.frames > 1:  # the talker has no part in a row's first frame
            steps.append(perf_counter() - start)
        gathered.append(codes)
        if len(gathered) < _CHUNK_FRAMES:
            continue
        start = perf_counter()
        if chunk:
            thread.wait(chunk)
        chunk = thread.start(partial(codec.decode, torch.stack(gathered), state), at_once=False)
        if steps:
            times.append(sum(steps) / len(steps) * _CHUNK_FRAMES + perf_counter() - start)
        gathered.clear()
        steps.clear()
        if len(times) > _CHUNKS:
            thread.wait(chunk)  # its error would be lost
            frame = median(times[1:]) / _CHUNK_FRAMES  # nothing was decoded beside the first steps
            disturbed = CpuTimes.now().disturbed_since(before)
            return Measurement(FRAME_SAMPLES / SAMPLE_RATE / frame, disturbed)
    raise EngineFailed("The speed can't be measured, because speech always ends at once.")


def _step(decoder: Decoder, row: Row) -> Tensor | None:
    """Return the codes of the row's next frame; None if it ends. Raises the error by which it ends."""
    [frame] = decoder.step([row])
    if frame.error:
        raise frame.error
    return frame.codes
