"""What crosses the pipe between the server and an engine process.

Length-prefixed pickles of the dataclasses below, the arrays in them apart: a minute of samples is never copied into
a pickle, which would stop the event loop for 10 ms. Both ends are this program, one the child of the other, on a
socket pair that nobody else can open: pickle is safe here and nowhere else.

A row makes sound, bit by bit, beside all other rows. Flow control is by credit, row by row: the engine sends a row no
more samples than it was granted, so that one slow reader costs bounded memory and never holds up another row.

A job is computed whole, in its turn after the jobs and loads before it, and has one answer. Rows and jobs are numbered
by the server, from one series.
"""

import asyncio
import pickle
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.request import ClonePrompt, CodeArray, FloatArray, Priority, Reference, SpeechRequest

_HEAD = struct.Struct("!II")
"""Bytes of the pickle, and how many arrays come after it."""

_LENGTH = struct.Struct("!I")
"""Bytes of an array."""

Fault = Literal["limit", "silence", "loop"]
"""What was wrong: no end within the frames that the text can need, only silence any more, one code again and again."""


# Server -> engine


@dataclass(frozen=True)
class Load:
    """Read a checkpoint into memory; answered by Loaded or LoadFailed."""

    checkpoint: Checkpoint
    path: Path


@dataclass(frozen=True)
class Unload:
    """Drop a checkpoint that no row uses, after the jobs before; answered by Unloaded."""

    checkpoint: Checkpoint


@dataclass(frozen=True)
class Submit:
    """A new row. `live` text grows by Feed until Finish and is spoken as it comes; else `text` is all of it."""

    row: int
    checkpoint: Checkpoint | None
    request: SpeechRequest
    text: str
    live: bool
    credit: int
    turn: Priority = Priority.NOW


@dataclass(frozen=True, eq=False)
class Play:
    """A new row that makes codes, int64 [frames, codebooks], sound again."""

    row: int
    checkpoint: Checkpoint
    codes: CodeArray
    credit: int


@dataclass(frozen=True)
class Feed:
    """More text of a live row."""

    row: int
    text: str


@dataclass(frozen=True)
class Finish:
    """A live row's text is complete."""

    row: int


@dataclass(frozen=True)
class Credit:
    """The row may send that many samples more."""

    row: int
    samples: int


@dataclass(frozen=True)
class Hear:
    """The row's turn is NOW: who listens has so many seconds of sound in hand beside what was sent of this row."""

    row: int
    in_hand: float


@dataclass(frozen=True, eq=False)
class Clone:
    """A job: extract from a clip what clones its voice; answered by Cloned or JobFailed."""

    job: int
    checkpoint: Checkpoint
    reference: Reference


@dataclass(frozen=True, eq=False)
class Encode:
    """A job: codes of float32 mono samples [n]; answered by Encoded or JobFailed."""

    job: int
    checkpoint: Checkpoint
    samples: FloatArray
    sample_rate: int


@dataclass(frozen=True)
class Cancel:
    """Stop a row at the next frame boundary, which Ended answers; or drop a job, which then has no answer."""

    number: int


@dataclass(frozen=True)
class Ping:
    """Answered by Pong between two steps, whatever else goes on."""


Opening: TypeAlias = Submit | Play
Job: TypeAlias = Clone | Encode
ToEngine: TypeAlias = Load | Unload | Opening | Job | Feed | Finish | Credit | Hear | Cancel | Ping


# Engine -> server


@dataclass(frozen=True)
class Hello:
    """The process is up. `memory` is what models may take on its device, `weight_bytes` what a weight takes there.

    Where rows are `apart`, the numbers of a row are the same whatever rows are beside it.
    """

    device: str
    memory: int
    weight_bytes: int
    apart: bool


@dataclass(frozen=True)
class Pong:
    """The engine is not stuck."""


@dataclass(frozen=True)
class Loaded:
    """The checkpoint is ready and takes `footprint` bytes."""

    checkpoint: Checkpoint
    footprint: int


@dataclass(frozen=True)
class LoadFailed:
    """The checkpoint can't be used."""

    checkpoint: Checkpoint
    code: str
    message: str


@dataclass(frozen=True)
class Unloaded:
    """The checkpoint's memory was given back."""

    checkpoint: Checkpoint


@dataclass(frozen=True)
class Audio:
    """float32 samples of a row, 24 kHz mono, in order."""

    row: int
    samples: bytes


@dataclass(frozen=True)
class Ended:
    """The row is over: all its audio was sent, or it was cancelled.

    `text_tokens` is what its text came to, and `frames` the codec frames of its audio; 0 where it was cancelled.
    """

    row: int
    text_tokens: int = 0
    frames: int = 0


@dataclass(frozen=True)
class Failed:
    """The row is over and its audio is not whole."""

    row: int
    code: str
    message: str


@dataclass(frozen=True)
class Guarded:
    """A row's speech has gone wrong, and was begun anew with another seed, or else Failed follows."""

    row: int
    fault: Fault
    retried: bool


@dataclass(frozen=True, eq=False)
class Cloned:
    """The clip's voice, ready to be spoken with."""

    job: int
    prompt: ClonePrompt


@dataclass(frozen=True, eq=False)
class Encoded:
    """The samples as codes, int64 [frames, codebooks]."""

    job: int
    codes: CodeArray


@dataclass(frozen=True)
class JobFailed:
    """The job can't be done."""

    job: int
    code: str
    message: str


@dataclass(frozen=True)
class Downloading:
    """Progress of a download, in bytes."""

    done: int
    total: int


@dataclass(frozen=True)
class Downloaded:
    """The checkpoint is on disk, whole and verified."""


@dataclass(frozen=True)
class DownloadBroken:
    """The download failed; `transient` when trying again later may help."""

    message: str
    transient: bool


ForRow: TypeAlias = Audio | Ended | Failed
Output: TypeAlias = ForRow | Guarded
Result: TypeAlias = Cloned | Encoded
FromEngine: TypeAlias = (
    Hello
    | Pong
    | Loaded
    | LoadFailed
    | Unloaded
    | Output
    | Result
    | JobFailed
    | Downloading
    | Downloaded
    | DownloadBroken
)


def parts(message: ToEngine | FromEngine) -> list[bytes | memoryview]:
    """One message as it goes over the pipe, to be written in this order: arrays are views of their own memory."""
    arrays: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    written: list[bytes | memoryview] = [_HEAD.pack(len(body), len(arrays)) + body]
    for array in arrays:
        content = array.raw()
        written += (_LENGTH.pack(content.nbytes), content)
    return written


def pack(message: ToEngine | FromEngine) -> bytes:
    """One message as it goes over the pipe, in one piece."""
    return b"".join(parts(message))


async def receive(reader: asyncio.StreamReader) -> FromEngine | None:
    """Next message from the engine; None when its end of the pipe is closed."""
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
    """Next message from the server; None when its end of the pipe is closed."""
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
