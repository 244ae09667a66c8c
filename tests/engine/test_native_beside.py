"""What is done beside speech, on another thread, changes none of its samples: loads, unloads and jobs.

The checkpoints share their codec, as the published ones do. With a GPU's steps, recorded and replayed, what is wrong
with the sharing of memory at fixed addresses is heard on a CPU too.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.request import ClonePrompt, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine import native
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader
from wyoming_qwen3.engine.lm import gpu_decode
from wyoming_qwen3.engine.lm.gpu_slots import Buckets
from wyoming_qwen3.engine.native import NativeEngine
from wyoming_qwen3.engine.wire import Audio, DecodeCodes, Encode, Ended, Failed, Submit

from .replay import Replays

SPEAKING = Checkpoint("custom_voice", "0.6B")
OTHERS = (Checkpoint("base", "0.6B"), Checkpoint("custom_voice", "1.7B"))
TEXT = "The front door is open, and the light is on in the kitchen."
PLAYED = np.random.default_rng(1).integers(0, 64, (41, 16))


@pytest.fixture(params=["graphs", "pytorch", "kernels"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> NativeEngine:
    """One that speaks as on a GPU, with few slots, or by one of a CPU's two ways."""
    engine = NativeEngine("cpu", "auto", "int8" if request.param == "kernels" else "none")
    if request.param == "graphs":
        monkeypatch.setattr(native, "choose_graphs", lambda *_, **__: Replays())
        monkeypatch.setattr(gpu_decode, "Buckets", lambda: Buckets((1, 2), (128,)))
        engine._static = True
    engine.load(SPEAKING, models_dir / SPEAKING.name)
    return engine


def heard(engine: NativeEngine) -> Iterator[dict[int, bytes]]:
    """What two rows that speak and one that plays sound like, again and again."""
    while True:
        for row in (1, 2):
            request = SpeechRequest(SPEAKERS[row], sampling=Sampling(seed=row))
            engine.admit(Submit(row, SPEAKING, request, TEXT, live=False, credit=0))
        engine.admit(DecodeCodes(3, SPEAKING, PLAYED, credit=0))
        sounds = {1: b"", 2: b"", 3: b""}
        going = set(sounds)
        while going:
            for output in engine.step(sorted(going)):
                assert not isinstance(output, Failed), output
                if isinstance(output, Audio):
                    sounds[output.row] += output.samples
                elif isinstance(output, Ended):
                    going.discard(output.row)
                    engine.cancel(output.row)
        yield sounds


def busy(engine: NativeEngine, models_dir: Path, loads: int) -> None:
    """Load and drop the other checkpoints in turn, and read a clip with one, so many times."""
    for number in range(loads):
        checkpoint = OTHERS[number % len(OTHERS)]
        engine.load(checkpoint, models_dir / checkpoint.name)
        if number % 5 == 0:
            engine.compute(Encode(checkpoint, np.zeros(9_000, np.float32), 24_000))
        engine.unload(checkpoint)


@pytest.mark.parametrize("loads", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_speech_is_the_same_while_other_checkpoints_are_loaded(
    engine: NativeEngine, models_dir: Path, loads: int
) -> None:
    utterances = heard(engine)
    quiet = next(utterances)
    with ThreadPoolExecutor(1) as jobs:
        loading = jobs.submit(busy, engine, models_dir, loads)
        found = [next(utterances)]
        while not loading.done():
            found.append(next(utterances))
        loading.result()
    wrong = sum(sounds[row] != quiet[row] for sounds in found for row in quiet)
    assert len(engine._codecs) == 1
    assert all(quiet.values())
    assert not wrong, f"{wrong} of {3 * len(found)} utterances are wrong"


def test_loads_and_jobs_have_a_lane_of_their_own(
    engine: NativeEngine, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is read for a checkpoint is copied in it; it has finished before anyone can speak with it."""
    told: list[str] = []
    base = OTHERS[0]

    @contextmanager
    def entered() -> Iterator[None]:
        told.append("entered")
        yield
        told.append("left")

    def reading(*given: Any) -> Any:
        told.append("read")
        return read(*given)

    def finish() -> None:
        told.append("late" if base in engine._models else "finished")

    read = TensorReader.__call__
    monkeypatch.setattr(engine._lane, "entered", entered)
    monkeypatch.setattr(engine._lane, "finish", finish)
    monkeypatch.setattr(TensorReader, "__call__", reading)
    engine.load(base, models_dir / base.name)
    assert [name for name, _ in groupby(told)] == ["entered", "read", "finished", "left"]
    told.clear()
    engine.compute(Encode(base, np.zeros(9_000, np.float32), 24_000))
    assert [name for name, _ in groupby(told)] == ["entered", "read", "left"]


def test_what_is_remembered_can_be_forgotten_at_any_moment(
    engine: NativeEngine, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load for which memory runs out has all forget what can be computed again, also what was just computed."""
    base = OTHERS[0]
    engine.load(base, models_dir / base.name)
    model = engine._models[base]
    prompt = ClonePrompt(np.ones(32, np.float32), PLAYED[:9], "A clip.")
    request = SpeechRequest(prompt, sampling=Sampling(seed=1))

    def spoken() -> bytes:
        engine.admit(Submit(1, base, request, TEXT, live=False, credit=0))
        found = b""
        while True:
            for output in engine.step([1]):
                assert not isinstance(output, Failed), output
                if isinstance(output, Audio):
                    found += output.samples
                elif isinstance(output, Ended):
                    engine.cancel(1)
                    return found

    def forgetting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            made = real(*given)
            model.decoder.forget()
            model.codec.forget()
            return made

        return call

    quiet = spoken()
    model.decoder.forget()
    model.codec.forget()
    monkeypatch.setattr(type(model.codec.decoder), "decode", forgetting(type(model.codec.decoder).decode))
    monkeypatch.setattr(
        type(model.decoder.model.talker), "advance", forgetting(type(model.decoder.model.talker).advance)
    )
    assert spoken() == quiet
