"""The stored voices in memory, found by ID and by name."""

from collections.abc import Iterable

from wyoming_qwen3.core.errors import VoiceNotFound
from wyoming_qwen3.core.speakers import SPEAKERS, voice_key

from .voice import KeptVoice


class VoiceIndex:
    """An immutable index of all voices, and the default voice or speaker.

    All `voices` have different keys by `voice_key`. A default that does not exist becomes None. `by_id` must not be
    changed.
    """

    def __init__(self, voices: Iterable[KeptVoice], default: str | None) -> None:
        keyed = sorted(((voice_key(voice.name), voice) for voice in voices), key=lambda item: item[0])
        self._by_key = dict(keyed)
        self._by_former_key = {voice_key(name): voice for _, voice in keyed for name in voice.former_names}
        self.by_id = {voice.id: voice for _, voice in keyed}
        self.voices = tuple(voice for _, voice in keyed)
        self.default = default if default in self.by_id or default in _SPEAKER_IDS else None

    def put(self, voice: KeptVoice, *, instead_of: str | None = None) -> "VoiceIndex":
        """Return an index with a new or changed voice, which replaces the one with the ID `instead_of`, if given."""
        kept = {key: one for key, one in self.by_id.items() if key != instead_of} | {voice.id: voice}
        overwrites_default = instead_of is not None and instead_of == self.default
        return VoiceIndex(kept.values(), voice.id if overwrites_default else self.default)

    def without(self, voice_id: str) -> "VoiceIndex":
        """Return an index without a voice."""
        return VoiceIndex((voice for voice in self.voices if voice.id != voice_id), self.default)

    def named(self, name: str) -> KeptVoice | None:
        """Return the voice whose name has the same `voice_key`; None if there is none."""
        return self._by_key.get(voice_key(name))

    def find(self, name_or_id: str) -> KeptVoice | None:
        """Return the voice with an ID or else with a name; None if there is none."""
        return self.by_id.get(name_or_id) or self.named(name_or_id)

    def find_former(self, name: str) -> KeptVoice | None:
        """Return the voice that had a name before, if no voice has it now."""
        key = voice_key(name)
        return None if key in self._by_key else self._by_former_key.get(key)

    def get(self, name_or_id: str) -> KeptVoice:
        """Return the voice as `find` does. Raises VoiceNotFound, which names the stored voices."""
        if found := self.find(name_or_id):
            return found
        raise self._not_found(name_or_id)

    def with_id(self, voice_id: str) -> KeptVoice:
        """Return the voice with an ID. Raises VoiceNotFound, which names the stored voices."""
        if found := self.by_id.get(voice_id):
            return found
        raise self._not_found(voice_id)

    def _not_found(self, asked: str) -> VoiceNotFound:
        names = [voice.name for voice in self.voices]
        kept = ", ".join(names[:_MAX_NAMED]) or "none yet"
        more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        return VoiceNotFound(f"No voice {asked[:64]!r} is kept; there is {kept}{more}.", param="voice")


_MAX_NAMED = 30
"""Maximum number of names in a message."""

_SPEAKER_IDS = frozenset(speaker.id for speaker in SPEAKERS)
