"""/api/audio/encode and /decode: sound to the codec's tokens, and tokens to sound."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from typing import Annotated, Literal

import numpy as np
from aiohttp import web
from pydantic import BaseModel, FailFast, Field

from wyoming_qwen3.audio.containers import ACCEPTED
from wyoming_qwen3.audio.decode import DecodedClip, parse_data_url, read_clip
from wyoming_qwen3.audio.encode import MEDIA_TYPES, AudioFormat
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import TooLarge
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, CodeArray, FloatArray
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.speech.shared import Services

from .app_keys import SERVICES
from .body import ONE_FILE, read_form
from .operation import Resource
from .speech_response import whole_audio
from .validation import Fields, Query, ignored_headers, parse_body, parse_query

resource = Resource("Tokenizer")

CODEBOOKS, CODEBOOK_SIZE = 16, 2048
MAX_FRAMES = 4096
"""Maximum number of frames that are decoded at once: five and a half minutes."""

MAX_SECONDS = 60.0
"""Maximum length in seconds of a clip to encode."""

_UPLOAD_BYTES = 10 * 1024 * 1024
_ENCODE_BYTES = 14 * 1024 * 1024
"""Maximum size in bytes of a JSON body, whose data: URL may hold as much as an upload."""

_DECODE_BYTES = 2 * 1024 * 1024


class EncodeBody(Fields):
    """A clip. It can also be uploaded as multipart/form-data in `file`."""

    audio: str = Field(description=f"A data: URL with {ACCEPTED}.")


class EncodeQuery(Query):
    """The format of the answer."""

    format: Literal["json", "npz"] = "json"


class Tokens(BaseModel):
    """The tokens of a clip: a row of 16 for each frame of 80 ms."""

    tokens: list[list[int]]
    frames: int
    frame_rate: float
    codebooks: int
    sample_rate: int
    duration_ms: int


# FailFast, because a long list of errors would block the event loop longer than anything else.
_Token = Annotated[int, Field(strict=True, ge=0, lt=CODEBOOK_SIZE)]
_FrameTokens = Annotated[list[_Token], Field(min_length=CODEBOOKS, max_length=CODEBOOKS), FailFast()]
_Frames = Annotated[list[_FrameTokens], Field(min_length=1, json_schema_extra={"maxItems": MAX_FRAMES}), FailFast()]


class DecodeBody(Fields):
    """Tokens to decode: a row of 16 for each frame of 80 ms."""

    tokens: _Frames
    response_format: AudioFormat = "wav"


@resource.operation(
    "POST",
    "/api/audio/encode",
    "Encode sound as tokens",
    body=EncodeBody,
    form=ONE_FILE,
    query=EncodeQuery,
    answers={200: {"application/json": Tokens, "application/octet-stream": None}},
    errors=(413, 429, 500, 503),
)
async def encode(request: web.Request) -> web.StreamResponse:
    """Accepts at most 60 seconds and 10 MiB."""
    query = parse_query(request, EncodeQuery)
    if request.content_type.startswith("multipart/"):
        data, headers = (await read_form(request, _UPLOAD_BYTES, ONE_FILE)).files["file"][0], {}
    else:
        body = await parse_body(request, EncodeBody, _ENCODE_BYTES)
        data, headers = (
            await asyncio.to_thread(parse_data_url, body.audio, _UPLOAD_BYTES, "audio"),
            ignored_headers(body),
        )
    clip = await asyncio.to_thread(read_clip, data, max_seconds=MAX_SECONDS, param="audio")
    codes = await _encode(request.app[SERVICES], clip)
    if query.format == "npz":
        disposition = {"Content-Disposition": 'attachment; filename="tokens.npz"'}
        headers |= {"Content-Type": "application/octet-stream"} | disposition
        return web.Response(body=await asyncio.to_thread(_npz, codes), headers=headers)
    answer = await asyncio.to_thread(_tokens, codes, clip)
    return web.json_response(text=answer, headers=headers)


@resource.operation(
    "POST",
    "/api/audio/decode",
    "Decode tokens to sound",
    body=DecodeBody,
    answers={200: dict.fromkeys(MEDIA_TYPES.values())},
    errors=(413, 429, 500, 503),
)
async def decode(request: web.Request) -> web.StreamResponse:
    """Accepts at most 4096 frames."""
    body = await parse_body(request, DecodeBody, _DECODE_BYTES)
    if len(body.tokens) > MAX_FRAMES:
        raise TooLarge(f"tokens has {len(body.tokens)} frames; at most {MAX_FRAMES} are accepted.", param="tokens")
    codes = await asyncio.to_thread(np.array, body.tokens, np.int64)
    return await whole_audio(_play(request.app[SERVICES], codes), body.response_format, lambda: ignored_headers(body))


@contextlib.asynccontextmanager
async def _codec(services: Services) -> AsyncIterator[tuple[Worker, Checkpoint]]:
    """Wait for a place, and yield the engine with a checkpoint whose codec it uses. A load holds no place."""
    async with services.admission.place() as place, contextlib.AsyncExitStack() as held:
        async with place.aside():
            engaged = await held.enter_async_context(services.models.use_codec())
        yield engaged


async def _encode(services: Services, clip: DecodedClip) -> CodeArray:
    async with _codec(services) as (worker, checkpoint):
        return await worker.encode(checkpoint, clip.samples, clip.sample_rate)


async def _play(services: Services, codes: CodeArray) -> AsyncIterator[FloatArray]:
    async with _codec(services) as (worker, checkpoint):
        with worker.decode(checkpoint, codes) as row:
            async for chunk in row:
                yield chunk


def _tokens(codes: CodeArray, clip: DecodedClip) -> str:
    return Tokens(
        tokens=codes.tolist(),
        frames=len(codes),
        frame_rate=SAMPLE_RATE / FRAME_SAMPLES,
        codebooks=codes.shape[1],
        sample_rate=SAMPLE_RATE,
        duration_ms=round(1000 * clip.seconds),
    ).model_dump_json()


def _npz(codes: CodeArray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, tokens=codes.astype(np.int16), frame_rate=SAMPLE_RATE / FRAME_SAMPLES)
    return file.getvalue()
