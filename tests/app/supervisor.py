"""The Supervisor's discovery, as an app sees it: https://github.com/home-assistant/supervisor, supervisor/api.

It is asked at POST /discovery alone: GET is for Home Assistant, and an app gets 401. Before anything else is looked at
the token is (401 without one, 403 for a wrong one, as aiohttp says it, which is no JSON), and whether the Supervisor is
ready (400). The same message sent again is no second one: it is answered with the uuid of the first.
"""

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "d3adb33f"

READY = "running"
NOT_LISTED = "Apps must list services they provide via discovery in their config!"


@dataclass
class Supervisor:
    """Set `states` to what it is in when it is asked next; the last one stays. `mute` is to accept and say nothing."""

    url: str = ""
    states: list[str] = field(default_factory=lambda: [READY])
    services: tuple[str, ...] = ("wyoming",)
    asked: int = 0
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    closed: threading.Event = field(default_factory=threading.Event)

    def answer(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, str | dict[str, Any]] | None:
        """A status and a text or JSON, or None for no answer at all."""
        self.asked += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state == "mute":
            return None
        if state != READY:
            return 400, _error(f"System is not ready with state: {state}")
        if token is None:
            return 401, "401: Unauthorized"
        if token != f"Bearer {TOKEN}":
            return 403, "403: Forbidden"
        if path != "/discovery":
            return 404, "404: Not Found"
        if method != "POST":
            return 401, "401: Unauthorized"
        return self._send(body)

    def _send(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            message = json.loads(body)
        except ValueError:
            return 400, _error("Invalid json")
        if set(message) != {"service", "config"} or not isinstance(message["config"], dict):
            return 400, _error("required key not provided @ data['service']. Got None")
        if message["service"] not in self.services:
            return 403, _error(NOT_LISTED)
        known = [one for one, sent in self.messages.items() if sent["service"] == message["service"]]
        self.messages[listed := known[0] if known else uuid.uuid4().hex] = message
        return 200, {"result": "ok", "data": {"uuid": listed}}


def _error(message: str) -> dict[str, Any]:
    return {"result": "error", "message": message}


class _Handler(BaseHTTPRequestHandler):
    supervisor: Supervisor

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.supervisor.answer(self.command, self.path, self.headers.get("Authorization"), body)
        if answer is None:
            self.supervisor.closed.wait()
            return
        status, said = answer
        data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8" if isinstance(said, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing: pytest would show it."""


@contextlib.contextmanager
def serving() -> Iterator[Supervisor]:
    """A Supervisor at an address of this machine."""
    supervisor = Supervisor()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"supervisor": supervisor}))
    supervisor.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield supervisor
    finally:
        supervisor.closed.set()
        server.shutdown()
        thread.join()
        server.server_close()
