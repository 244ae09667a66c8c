"""A process of this program at the other end of a pipe: its start, its jobs, and its end.

Knows how messages travel and what a job is; does NOT know rows, or which jobs there are.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.engine import wire

_STOP_SECONDS = 2.0

_Result = TypeVar("_Result")


def _ignore(_: object) -> None:
    pass


class ChildProcess:
    """A running child process. `spawn` starts one."""

    def __init__(
        self, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter, death: Callable[[], SpeechError]
    ) -> None:
        self.process = process
        self._writer = writer
        self._death = death
        self._numbers = itertools.count(1)
        self._jobs: dict[int, tuple[asyncio.Future[Any], wire.OnProgress]] = {}
        """The result and the progress of each job that has no answer yet, by its number."""

        self._stopping = False
        self._reading: asyncio.Task[None]

    @classmethod
    async def spawn(
        cls,
        module: str,
        arguments: Sequence[str],
        *,
        death: Callable[[], SpeechError],
        on_message: Callable[[wire.FromEngine], None] = _ignore,
        died: Callable[[bool], None] = _ignore,
    ) -> Self:
        """Start `python -m module` with one end of a socket pair.

        `on_message` is called with each of its messages, and `died` when it has ended, with whether `stop` was called.
        Jobs that have no answer then fail with `death()`.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, "--pipe", str(theirs.fileno()), *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),  # stdout may be the protocol's
                pass_fds=[theirs.fileno()],
            )
        ours.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        child = cls(process, writer, death)
        child._reading = asyncio.create_task(child._read(reader, on_message, died), name=f"{module} reader")
        return child

    @property
    def jobs(self) -> int:
        """How many jobs have no answer yet."""
        return len(self._jobs)

    def send(self, message: wire.ToEngine) -> None:
        """Send a message without waiting, as messages are few."""
        for part in wire.parts(message):
            self._writer.write(part)

    async def run(self, job: wire.Job[_Result], report: wire.OnProgress = wire.ignore_progress) -> _Result:
        """Run a job in the process, and return its result. Cancelling drops the job.

        Raises the job's SpeechError, or `death()` if the process ends first.
        """
        number = next(self._numbers)
        answer: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._jobs[number] = answer, report
        self.send(wire.RunJob(number, job))
        try:
            return await answer
        finally:
            if self._jobs.pop(number, None):  # no answer has come: the caller no longer waits for it
                self.send(wire.CancelJob(number))

    def kill(self) -> None:
        """Kill the process at once."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask the process to end with SIGTERM, kill it after `_STOP_SECONDS`, and wait until it is gone."""
        self._stopping = True
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await asyncio.shield(self._reading)
        except TimeoutError:
            self.kill()
            await asyncio.shield(self._reading)

    async def _read(
        self, reader: asyncio.StreamReader, on_message: Callable[[wire.FromEngine], None], died: Callable[[bool], None]
    ) -> None:
        while (message := await wire.receive(reader)) is not None:
            self._take(message)
            on_message(message)
        self._writer.close()
        self.kill()  # it closed its end or broke the pipe: it is no longer usable
        await self.process.wait()
        for number in list(self._jobs):
            self._take(wire.JobFailed(number, self._death()))
        died(self._stopping)

    def _take(self, message: wire.FromEngine) -> None:
        """Pass a message about a job on to the caller that waits for it."""
        match message:
            case wire.JobProgress(number, done, total) if number in self._jobs:
                self._jobs[number][1](done, total)
            case wire.JobDone(number) | wire.JobFailed(number) if number in self._jobs:
                answer, _ = self._jobs.pop(number)
                if answer.done():  # the caller was cancelled
                    return
                if isinstance(message, wire.JobDone):
                    answer.set_result(message.result)
                else:
                    answer.set_exception(message.error)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal if the process still runs.

        The methods of `process` are not used: they check whether it has ended, and then the event loop can no longer
        get its exit code.
        """
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)
