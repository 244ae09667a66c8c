"""Reads all voices when the program starts, and removes what is incomplete."""

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
    """Return all voices in a folder and the default. The folder is created if needed.

    A voice that can't be read or has another schema is logged, and its files are not changed. Voices that were
    overwritten or incomplete when the program ended are removed. Raises StorageFailed if the folder can't be read.
    """
    with storing():
        folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    index, overwritten, default = _read_all(folder)
    for voice_id in sorted(overwritten):
        with finished_later("An overwritten voice could not be removed"):
            remove(folder / voice_id)
    if index.default != default and index.default is not None:
        with finished_later("The default voice could not be written"):
            write_default(folder, index.default)
    for voice in index.voices:
        VoiceFolder(folder / voice.id).tidy(voice)
    return index


def look_into(folder: Path) -> VoiceIndex:
    """Return what `read_index` returns, but change nothing: a server may be using the folder, or it may be missing."""
    return _read_all(folder)[0] if folder.is_dir() else VoiceIndex((), None)


def write_default(folder: Path, default: str | None) -> None:
    """Store the ID of the default voice or speaker. Raises StorageFailed."""
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
    """Log a StorageFailed instead of raising it: the change itself was made, and the next start does the rest."""
    try:
        yield
    except StorageFailed as error:
        _LOGGER.warning("%s; the next start will try again: %s", what, error)


_DEFAULT = "default.json"
_ALIASES = "aliases.json"


def _read_all(folder: Path) -> tuple[VoiceIndex, dict[str, str], str | None]:
    """Return all voices and the default, the IDs of overwritten voices, and the default as it is stored."""
    with storing():
        paths = sorted(path for path in folder.iterdir() if is_id(path.name) and path.is_dir())
    found = [read for path in paths if (read := _read(VoiceFolder(path))) is not None]
    overwritten = _overwritten(found)
    default = _read_default(folder)
    voices = _unambiguous(voice for voice, _ in found if voice.id not in overwritten)
    return VoiceIndex(settle(voices), _followed(default, overwritten)), overwritten, default


def _read(folder: VoiceFolder) -> tuple[KeptVoice, str | None] | None:
    try:
        return folder.read()
    except SpeechError as error:
        _LOGGER.warning("The voice in %s is ignored: %s", folder.path, error)
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
    """Return the overwritten voices that still exist: their IDs -> the IDs of the voices that overwrote them."""
    found = list(found)
    keys = {voice.id: voice_key(voice.name) for voice, _ in found}
    return {old: voice.id for voice, old in found if old and old != voice.id and keys.get(old) == keys[voice.id]}


def _followed(default: str | None, overwritten: dict[str, str]) -> str | None:
    for _ in overwritten:  # a voice that was overwritten may itself have overwritten one
        default = overwritten.get(default or "", default)
    return default


def _unambiguous(voices: Iterable[KeptVoice]) -> list[KeptVoice]:
    """Return the voices without those whose name a newer one has. Their folders may have been copied here."""
    chosen: dict[str, KeptVoice] = {}
    for voice in sorted(voices, key=lambda voice: voice.created_at, reverse=True):
        if chosen.setdefault(voice_key(voice.name), voice) is not voice:
            _LOGGER.warning("The voice %s is ignored: a newer one has the name %r, too", voice.id, voice.name)
    return list(chosen.values())
