"""The commands for a terminal, each run to its end. Does NOT serve: server.py does."""

import asyncio
import sys
from dataclasses import replace

from .cli import remote, say, text_input, voice_list
from .cli.fetch import check_size, fetch
from .cli.options import Settings
from .core.checkpoints import Size, published
from .engine.checkpoint import on_disk
from .models.worker import Worker
from .services import make_parts, open_dictionary, running, size_of
from .speech.shared import Store
from .speech.verbalizer import Verbalizer
from .store.clips import Clips
from .store.voices.store import VoiceStore
from .text.language import LanguageGuesser


async def say_here(settings: Settings, standby: Worker) -> None:
    """Speak a text on this machine, if Qwen3 can't with the standby voice of `standby`. Raises a SpeechError."""
    text = _speakable_text(settings)
    store = Store(await _kept_voices(settings), Clips(settings.data_dir), None, await open_dictionary(settings))
    settings = replace(settings, download=False)  # it would be cut off when the text ends
    async with running(settings, store, replace(make_parts(settings), standby=standby), preload=False) as services:
        request = say.find_request(settings, services.resolver)
        await say.say(services.synthesizer, request, text, settings.output, services.models.size)


def say_through_server(settings: Settings) -> None:
    """Speak a text through the server at `--server`. Raises a SpeechError."""
    remote.say_through(settings, _speakable_text(settings))


async def show_text(settings: Settings) -> None:
    """Print a text as it would be spoken."""
    text = text_input.known_text(settings.text, settings.file)
    verbalizer = Verbalizer(await open_dictionary(settings), LanguageGuesser(), settings.normalize)
    await say.show_text(verbalizer, settings.language, text)


async def list_voices(settings: Settings) -> None:
    """Print the voices of this machine, or of the server at `--server`."""
    if settings.server:
        voices, kept = await asyncio.to_thread(remote.voices_at, settings)
        place = settings.server
    else:
        voices, kept = voice_list.speakers(), voice_list.kept((await _kept_voices(settings)).all())
        place = str(settings.data_dir)
    sys.stdout.write(voice_list.show(voices, kept, place))


async def download(settings: Settings) -> None:
    """Download a checkpoint. Raises a SpeechError."""
    checkpoint = published(settings.kind, size_of(settings) or await _suiting_size(settings))
    check_size(checkpoint, settings.model, yes=settings.yes)
    on_disk.check_models_dir(settings.models_dir)
    await fetch(checkpoint, settings.models_dir, settings.revision)


def _speakable_text(settings: Settings) -> str | None:
    """Return the text to speak; None if it arrives at standard input. Raises InvalidRequest if nothing is speakable."""
    text = text_input.known_text(settings.text, settings.file)
    if text is not None:
        text_input.check_speakable(text)
    return text


async def _kept_voices(settings: Settings) -> VoiceStore:
    """Return the voices in the data folder, which a server may be using."""
    voices = VoiceStore(settings.data_dir / "store" / "voices", read_only=True)
    await voices.open()
    return voices


async def _suiting_size(settings: Settings) -> Size:
    """Ask an engine process which size suits its device. Raises EngineFailed if it can't start."""
    engine = make_parts(settings).native
    try:
        return (await engine.start()).selection.size
    finally:
        await engine.stop()
