"""Kept voices in memory, found by id and by name; knows no disk."""

from collections.abc import Iterable

from wyoming_qwen3.core.errors import VoiceNotFound
from wyoming_qwen3.core.speakers import SPEAKERS, voice_key

from .voice import KeptVoice


class VoiceIndex:
    """All voices at one moment, by name, and the default among them and the speakers. It never changes.

    No two of `voices` have one `voice_key`. A default that is not there is None. Nobody writes to `by_id`.
    """

    def __init__(self, voices: Iterable[KeptVoice], default: str | None) -> None:
        keyed = sorted(((voice_key(voice.name), voice) for voice in voices), key=lambda item: item[0])
        self._by_key = dict(keyed)
        self._by_former_key = {voice_key(name): voice for _, voice in keyed for name in voice.former_names}
        self.by_id = {voice.id: voice for _, voice in keyed}
        self.voices = tuple(voice for _, voice in keyed)
        self.default = default if default in self.by_id or default in _SPEAKER_IDS else None

    def put(self, voice: KeptVoice, *, instead_of: str | None = None) -> "VoiceIndex":
        """Another index, with a voice that is new or changed, or overwrites one, also as the default."""
        kept = {key: one for key, one in self.by_id.items() if key != instead_of} | {voice.id: voice}
        overwrites_default = instead_of is not None and instead_of == self.default
        return VoiceIndex(kept.values(), voice.id if overwrites_default else self.default)

    def without(self, voice_id: str) -> "VoiceIndex":
        """Another index, without a voice."""
        return VoiceIndex((voice for voice in self.voices if voice.id != voice_id), self.default)

    def named(self, name: str) -> KeptVoice | None:
        """The voice whose name has the same `voice_key`."""
        return self._by_key.get(voice_key(name))

    def find(self, name_or_id: str) -> KeptVoice | None:
        """The voice of that id, or else of that name."""
        return self.by_id.get(name_or_id) or self.named(name_or_id)

    def find_former(self, name: str) -> KeptVoice | None:
        """The voice that had that name before, where none has it now."""
        key = voice_key(name)
        return None if key in self._by_key else self._by_former_key.get(key)

    def get(self, name_or_id: str) -> KeptVoice:
        """As `find`. Raises VoiceNotFound, naming what there is."""
        if found := self.find(name_or_id):
            return found
        raise self._not_found(name_or_id)

    def with_id(self, voice_id: str) -> KeptVoice:
        """The voice of that id. Raises VoiceNotFound, naming what there is."""
        if found := self.by_id.get(voice_id):
            return found
        raise self._not_found(voice_id)

    def _not_found(self, asked: str) -> VoiceNotFound:
        names = [voice.name for voice in self.voices]
        kept = ", ".join(names[:_MAX_NAMED]) or "none yet"
        more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        return VoiceNotFound(f"No voice {asked[:64]!r} is kept; there is {kept}{more}.", param="voice")


_MAX_NAMED = 30
"""In a message."""

_SPEAKER_IDS = frozenset(speaker.id for speaker in SPEAKERS)
