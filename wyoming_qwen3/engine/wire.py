"""The messages on the pipe between the server and an engine or download process, and how they are packed.

A message is a length-prefixed pickle of one of the dataclasses below. Arrays are sent separately: copying a minute of
samples into a pickle would block the event loop for 10 ms. Both ends are this program, one the child of the other, on
a socket pair that no other process can open: pickle is safe here and nowhere else.

A row returns audio in chunks, side by side with all other rows. Each row has its own flow control by credit: a row that
has used up the samples granted to it is not stepped, so that a slow reader costs bounded memory and never delays
another row.

A job is all other work, such as loading a checkpoint or reading a clip. A process runs its jobs one after the other and
answers each once. Rows and jobs are numbered separately.
"""

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import SpeechError
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.core.request import ClonePrompt, CodeArray, FloatArray, Priority, Reference, SpeechRequest

_Result = TypeVar("_Result")

_HEAD = struct.Struct("!II")
"""Bytes of the pickle, and how many arrays follow it."""

_LENGTH = struct.Struct("!I")
"""Bytes of an array."""

SpeechFault = Literal["limit", "silence", "loop"]
"""What was wrong: no end within the frames that the text can need, lasting silence, or one code repeated."""


# Jobs


class Job(Generic[_Result]):
    """Work that a process does for the server; `_Result` is the type of its result."""


OnProgress: TypeAlias = Callable[[int, int], None]
"""Called by a job with how much of it is done, and of how much in total."""


def ignore_progress(_done: int, _total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory: the bytes that it takes there, and "int8", "int4" or the type of its weights' numbers.

    `speed` is that of one utterance in times real time. It is None before it was measured, and on a GPU.
    """

    footprint: int
    weights: str
    speed: float | None = None


@dataclass(frozen=True)
class Load(Job[Loaded]):
    """Read a checkpoint into memory, and report the bytes that are there, or the GPU kernels that are compiled."""

    checkpoint: Checkpoint
    path: Path


@dataclass(frozen=True)
class Gauge(Job[Loaded | None]):
    """Measure on a CPU how fast a loaded checkpoint speaks, and change its weights if others suit the machine.

    It gives way to rows, and to CancelJob though it has begun; the result is None then, and on a GPU.
    """

    checkpoint: Checkpoint


@dataclass(frozen=True)
class Room:
    """Memory of the engine's device in bytes: what is free, and what all checkpoints together may take.

    `better` is set if another device, or a larger size, would be chosen now.
    """

    free: int
    checkpoints: int
    better: bool = False


@dataclass(frozen=True)
class Measure(Job[Room]):
    """Measure the memory of the engine's device."""


@dataclass(frozen=True)
class Unload(Job[None]):
    """Drop a checkpoint that no row uses."""

    checkpoint: Checkpoint


@dataclass(frozen=True, eq=False)
class Clone(Job[ClonePrompt]):
    """Extract the clone prompt from a clip."""

    checkpoint: Checkpoint
    reference: Reference


@dataclass(frozen=True, eq=False)
class Encode(Job[CodeArray]):
    """Encode float32 mono samples [n] to codes, int64 [frames, codebooks]."""

    checkpoint: Checkpoint
    samples: FloatArray
    sample_rate: int


@dataclass(frozen=True)
class Download(Job[None]):
    """Download what a checkpoint's folder lacks of `revision`, and report progress in bytes.

    Only the download process does this job, and no other one.
    """

    checkpoint: Checkpoint
    models_dir: Path
    revision: str


ClipJob: TypeAlias = Clone | Encode


# Server -> engine or download process


@dataclass(frozen=True)
class RunJob:
    """Run a job after those that were sent before; answered by JobDone or JobFailed."""

    number: int
    job: Job[Any]


@dataclass(frozen=True)
class CancelJob:
    """Drop a job, which then has no answer. Of those that have begun, Gauge and a load that reports are stopped."""

    number: int


@dataclass(frozen=True)
class Submit:
    """Open a row that speaks. Its text is complete, unless it is `live`: then it grows by AddText until EndText.

    `credit` is how many samples the row may send at first.
    """

    row: int
    checkpoint: Checkpoint | None
    request: SpeechRequest
    text: str
    live: bool
    credit: int
    priority: Priority = Priority.NOW


@dataclass(frozen=True, eq=False)
class DecodeCodes:
    """Open a row that decodes codes, int64 [frames, codebooks], to audio; `credit` as for Submit."""

    row: int
    checkpoint: Checkpoint
    codes: CodeArray
    credit: int


@dataclass(frozen=True)
class AddText:
    """Add text to a live row."""

    row: int
    text: str


@dataclass(frozen=True)
class EndText:
    """Mark a live row's text as complete."""

    row: int


@dataclass(frozen=True)
class Credit:
    """Let the row send `samples` more samples."""

    row: int
    samples: int


@dataclass(frozen=True)
class SetPlaying:
    """Set the row's priority to NOW: the listener has `buffered_seconds` of audio left, apart from this row's."""

    row: int
    buffered_seconds: float


@dataclass(frozen=True)
class Cancel:
    """Stop a row at the next frame boundary; answered by Ended."""

    row: int


@dataclass(frozen=True)
class Ping:
    """Ask whether the engine is responsive; answered by Pong between two steps, even during loads and jobs."""


Opening: TypeAlias = Submit | DecodeCodes
ToEngine: TypeAlias = RunJob | CancelJob | Opening | AddText | EndText | Credit | SetPlaying | Cancel | Ping


# Engine or download process -> server


@dataclass(frozen=True)
class Hello:
    """The process is up. `selection` is what it computes on, and `weight_bytes` the bytes of one weight there.

    With `batch_invariant`, the samples of a row do not depend on the rows beside it.
    """

    selection: Selection
    room: Room
    weight_bytes: int
    batch_invariant: bool


@dataclass(frozen=True)
class Pong:
    """The engine is not stuck."""


@dataclass(frozen=True)
class JobProgress:
    """How far a job is: `done` of `total`, in bytes of a Download, in compiled GPU kernels of a Load."""

    number: int
    done: int
    total: int


@dataclass(frozen=True)
class JobDone:
    """The job's result."""

    number: int
    result: object


@dataclass(frozen=True)
class JobFailed:
    """The job failed."""

    number: int
    error: SpeechError


@dataclass(frozen=True)
class Audio:
    """The next float32 samples of a row, 24 kHz mono."""

    row: int
    samples: bytes


@dataclass(frozen=True)
class Ended:
    """The row is over: all its audio was sent, or it was cancelled.

    `text_tokens` is the length of its text and `frames` the number of codec frames of its audio. The standby voice has
    neither: its phonemes are counted as tokens, and each 80 ms of its audio as a frame. Both are 0 for a cancelled row.
    """

    row: int
    text_tokens: int = 0
    frames: int = 0


@dataclass(frozen=True)
class Failed:
    """The row is over and its audio is incomplete."""

    row: int
    error: SpeechError


@dataclass(frozen=True)
class GuardTripped:
    """A row's speech went wrong. It was restarted with another seed if `retried`; otherwise Failed follows."""

    row: int
    fault: SpeechFault
    retried: bool


ForRow: TypeAlias = Audio | Ended | Failed
Output: TypeAlias = ForRow | GuardTripped
JobAnswer: TypeAlias = JobDone | JobFailed
FromEngine: TypeAlias = Hello | Pong | Output | JobProgress | JobAnswer


def parts(message: ToEngine | FromEngine) -> list[bytes | memoryview]:
    """Pack a message into parts to be written to the pipe in this order; arrays are views, not copies."""
    arrays: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    written: list[bytes | memoryview] = [_HEAD.pack(len(body), len(arrays)) + body]
    for array in arrays:
        content = array.raw()
        written += (_LENGTH.pack(content.nbytes), content)
    return written


def pack(message: ToEngine | FromEngine) -> bytes:
    """Pack a message into one bytes object for the pipe."""
    return b"".join(parts(message))


async def receive(reader: asyncio.StreamReader) -> FromEngine | None:
    """Read the next message from the engine; None if its end of the pipe is closed."""
    try:
        length, count = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        body = await reader.readexactly(length)
        arrays = [await _receive_array(reader) for _ in range(count)]
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    message: FromEngine = pickle.loads(body, buffers=arrays)
    return message


async def _receive_array(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)


def receive_blocking(pipe: socket.socket) -> ToEngine | None:
    """Wait for the next message from the server; None if its end of the pipe is closed."""
    try:
        length, count = _HEAD.unpack(_read_exactly(pipe, _HEAD.size))
        body = _read_exactly(pipe, length)
        arrays = [_read_exactly(pipe, *_LENGTH.unpack(_read_exactly(pipe, _LENGTH.size))) for _ in range(count)]
    except (EOFError, ConnectionError):
        return None
    message: ToEngine = pickle.loads(body, buffers=arrays)
    return message


def _read_exactly(pipe: socket.socket, length: int) -> bytearray:
    received = bytearray(length)
    rest = memoryview(received)
    while rest:
        count = pipe.recv_into(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return received
