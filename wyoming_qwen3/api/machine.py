"""GET /api/machine: the machine's resources, and which sizes of Qwen3-TTS it can run."""

import asyncio
import os
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.hardware import available_memory, probe, uses

from .app_keys import SERVICES
from .operation import Resource

resource = Resource("Server")


class UseEntry(BaseModel):
    """A size of Qwen3 on a device. `needs_bytes` is null if its memory was never measured."""

    size: Size
    device: Literal["cuda", "cpu"]
    needs_bytes: int | None
    possible: bool


class Machine(BaseModel):
    """The resources that are free now, and the size that the server was started with."""

    processors: int
    memory_free_bytes: int
    gpu_free_bytes: int | None
    size: Size
    uses: list[UseEntry]


@resource.operation("GET", "/api/machine", "What the machine can run", answers={200: {"application/json": Machine}})
async def machine(request: web.Request) -> web.StreamResponse:
    """Measured at each request. Memory that a loaded checkpoint uses does not count as free."""
    found = await asyncio.to_thread(probe, "auto")
    memory = await asyncio.to_thread(available_memory)
    gpu = found.free if found.kind == "cuda" else None
    answer = Machine(
        processors=len(os.sched_getaffinity(0)),
        memory_free_bytes=memory,
        gpu_free_bytes=gpu,
        size=request.app[SERVICES].models.size,
        uses=[
            UseEntry(size=use.size, device=use.device, needs_bytes=use.needs, possible=use.possible)
            for use in uses(gpu, memory)
        ],
    )
    return web.json_response(text=answer.model_dump_json())
