"""All servers: chooses one for each piece, and tries another if one fails before its first audio."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from wyoming_qwen3.core.checkpoints import Checkpoint, Kind, Size
from wyoming_qwen3.core.errors import BackendUnavailable, InvalidRequest, RunawaySpeech
from wyoming_qwen3.core.instructions import as_spoken
from wyoming_qwen3.core.request import FRAME_SAMPLES, FloatArray, Priority, Reference, SpeechRequest

from .body import speech_body, voice_fields
from .choice import choose_checkpoint, choose_server
from .failure import Blame, ServerFailure
from .row import VllmRow
from .server import Server, ServerStatus
from .timeouts import Timeouts
from .watch import ServerWatch

if TYPE_CHECKING:
    from .client import Client

_LOGGER = logging.getLogger(__name__)

_MAX_INSTRUCTION = 500
"""Most characters of an instruction that a vLLM-Omni server accepts by default."""


class Servers:
    """Speaks through the servers that are up. `start` begins to watch them, `close` stops everything."""

    def __init__(
        self,
        urls: Iterable[tuple[Kind | None, str]],
        api_key: str | None = None,
        size: Size | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._servers = [Server(url, kind) for kind, url in urls]
        self._api_key = api_key
        self._size = size
        self._timeouts = timeouts or Timeouts()
        self._client: Client | None = None
        self._watches: dict[Server, ServerWatch] = {}
        self._watching: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to watch the servers; return when each was checked once."""
        from .client import Client  # noqa: PLC0415  aiohttp takes 0.1 s to import, and few have such servers

        self._client = Client(self._api_key, self._timeouts)
        self._watches = {server: ServerWatch(server, self._client, self._size) for server in self._servers}
        self._watching = [asyncio.create_task(watch.run(), name="vllm watch") for watch in self._watches.values()]
        for watch in self._watches.values():
            await watch.looked.wait()

    async def close(self) -> None:
        """Stop everything."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        if self._client:
            await self._client.close()

    def statuses(self) -> list[ServerStatus]:
        """Return a snapshot of each server."""
        return [server.status() for server in self._servers]

    def served(self) -> dict[Checkpoint, bool]:
        """Return all checkpoints that were ever reported, and for each whether a server that has it is up."""
        found: dict[Checkpoint, bool] = {}
        for server in self._servers:
            for checkpoint in server.serves:
                found[checkpoint] = found.get(checkpoint, False) or server.up
        return found

    def choose(self, request: SpeechRequest) -> Checkpoint:
        """Return the checkpoint that would speak. Raises what `choose_checkpoint` raises."""
        unknown = [server.kind for server in self._servers if not server.serves]
        try:
            return choose_checkpoint(request, self.served(), unknown, self._size)
        except BackendUnavailable as error:
            raise BackendUnavailable(f"{error} {self._whys()}") from None

    @contextlib.asynccontextmanager
    async def speaker(self, request: SpeechRequest, text: str) -> AsyncIterator["VllmBackend"]:
        """Yield the backend for a request once the first audio of `text`, its first piece, has arrived.

        Raises Unavailable or EngineFailed if no server can speak it now, and InvalidRequest if none ever can.
        """
        speaker = await self._backend(self.choose(request), request)
        with speaker.begin(text) as first:
            await first.begun()
            yield speaker

    async def reuse_for(self, backend: "VllmBackend", request: SpeechRequest) -> "VllmBackend | None":
        """Return the backend for another request with the same checkpoint; None if it needs another one."""
        with contextlib.suppress(InvalidRequest, BackendUnavailable):
            if self.choose(request) == backend.checkpoint:
                return await self._backend(backend.checkpoint, request)
        return None

    async def _backend(self, checkpoint: Checkpoint, request: SpeechRequest) -> "VllmBackend":
        voice = request.voice
        request, warnings = _without_long_instruction(*as_spoken(request, checkpoint))
        encoded = await asyncio.to_thread(voice_fields, voice) if isinstance(voice, Reference) else voice_fields(voice)
        return VllmBackend(self, checkpoint, request, encoded, warnings)

    async def speak(
        self, checkpoint: Checkpoint, request: SpeechRequest, text: str, voice: dict[str, Any]
    ) -> AsyncGenerator[FloatArray, None]:
        """Yield the audio of one piece. If a server fails before the first audio, another one is tried."""
        tried: list[tuple[Server, Blame]] = []
        last: ServerFailure | None = None
        while server := choose_server(self._servers, checkpoint, tried, time.monotonic()):
            body = speech_body(request, text, checkpoint, server.serves[checkpoint], voice)
            samples = 0
            try:
                async with contextlib.aclosing(self._ask(server, body)) as chunks:
                    async for chunk in chunks:
                        samples += chunk.size
                        yield chunk
            except ServerFailure as failure:
                last = failure
                self._blame(server, failure)
                tried.append((server, failure.blame))
                if samples or failure.blame is Blame.REQUEST:
                    break
            else:
                _check_end(samples, body["max_new_tokens"])
                return
        raise (
            last.error
            if last
            else BackendUnavailable(f"No vLLM server can speak with {checkpoint.name} now. {self._whys()}")
        )

    async def _ask(self, server: Server, body: dict[str, Any]) -> AsyncGenerator[FloatArray, None]:
        """Yield the audio of one request to one server."""
        assert self._client
        server.active += 1
        server.last_asked = time.monotonic()
        try:
            async with contextlib.aclosing(self._client.speak(server, body)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            server.active -= 1

    def _blame(self, server: Server, failure: ServerFailure) -> None:
        if failure.blame is Blame.REQUEST:
            return
        _LOGGER.warning("%s", failure)
        server.doubt(time.monotonic())
        self._watches[server].note(failure)

    def _whys(self) -> str:
        return " ".join(server.why for server in self._servers if server.why)


@dataclass
class VllmBackend:
    """Speaks the pieces of one request with the servers."""

    servers: Servers
    checkpoint: Checkpoint
    request: SpeechRequest
    voice: dict[str, Any]
    """The result of `voice_fields`."""

    warnings: tuple[str, ...] = ()
    """A sentence for each part of the request that is left out."""

    side_by_side: int = field(default=1, init=False)
    """Only one piece at a time: a server has other requests, too."""

    _first: VllmRow | None = field(default=None, init=False)

    @property
    def model(self) -> str:
        """Name of the checkpoint."""
        return self.checkpoint.name

    def begin(self, text: str) -> VllmRow:
        """Start the first piece; the next `submit` returns its row."""
        self._first = self.submit(text)
        return self._first

    def submit(self, text: str, priority: Priority = Priority.NOW) -> VllmRow:  # noqa: ARG002
        """Start a row. `priority` is ignored: servers have no priorities."""
        if self._first:
            row, self._first = self._first, None
            return row
        return VllmRow(self.servers.speak(self.checkpoint, self.request, text, self.voice))


def _without_long_instruction(
    request: SpeechRequest, warnings: tuple[str, ...]
) -> tuple[SpeechRequest, tuple[str, ...]]:
    """Leave out an instruction that is too long for the servers, unless the request is strict."""
    if request.strict or len(request.instruct or "") <= _MAX_INSTRUCTION:
        return request, warnings
    warning = f"The instructions were left out: vLLM servers accept at most {_MAX_INSTRUCTION} characters."
    return replace(request, instruct=None), (*warnings, warning)


def _check_end(samples: int, limit: int) -> None:
    """Raise RunawaySpeech if a piece reached its frame limit, because it then ended before its text."""
    if samples >= limit * FRAME_SAMPLES:
        raise RunawaySpeech(f"The speech did not end within the {limit} frames that its text can need.")
