"""Servers of one kind each, and the speaking middle over them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from tests.parts import make_services, make_settings, stop
from tests.vllm.server import Manner, VllmServer, vllm
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import Checkpoint, Kind, Size
from wyoming_qwen3.core.request import StandbyMode
from wyoming_qwen3.services import make_parts
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.vllm.servers import Servers
from wyoming_qwen3.vllm.timeouts import Timeouts

PATIENT = Timeouts(connect=HANG_SECONDS, first=HANG_SECONDS, gap=HANG_SECONDS, probe=HANG_SECONDS)
"""On a busy machine even a server that behaves takes its time."""


def patience(manner: Manner) -> Timeouts:
    """Little between a stalling server's sounds; with all else as much as there is."""
    stalls = manner.then == "stall" or manner.hold
    return replace(PATIENT, first=2.0, gap=2.0) if stalls else PATIENT


def serving(kind: Kind = "custom_voice", size: Size = "1.7B", **more: object) -> VllmServer:
    """A server that is not started yet."""
    return VllmServer(Checkpoint(kind, size), **more)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def speaking(
    folder: Path, *servers: VllmServer, standby: StandbyMode = "off", timeouts: Timeouts = PATIENT
) -> AsyncIterator[Services]:
    """The middle without an engine of its own, over these servers, which are started."""
    async with (
        vllm(*servers),
        over(folder, *(server.url for server in servers), standby=standby, timeouts=timeouts) as s,
    ):
        yield s


@contextlib.asynccontextmanager
async def over(
    folder: Path, *urls: str, standby: StandbyMode = "off", timeouts: Timeouts = PATIENT, api_key: str | None = None
) -> AsyncIterator[Services]:
    """The same over whatever there is at these addresses."""
    options = ("--standby", standby, "--backend", "vllm", "--vllm-url", ",".join(urls))
    servers = Servers([(None, url) for url in urls], api_key, timeouts=timeouts)
    parts = replace(make_parts(make_settings(folder, *options)), servers=servers)
    services = make_services(folder, *options, size="1.7B", parts=parts)
    await servers.start()
    try:
        yield services
    finally:
        await servers.close()
        await stop(services)
