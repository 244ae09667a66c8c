"""How long a server is waited for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Time limits of a request, in seconds."""

    connect: float = 3.0
    first: float = 20.0
    """From the request to the first audio."""

    gap: float = 10.0
    """Between two parts of the audio."""

    probe: float = 5.0
