"""GET /api/machine: the machine's resources, what the engine computes on, and which sizes of Qwen3-TTS it can run."""

import asyncio
import os
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.hardware import available_memory, uses

from .app_keys import SERVICES
from .operation import Resource

resource = Resource("Server")


class UseEntry(BaseModel):
    """A size of Qwen3 on a device, and the free memory in bytes that it needs there."""

    size: Size
    device: Literal["cuda", "cpu"]
    needs_bytes: int
    possible: bool


class Machine(BaseModel):
    """The resources that are free now, the engine's device, and the size that speaks.

    `device` and `device_reason` are null until the engine has been up, and `gpu_free_bytes` is null unless it computes
    on a GPU and is up.
    """

    processors: int
    memory_free_bytes: int
    gpu_free_bytes: int | None
    device: str | None
    device_reason: str | None
    size: Size
    uses: list[UseEntry]


@resource.operation("GET", "/api/machine", "What the machine can run", answers={200: {"application/json": Machine}})
async def machine(request: web.Request) -> web.StreamResponse:
    """Measured at each request. Memory that a loaded checkpoint uses does not count as free."""
    models = request.app[SERVICES].models
    room, memory = await models.room(), await asyncio.to_thread(available_memory)
    selection = models.selection
    gpu = room.free if room and selection and selection.device != "cpu" else None
    answer = Machine(
        processors=len(os.sched_getaffinity(0)),
        memory_free_bytes=memory,
        gpu_free_bytes=gpu,
        device=selection.device if selection else None,
        device_reason=selection.why if selection else None,
        size=models.size,
        uses=[
            UseEntry(size=use.size, device=use.device, needs_bytes=use.needs, possible=use.possible)
            for use in uses(gpu, memory, selection.dtype if gpu is not None and selection else "bfloat16")
        ],
    )
    return web.json_response(text=answer.model_dump_json())
