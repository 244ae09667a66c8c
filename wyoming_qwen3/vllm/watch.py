"""Watches one server: whether it is up, and what it serves."""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from wyoming_qwen3.core.checkpoints import Size

from .failure import Blame, ServerFailure
from .server import Server
from .serving import Unrecognised, recognise

if TYPE_CHECKING:
    from .client import Client

_LOGGER = logging.getLogger(__name__)

_PROBE_SECONDS = 10.0
"""Seconds between two checks of a server that is up."""


def retry_delay(failures: int) -> float:
    """Return the seconds until the next check of a server that failed `failures` checks in a row."""
    return min(0.25 * 2.0**failures, _PROBE_SECONDS)


class ServerWatch:
    """Checks a server while `run` runs. `size` is the size of a checkpoint whose name does not include it."""

    def __init__(self, server: Server, client: "Client", size: Size | None) -> None:
        self.looked = asyncio.Event()
        """Set after the first check."""

        self._server = server
        self._client = client
        self._size = size
        self._failures = 0
        self._hurried = asyncio.Event()

    def note(self, failure: ServerFailure) -> None:
        """Note that a request to the server failed, and check the server soon."""
        if failure.blame is Blame.AWAY:
            self._put_down(str(failure))
        self._hurried.set()

    async def run(self) -> None:
        """Check the server regularly, forever."""
        while True:
            await self._look()
            self.looked.set()
            self._hurried.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(retry_delay(self._failures) if self._failures else _PROBE_SECONDS):
                    await self._hurried.wait()
            if self._hurried.is_set():  # a server that broke off may be about to go down
                await asyncio.sleep(retry_delay(0))

    async def _look(self) -> None:
        server = self._server
        try:
            served = recognise(await self._client.list_models(server), server.kind, self._size)
        except ServerFailure as failure:
            self._failures += 1
            self._put_down(str(failure))
        except Unrecognised as error:
            self._failures += 1
            self._put_down(f"The vLLM server {server.name} {error}.")
        else:
            if not server.up or served != server.serves:
                names = ", ".join(checkpoint.name for checkpoint in served)
                _LOGGER.info("The vLLM server %s serves %s", server.name, names)
            if not server.up:
                server.doubtful_until = 0.0
            self._failures = 0
            server.serves, server.up, server.why = served, True, None

    def _put_down(self, why: str) -> None:
        server = self._server
        if server.up or server.why != why:
            _LOGGER.warning("%s It will be tried again automatically.", why)
        server.up, server.why = False, why
