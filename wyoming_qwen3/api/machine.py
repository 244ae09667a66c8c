"""GET /api/machine: the machine's resources, what the engine computes on, what it can run, and how fast that was."""

import asyncio
import os
import shutil
import socket
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.hardware import available_memory, uses

from .app_keys import SERVICES
from .operation import Resource

resource = Resource("Server")

_HUB = "https://huggingface.co"
"""Where huggingface_hub downloads from unless HF_ENDPOINT is set."""


class UseEntry(BaseModel):
    """A size of Qwen3 on a device, and the free memory in bytes that it needs there."""

    size: Size
    device: Literal["cuda", "cpu"]
    needs_bytes: int
    possible: bool


class SpeedEntry(BaseModel):
    """How fast a model generated what it spoke last: seconds of audio per second."""

    model: str
    times: float


class Machine(BaseModel):
    """The resources that are free now, the engine's device, and the size that speaks.

    `device` and `device_reason` are null until the engine has been up, and `gpu_free_bytes` is null unless it computes
    on a GPU and is up.
    """

    host: str
    """Name of the machine or container, by which Home Assistant reaches an app."""

    processors: int
    memory_free_bytes: int
    gpu_free_bytes: int | None
    disk_free_bytes: int | None
    """Where checkpoints are downloaded to; null if that can't be read."""

    hub: str
    """Host that checkpoints are downloaded from."""

    device: str | None
    device_reason: str | None
    size: Size
    uses: list[UseEntry]
    speeds: list[SpeedEntry]
    """Measured since the server was started, for each model that has spoken."""


@resource.operation("GET", "/api/machine", "What the machine can run", answers={200: {"application/json": Machine}})
async def machine(request: web.Request) -> web.StreamResponse:
    """Measured at each request. Memory that a loaded checkpoint uses does not count as free."""
    services = request.app[SERVICES]
    models = services.models
    room, memory = await models.room(), await asyncio.to_thread(available_memory)
    selection = models.selection
    gpu = room.free if room and selection and selection.device != "cpu" else None
    answer = Machine(
        host=socket.gethostname(),
        processors=len(os.sched_getaffinity(0)),
        memory_free_bytes=memory,
        gpu_free_bytes=gpu,
        disk_free_bytes=await asyncio.to_thread(_disk_free, models.models_dir),
        hub=urlsplit(os.environ.get("HF_ENDPOINT") or _HUB).netloc,
        device=selection.device if selection else None,
        device_reason=selection.why if selection else None,
        size=models.size,
        uses=[
            UseEntry(size=use.size, device=use.device, needs_bytes=use.needs, possible=use.possible)
            for use in uses(gpu, memory, selection.dtype if gpu is not None and selection else "bfloat16")
        ],
        speeds=[SpeedEntry(model=model, times=round(times, 3)) for model, times in services.synthesizer.speeds.items()],
    )
    return web.json_response(text=answer.model_dump_json())


def _disk_free(folder: Path) -> int | None:
    """Return the free bytes where a folder is or will be; None if they can't be read."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return None
