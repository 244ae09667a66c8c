"""Speech from a server whose answer breaks off: it is never taken for a whole one, or for an error of the disk."""

import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.program import everything_in
from wyoming_qwen3.cli.options import parse
from wyoming_qwen3.cli.remote import say_through
from wyoming_qwen3.core.errors import SpeechError

_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: to close a socket resets its connection."""


@pytest.mark.parametrize("reset", [True, False])
def test_an_answer_that_breaks_off_is_said_and_writes_no_file(tmp_path: Path, reset: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        thread.submit(_break_off, server, tmp_path, reset=reset)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        settings = parse(["say", "Hi", "--server", url, "-o", str(tmp_path / "hi.wav")], {})
        with pytest.raises(SpeechError, match=f"^The answer of the server at {url} broke off; its log says why.$"):
            say_through(settings, "Hi")
    assert everything_in(tmp_path) == []


def _break_off(server: socket.socket, folder: Path, *, reset: bool) -> None:
    """Answer one request with four bytes of a hundred, and close the connection once the client writes a file."""
    client, _ = server.accept()
    with client:
        asked = b""
        while not asked.endswith(b"}"):  # closing it with unread input would reset the connection, too
            asked += client.recv(1 << 16)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nRIFF")
        while not everything_in(folder):
            time.sleep(0.005)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
