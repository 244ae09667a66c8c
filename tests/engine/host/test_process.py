"""The engine process outlives any error but one that its engine calls fatal: it costs the row, job or load at fault.

The process and its messages are the real ones; the engine in it raises where its row's text says.
"""

import multiprocessing
import socket
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed, ModelFailed
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.core.request import CodeArray, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.host.process import Host

CHECKPOINT = Checkpoint("base", "0.6B")
SAMPLES = b"\0" * 4 * 1920


class FaultyEngine:
    """Its rows sound for three steps. A row's text names the call that raises for it."""

    selection = Selection("cpu", "0.6B", "float32", "Speech runs on the CPU.")
    weight_bytes = 1
    batch_invariant = True
    fatal: tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._left: dict[int, int] = {}

    def measure(self) -> wire.Room:
        return wire.Room(1 << 30, 0)

    def load(self, checkpoint: Checkpoint, path: Path, report: wire.OnProgress) -> wire.Loaded:  # noqa: ARG002
        raise IndexError("no such layer")

    def gauge(self, checkpoint: Checkpoint, spare: Callable[[], bool]) -> wire.Loaded | None:  # noqa: ARG002
        return None

    def unload(self, checkpoint: Checkpoint) -> None:
        raise KeyError(checkpoint)

    def compute(self, job: wire.ClipJob) -> CodeArray:
        raise TypeError(job)

    def admit(self, opening: wire.Opening) -> None:
        assert isinstance(opening, wire.Submit)
        self._texts[opening.row], self._left[opening.row] = opening.text, 3
        self._fail("admit", opening.row)

    def add_text(self, row: int, text: str) -> None:  # noqa: ARG002
        self._fail("feed", row)

    def end_text(self, row: int) -> None:
        self._fail("finish", row)

    def cancel(self, row: int) -> None:
        self._fail("cancel", row)

    def waiting(self, row: int) -> bool:
        self._fail("waiting", row)
        return False

    def step(self, rows: Collection[int]) -> Iterator[wire.Output]:
        for row in rows:
            self._fail("step", row)
            self._left[row] -= 1
            yield wire.Audio(row, SAMPLES) if self._left[row] else wire.Ended(row)

    def _fail(self, where: str, row: int) -> None:
        if self._texts.get(row) == where:
            raise IndexError("list index out of range")


def serve(pipe: socket.socket) -> None:
    Host(pipe, FaultyEngine()).run()


@pytest.fixture
def pipe() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    with ours, theirs:
        assert isinstance(wire.receive_blocking(ours), wire.Hello)
        theirs.close()  # so that the end of the process is seen
        yield ours
        assert process.is_alive()
    process.join(10)
    process.kill()


def send(pipe: socket.socket, *messages: wire.ToEngine) -> None:
    for message in messages:
        pipe.sendall(wire.pack(message))


def row(number: int, text: str = "Hi.", *, live: bool = False) -> wire.Submit:
    return wire.Submit(number, CHECKPOINT, SpeechRequest(SPEAKERS[0]), text, live=live, credit=100_000)


def until_over(pipe: socket.socket, *rows: int) -> dict[int, object]:
    """How each row ended."""
    ends: dict[int, object] = {}
    while ends.keys() != set(rows):
        message = wire.receive_blocking(pipe)
        assert message is not None, "the process has ended"
        if isinstance(message, wire.Ended | wire.Failed):
            assert message.row not in ends
            ends[message.row] = message
    return ends


@pytest.mark.parametrize("where", ["admit", "waiting", "step"])
def test_a_row_that_raises_is_over_and_the_others_go_on(pipe: socket.socket, where: str) -> None:
    send(pipe, row(1), row(2, where), row(3))
    ends = until_over(pipe, 1, 2, 3)
    failed = ends.pop(2)
    assert isinstance(failed, wire.Failed)
    assert isinstance(failed.error, EngineFailed)
    assert str(failed.error).endswith("(IndexError).")
    if where != "step":  # an engine that raises out of a step does not say whose fault it was
        assert list(ends.values()) == [wire.Ended(1), wire.Ended(3)]
    send(pipe, row(4))
    assert until_over(pipe, 4) == {4: wire.Ended(4)}


@pytest.mark.parametrize("where", ["feed", "finish"])
def test_text_that_raises_ends_its_row(pipe: socket.socket, where: str) -> None:
    silent = replace(row(2, where, live=True), credit=0)
    send(pipe, silent, wire.AddText(2, "more") if where == "feed" else wire.EndText(2), row(1))
    ends = until_over(pipe, 1, 2)
    assert isinstance(ends[2], wire.Failed)
    assert ends[1] == wire.Ended(1)


def test_a_cancelled_row_is_over_even_if_the_engine_cant_forget_it(pipe: socket.socket) -> None:
    send(pipe, replace(row(2, "cancel", live=True), credit=0), wire.Cancel(2), row(1))
    assert until_over(pipe, 1, 2) == {1: wire.Ended(1), 2: wire.Ended(2)}
    send(pipe, row(3, "cancel"))
    assert until_over(pipe, 3) == {3: wire.Ended(3)}


def test_chores_that_raise_are_answered(pipe: socket.socket) -> None:
    encode = wire.Encode(CHECKPOINT, np.zeros(9, np.float32), 24_000)
    jobs: list[wire.Job[Any]] = [wire.Load(CHECKPOINT, Path()), wire.Unload(CHECKPOINT), encode]
    send(pipe, *(wire.RunJob(number, job) for number, job in enumerate(jobs)))
    found = []
    for _ in jobs:
        message: object = wire.receive_blocking(pipe)
        assert isinstance(message, wire.JobFailed)
        found.append((message.number, type(message.error), str(message.error)))
    name = CHECKPOINT.name
    assert found == [
        (0, ModelFailed, f"{name} could not be loaded (IndexError)."),
        (1, EngineFailed, f"{name} could not be unloaded (KeyError)."),
        (2, EngineFailed, "The engine failed on this recording (TypeError)."),
    ]
    send(pipe, row(1))
    assert until_over(pipe, 1) == {1: wire.Ended(1)}
