"""The server's side of an engine process: starts it, loads models, opens rows, runs jobs, and notices when it dies.

Starts the download process too. In the server's process this is the only file that knows the messages for rows.
"""

import asyncio
import contextlib
import itertools
import logging
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed, OutOfMemory, SpeechError, TransientDownloadFailed
from wyoming_qwen3.core.request import (
    SAMPLE_RATE,
    ClonePrompt,
    CodeArray,
    FloatArray,
    Priority,
    Reference,
    SpeechRequest,
)
from wyoming_qwen3.engine import wire

from .child_process import ChildProcess

_LOGGER = logging.getLogger(__name__)

CREDIT = 20 * SAMPLE_RATE
"""Samples that a row may be ahead of its listener: 20 seconds, 2 MB."""

_PING_SECONDS = 5.0

_ANSWER_TIMEOUT = 90.0
"""Seconds without any message after which an engine that is up counts as stuck; it answers pings between steps.

A step takes milliseconds, but reading a long reference takes a slow processor half a minute.
"""

_DEATH = "The speech engine stopped unexpectedly."
_KILLED = "the speech engine was killed, probably because memory ran out."

_Result = TypeVar("_Result")


class EngineRow:
    """The audio of one row. Iterate it for float32 24 kHz chunks; leaving its context stops it.

    Iterating raises a SpeechError if the audio can't be completed.
    """

    def __init__(self, worker: "Worker", number: int) -> None:
        self.text_tokens = 0
        """Number of tokens of its text; 0 before the end, and if no text was spoken."""

        self.frames = 0
        """Number of codec frames of its audio; 0 before the end."""

        self.made = asyncio.Event()
        """Set when all of its audio is generated, though the listener may not have taken all of it."""

        self._worker = worker
        self._number = number
        self._inbox: asyncio.Queue[wire.ForRow] = asyncio.Queue()
        self._taken = 0

    def add_text(self, text: str) -> None:
        """Add text to a live row."""
        self._worker.send(wire.AddText(self._number, text))

    def end_text(self) -> None:
        """Note that a live row's text is complete."""
        self._worker.send(wire.EndText(self._number))

    def set_playing(self, buffered_seconds: float) -> None:
        """Note that it is this row's turn to be played.

        `buffered_seconds` is how much audio the listener has left to play, without what this row has sent.
        """
        self._worker.send(wire.SetPlaying(self._number, buffered_seconds))

    def deliver(self, output: wire.ForRow) -> None:
        """Add a message from the engine. Called by the worker."""
        self._inbox.put_nowait(output)
        if isinstance(output, wire.Ended):
            self.made.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FloatArray:
        if self._taken:  # asking for the next chunk means that the last one was taken
            self._worker.send(wire.Credit(self._number, self._taken))
            self._taken = 0
        match await self._inbox.get():
            case wire.Audio(samples=samples):
                chunk = np.frombuffer(samples, dtype=np.float32)
                self._taken = chunk.size
                return chunk
            case wire.Failed(error=error):
                raise error
            case wire.Ended(text_tokens=tokens, frames=frames):
                self.text_tokens, self.frames = tokens, frames
                raise StopAsyncIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.cancel(self._number)


class Worker:
    """One engine process. `start` starts it; it may be stopped and started again, and may die at any time."""

    def __init__(self, engine: str, arguments: Sequence[str] = (), *, timeout: float = _ANSWER_TIMEOUT) -> None:
        self.engine = engine
        self.on_death: Callable[[], None] = lambda: None
        """Called when the process ends without having been stopped."""

        self.on_guard: Callable[[wire.SpeechFault, bool], None] = lambda _, __: None
        """Called with what went wrong with a row's speech, and whether the engine started it again."""

        self._arguments = arguments
        self._timeout = timeout
        self._last_message = 0.0
        """When the last message came from the process, by the event loop's clock."""

        self._watching: asyncio.Task[None] | None = None
        self._stuck = False
        self._child: ChildProcess | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._rows: dict[int, EngineRow] = {}
        self._hello: asyncio.Future[wire.Hello] | None = None
        self._killed = False
        """Whether the last process was killed from outside."""

        self._room: wire.Room | None = None
        """What this process last told of its memory; None if it was not asked."""

    @property
    def hello(self) -> wire.Hello | None:
        """What the process reported about itself; None while it is not up."""
        if self._child is None or self._hello is None or not self._hello.done():
            return None
        return self._hello.result()

    @property
    def running(self) -> bool:
        """Whether the process is up and has said hello."""
        return self.hello is not None

    @property
    def pid(self) -> int | None:
        """Process ID; None while there is no process."""
        return self._child.process.pid if self._child else None

    async def start(self) -> wire.Hello:
        """Start the process if it is not up, wait until it is, and return what it reports about itself.

        Raises EngineFailed if it dies instead.
        """
        async with self._starting:
            if self._child is None:
                self._hello = asyncio.get_running_loop().create_future()
                self._child = await ChildProcess.spawn(
                    "wyoming_qwen3.engine.host.process",
                    ["--engine", self.engine, *self._arguments],
                    death=partial(EngineFailed, _DEATH),
                    on_message=self._receive,
                    died=self._died,
                )
            hello = self._hello
        assert hello is not None
        return await asyncio.shield(hello)

    async def measure(self, patience: float | None = None) -> wire.Room:
        """Return the memory of the process's device, as it was last told after `patience` seconds.

        It is measured between loads and other jobs. Raises EngineFailed if the process is not up or dies.
        """
        hello = await self.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                self._room = await self._run(wire.Measure())
        return self._room or hello.room

    async def load(
        self, checkpoint: Checkpoint, path: Path, report: wire.OnProgress = wire.ignore_progress
    ) -> wire.Loaded:
        """Load a checkpoint; `report` is as for Engine.load. Cancelling stops it soon.

        Raises ModelFailed if it can't be used, OutOfMemory if it does not fit or the process was killed, and
        EngineFailed if the process died otherwise.
        """
        await self.start()
        try:
            return await self._run(wire.Load(checkpoint, path), report)
        except EngineFailed as error:
            if self._killed:
                raise OutOfMemory(f"{checkpoint.name} could not be loaded: {_KILLED}") from error
            raise

    async def gauge(self, checkpoint: Checkpoint) -> wire.Loaded | None:
        """Have the speed of a loaded checkpoint measured; see wire.Gauge. Cancelling stops it.

        Raises what `load` raises.
        """
        return await self._run(wire.Gauge(checkpoint))

    async def unload(self, checkpoint: Checkpoint) -> None:
        """Unload a checkpoint that no row uses. Waits for a job that runs."""
        with contextlib.suppress(SpeechError):  # the engine is dead and holds nothing, or it has logged the error
            await self._run(wire.Unload(checkpoint))

    def submit(
        self,
        checkpoint: Checkpoint | None,
        request: SpeechRequest,
        text: str,
        *,
        live: bool = False,
        priority: Priority = Priority.NOW,
    ) -> EngineRow:
        """Start a row; use it as a context manager, so that it stops when it is no longer wanted."""
        return self._open(wire.Submit(next(self._numbers), checkpoint, request, text, live, CREDIT, priority))

    def decode(self, checkpoint: Checkpoint, codes: CodeArray) -> EngineRow:
        """Start a row that decodes codes, int64 [frames, codebooks], to audio; use it like one from `submit`."""
        return self._open(wire.DecodeCodes(next(self._numbers), checkpoint, codes, CREDIT))

    async def clone(self, checkpoint: Checkpoint, reference: Reference) -> ClonePrompt:
        """Extract from a clip what the Base checkpoint needs to speak with its voice.

        Raises InvalidRequest if the clip is not usable, and EngineFailed if the process died meanwhile.
        """
        return await self._run(wire.Clone(checkpoint, reference))

    async def encode(self, checkpoint: Checkpoint, samples: FloatArray, sample_rate: int) -> CodeArray:
        """Return the codes, int64 [frames, codebooks], of mono float32 samples [n] at any sample rate.

        Raises InvalidRequest if the samples are not usable, and EngineFailed if the process died meanwhile.
        """
        return await self._run(wire.Encode(checkpoint, samples, sample_rate))

    def cancel(self, number: int) -> None:
        """Stop a row if it is not over."""
        if number in self._rows:
            self.send(wire.Cancel(number))

    def send(self, message: wire.ToEngine) -> None:
        """Send a message without waiting, as messages are few. If the process dies, `_died` ends all rows."""
        if self._child is not None:
            self._child.send(message)

    async def stop(self) -> None:
        """End the process: the only sure way to give all of its memory back."""
        async with self._starting:
            if child := self._child:
                await child.stop()

    def _open(self, opening: wire.Opening) -> EngineRow:
        row = EngineRow(self, opening.row)
        if self._child is None:
            row.deliver(_dead(opening.row))
        else:
            self._rows[opening.row] = row
            self.send(opening)
        return row

    async def _run(self, job: wire.Job[_Result], report: wire.OnProgress = wire.ignore_progress) -> _Result:
        if self._child is None:
            raise EngineFailed(_DEATH)
        return await self._child.run(job, report)

    async def _watch(self, child: ChildProcess) -> None:
        """Ping the engine now and then, and kill it if no message has come from it for too long."""
        loop, every = asyncio.get_running_loop(), min(_PING_SECONDS, self._timeout / 4)
        asked = self._last_message
        while True:
            if asked - self._last_message > self._timeout:
                _LOGGER.error(
                    "The %s engine process has not answered for %.0f s and is killed", self.engine, self._timeout
                )
                self._stuck = True
                child.kill()
                return
            self.send(wire.Ping())
            await asyncio.sleep(every)
            # the limit leaves out time in which this process itself did not run
            asked = max(self._last_message, min(loop.time(), asked + 2 * every))

    def _receive(self, message: wire.FromEngine) -> None:
        self._last_message = asyncio.get_running_loop().time()
        match message:
            case wire.Hello():
                if self._hello and not self._hello.done() and self._child:
                    self._hello.set_result(message)
                    self._watching = asyncio.create_task(self._watch(self._child), name=f"{self.engine} watch")
            case wire.Audio(row=number):
                if row := self._rows.get(number):
                    row.deliver(message)
            case wire.GuardTripped(_, fault, retried):
                self.on_guard(fault, retried)
            case wire.Ended(row=number) | wire.Failed(row=number):
                if row := self._rows.pop(number, None):
                    row.deliver(message)

    def _died(self, expected: bool) -> None:
        code = self._child.process.returncode if self._child else None
        self._child = self._room = None
        self._killed = not expected and not self._stuck and code == -signal.SIGKILL
        self._stuck = False
        if self._watching:
            self._watching.cancel()
        if not expected:
            how = "was killed, probably because memory ran out" if self._killed else f"died ({code})"
            _LOGGER.error("The %s engine process %s", self.engine, how)
        rows, self._rows = self._rows, {}
        for number, row in rows.items():
            row.deliver(_dead(number))
        if self._hello and not self._hello.done():
            self._hello.set_exception(EngineFailed(_DEATH))
            self._hello.exception()  # mark it as retrieved: nobody may be waiting for it
        if not expected:
            self.on_death()


async def download(job: wire.Download, report: wire.OnProgress, *, log_level: str = "INFO") -> None:
    """Download one checkpoint in a process of its own, and call `report` with the bytes done and in total.

    The process logs to standard error from `log_level` on. Raises DownloadFailed, or TransientDownloadFailed if another
    try later may help. Cancelling ends the process; what it has fetched stays for the next try.
    """
    death = partial(TransientDownloadFailed, "The download process stopped unexpectedly.")
    arguments = ("--log-level", log_level)
    child = await ChildProcess.spawn("wyoming_qwen3.engine.host.download_process", arguments, death=death)
    try:
        await child.run(job, report)
    finally:
        await child.stop()


def _dead(number: int) -> wire.Failed:
    return wire.Failed(number, EngineFailed(_DEATH))
