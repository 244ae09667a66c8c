"""A Hugging Face hub of this machine: serves folders as model repositories, and fails as a test asks it to.

Real enough for the real client: the listing with sizes and checksums, HEAD and GET of files with the hub's headers,
ranges, and a redirect of large files to a "CDN" under another host name.
"""

import hashlib
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_SLICE = 16 * 1024


@dataclass
class Faults:
    """What goes wrong; a test may change it at any time. Names are those of files in the repository."""

    api_status: int = 200
    """Answer to the request for the listing."""

    file_status: int = 200
    """Answer to each request for a file."""

    api_body: bytes | None = None
    """Instead of the listing."""

    bytes_per_second: float | None = None
    held: set[str] = field(default_factory=set)
    """Files whose last bytes are sent one in a second, until the name is taken out: such a download does not end."""

    cut: dict[str, int] = field(default_factory=dict)
    """Close the connection after so many bytes of a file's answer, each time."""

    cut_once: dict[str, int] = field(default_factory=dict)
    stall: dict[str, int] = field(default_factory=dict)
    """Send no more after so many bytes of a file's answer, but keep the connection."""

    wrong_bytes: set[str] = field(default_factory=set)
    """Files whose last byte is sent wrong."""

    declared_size: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    """Names as the listing tells them."""

    ignores_range: bool = False


@dataclass
class Request:
    """`sent` counts the body's bytes of a file, also of an answer that was cut."""

    method: str
    path: str
    range: str | None
    token: str | None
    name: str | None = None
    sent: int = 0


class Hub:
    """Serves `root`, which holds `<owner>/<repository>/...`, at `url` while it is entered."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults = Faults()
        self.token: str | None = None
        """Token without which nothing is given."""

        self.branches = {"main"}
        self.requests: list[Request] = []
        self._closing = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="hub", daemon=True)

    def __enter__(self) -> "Hub":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def cdn(self) -> str:
        return f"http://localhost:{self._server.server_port}/cdn"

    def sent(self) -> Counter[str]:
        """Bytes sent of each file so far."""
        counter: Counter[str] = Counter()
        for request in self.requests:
            if request.name is not None:
                counter[request.name] += request.sent
        return counter

    def commit(self, repository: str) -> str:
        """The one commit of a repository, that its branches stand for."""
        return hashlib.sha1(repository.encode()).hexdigest()

    def files(self, repository: str) -> dict[str, Path]:
        folder = self.root / repository
        return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}

    def wait(self, seconds: float) -> bool:
        """Sleep, but not beyond the hub's end; whether it goes on."""
        return not self._closing.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Nothing to the test's output."""

    def _serve(self) -> None:
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        authorization = self.headers["Authorization"]
        token = authorization.removeprefix("Bearer ") if authorization else None
        self.request_record = Request(self.command, path, self.headers["Range"], token)
        hub.requests.append(self.request_record)
        owner_and_name, found, rest = path.lstrip("/").partition("/resolve/")
        if path.startswith("/cdn/"):
            repository, _, name = path.removeprefix("/cdn/").partition("//")
            self._send_file(name, hub.files(repository)[name], {})
        elif hub.token is not None and token != hub.token:
            self._send(401, b'{"error": "Invalid username or password."}')
        elif path.startswith("/api/models/"):
            repository, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self._listing(repository, revision or "main")
        elif found:
            revision, _, name = rest.partition("/")
            self._file(owner_and_name, revision, name)
        else:
            self._send(404, b"")

    def _known(self, repository: str, revision: str) -> bool:
        hub = self.server.hub
        if not hub.files(repository):
            self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif revision not in {*hub.branches, hub.commit(repository)}:
            self._send(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
        else:
            return True
        return False

    def _listing(self, repository: str, revision: str) -> None:
        hub = self.server.hub
        if hub.faults.api_status != 200:
            self._send(hub.faults.api_status, b'{"error": "as asked"}')
        elif hub.faults.api_body is not None:
            self._send(200, hub.faults.api_body)
        elif self._known(repository, revision):
            siblings = [self._sibling(name, path) for name, path in hub.files(repository).items()]
            body = {"id": repository, "modelId": repository, "sha": hub.commit(repository), "siblings": siblings}
            self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _sibling(self, name: str, path: Path) -> dict[str, Any]:
        faults, content = self.server.hub.faults, path.read_bytes()
        size = faults.declared_size.get(name, len(content))
        sibling = {"rfilename": faults.renamed.get(name, name), "size": size, "blobId": _blob_id(content)}
        if _is_lfs(name):
            sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
        return sibling

    def _file(self, repository: str, revision: str, name: str) -> None:
        hub = self.server.hub
        if hub.faults.file_status != 200:
            self._send(hub.faults.file_status, b'{"error": "as asked"}')
        elif not self._known(repository, revision):
            return
        elif (path := hub.files(repository).get(name)) is None:
            self._send(404, b'{"error": "Entry not found"}', {"X-Error-Code": "EntryNotFound"})
        elif _is_lfs(name):
            etag, size = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
            headers = {
                "X-Linked-Etag": f'"{etag}"',
                "X-Linked-Size": str(size),
                "X-Repo-Commit": hub.commit(repository),
            }
            self._send(302, b"", {**headers, "Location": f"{hub.cdn}/{repository}//{name}"})
        else:
            etag = _blob_id(path.read_bytes())
            self._send_file(name, path, {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit(repository)})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _send_file(self, name: str, path: Path, headers: dict[str, str]) -> None:
        faults, content = self.server.hub.faults, path.read_bytes()
        if name in faults.wrong_bytes:
            content = content[:-1] + bytes([content[-1] ^ 1])
        size, start = len(content), 0
        if self.request_record.range and not faults.ignores_range:
            start = int(self.request_record.range.removeprefix("bytes=").partition("-")[0])
            headers = {**headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"}
        self.send_response(206 if start else 200)
        for key, value in {**headers, "Accept-Ranges": "bytes", "Content-Length": str(size - start)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self._send_body(name, content[start:])

    def _send_body(self, name: str, body: bytes) -> None:
        hub, record = self.server.hub, self.request_record
        record.name = name
        cut = hub.faults.cut.get(name, hub.faults.cut_once.pop(name, None))
        stall = hub.faults.stall.get(name)
        end = min(len(body), *(limit for limit in (cut, stall) if limit is not None), len(body))
        sent = 0
        while sent < end:
            is_held = name in hub.faults.held and sent + _SLICE >= end
            size = self.wfile.write(body[sent : min(sent + (1 if is_held else _SLICE), end)])
            sent, record.sent = sent + size, record.sent + size
            if is_held and not hub.wait(1):
                return
            if hub.faults.bytes_per_second:
                time.sleep(_SLICE / hub.faults.bytes_per_second)
        if stall is not None:
            hub.wait(60)
        if end < len(body):
            self.close_connection = True


def _is_lfs(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
