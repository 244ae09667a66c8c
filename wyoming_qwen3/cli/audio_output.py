"""Where speech goes: a file in the format of its ending, or the loudspeaker by way of a player."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast

from wyoming_qwen3.audio import pcm
from wyoming_qwen3.audio.encode import AudioFormat, open_writer
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

from .option_types import AUDIO_ENDINGS

_PLAYERS = (
    ("pw-play", "--rate", str(SAMPLE_RATE), "--channels", "1", "--format", "s16", "-"),
    ("paplay", "--raw", f"--rate={SAMPLE_RATE}", "--channels=1", "--format=s16le"),
    ("aplay", "-q", "-t", "raw", "-r", str(SAMPLE_RATE), "-c", "1", "-f", "S16_LE"),
    ("ffplay", "-loglevel", "error", "-nodisp", "-autoexit", "-f", "s16le", "-ar", str(SAMPLE_RATE), "-"),
)


class SampleSink(Protocol):
    """Takes speech."""

    def write(self, samples: FloatArray, /) -> None:
        """Add float32 [samples], mono at `SAMPLE_RATE`. May block, so don't call it on an event loop."""


def file_format(output: Path | None) -> AudioFormat:
    """Return the format of a file by its ending, which must be one of `AUDIO_ENDINGS`; pcm for a player."""
    return cast(AudioFormat, AUDIO_ENDINGS[output.suffix.lower()]) if output else "pcm"


def check_output(output: Path | None) -> None:
    """Raise the error of `sample_sink` if nothing can be written or played there, before anything is spoken for it."""
    if output is None:
        _find_player()
        return
    part = _part(output)
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise _unwritable(output, error) from error


@contextlib.contextmanager
def sample_sink(output: Path | None) -> Iterator[SampleSink]:
    """Write a file, completely or not at all, or play if it is None. Raises SpeechError if that fails."""
    if output is None:
        with player() as pipe:
            yield _PlayerSink(pipe)
        return
    with written_whole(output) as file, contextlib.closing(open_writer(file, file_format(output))) as writer:
        yield writer
        writer.end()


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears in its place only if the context ends without an error. Raises SpeechError."""
    part = _part(path)
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # its folder may not exist
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def player() -> Iterator[IO[bytes]]:
    """Start a player, and yield the pipe for its s16le mono audio at `SAMPLE_RATE`; wait until it has played all.

    Raises InvalidRequest if there is no player, and SpeechError if it stops early.
    """
    command = _find_player()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)
    assert process.stdin is not None
    try:
        yield process.stdin
    except BrokenPipeError:
        name = Path(command[0]).name
        raise SpeechError(f"The player {name} stopped before the end; write a file with -o FILE.wav.") from None
    finally:
        process.stdin.close()
        process.wait()


def _find_player() -> list[str]:
    """Return the command of a player. Raises InvalidRequest if there is none."""
    for command, *arguments in _PLAYERS:
        if found := shutil.which(command):
            return [found, *arguments]
    names = ", ".join(command for command, *_ in _PLAYERS)
    raise InvalidRequest(f"No audio player was found ({names}); write a file with -o FILE.wav.")


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _unwritable(path: Path, error: OSError) -> SpeechError:
    return SpeechError(f"Can't write {path}: {error.strerror}.")


class _PlayerSink:
    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def write(self, samples: FloatArray, /) -> None:
        self._pipe.write(pcm.to_int16(samples))
