"""The speaking middle in this process, over a models folder that need not hold anything."""

import asyncio
from pathlib import Path

from wyoming_qwen3.cli.options import Settings, parse
from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.defaults import Defaults
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speakers import find_voice
from wyoming_qwen3.models.worker import Worker
from wyoming_qwen3.services import Parts, make_parts
from wyoming_qwen3.services import make_services as wire
from wyoming_qwen3.speech.pronunciation import PronunciationDictionary
from wyoming_qwen3.speech.report import Report
from wyoming_qwen3.speech.shared import Services, Store
from wyoming_qwen3.store.clips import Clips
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.voices.resolver import VoiceResolver


def make_settings(folder: Path, *options: str) -> Settings:
    """Those of a server that keeps everything in `folder`, downloads nothing, and speaks with all voices it has."""
    kept = ("--models-dir", str(folder), "--data-dir", str(folder))
    return parse([*kept, "--no-download", "--max-active", "8", *options], {})


def make_services(folder: Path, *options: str, size: Size | None = "0.6B", parts: Parts | None = None) -> Services:
    """Everything as the server wires it, with engines that start when they are used, and nothing kept.

    `parts` are others than the options would give.
    """
    settings = make_settings(folder, *options)
    store = Store(VoiceStore(folder), Clips(folder), None, PronunciationDictionary(folder / "dictionary.csv"))
    return wire(settings, size, store, parts or make_parts(settings))


def busy(worker: Worker) -> bool:
    """Whether an engine has rows: one that was closed counts until the engine has let go of it."""
    return bool(worker._rows)


async def speak(services: Services, request: SpeechRequest) -> Report:
    """Speak a sentence with some sound; the report says who spoke."""
    async with services.synthesizer.open(request, "test") as session:
        session.add_text("The front door is open.")
        session.end_text()
        assert sum([chunk.size async for chunk in session])
    return session.report


async def stop(services: Services) -> None:
    """End its processes."""
    await asyncio.gather(services.models.close(), services.standby.close())


def make_cast(defaults: Defaults | None = None) -> VoiceResolver:
    """The built-in voices, of which Ryan is the default."""
    return VoiceResolver(defaults or Defaults(find_voice("ryan")[0]), VoiceStore(Path("nowhere")))
