"""The terminal commands: speak a text to a file or the loudspeaker, and download a checkpoint."""

import asyncio
import codecs
import contextlib
import os
import shutil
import stat
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from tqdm import tqdm

from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError
from wyoming_qwen3.core.request import SAMPLE_RATE, SpeechRequest
from wyoming_qwen3.engine.wire import Download
from wyoming_qwen3.models.worker import download
from wyoming_qwen3.speech.session import SpeechSession, Synthesizer
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Script

_PIECE = 64 << 10

_PLAYERS = (
    ("pw-play", "--rate", str(SAMPLE_RATE), "--channels", "1", "--format", "s16", "-"),
    ("paplay", "--raw", f"--rate={SAMPLE_RATE}", "--channels=1", "--format=s16le"),
    ("aplay", "-q", "-t", "raw", "-r", str(SAMPLE_RATE), "-c", "1", "-f", "S16_LE"),
    ("ffplay", "-loglevel", "error", "-nodisp", "-autoexit", "-f", "s16le", "-ar", str(SAMPLE_RATE), "-"),
)


async def say(synthesizer: Synthesizer, request: SpeechRequest, text: str, output: Path | None) -> None:
    """Speak a text, or standard input while it arrives for "-". `output` is written completely or not at all.

    Without `output` the audio is played. Raises a SpeechError if the text can't be spoken, written or played.
    """
    session = synthesizer.open(request, "say")
    feeding = None
    if text == "-":
        feeding = asyncio.create_task(_feed_arriving(session), name="standard input")
    else:
        session.add_text(text)
        session.end_text()
    with _sink(output) as sink, _progress("{n:.1f} s of speech in {elapsed}") as bar:
        try:
            async for chunk in session:
                await asyncio.to_thread(sink.write, pcm.to_int16(chunk))
                bar.update(chunk.size / SAMPLE_RATE)
            if feeding:
                await feeding
        finally:
            if feeding:
                feeding.cancel()
            await session.close()
    sys.stderr.write(f"Spoken by {session.report.model}: {session.report.audio:.1f} s of speech\n")


def show_text(text: str) -> None:
    """Print the pieces of a text as they would be spoken, one per line."""
    script = Script()
    script.add_text(_read(text))
    script.end_text()
    while segment := script.take():
        line = f"[pause {segment.seconds:g} s]" if isinstance(segment, Pause) else segment.text
        sys.stdout.write(line + "\n")


async def fetch(checkpoint: Checkpoint, models_dir: Path, revision: str) -> None:
    """Download a checkpoint and show a progress bar. Raises DownloadFailed."""
    with _progress(None, desc=checkpoint.name, unit="B", unit_scale=True) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        await download(Download(checkpoint, models_dir, revision), report)


def _progress(bar_format: str | None, **more: Any) -> "tqdm[Any]":
    """Return a progress bar, which is hidden unless stderr is a terminal."""
    return tqdm(bar_format=bar_format, disable=None, **more)


async def _feed_arriving(session: SpeechSession) -> None:
    try:
        async for part in _arriving():
            session.add_text(part)
    finally:
        session.end_text()


async def _arriving() -> AsyncIterator[str]:
    """Yield standard input's text: as it arrives if it is a pipe or a terminal, else all at once."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        yield await asyncio.to_thread(sys.stdin.read)
        return
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        while data := await reader.read(_PIECE):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)
    finally:
        transport.close()


def _read(text: str) -> str:
    return sys.stdin.read() if text == "-" else text


class _SampleSink(Protocol):
    def write(self, audio: bytes, /) -> object:
        """Write s16le mono audio at 24 kHz."""


@contextlib.contextmanager
def _sink(output: Path | None) -> Iterator[_SampleSink]:
    if output is None:
        with _player() as player:
            yield player
    else:
        with _wave_file(output) as file:
            yield file


@contextlib.contextmanager
def _wave_file(path: Path) -> Iterator[_SampleSink]:
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as raw, wave.open(raw, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            yield _WaveSink(file)
        part.replace(path)
    except OSError as error:
        raise SpeechError(f"Can't write {path}: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


class _WaveSink:
    def __init__(self, file: wave.Wave_write) -> None:
        self._file = file

    def write(self, audio: bytes, /) -> object:
        self._file.writeframes(audio)
        return None


@contextlib.contextmanager
def _player() -> Iterator[IO[bytes]]:
    for command, *arguments in _PLAYERS:
        if found := shutil.which(command):
            player = subprocess.Popen([found, *arguments], stdin=subprocess.PIPE, bufsize=0)
            break
    else:
        names = ", ".join(command for command, *_ in _PLAYERS)
        raise InvalidRequest(f"No audio player was found ({names}); write a file with -o FILE.wav.")
    assert player.stdin is not None
    try:
        yield player.stdin
    except BrokenPipeError:
        raise SpeechError(f"The player {command} stopped before the end; write a file with -o FILE.wav.") from None
    finally:
        player.stdin.close()
        player.wait()
