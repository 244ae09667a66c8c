"""One server, as it is known here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wyoming_qwen3.core.checkpoints import Checkpoint, Kind

_DOUBT_SECONDS = 10.0
"""For so long a server that broke off is asked only where no other can be."""


@dataclass(eq=False)
class Server:
    """`url` is its root, without a slash at the end; `kind` what a person says that it serves."""

    url: str
    kind: Kind | None = None
    up: bool = False
    serves: Mapping[Checkpoint, str] = field(default_factory=dict)
    """What it was last found to serve, with the id by which it is asked for; nothing before it was ever reached."""

    why: str | None = None
    """A sentence on why it is not up; None while it is, and before it was asked."""

    active: int = 0
    """Requests of ours that it has in hand."""

    last_asked: float = 0.0
    doubtful_until: float = 0.0
    """By time.monotonic()."""

    @property
    def name(self) -> str:
        """Its host and port, for messages."""
        return urlsplit(self.url).netloc

    def status(self) -> "ServerStatus":
        """A snapshot."""
        return ServerStatus(self.url, self.kind, tuple(self.serves), self.up, self.why, self.active)

    def doubt(self, now: float) -> None:
        """It broke off."""
        self.doubtful_until = now + _DOUBT_SECONDS


@dataclass(frozen=True)
class ServerStatus:
    """A server as it was at a moment, for whoever shows it."""

    url: str
    kind: Kind | None
    """As a person says."""

    serves: tuple[Checkpoint, ...]
    up: bool
    why: str | None
    """A sentence on why it is not up."""

    active: int
    """Requests of ours that it has in hand."""
