"""The engine as it serves, on two threads: speech beside loads, and memory that is taken, given back and short."""

import threading
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import torch

from bench.systems import text_for
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import OutOfMemory
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_voice
from wyoming_qwen3.engine.checkpoint.published import open_checkpoint
from wyoming_qwen3.engine.devices import free_memory
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.native import NativeEngine
from wyoming_qwen3.engine.wire import Audio, Ended, Failed, Submit

from .found import Finder, Run

_SPEAKING, _OTHER = Checkpoint("custom_voice", "0.6B"), Checkpoint("custom_voice", "1.7B")
"""Names alone: both are the same folder, so that they share their codec as published ones do."""

_FRAMES = 60
_LOADS = 3
_MOST_UTTERANCES = 60
_CYCLES = 5
_SPARE = {"nothing fits": 0.3e9, "no room for slots": 2.0e9, "little room": 2.4e9}


@dataclass
class Utterance:
    """Samples of a text, and the seconds of its slowest step."""

    samples: bytes = b""
    slowest: float = 0.0


def beside(run: Run, finder: Finder) -> None:
    """While one checkpoint speaks, another one is loaded, with captures, and dropped: the samples stay the same."""
    house = _House(run)
    finder.keep("load, s", house.load(_SPEAKING))
    alone = house.speak()
    finder.check("the same twice", alone.samples and house.speak().samples == alone.samples)
    loader = _Loader(house)
    thread = threading.Thread(target=loader.run)
    thread.start()
    heard: list[Utterance] = []
    while thread.is_alive() and len(heard) < _MOST_UTTERANCES:
        heard.append(house.speak())
    loader.enough = True
    thread.join()
    wrong = sum(one.samples != alone.samples for one in heard)
    finder.check("loads beside speech succeed", loader.error is None, loader.error or loader.seconds)
    finder.check("speech beside loads is speech alone", heard and not wrong, f"{wrong} of {len(heard)} wrong")
    finder.keep("slowest step, ms: alone", round(1e3 * alone.slowest, 1))
    finder.keep("slowest step, ms: beside loads", round(1e3 * max(one.slowest for one in heard), 1))


def memory(run: Run, finder: Finder) -> None:
    """Loads and unloads do not add up; where memory is short that is told, and speech goes on afterwards."""
    house = _House(run)
    free, cycles = free_memory(run.device), []
    for _ in range(_CYCLES):
        house.load(_SPEAKING)
        house.speak()
        held = free - free_memory(run.device)
        house.engine.unload(_SPEAKING)
        cycles.append([round(held / 1e6), round((free - free_memory(run.device)) / 1e6)])
    finder.keep("MB taken, and after unloading", cycles)
    if run.on_gpu:
        finder.check("unloading gives nearly all back", cycles[-1][1] < 400)
        finder.check("loads do not add up", cycles[-1][1] - cycles[1][1] < 120)
        for what, room in _SPARE.items():
            _load_in(house, finder, what, int(room))
    house.load(_SPEAKING)
    finder.check("after all that it speaks", house.speak().samples)


def _load_in(house: "_House", finder: Finder, what: str, room: int) -> None:
    """Load while only `room` bytes of the GPU are free."""
    name, device = f"load with {room / 1e9:.1f} GB free ({what})", house.run.device
    balloon = torch.empty(max(free_memory(device) - room, 0), dtype=torch.uint8, device=device)
    try:
        house.load(_SPEAKING)
        decoder = house.engine._models[_SPEAKING].decoder
        slots = decoder.slots.buckets.slots if isinstance(decoder, StaticDecoder) else 0
        finder.check(name, house.speak().samples, f"it speaks, with {slots} slots")
        house.engine.unload(_SPEAKING)
    except OutOfMemory as error:
        finder.check(name, passed=True, value=f"told: {error}")
    except Exception as error:
        finder.check(name, passed=False, value=f"{type(error).__name__}: {error}")
    del balloon
    torch.cuda.empty_cache()


class _House:
    """An engine, and one folder for all of its checkpoints."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.folder: Path = run.folder / run.sizes[0]
        self.engine = NativeEngine(run.device, "bfloat16" if run.on_gpu else "float32", "none")
        self.engine._static = True  # on a CPU too, to try this very step
        self._text = text_for(open_checkpoint(self.folder), _FRAMES)
        self._rows = count(1)

    def load(self, checkpoint: Checkpoint) -> float:
        """Load the checkpoint; return the seconds that it took."""
        start = time.perf_counter()
        self.engine.load(checkpoint, self.folder)
        return round(time.perf_counter() - start, 2)

    def speak(self) -> Utterance:
        """Speak the same text with the same seed, up to its limit of frames."""
        row, utterance = next(self._rows), Utterance()
        request = SpeechRequest(find_voice("ryan")[0], sampling=Sampling(seed=7, max_frames=_FRAMES))
        self.engine.admit(Submit(row, _SPEAKING, request, self._text, live=False, credit=10**9))
        while True:
            start = time.perf_counter()
            for output in self.engine.step([row]):
                if isinstance(output, Audio):
                    utterance.samples += output.samples
                elif isinstance(output, Ended | Failed):  # these weights reach the limit, which is a failure
                    self.engine.cancel(row)
                    return utterance
            utterance.slowest = max(utterance.slowest, time.perf_counter() - start)


@dataclass
class _Loader:
    """Loads and drops the other checkpoint, on a thread of its own."""

    house: _House
    seconds: list[float] = field(default_factory=list)
    error: str | None = None
    enough: bool = False

    def run(self) -> None:
        """Do so until it was often enough, or it fails."""
        try:
            while len(self.seconds) < _LOADS and not self.enough:
                self.seconds.append(self.house.load(_OTHER))
                self.house.engine.unload(_OTHER)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
