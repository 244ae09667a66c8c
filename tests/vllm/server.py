"""A server that takes what vLLM-Omni takes and answers as it does; what it says is a tone instead of speech.

What comes is validated by vLLM-Omni's own models, then by the rules of its Qwen3-TTS adapter
(`tts_adapters/qwen3_tts.py`), which are written out here because the adapter needs vLLM.
"""

import asyncio
import base64
import contextlib
import io
import json
import zlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import soundfile
from aiohttp import web
from pydantic import ValidationError

from tests.ports import free_port
from tests.vllm.wheel import protocol
from wyoming_qwen3.core.checkpoints import KIND_NAMES, Checkpoint
from wyoming_qwen3.core.request import FRAME_SAMPLES
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS

_CHUNK_FRAMES = 4
_MAX_INSTRUCTIONS = 500


def tone(text: str, seed: int | None, frames: int | None = None) -> bytes:
    """What a server says for a text: s16le at 24 kHz, as long as the text, of a pitch that follows text and seed."""
    samples = FRAME_SAMPLES * (frames or speech_frames(text))
    pitch = 200 + zlib.crc32(f"{text} {seed}".encode()) % 400
    wave = 0.5 * np.sin(2 * np.pi * pitch * np.arange(samples) / 24_000)
    return np.rint(wave * 32767).astype("<i2").tobytes()


def speech_frames(text: str) -> int:
    """Frames of a text at an ordinary pace."""
    return max(6, len(text))


@dataclass
class Manner:
    """How one request is answered."""

    status: int = 200
    message: str = "told to fail"
    content_type: str | None = None
    sse: bool = False
    pieces: int | None = None
    """Bytes of each piece instead of four frames."""

    after: int | None = None
    """Chunks after which `then` happens."""

    then: Literal["cut", "stall", "error", "end"] = "end"
    hold: asyncio.Event | None = None
    """Waited for before the first chunk, or after `after` chunks."""

    frames: int | None = None
    pace: float | None = None
    """Times real time; None is at once."""


@dataclass
class VllmServer:
    """One server, for one checkpoint. `manners` are used up one by one; after them `manner` stays."""

    checkpoint: Checkpoint
    api_key: str | None = None
    name: str | None = None
    """Instead of the repository's."""

    manner: Manner = field(default_factory=Manner)
    manners: deque[Manner] = field(default_factory=deque)
    port: int = field(default_factory=free_port)
    heard: list[Any] = field(default_factory=list)
    """OpenAICreateSpeechRequest of each request that was taken."""

    unknown: set[str] = field(default_factory=set)
    """Fields that the real one would drop without a word."""

    left: int = 0
    """Requests that were closed by the client before their end."""

    sent: int = 0
    """Bytes of sound."""

    speaking: int = 0
    most_speaking: int = 0
    connections: set[Any] = field(default_factory=set)
    healthy: bool = True
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def model(self) -> str:
        return self.name or self.checkpoint.repository

    async def start(self) -> None:
        self._models = protocol()
        app = web.Application(client_max_size=32 << 20, middlewares=[self._guard])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/audio/speech", self._speech)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """As a process that is killed: all connections are reset."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        assert runner.server
        for protocol_ in list(runner.server.connections):
            if protocol_.transport:
                protocol_.transport.abort()
        await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        wanted = f"Bearer {self.api_key}"
        if self.api_key and request.path.startswith("/v1") and request.headers.get("Authorization") != wanted:
            return web.json_response({"error": "Unauthorized"}, status=401)
        self.connections.add(request.transport)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "healthy"}, status=200 if self.healthy else 503)

    async def _list(self, _: web.Request) -> web.Response:
        card = {"id": self.model, "object": "model", "owned_by": "vllm", "root": self.checkpoint.repository}
        return web.json_response({"object": "list", "data": [card]})

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        try:
            wanted = self._models.OpenAICreateSpeechRequest.model_validate(body)
        except ValidationError as error:
            return _refused(400, str(error), "Bad Request")
        self.unknown |= set(body) - set(type(wanted).model_fields)
        if wanted.model not in (None, self.model):
            return _refused(404, f"The model `{wanted.model}` does not exist.", "NotFoundError")
        if fault := self._fault(wanted):
            return _refused(400, fault, "BadRequestError")
        self.heard.append(wanted)
        manner = self.manners.popleft() if self.manners else self.manner
        if manner.status != 200:
            return _refused(manner.status, manner.message, "InternalServerError")
        self.speaking += 1
        self.most_speaking = max(self.most_speaking, self.speaking)
        try:
            return await self._speak(request, wanted, manner)
        except (asyncio.CancelledError, ConnectionError):
            self.left += 1
            raise
        finally:
            self.speaking -= 1

    def _fault(self, wanted: Any) -> str | None:
        """What the adapter says to what its own model lets pass."""
        task = wanted.task_type or ("Base" if wanted.ref_audio or wanted.ref_text else "CustomVoice")
        serves = KIND_NAMES[self.checkpoint.kind]
        if task != serves:
            return f"Qwen3-TTS {serves} checkpoint does not support task_type='{task}'."
        if not wanted.input.strip():
            return "Input text cannot be empty"
        if wanted.language and wanted.language.title() not in {"Auto", *(one.name.title() for one in LANGUAGES)}:
            return f"Invalid language '{wanted.language}'."
        if task == "CustomVoice" and wanted.voice not in {None, *(one.id for one in SPEAKERS)}:
            return f"Invalid voice '{wanted.voice}'."
        if task == "VoiceDesign" and not wanted.instructions:
            return "VoiceDesign task requires 'instructions' to describe the voice"
        if wanted.instructions and len(wanted.instructions) > _MAX_INSTRUCTIONS:
            return f"Instructions too long (max {_MAX_INSTRUCTIONS} characters)"
        if wanted.max_new_tokens is not None and wanted.max_new_tokens > 4096:
            return "max_new_tokens cannot exceed 4096"
        if task != "Base" and (wanted.ref_text is not None or wanted.x_vector_only_mode is not None):
            return "'ref_text' is only valid for Base task"
        return _clone_fault(wanted) if task == "Base" else None

    async def _speak(self, request: web.Request, wanted: Any, manner: Manner) -> web.StreamResponse:
        sse = manner.sse or wanted.is_sse_stream()
        response = web.StreamResponse()
        response.content_type = manner.content_type or ("text/event-stream" if sse else "audio/pcm")
        await response.prepare(request)
        pcm = tone(wanted.input, wanted.seed, manner.frames)
        size = manner.pieces or 2 * FRAME_SAMPLES * _CHUNK_FRAMES
        if manner.hold and manner.after is None:
            await manner.hold.wait()
        async for number, piece in _paced([pcm[at : at + size] for at in range(0, len(pcm), size)], manner.pace):
            if number == manner.after:
                if manner.hold:
                    await manner.hold.wait()
                elif await _broken_off(request, response, manner.then):
                    return response
            await response.write(_event("delta", audio=base64.b64encode(piece).decode()) if sse else piece)
            self.sent += len(piece)
        if sse:
            await response.write(_event("done", usage={"input_tokens": 3, "output_tokens": 9}))
        await response.write_eof()
        return response


async def _paced(pieces: list[bytes], pace: float | None) -> AsyncIterator[tuple[int, bytes]]:
    start = asyncio.get_running_loop().time()
    sent = 0
    for number, piece in enumerate(pieces):
        if pace:
            due = start + sent / 48_000 / pace
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        yield number, piece
        sent += len(piece)


async def _broken_off(request: web.Request, response: web.StreamResponse, how: str) -> bool:
    """Do what ends an answer early; whether it is over."""
    if how == "stall":
        await asyncio.Event().wait()
    if how == "cut":
        assert request.transport
        request.transport.close()
    if how == "error":
        error = {"message": "the engine died", "type": "server_error", "partial_audio": True, "action": "discard"}
        await response.write(_event("error", error=error))
    return True


def _event(kind: str, **content: Any) -> bytes:
    data = json.dumps({"type": f"speech.audio.{kind}"} | content)
    return f"event: speech.audio.{kind}\ndata: {data}\n\n".encode()


def _clone_fault(wanted: Any) -> str | None:
    if wanted.speaker_embedding is not None:
        return None if len(wanted.speaker_embedding) in (1024, 2048) else "speaker_embedding has the wrong size"
    if not wanted.ref_audio:
        return "Base task requires 'ref_audio' or 'speaker_embedding' for voice cloning"
    if not wanted.ref_audio.startswith("data:"):
        return "ref_audio must be a URL (http/https), base64 data URL (data:...), or file URI (file://...)"
    if not wanted.x_vector_only_mode and not (wanted.ref_text or "").strip():
        return "Base task requires non-empty 'ref_text'"
    with contextlib.suppress(soundfile.LibsndfileError, ValueError):
        info = soundfile.info(io.BytesIO(base64.b64decode(wanted.ref_audio.partition(",")[2])))
        if 1.0 <= info.duration <= 30.0:
            return None
    return "Reference audio must be 1 to 30 s of sound"


def _refused(status: int, message: str, kind: str) -> web.Response:
    error = {"message": message, "type": kind, "param": None, "code": status}
    return web.json_response({"error": error}, status=status)


@contextlib.asynccontextmanager
async def vllm(*servers: VllmServer) -> AsyncIterator[None]:
    """Have them serve."""
    for server in servers:
        await server.start()
    try:
        yield
    finally:
        for server in servers:
            await server.stop()
