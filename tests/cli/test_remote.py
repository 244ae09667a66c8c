"""Servers whose answer is no use: one that breaks off is never taken for a whole one, nor another server's for ours."""

import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.program import everything_in
from wyoming_qwen3.cli.options import parse
from wyoming_qwen3.cli.remote import say_through, voices_at
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError

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
        _read_request(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 100\r\n\r\nRIFF")
        while not everything_in(folder):
            time.sleep(0.005)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@pytest.mark.parametrize(
    ("command", "answer", "said"),
    [
        ("voices", b'HTTP/1.1 200 OK\r\n\r\n{"voices": ["af_bella"]}', "lists no voices as ours does"),
        ("voices", b"HTTP/1.1 200 OK\r\n\r\n<html>", "lists no voices as ours does"),
        ("say", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "answered with text/html, not audio"),
        ("say", b'{"type": "error"}\n', "does not speak HTTP"),
    ],
)
def test_another_server_s_answer_is_said(tmp_path: Path, command: str, answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        thread.submit(_answer, server, answer)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        to_file = ("Hi", "-o", str(tmp_path / "hi.wav")) if command == "say" else ()
        settings = parse([command, "--server", url, *to_file], {})
        ask = partial(say_through, text="Hi") if command == "say" else voices_at
        with pytest.raises(InvalidRequest) as caught:
            ask(settings)
    assert str(caught.value) == f"The server at {url} {said}; is it wyoming-qwen3's HTTP port?"
    assert everything_in(tmp_path) == []


def _answer(server: socket.socket, answer: bytes) -> None:
    client, _ = server.accept()
    with client:
        _read_request(client)
        client.sendall(answer)


def _read_request(client: socket.socket) -> None:
    """Read a request to its end: closing a connection with unread input would reset it."""
    asked = b""
    while not asked.endswith(b"}" if asked.startswith(b"POST") else b"\r\n\r\n"):
        asked += client.recv(1 << 16)
