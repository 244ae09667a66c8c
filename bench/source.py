"""A source of PCM with the shape of a vLLM-Omni server: a load generator, to measure what is put before it.

It speaks nothing. Whatever it is asked, it sends the same noise at a given pace: one frame first and then chunks, as
`qwen3_tts.yaml` of vLLM-Omni has it. `python -m bench.source PORT` runs it.
"""

import asyncio
import sys
from itertools import pairwise

import numpy as np
from aiohttp import web

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE

MAX_SECONDS = 15.0

_FRAME_BYTES = 2 * FRAME_SAMPLES
_BYTES_A_SECOND = 2 * SAMPLE_RATE


def sound(seconds: float) -> bytes:
    """What is sent: quiet noise, s16le at 24 kHz, in whole frames."""
    samples = round(seconds * SAMPLE_RATE / FRAME_SAMPLES) * FRAME_SAMPLES
    return np.random.default_rng(0).integers(-999, 999, samples).astype("<i2").tobytes()


def make_app() -> web.Application:
    """Lists one checkpoint, and sends sound: seconds, frames of a chunk and pace are in `input`, as in "10 4 1.25".

    The pace is times real time, 0 for at once.
    """
    noise = sound(MAX_SECONDS)

    async def tell(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": Checkpoint("custom_voice", "1.7B").repository}]})

    async def send(request: web.Request) -> web.StreamResponse:
        seconds, frames, pace = map(float, (await request.json())["input"].split())
        whole, size = round(seconds * SAMPLE_RATE / FRAME_SAMPLES) * _FRAME_BYTES, int(frames) * _FRAME_BYTES
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        start = loop.time()
        for at, end in pairwise((0, *range(_FRAME_BYTES, whole, size), whole)):
            if pace:
                await asyncio.sleep(max(0.0, start + at / _BYTES_A_SECOND / pace - loop.time()))
            await response.write(noise[at:end])
        return response

    app = web.Application()
    app.router.add_get("/v1/models", tell)
    app.router.add_post("/v1/audio/speech", send)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
