"""What is known about one server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wyoming_qwen3.core.checkpoints import Checkpoint, Kind

_DOUBT_SECONDS = 10.0
"""Seconds for which a server that broke off a request is the last choice."""


@dataclass(eq=False)
class Server:
    """A server. `url` is its root without a slash at the end; `kind` is what the user says that it serves."""

    url: str
    kind: Kind | None = None
    up: bool = False
    serves: Mapping[Checkpoint, str] = field(default_factory=dict)
    """The checkpoints that it last reported, with their model ids; empty before it was first reached."""

    why: str | None = None
    """A sentence that says why it is not up; None while it is, and before the first check."""

    active: int = 0
    """Number of this program's active requests."""

    last_asked: float = 0.0
    doubtful_until: float = 0.0
    """Until this time, by time.monotonic(), it is the last choice."""

    @property
    def name(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc

    def status(self) -> "ServerStatus":
        """Return a snapshot."""
        return ServerStatus(self.url, self.kind, tuple(self.serves), self.up, self.why, self.active)

    def doubt(self, now: float) -> None:
        """Note that it broke off a request."""
        self.doubtful_until = now + _DOUBT_SECONDS


@dataclass(frozen=True)
class ServerStatus:
    """A snapshot of a server, for display."""

    url: str
    kind: Kind | None
    """What the user says that it serves."""

    serves: tuple[Checkpoint, ...]
    up: bool
    why: str | None
    """A sentence that says why it is not up."""

    active: int
    """Number of this program's active requests."""
