"""The engine process: receives rows over the pipe, steps those whose turn it is, and sends their audio back.

Jobs, which take seconds, run on a second thread, one after the other. Knows messages, credit and listeners; does NOT
know how speech is generated.
"""

import argparse
import contextlib
import gc
import logging
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeVar

from wyoming_qwen3.core.errors import EngineFailed, ModelFailed, SpeechError
from wyoming_qwen3.core.importing import importing
from wyoming_qwen3.core.playback import Playback
from wyoming_qwen3.core.request import SAMPLE_RATE, Priority
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.base import STEP_FAILED, Engine, JobStopped, as_speech_error

from .schedule import Candidate, Costs, choose

_LOGGER = logging.getLogger(__package__)

_Done = TypeVar("_Done")

_Incoming: TypeAlias = wire.ToEngine | wire.JobProgress | Future[wire.JobAnswer]
"""What the main thread handles, which alone writes to the pipe: messages, and how far a job is, to its end."""
_PROGRESS_SECONDS = 0.25


def main() -> None:
    """Entry point of `python -m wyoming_qwen3.engine.host.process`; only the server starts it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=("native", "standby"), required=True)
    parser.add_argument("--pipe", type=int, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--quantize", default="auto")
    parser.add_argument("--codec", default="int16")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("--no-graphs", action="store_true")
    parser.add_argument("--log-level", default="INFO")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.WARNING, format=f"%(asctime)s %(levelname)s {arguments.engine} engine: %(message)s"
    )
    _LOGGER.setLevel(arguments.log_level)  # only our own loggers: upstream's libraries log a lot
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides when to stop
    with socket.socket(fileno=arguments.pipe) as pipe:
        Host(pipe, _make_engine(arguments)).run()


def _make_engine(arguments: argparse.Namespace) -> Engine:
    if arguments.engine == "standby":
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else onnxruntime keeps a device id and reports to Microsoft
        from .standby import StandbyEngine  # noqa: PLC0415  only this process may import onnxruntime

        return StandbyEngine()
    with importing():
        from wyoming_qwen3.engine.native import NativeEngine  # noqa: PLC0415  only this process may import torch

    gc.freeze()  # else each look for garbage, as after a load, would go through all of torch for 0.1 s
    return NativeEngine(
        arguments.device,
        arguments.dtype,
        arguments.quantize,
        arguments.threads,
        codec=arguments.codec,
        graphs=not arguments.no_graphs,
        models_dir=arguments.models_dir,
    )


@dataclass
class _RowState:
    """One row as the host sees it; `credit` is how many samples it may still send."""

    credit: int
    priority: Priority
    opening: wire.Opening | None
    """The message that opens the row in the engine; None once it was sent there.

    It is kept until the row is first stepped, because reading a text delays the other rows.
    """

    sent: float = 0.0
    """Seconds of the row's audio that were sent."""

    playback: Playback = field(default_factory=Playback)

    def candidate(self, row: int, now: float) -> Candidate:
        """Return what the choice of rows needs to know of this one."""
        return Candidate(row, self.priority, self.playback.buffered_seconds(now) if self.playback.begun else None)

    def send(self, samples: int, now: float) -> None:
        """Note that so many samples were sent."""
        self.credit -= samples
        self.sent += samples / SAMPLE_RATE
        if self.priority is Priority.NOW:
            self.playback.take(samples / SAMPLE_RATE, now)

    def set_playing(self, buffered_seconds: float, now: float) -> None:
        """Note that the row is played from now on, after `buffered_seconds` of audio that the listener still has."""
        if self.priority is Priority.NEXT:
            self.priority = Priority.NOW
            self.playback.take(max(buffered_seconds, 0.0) + self.sent, now)


class Host:
    """Runs one engine for the server at the other end of the pipe, until that end is closed or the engine fails."""

    def __init__(self, pipe: socket.socket, engine: Engine) -> None:
        self._pipe = pipe
        self._engine = engine
        self._rows: dict[int, _RowState] = {}
        self._costs = Costs()
        self._jobs: dict[int, Future[wire.JobAnswer]] = {}
        self._stopped: set[int] = set()
        """Numbers of jobs that run but were cancelled."""

        self._job_thread = ThreadPoolExecutor(1, "jobs")
        self._inbox: queue.SimpleQueue[_Incoming] = queue.SimpleQueue()

    def run(self) -> None:
        """Serve until an error ends the process, at once: whatever still runs is of no use any more."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            self._serve()
        except Exception:
            _LOGGER.exception("The engine process stops because of an error")
            os._exit(1)

    def _read(self) -> None:
        try:
            while (message := wire.receive_blocking(self._pipe)) is not None:
                self._inbox.put(message)
        except Exception:
            _LOGGER.exception("The engine process stops because it can't read from the server")
            os._exit(1)
        os._exit(0)

    def _serve(self) -> NoReturn:
        engine = self._engine
        self._send(wire.Hello(engine.selection, engine.measure(), engine.weight_bytes, engine.batch_invariant))
        while True:
            self._take_messages()
            now = time.monotonic()
            candidates = [self._rows[row].candidate(row, now) for row in self._runnable()]
            self._step(self._admitted(choose(candidates, self._costs.of)))

    def _admitted(self, rows: Sequence[int]) -> list[int]:
        """Open new rows in the engine, and return the rows that can be stepped.

        Of the new rows whose priority is not NOW, only one is opened at a time.
        """
        admitted, unhurried = [], 0
        for row in rows:
            state = self._rows[row]
            if state.opening and state.priority is not Priority.NOW:
                unhurried += 1
                if unhurried > 1:
                    continue
            self._admit(row, state)
            if row in self._rows and not self._waits(row):
                admitted.append(row)
        return admitted

    def _admit(self, row: int, state: _RowState) -> None:
        opening, state.opening = state.opening, None
        if opening:
            self._ask_engine(row, partial(self._engine.admit, opening), None)

    def _step(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        start = time.monotonic()
        try:
            for output in self._engine.step(rows):
                self._deliver(output)
        except self._engine.fatal:
            raise
        except Exception as error:  # any of the rows may be at fault, and their state is unknown
            failure = as_speech_error(error, STEP_FAILED)
            for row in rows:
                self._deliver(wire.Failed(row, failure))
        self._costs.add(len(rows), time.monotonic() - start)

    def _runnable(self) -> list[int]:
        return [row for row, state in list(self._rows.items()) if state.credit > 0 and not self._waits(row)]

    def _waits(self, row: int) -> bool:
        """Return whether the row can't be stepped now; True also if asking failed, which ends the row."""
        return self._ask_engine(row, partial(self._engine.waiting, row), True)

    def _take_messages(self) -> None:
        """Handle all messages in the inbox; wait for one if no row can be stepped."""
        if not self._runnable():
            self._handle(self._inbox.get())
        with contextlib.suppress(queue.Empty):
            while True:
                self._handle(self._inbox.get_nowait())

    def _handle(self, message: _Incoming) -> None:
        match message:
            case wire.Submit(row) | wire.DecodeCodes(row):
                self._take_in(row, message)
            case wire.SetPlaying(row, buffered_seconds) if row in self._rows:
                self._rows[row].set_playing(buffered_seconds, time.monotonic())
            case wire.Cancel(row) if row in self._rows:
                self._deliver(wire.Ended(row))
            case wire.Credit(row, samples) if row in self._rows:
                self._rows[row].credit += samples
            case wire.AddText(row, text) if row in self._rows:
                self._ask_engine(row, partial(self._engine.add_text, row, text), None)
            case wire.EndText(row) if row in self._rows:
                self._ask_engine(row, partial(self._engine.end_text, row), None)
            case wire.Ping():
                self._send(wire.Pong())
            case _:
                self._handle_job(message)

    def _handle_job(self, message: _Incoming) -> None:
        match message:
            case wire.RunJob(number, job):
                self._jobs[number] = future = self._job_thread.submit(self._run_job, number, job)
                future.add_done_callback(self._inbox.put)
            case wire.CancelJob(number):
                unwanted = self._jobs.pop(number, None)
                if unwanted and not unwanted.cancel():
                    self._stopped.add(number)
            case wire.JobProgress(number) if number in self._jobs:
                self._send(message)
            case Future() if not message.cancelled():
                answer = message.result()  # raises the engine's fatal errors
                self._stopped.discard(answer.number)
                if answer.number in self._jobs:  # else it was cancelled
                    del self._jobs[answer.number]
                    self._send(answer)

    def _take_in(self, row: int, opening: wire.Opening) -> None:
        priority = opening.priority if isinstance(opening, wire.Submit) else Priority.LAST
        self._rows[row] = state = _RowState(opening.credit, priority, opening)
        if isinstance(opening, wire.Submit) and opening.live:  # more of its text may arrive at once
            self._admit(row, state)

    def _ask_engine(self, row: int, action: Callable[[], _Done], otherwise: _Done) -> _Done:
        """Call the engine for a row and return its answer; an error ends only this row, and returns `otherwise`."""
        answer = self._try_call(action, "The engine could not process this request")
        if not isinstance(answer, SpeechError):
            return answer
        self._deliver(wire.Failed(row, answer))
        return otherwise

    def _run_job(self, number: int, job: wire.Job[Any]) -> wire.JobAnswer:
        unexpected: type[SpeechError] = EngineFailed
        match job:
            case wire.Load(checkpoint, path):
                action: Callable[[], object] = partial(self._engine.load, checkpoint, path, self._reporting(number))
                what, unexpected = f"{checkpoint.name} could not be loaded", ModelFailed
            case wire.Gauge(checkpoint):
                action = partial(self._engine.gauge, checkpoint, partial(self._spare, number))
                what = f"The speed of {checkpoint.name} could not be measured"
            case wire.Unload(checkpoint):
                action, what = partial(self._engine.unload, checkpoint), f"{checkpoint.name} could not be unloaded"
            case wire.Measure():
                action, what = self._engine.measure, "The memory could not be measured"
            case _:
                assert isinstance(job, wire.Clone | wire.Encode)
                action, what = partial(self._engine.compute, job), "The engine failed on this recording"
        result = self._try_call(action, what, unexpected)
        return wire.JobFailed(number, result) if isinstance(result, SpeechError) else wire.JobDone(number, result)

    def _spare(self, number: int) -> bool:
        """Return whether a job may go on that gives way to rows; asked on the jobs' thread."""
        return number not in self._stopped and not self._rows

    def _reporting(self, number: int) -> wire.OnProgress:
        """Return what a job reports its progress to: it sends one now and then, and stops the job if cancelled."""
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            if number in self._stopped:
                raise JobStopped("This was stopped.")
            if (now := time.monotonic()) - last > _PROGRESS_SECONDS:
                last = now
                self._inbox.put(wire.JobProgress(number, done, total))

        return report

    def _try_call(
        self, action: Callable[[], _Done], what: str, unexpected: type[SpeechError] = EngineFailed
    ) -> _Done | SpeechError:
        """Return the result of an action, or its error as as_speech_error does. Raises the engine's fatal errors."""
        try:
            return action()
        except self._engine.fatal:
            raise
        except Exception as error:
            return as_speech_error(error, what, unexpected)

    def _deliver(self, output: wire.Output) -> None:
        if output.row not in self._rows:
            return
        match output:
            case wire.Audio(row, samples):
                self._rows[row].send(len(samples) // 4, time.monotonic())
            case wire.Ended(row) | wire.Failed(row):
                del self._rows[row]
                self._try_call(partial(self._engine.cancel, row), "A row could not be dropped")  # it is over anyway
        self._send(output)

    def _send(self, message: wire.FromEngine) -> None:
        self._pipe.sendall(wire.pack(message))


if __name__ == "__main__":
    main()
