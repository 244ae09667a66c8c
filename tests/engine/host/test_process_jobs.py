"""The engine process's jobs: one after the other, beside the rows, and how they are answered.

The process, its thread and its messages are the real ones; the engine in it does a job only when the test lets it.
"""

import multiprocessing
import socket
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Semaphore
from pathlib import Path

import numpy as np
import pytest

from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed, InvalidRequest
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.core.request import CodeArray, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.host.process import Host
from wyoming_qwen3.engine.host.standby import StandbyEngine

CHECKPOINT = Checkpoint("base", "0.6B")
GOOD, REFUSED, BROKEN, LOST = range(4)
"""What becomes of a job, told by its sample rate."""


class DeviceLost(Exception):
    pass


HELD = Path("held")
"""A checkpoint whose load waits to be let go on."""


class HeldEngine:
    """Its rows end at once. Each job says that it has begun, waits to be let go on, and tells which jobs were done."""

    selection = Selection("cpu", "0.6B", "float32", "Speech runs on the CPU.")
    weight_bytes = 1
    batch_invariant = True
    fatal: tuple[type[Exception], ...] = (DeviceLost,)

    def __init__(self, begun: Semaphore, go_on: Semaphore) -> None:
        self._begun = begun
        self._go_on = go_on
        self._done: list[int] = []

    def measure(self) -> wire.Room:
        return wire.Room(1 << 30, 0)

    def load(self, checkpoint: Checkpoint, path: Path, report: wire.OnProgress) -> wire.Loaded:  # noqa: ARG002
        if path == HELD:
            report(1, 2)
            self._begun.release()
            self._go_on.acquire()
            report(2, 2)
        return wire.Loaded(7, "int8")

    def gauge(self, checkpoint: Checkpoint, spare: Callable[[], bool]) -> wire.Loaded | None:  # noqa: ARG002
        self._begun.release()
        while spare():
            time.sleep(0.001)
        return None

    def unload(self, checkpoint: Checkpoint) -> None:
        pass

    def compute(self, job: wire.ClipJob) -> CodeArray:
        assert isinstance(job, wire.Encode)
        self._begun.release()
        self._go_on.acquire()
        self._done.append(int(job.samples[0]))
        if job.sample_rate == REFUSED:
            raise InvalidRequest("This recording won't do.")
        if job.sample_rate == BROKEN:
            raise ValueError
        if job.sample_rate == LOST:
            raise DeviceLost
        return np.array([self._done])

    def admit(self, opening: wire.Opening) -> None:
        pass

    def add_text(self, row: int, text: str) -> None:
        pass

    def end_text(self, row: int) -> None:
        pass

    def cancel(self, row: int) -> None:
        pass

    def waiting(self, row: int) -> bool:  # noqa: ARG002
        return False

    def step(self, rows: Collection[int]) -> Iterator[wire.Output]:
        return iter([wire.Ended(row) for row in rows])


def serve(pipe: socket.socket, begun: Semaphore, go_on: Semaphore) -> None:
    Host(pipe, HeldEngine(begun, go_on)).run()


@dataclass
class Engine:
    """An engine process, and what the test sees of it."""

    pipe: socket.socket
    process: SpawnProcess
    begun: Semaphore
    go_on: Semaphore

    def send(self, *messages: wire.ToEngine) -> None:
        for message in messages:
            self.pipe.sendall(wire.pack(message))

    def receive(self) -> object:
        return wire.receive_blocking(self.pipe)

    def let_go_on(self, jobs: int = 1) -> None:
        for _ in range(jobs):
            self.go_on.release()


@pytest.fixture
def engine() -> Iterator[Engine]:
    context = multiprocessing.get_context("spawn")
    begun, go_on = context.Semaphore(0), context.Semaphore(0)
    ours, theirs = socket.socketpair()
    ours.settimeout(HANG_SECONDS)
    process = context.Process(target=serve, args=(theirs, begun, go_on))
    process.start()
    with ours, theirs:
        engine = Engine(ours, process, begun, go_on)
        assert isinstance(engine.receive(), wire.Hello)
        yield engine
    process.join(HANG_SECONDS)
    process.kill()


def encode(number: int, outcome: int = GOOD) -> wire.Encode:
    return wire.Encode(CHECKPOINT, np.full(9, number, np.float32), outcome)


def job(number: int, outcome: int = GOOD) -> wire.RunJob:
    return wire.RunJob(number, encode(number, outcome))


def done(answer: object) -> tuple[int, list[int]]:
    """The number of the job that is answered, and which jobs were done until then."""
    assert isinstance(answer, wire.JobDone)
    assert isinstance(answer.result, np.ndarray)
    return answer.number, answer.result[0].tolist()


def row(number: int) -> wire.Submit:
    return wire.Submit(number, CHECKPOINT, SpeechRequest(SPEAKERS[0]), "Hi.", live=False, credit=1)


def test_rows_go_on_while_jobs_and_loads_wait_for_each_other(engine: Engine) -> None:
    load, unload = wire.RunJob(4, wire.Load(CHECKPOINT, Path())), wire.RunJob(5, wire.Unload(CHECKPOINT))
    engine.send(job(1), load, job(2), unload)
    assert engine.begun.acquire(timeout=HANG_SECONDS)
    engine.send(row(3))
    assert engine.receive() == wire.Ended(3)
    engine.let_go_on(2)
    first, loaded, second, unloaded = (engine.receive() for _ in range(4))
    assert done(first) == (1, [1])
    assert loaded == wire.JobDone(4, wire.Loaded(7, "int8"))
    assert done(second) == (2, [1, 2])
    assert unloaded == wire.JobDone(5, None)


def test_a_cancelled_job_is_dropped_or_its_result_is(engine: Engine) -> None:
    """The one that has begun is finished, as nothing can stop it, and not told; the one that has not is never begun."""
    engine.send(job(1), job(2), job(3))
    assert engine.begun.acquire(timeout=HANG_SECONDS)
    engine.send(wire.CancelJob(1), wire.CancelJob(2), row(4))
    assert engine.receive() == wire.Ended(4)
    engine.let_go_on(3)
    assert done(engine.receive()) == (3, [1, 3])


def test_measuring_ends_when_it_is_cancelled_or_a_row_is_there(engine: Engine) -> None:
    engine.let_go_on(1)
    engine.send(wire.RunJob(1, wire.Gauge(CHECKPOINT)))
    assert engine.begun.acquire(timeout=HANG_SECONDS)
    engine.send(wire.CancelJob(1), job(2))
    assert done(engine.receive()) == (2, [2])
    assert engine.begun.acquire(timeout=HANG_SECONDS)
    engine.send(wire.RunJob(3, wire.Gauge(CHECKPOINT)))
    assert engine.begun.acquire(timeout=HANG_SECONDS)
    engine.send(replace(row(4), credit=0))
    assert engine.receive() == wire.JobDone(3, None)


def test_a_load_that_has_begun_tells_how_far_it_is_and_is_stopped(engine: Engine) -> None:
    engine.send(wire.RunJob(1, wire.Load(CHECKPOINT, HELD)), job(3))
    assert engine.receive() == wire.JobProgress(1, 1, 2)
    assert engine.begun.acquire(timeout=HANG_SECONDS)
    engine.send(wire.CancelJob(1), row(2))
    assert engine.receive() == wire.Ended(2)
    engine.let_go_on(2)
    assert done(engine.receive()) == (3, [3])


def test_a_failed_job_is_told_and_the_process_goes_on(engine: Engine) -> None:
    engine.let_go_on(3)
    engine.send(job(1, REFUSED), job(2, BROKEN), job(3))
    refused, broken = engine.receive(), engine.receive()
    assert isinstance(refused, wire.JobFailed)
    assert isinstance(refused.error, InvalidRequest)
    assert (refused.number, str(refused.error)) == (1, "This recording won't do.")
    assert isinstance(broken, wire.JobFailed)
    assert isinstance(broken.error, EngineFailed)
    assert (broken.number, str(broken.error)) == (2, "The engine failed on this recording (ValueError).")
    assert done(engine.receive()) == (3, [1, 2, 3])


def test_a_job_that_loses_the_device_ends_the_process(engine: Engine) -> None:
    """At once, with other jobs still to do, and even where nobody waits for this one any more."""
    engine.send(job(1, LOST), job(3))
    assert engine.begun.acquire(timeout=HANG_SECONDS)
    engine.send(wire.CancelJob(1), row(2))
    assert engine.receive() == wire.Ended(2)
    engine.let_go_on()
    engine.process.join(HANG_SECONDS)
    assert engine.process.exitcode == 1


def test_the_standby_voice_refuses_what_needs_a_checkpoint() -> None:
    engine = StandbyEngine()
    with pytest.raises(EngineFailed, match="no checkpoints"):
        engine.compute(encode(1))
    with pytest.raises(EngineFailed, match="no checkpoints"):
        engine.admit(wire.DecodeCodes(1, CHECKPOINT, np.zeros((1, 16), np.int64), credit=1))
