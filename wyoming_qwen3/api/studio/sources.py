"""Loads the sounds that a client names, and keeps sounds for a day.

A client names a sound by an id or a name, or sends it along. Paths and URLs are never opened.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web

from wyoming_qwen3.api.speech import MAX_BYTES
from wyoming_qwen3.audio import pcm
from wyoming_qwen3.audio.decode import parse_data_url, read_clip
from wyoming_qwen3.audio.encode import AudioFormat
from wyoming_qwen3.audio.streaming import in_thread, whole
from wyoming_qwen3.core.errors import InvalidRequest, NotFound, QueueFull, StorageFailed, TooLarge, VoiceNotFound
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray
from wyoming_qwen3.speech.admission import Admission
from wyoming_qwen3.speech.shared import Store
from wyoming_qwen3.store.clips import Clips

MAX_SECONDS = 600.0
"""Maximum length of one sound in seconds."""

DESCRIPTION = "history:ID, preset:NAME (or ID) for a kept voice's sample, clip:ID, or a data: URL; at most 10 minutes."

_MAX_CHARACTERS = 300
"""Maximum number of characters of a source that is not a data: URL."""

_MAX_WAITING = 16


class SoundWorkLimiter:
    """Lets one request at a time decode and combine long sounds, since each may take a gigabyte."""

    def __init__(self) -> None:
        self._places = Admission(1, _MAX_WAITING)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for the place and hold it. Raises QueueFull if too many wait already."""
        async with contextlib.AsyncExitStack() as held:
            try:
                await held.enter_async_context(self._places.place())
            except QueueFull:
                raise QueueFull(f"{_MAX_WAITING} requests already wait to process sounds; retry later.") from None
            yield


SOUND_WORK = web.AppKey("sound_work", SoundWorkLimiter)


@dataclass(frozen=True)
class _StoredSound:
    """A sound that is kept on disk."""

    path: Path
    seconds: float


async def load_sound(store: Store, source: str, param: str) -> FloatArray:
    """Return the sound that `source` names: mono float32 [samples] at SAMPLE_RATE, at least one sample.

    DESCRIPTION says what `source` may be, and `param` is the field of the request that it came in. Raises NotFound,
    StorageFailed, TooLarge for more than MAX_SECONDS, and InvalidRequest for anything else, also for a file without
    sound.
    """
    if source[:5].lower() == "data:":
        return await in_thread(partial(_decode_url, source, param))
    kind, _, name = source[:_MAX_CHARACTERS].partition(":")
    find = _FINDERS.get(kind)
    if find is None or len(source) > _MAX_CHARACTERS:
        raise InvalidRequest(
            f"{param} must be history:ID, preset:NAME, clip:ID or a data: URL; no other URL or path is read.",
            param=param,
        )
    try:
        file = await find(store, name)
    except (NotFound, VoiceNotFound) as error:
        raise NotFound(f"{param}: {error}", param=param) from None
    if file.seconds > MAX_SECONDS:
        raise TooLarge(f"{param} must not be longer than {MAX_SECONDS:g} seconds.", param=param)
    return await in_thread(partial(_read, file.path, param))


async def keep(clips: Clips, chunks: AsyncIterable[FloatArray], audio_format: AudioFormat) -> tuple[str, float]:
    """Keep the whole sound as a file for a day, and return its URL and its length in seconds.

    Raises TooLarge, StorageFailed, and what `chunks` raises.
    """
    audio, samples = await whole(chunks, audio_format)
    clip = await clips.add(audio, audio_format, samples / SAMPLE_RATE)
    return f"/api/clips/{clip.id}", samples / SAMPLE_RATE


async def bounded(chunks: AsyncGenerator[FloatArray, None], seconds: float) -> AsyncGenerator[FloatArray, None]:
    """Yield the chunks, and close them at the end. Raises TooLarge if they are longer than `seconds`."""
    samples = 0
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            samples += chunk.size
            if samples > seconds * SAMPLE_RATE:
                raise TooLarge(f"The audio is longer than {seconds:.0f} s, the maximum for audio that is not streamed.")
            yield chunk


async def _from_history(store: Store, entry_id: str) -> _StoredSound:
    if store.history is None:
        raise StorageFailed("The history can't be used; the server's log says why.")
    entry = await store.history.get(entry_id)
    return _StoredSound(store.history.audio_path(entry.id), entry.duration)


async def _from_voice(store: Store, name: str) -> _StoredSound:
    voice = store.voices.get(name)
    if not voice.samples:
        raise NotFound(f"The voice {voice.name!r} has no sample.")
    sample = voice.samples[0]
    return _StoredSound(await asyncio.to_thread(store.voices.sample_path, voice.id, sample.id), sample.seconds)


async def _from_clips(store: Store, clip_id: str) -> _StoredSound:
    return _StoredSound(store.clips.path(clip_id), store.clips.get(clip_id).seconds)


_FINDERS: Mapping[str, Callable[[Store, str], Awaitable[_StoredSound]]] = {
    "history": _from_history,
    "preset": _from_voice,
    "clip": _from_clips,
    "upload": _from_clips,
}


def _read(path: Path, param: str) -> FloatArray:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{param} has just been deleted.", param=param) from None
    except OSError as error:
        raise StorageFailed("A stored sound can't be read from the disk.") from error
    if path.suffix == ".pcm":  # a rendered pcm file has no header
        return pcm.from_int16(data, pcm.LIBRARY_SCALE)
    return _decode(data, param)


def _decode_url(url: str, param: str) -> FloatArray:
    return _decode(parse_data_url(url, MAX_BYTES, param), param)


def _decode(data: bytes, param: str) -> FloatArray:
    return read_clip(data, max_seconds=MAX_SECONDS, param=param, sample_rate=SAMPLE_RATE).samples
