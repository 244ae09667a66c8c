"""Ports for the servers that tests start."""

import contextlib
import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

_RANGE = (10_000, 25_000)
"""The system gives none of these to who connects, and the benchmarks none of these to a server of theirs."""


def free_port() -> int:
    """A port that nobody has, and that no other process of tests gets for as long as this one lives."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.SystemRandom().randrange(*_RANGE)
            if port not in _given:
                probe.bind(("0.0.0.0", port))
                fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
                _given.add(port)
                return port


_given: set[int] = set()


@functools.cache
def _claims() -> int:
    """A file with a byte for each port, which is locked by the process that was given it, for as long as it lives."""
    return os.open(Path(tempfile.gettempdir()) / f"ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
