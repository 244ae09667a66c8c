"""Systems that speak in turns on a CPU, each in a process of its own, so that what disturbs the machine disturbs all.

Knows processes and the order; does NOT know how a system speaks.
"""

import json
import multiprocessing
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

from wyoming_qwen3.core.errors import EngineFailed, SpeechError

from .environment import Environment, offline_environment
from .systems import Times

_WARM_UP_FRAMES = 3


class System(Protocol):
    """A loaded system, as it is measured in turns."""

    def speak(self, text: str, frames: int, *, seed: int = 0) -> Times:
        """Speak that many frames of a text. Raises SpeechError where it can't."""


class Turn(Protocol):
    """A system in its own process."""

    def speak(self, text: str, frames: int, seed: int) -> Times:
        """Speak that many frames of a text. Raises EngineFailed and InvalidRequest."""


def take_turns(turns: Mapping[str, Turn], text: str, frames: int, runs: int) -> dict[str, list[Times]]:
    """Have each system speak once after the other, `runs` times, and return the times of each system."""
    for turn in turns.values():
        turn.speak(text, _WARM_UP_FRAMES, 0)
    times: dict[str, list[Times]] = {name: [] for name in turns}
    for run in range(runs):
        for name, turn in turns.items():
            times[name].append(turn.speak(text, frames, run))
    return times


@contextmanager
def in_process(load: Callable[..., System], *given: Any) -> Iterator[Turn]:
    """A system of this project's environment, which `load` gives in a new process. Raises what loading raises."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, load, given))
    process.start()
    theirs.close()
    turn = _OwnProcess(ours)
    try:
        turn.ready()
        yield turn
    finally:
        ours.close()
        process.join()


@contextmanager
def in_environment(own: Environment, driver: Path, job: Mapping[str, Any]) -> Iterator["Driver"]:
    """A peer, whose driver is a script: it takes lines of JSON, the job and then each run, and answers each with one.

    Raises EngineFailed with the driver's last line where it ends.
    """
    with TemporaryFile("w+", encoding="utf-8") as errors:
        # Not the driver's folder first in the path (-P): its http.py would stand in for Python's own.
        process = subprocess.Popen(
            [str(own.python), "-P", str(driver)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=offline_environment(),
        )
        with process:
            turn = Driver(own.name, process, errors)
            try:
                turn.ask(job)
                yield turn
            finally:
                process.kill()


class _OwnProcess:
    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def ready(self) -> None:
        self._answer()

    def speak(self, text: str, frames: int, seed: int) -> Times:
        self._pipe.send((text, frames, seed))
        times: Times = self._answer()
        return times

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError as error:
            raise EngineFailed("A measuring process died; most likely the memory does not suffice.") from error
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(pipe: Connection, load: Callable[..., System], given: Sequence[Any]) -> None:
    try:
        system = load(*given)
        pipe.send(None)
        while True:
            text, frames, seed = pipe.recv()
            pipe.send(system.speak(text, frames, seed=seed))
    except EOFError:
        pass
    except SpeechError as error:
        pipe.send(error)


class Driver:
    """A peer in its own process."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", errors: Any) -> None:
        self._name, self._process, self._errors = name, process, errors

    def speak(self, text: str, frames: int, seed: int) -> Times:
        """Speak that many frames of a text. Raises EngineFailed."""
        answer = self.ask({"text": text, "frames": frames, "seed": seed})
        return Times(answer["first"], answer["last"])

    def peak_mb(self) -> float:
        """Return the most resident memory of the process so far, in MB."""
        return float(self.ask({"peak": True})["peak_mb"])

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Return the answer to a line. Raises EngineFailed with the last line of errors if the process ends."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines() or [f"exit code {self._process.returncode}"]
            raise EngineFailed(f"{self._name} failed: {lines[-1].strip()}")
        return json.loads(answer)
