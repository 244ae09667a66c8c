"""The text that a command is given: as words, in a file, or from a pipe while it is written."""

import asyncio
import codecs
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import segments_of

_READ_BYTES = 64 << 10

_STDIN = "-"

NOTHING = "There is nothing to speak in this text."


def known_text(words: str | None, file: Path | None) -> str | None:
    """Return the text that was given, or that is in a file; None if standard input has it.

    Raises InvalidRequest if there is none or two of them, or if the file can't be read.
    """
    if words is not None and file is not None:
        raise InvalidRequest("The text is given twice; leave out the words or -f FILE.")
    if words is None and file is None and sys.stdin.isatty():
        raise InvalidRequest('There is no text to speak; give it as say "Hello.", as say -f FILE, or through a pipe.')
    if file is not None and str(file) != _STDIN:
        return _read_file(file)
    return None if words == _STDIN else words


def _read_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidRequest(f"Can't read {file}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{file} is not a text in UTF-8.") from None


def check_speakable(text: str) -> None:
    """Raise InvalidRequest if there is nothing to speak in a complete text."""
    if all(isinstance(segment, Pause) for segment in segments_of(text)):
        raise InvalidRequest(NOTHING)


async def arriving() -> AsyncIterator[str]:
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
        while data := await reader.read(_READ_BYTES):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)
    finally:
        transport.close()
