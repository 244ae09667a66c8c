"""What is on disk when the program starts: all voices read, and what was left half-done cleared away."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from wyoming_qwen3.core.errors import SpeechError, StorageFailed
from wyoming_qwen3.core.speakers import voice_key
from wyoming_qwen3.store.files import remove, storing, sweep, write_file

from .folder import VoiceFolder
from .former_names import settle
from .index import VoiceIndex
from .voice import KeptVoice, is_id

_LOGGER = logging.getLogger(__name__)


def read_index(folder: Path) -> VoiceIndex:
    """All voices in a folder, which is made if need be, and their default.

    A voice that can't be read, or has another schema, is logged and stays as it is. Voices that had been overwritten
    or half-written when the program was ended are removed. Raises StorageFailed where the folder can't be read.
    """
    with storing():
        folder.mkdir(parents=True, exist_ok=True)
        paths = sorted(path for path in folder.iterdir() if is_id(path.name) and path.is_dir())
    sweep(folder)
    found = [read for path in paths if (read := _read(VoiceFolder(path))) is not None]
    overwritten = _overwritten(found)
    for voice_id in sorted(overwritten):
        with finished_later("An overwritten voice could not be removed"):
            remove(folder / voice_id)
    default = _read_default(folder)
    voices = _unambiguous(voice for voice, _ in found if voice.id not in overwritten)
    index = VoiceIndex(settle(voices), _followed(default, overwritten))
    if index.default != default and index.default is not None:
        with finished_later("The default voice could not be written"):
            write_default(folder, index.default)
    for voice in index.voices:
        VoiceFolder(folder / voice.id).tidy(voice)
    return index


def write_default(folder: Path, default: str | None) -> None:
    """Keep the id of the default voice or speaker. Raises StorageFailed."""
    write_file(folder / _DEFAULT, json.dumps({"voice": default}).encode())


def read_aliases(folder: Path) -> dict[str, str]:
    """Return the further names of voices, each with the name of its voice."""
    try:
        aliases = json.loads((folder / _ALIASES).read_bytes())
        return {str(alias): str(voice) for alias, voice in aliases.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError):
        _LOGGER.warning("The aliases of voices can't be read; there are none until they are set")
        return {}


def write_aliases(folder: Path, aliases: Mapping[str, str]) -> None:
    """Store the further names of voices. Raises StorageFailed."""
    write_file(folder / _ALIASES, json.dumps(dict(aliases)).encode())


@contextmanager
def finished_later(what: str) -> Iterator[None]:
    """Log a StorageFailed that comes after the change itself was made; the next start does the rest."""
    try:
        yield
    except StorageFailed as error:
        _LOGGER.warning("%s, which the next start tries again: %s", what, error)


_DEFAULT = "default.json"
_ALIASES = "aliases.json"


def _read(folder: VoiceFolder) -> tuple[KeptVoice, str | None] | None:
    try:
        return folder.read()
    except SpeechError as error:
        _LOGGER.warning("The kept voice in %s is left out: %s", folder.path, error)
        return None


def _read_default(folder: Path) -> str | None:
    try:
        default = json.loads((folder / _DEFAULT).read_bytes())["voice"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        _LOGGER.warning("The default voice can't be read; there is none until one is chosen")
        return None
    return default if isinstance(default, str) else None


def _overwritten(found: Iterable[tuple[KeptVoice, str | None]]) -> dict[str, str]:
    """Ids of voices that are still there but had been overwritten -> ids of those that did."""
    found = list(found)
    keys = {voice.id: voice_key(voice.name) for voice, _ in found}
    return {old: voice.id for voice, old in found if old and old != voice.id and keys.get(old) == keys[voice.id]}


def _followed(default: str | None, overwritten: dict[str, str]) -> str | None:
    for _ in overwritten:  # an overwritten voice may have overwritten another one
        default = overwritten.get(default or "", default)
    return default


def _unambiguous(voices: Iterable[KeptVoice]) -> list[KeptVoice]:
    """The voices without those of a name that a newer one has: somebody has put their folders here."""
    chosen: dict[str, KeptVoice] = {}
    for voice in sorted(voices, key=lambda voice: voice.created_at, reverse=True):
        if chosen.setdefault(voice_key(voice.name), voice) is not voice:
            _LOGGER.warning("The kept voice %s is left out: a newer one is called %r too", voice.id, voice.name)
    return list(chosen.values())
