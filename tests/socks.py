"""A SOCKS5 proxy of this machine (RFC 1928, and RFC 1929 for a user with a password)."""

import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Self


class Socks:
    """Passes on at `127.0.0.1:port` while it is entered. `asked` are the hosts that clients named."""

    def __init__(self, names: Mapping[str, str], credentials: bytes | None = None) -> None:
        """`names` are hosts that this proxy alone knows, with their addresses; `credentials` as USER:PASSWORD."""
        self.names = names
        self.credentials = credentials
        self.asked: list[str] = []
        self._server = _Server(self)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: Socks) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave are part of the tests."""


class _Handler(StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        proxy, read = self.server.proxy, self.rfile.read
        version, count = read(2)
        method = 2 if proxy.credentials else 0
        if version != 5 or method not in read(count):
            self.wfile.write(b"\x05\xff")
            return
        self.wfile.write(bytes([5, method]))
        if proxy.credentials:
            user = read(read(2)[1])
            right = user + b":" + read(read(1)[0]) == proxy.credentials
            self.wfile.write(bytes([1, not right]))
            if not right:
                return
        _, _, _, kind = read(4)
        host = socket.inet_ntoa(read(4)) if kind == 1 else read(read(1)[0]).decode()
        (port,) = struct.unpack(">H", read(2))
        proxy.asked.append(host)
        with socket.create_connection((proxy.names.get(host, host), port)) as target:
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=_pump, args=(target, self.connection), daemon=True)
            back.start()
            _pump(self.connection, target)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
