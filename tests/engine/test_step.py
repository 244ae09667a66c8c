"""Chunks that are decoded beside the language model's steps: they sound as always, come in time, and fail alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.request import FRAME_SAMPLES, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine import rows as rows_module
from wyoming_qwen3.engine.codec.chunks import RowSound, decode_together
from wyoming_qwen3.engine.codec.thread import CodecThread
from wyoming_qwen3.engine.kernels.library import Kernels, load_kernels
from wyoming_qwen3.engine.native import NativeEngine
from wyoming_qwen3.engine.wire import Audio, Ended, Failed, Output, Submit

SPEAKING = Checkpoint("custom_voice", "0.6B")
TEXT = "The front door is open, and the light is on in the kitchen."
REQUEST = SpeechRequest(SPEAKERS[1], sampling=Sampling(seed=1))


def engine_with(threads: int, models_dir: Path) -> NativeEngine:
    engine = NativeEngine("cpu", "auto", "int8", threads)
    engine.load(SPEAKING, models_dir / SPEAKING.name)
    return engine


@pytest.fixture(scope="module")
def engine(models_dir: Path) -> NativeEngine:
    return engine_with(3, models_dir)


def admit(engine: NativeEngine, *rows: int, live: bool = False) -> None:
    for row in rows:
        request = SpeechRequest(SPEAKERS[row], sampling=Sampling(seed=row, max_frames=40))
        engine.admit(Submit(row, SPEAKING, request, TEXT, live=live, credit=0))


def outputs(engine: NativeEngine, *rows: int) -> Iterator[Output]:
    going = set(rows)
    while going:
        for output in engine.step(sorted(going)):
            yield output
            if isinstance(output, Ended | Failed):
                going.remove(output.row)
                engine.cancel(output.row)


def sounds(made: Iterator[Output]) -> dict[int, list[bytes]]:
    chunks: dict[int, list[bytes]] = {}
    for output in made:
        if isinstance(output, Audio):
            chunks.setdefault(output.row, []).append(output.samples)
    return chunks


@contextmanager
def codec_held(engine: NativeEngine) -> Iterator[Future[bool]]:
    """Have no chunk decoded beside steps until the end, which is the result."""
    gate = threading.Event()
    held = engine._codec_thread.start(lambda: gate.wait(HANG_SECONDS), at_once=False)
    try:
        yield held
    finally:
        gate.set()
        held.result()


def step_until_a_chunk_waits(engine: NativeEngine, row: int) -> None:
    while engine._speaking_rows[row].chunk is None:
        list(engine.step([row]))


def test_chunks_are_the_same_as_without_another_thread(engine: NativeEngine, models_dir: Path) -> None:
    alone = engine_with(1, models_dir)
    admit(alone, 1, 2, 3)
    expected = sounds(outputs(alone, 1, 2, 3))
    assert min(len(chunks) for chunks in expected.values()) > 4
    admit(engine, 1, 2, 3)
    assert sounds(outputs(engine, 1, 2, 3)) == expected
    for row in (1, 2, 3):
        admit(engine, row)
        assert sounds(outputs(engine, row)) == {row: expected[row]}


def test_first_chunks_are_not_kept_waiting(engine: NativeEngine) -> None:
    """Nor is a step kept waiting by a chunk, until the next one is full."""
    admit(engine, 1)
    with codec_held(engine):
        step_until_a_chunk_waits(engine, 1)
        speech = engine._speaking_rows[1]
        assert speech.sound.chunks == 3
        assert not speech.gathered
        for frames in (1, 2, 3):
            assert list(engine.step([1])) == []
            assert len(speech.gathered) == frames
    assert len(sounds(outputs(engine, 1))[1]) > 1


def test_a_row_that_waits_for_text_is_heard_to_its_last_frame(engine: NativeEngine) -> None:
    engine.admit(Submit(1, SPEAKING, REQUEST, "The ", live=True, credit=0))
    speech = engine._speaking_rows[1]
    with codec_held(engine):
        while speech.chunk is None or speech.codes.can_advance:
            assert not speech.chunk or len(speech.gathered) < 3
            if not speech.codes.can_advance:
                assert engine.waiting(1)
                engine.add_text(1, "door ")
            list(engine.step([1]))
        assert not engine.waiting(1)
    assert [type(output) for output in engine.step([1])] == [Audio]
    assert engine.waiting(1)
    engine.cancel(1)


def test_a_row_that_is_cancelled_takes_its_chunk_along(engine: NativeEngine) -> None:
    admit(engine, 1)
    with codec_held(engine):
        step_until_a_chunk_waits(engine, 1)
        engine.cancel(1)
        assert list(engine.step([1])) == []
    admit(engine, 1)
    assert len(sounds(outputs(engine, 1))[1]) > 4


def test_an_error_beside_steps_costs_its_row(engine: NativeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes after the audio that was decoded before, and the other row sounds as alone."""
    admit(engine, 2)
    *_, over = expected = list(outputs(engine, 2))
    admit(engine, 1, 2)
    with codec_held(engine):
        made = list[Output]()
        while engine._speaking_rows[1].chunk is None:
            made += engine.step([1, 2])
        broken = engine._speaking_rows[1].sound

        def fail(parts: list[tuple[RowSound, torch.Tensor]]) -> list[bytes]:
            if any(sound is broken for sound, _ in parts):
                raise ValueError("these codes are damaged")
            return decode_together(parts)

        monkeypatch.setattr(rows_module, "decode_together", fail)
    made += outputs(engine, 1, 2)
    failed = [output for output in made if isinstance(output, Failed)]
    assert {output.row for output in failed if "in the middle of this audio" in str(output.error)} == {1}
    assert len(b"".join(sounds(iter(made))[1])) == 7 * FRAME_SAMPLES * 4
    assert sounds(iter(expected))[2] == sounds(iter(made))[2]
    assert str(made[-1]) == str(over)


def test_threads_are_divided_while_both_work_and_belong_to_who_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    language, codec = (load_kernels(5) for _ in range(2))
    assert language
    assert codec
    limits: dict[Kernels, int] = {}
    monkeypatch.setattr(Kernels, "limit", lambda kernels, threads: limits.update({kernels: threads}))
    thread, gate, begun = CodecThread(language, codec), threading.Event(), threading.Event()

    def work() -> tuple[int, int]:
        begun.set()
        gate.wait(HANG_SECONDS)
        return limits[language], limits[codec]

    chunk = thread.start(work, at_once=False)
    begun.wait(HANG_SECONDS)
    assert (limits[language], limits[codec]) == (3, 2)
    assert thread.start(lambda: limits[codec], at_once=True).result() == 5
    assert (limits[language], limits[codec]) == (3, 2)
    threading.Timer(0, gate.set).start()
    assert thread.wait(chunk) in [(5, 5), (3, 2)]  # the latter if it was done before anybody waited
    thread.start(lambda: None, at_once=False).result()
    assert (limits[language], limits[codec]) == (5, 5)
