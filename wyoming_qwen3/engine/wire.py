"""What crosses the pipe between the server and an engine process.

Length-prefixed pickles of the dataclasses below. Both ends are this program, one the child of the other, on a
socket pair that nobody else can open: pickle is safe here and nowhere else.

Flow control is by credit, row by row: the engine sends a row no more samples than it was granted, so that one
slow reader costs bounded memory and never holds up another row.
"""

import asyncio
import pickle
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from wyoming_qwen3.checkpoints import Checkpoint
from wyoming_qwen3.request import SpeechRequest

_LENGTH = struct.Struct("!I")


# Server -> engine


@dataclass(frozen=True)
class Load:
    """Read a checkpoint into memory; answered by Loaded or LoadFailed."""

    checkpoint: Checkpoint
    path: Path


@dataclass(frozen=True)
class Unload:
    """Drop a checkpoint that no row uses; answered by Unloaded."""

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
class Cancel:
    """Stop the row at the next frame boundary; answered by Ended."""

    row: int


ToEngine: TypeAlias = Load | Unload | Submit | Feed | Finish | Credit | Cancel


# Engine -> server


@dataclass(frozen=True)
class Hello:
    """The process is up. `memory` is what models may take on its device, `weight_bytes` what a weight takes there."""

    device: str
    memory: int
    weight_bytes: int


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
    """The row is over: all its audio was sent, or it was cancelled."""

    row: int


@dataclass(frozen=True)
class Failed:
    """The row is over and its audio is not whole."""

    row: int
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


Output: TypeAlias = Audio | Ended | Failed
FromEngine: TypeAlias = Hello | Loaded | LoadFailed | Unloaded | Output | Downloading | Downloaded | DownloadBroken


def pack(message: ToEngine | FromEngine) -> bytes:
    """One message as it goes over the pipe."""
    body = pickle.dumps(message, protocol=5)
    return _LENGTH.pack(len(body)) + body


async def receive(reader: asyncio.StreamReader) -> FromEngine | None:
    """Next message from the engine; None when its end of the pipe is closed."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        message: FromEngine = pickle.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return message


def receive_blocking(pipe: socket.socket) -> ToEngine | None:
    """Next message from the server; None when its end of the pipe is closed."""
    header = _read_exactly(pipe, _LENGTH.size)
    body = header and _read_exactly(pipe, _LENGTH.unpack(header)[0])
    if not body:
        return None
    message: ToEngine = pickle.loads(body)
    return message


def _read_exactly(pipe: socket.socket, length: int) -> bytes | None:
    received = bytearray()
    while len(received) < length:
        try:
            part = pipe.recv(length - len(received))
        except ConnectionError:
            return None
        if not part:
            return None
        received += part
    return bytes(received)
