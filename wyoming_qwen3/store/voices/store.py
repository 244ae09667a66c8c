"""The voices that the server stores, each in a folder. Knows neither protocols nor the engine.

IDs of voices and samples are UUIDs, and nothing that a client sends is part of a path. `default.json`, beside the
voices, has the ID of the default voice or speaker, and `aliases.json` has further names of voices. Only one process at
a time may open a folder.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from wyoming_qwen3.core.checkpoints import SIZES, Size
from wyoming_qwen3.core.errors import InvalidRequest, NameExists, NotFound, StorageFailed, VoiceNotFound
from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.core.speakers import find_voice, voice_key
from wyoming_qwen3.store.files import remove, restore_folder

from .checks import check_name, check_voice
from .folder import VoiceFolder
from .former_names import merge, rename
from .index import VoiceIndex
from .startup import finished_later, look_into, read_aliases, read_index, write_aliases, write_default
from .voice import Design, KeptVoice, Manner, VoiceClip, VoiceType
from .wav import check_clip

MAX_VOICES = 1000

_LOGGER = logging.getLogger(__name__)
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class VoiceStore:
    """The stored voices. Lookups use memory. Changes are made one at a time on a thread, and completely or not at all.

    Methods that change something raise StorageFailed if the disk is full or can't be written; nothing has changed then.
    Methods that take a voice's ID raise VoiceNotFound. A change continues if its caller is cancelled.

    With `read_only` the voices may belong to a running server: only reading and `keep_prompt`, which then stores
    nothing, are allowed.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._folder = folder
        self._read_only = read_only
        self._index = VoiceIndex((), None)
        self._aliases: Mapping[str, str] = {}
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Read all voices, and remove what was incomplete when the program ended.

        A voice that can't be read or has another schema is logged and not listed. Its files are not changed.
        """
        await self._alone(self._open)

    def all(self) -> list[KeptVoice]:
        """Return all voices, sorted by name."""
        return list(self._index.voices)

    def find(self, name_or_id: str) -> KeptVoice | None:
        """Return the voice with an ID or else with a name, compared by `voice_key`; None if there is none."""
        return self._index.find(name_or_id)

    def find_former(self, name: str) -> KeptVoice | None:
        """Return the voice that had a name before it was renamed, if no voice has it now."""
        return self._index.find_former(name)

    def get(self, name_or_id: str) -> KeptVoice:
        """Return the voice as `find` does. Raises VoiceNotFound, which names the stored voices."""
        return self._index.get(name_or_id)

    async def create(
        self,
        name: str,
        voice_type: VoiceType,
        manner: Manner,
        recordings: Sequence[Reference],
        *,
        design: Design | None = None,
        folder: str | None = None,
        digest: str | None = None,
        prompt: tuple[Size, ClonePrompt] | None = None,
        overwrite: bool = False,
        former_names: Sequence[str] = (),
    ) -> KeptVoice:
        """Store a new voice. With `overwrite` it replaces the one of that name, also as the default.

        It then keeps the replaced voice's former names, too. `prompt` was extracted from `recordings` by the Base
        checkpoint of that size. Of `former_names`, those that another voice has or had are dropped. Raises NameExists,
        InstructionsNotSupported, and InvalidRequest if the name, a clip or the number of clips is not allowed.
        """
        now = time.time()
        draft = KeptVoice(
            id=str(uuid.uuid4()),
            name=check_name(name),
            type=voice_type,
            created_at=now,
            updated_at=now,
            revision=uuid.uuid4().hex,
            manner=manner,
            design=design,
            folder=folder,
            digest=digest,
            former_names=tuple(former_names),
        )
        return await self._alone(self._create, draft, recordings, prompt, overwrite)

    async def change(
        self,
        voice_id: str,
        *,
        name: str | None = None,
        manner: Manner | None = None,
        folder: str | None = None,
        digest: str | None = None,
        former_names: Sequence[str] | None = None,
    ) -> KeptVoice:
        """Change what is given. A name that is replaced becomes a former name.

        `former_names` are those of the voice's former names to keep. Raises NameExists, InstructionsNotSupported,
        InvalidRequest.
        """
        wanted = {"manner": manner, "folder": folder, "digest": digest}
        given = {key: value for key, value in wanted.items() if value is not None}
        return await self._alone(
            self._change, voice_id, None if name is None else check_name(name), former_names, given
        )

    async def add_samples(self, voice_id: str, recordings: Sequence[Reference]) -> KeptVoice:
        """Add clips; the voice gets a new revision. Raises InvalidRequest."""
        return await self._alone(self._take_samples, voice_id, recordings)

    async def replace_samples(self, voice_id: str, recordings: Sequence[Reference], digest: str | None) -> KeptVoice:
        """Replace all clips; the voice gets a new revision. Raises InvalidRequest."""
        return await self._alone(self._take_samples, voice_id, recordings, instead=True, digest=digest)

    async def remove_sample(self, voice_id: str, sample_id: str) -> KeptVoice:
        """Remove a clip; the voice gets a new revision. Raises NotFound."""
        return await self._alone(self._remove_sample, voice_id, sample_id)

    async def delete(self, voice_id: str) -> None:
        """Remove a voice and all of its files. If it was the default, there is none afterwards."""
        await self._alone(self._delete, voice_id)

    async def recordings(self, voice_id: str) -> list[Reference]:
        """Return a voice's clips in order. Raises VoiceNotFound, and StorageFailed if one is missing or damaged."""
        return await self._alone(self._recordings, voice_id)

    def sample_path(self, voice_id: str, sample_id: str) -> Path:
        """Return the WAV file of a clip. Raises VoiceNotFound, NotFound, and StorageFailed if the file is missing."""
        voice = self._index.with_id(voice_id)
        path = self._at(voice).sample_path(_sample(voice, sample_id).id)
        if not path.is_file():
            raise StorageFailed(f"The server has lost a recording of the voice {voice.name!r}; add it again.")
        return path

    async def prompt(self, voice_id: str, revision: str, size: Size) -> ClonePrompt | None:
        """Return the stored clone prompt of a revision; None if there is none that can be used."""
        voice = self._index.by_id.get(voice_id)
        if voice is None or voice.revision != revision or size not in SIZES:
            return None
        return await asyncio.to_thread(self._at(voice).read_prompt, revision, size)

    async def prompted(self, voices: Sequence[KeptVoice], size: Size) -> frozenset[str]:
        """Return the IDs of those voices that have a stored clone prompt of that size."""
        return await asyncio.to_thread(
            lambda: frozenset(voice.id for voice in voices if self._at(voice).has_prompt(voice.revision, size))
        )

    async def keep_prompt(self, voice_id: str, revision: str, size: Size, prompt: ClonePrompt) -> None:
        """Store a clone prompt, unless the voice is gone or has another revision.

        A failure is only logged: the prompt can be extracted again, and the caller goes on to speak.
        """
        if not self._read_only:
            await self._alone(self._keep_prompt, voice_id, revision, size, prompt)

    @property
    def default(self) -> str | None:
        """ID of the voice or speaker that speaks if none is requested."""
        return self._index.default

    async def set_default(self, name_or_id: str | None) -> None:
        """Make a stored voice or a speaker the default; None removes it. Raises VoiceNotFound, InvalidRequest."""
        await self._alone(self._set_default, name_or_id)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Further names for voices, each with the name of its voice, whether there is such a voice or not."""
        return self._aliases

    async def set_aliases(self, aliases: Mapping[str, str]) -> None:
        """Replace all aliases. Raises StorageFailed."""
        await self._alone(self._set_aliases, dict(aliases))

    async def _alone(
        self, work: Callable[_Parameters, _Result], *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Result:
        async def hold() -> _Result:
            async with self._changing:
                return await asyncio.to_thread(work, *args, **kwargs)

        return await asyncio.shield(hold())  # a thread can't be cancelled, and needs the lock to its end

    def _open(self) -> None:
        self._index = look_into(self._folder) if self._read_only else read_index(self._folder)
        self._aliases = read_aliases(self._folder)

    def _create(
        self,
        draft: KeptVoice,
        recordings: Sequence[Reference],
        prompt: tuple[Size, ClonePrompt] | None,
        overwrite: bool,
    ) -> KeptVoice:
        voice = replace(draft, samples=_samples(recordings))
        check_voice(voice)
        index = self._index
        old = index.named(voice.name)
        if old is not None and not overwrite:
            raise NameExists(f"There is a voice {old.name!r} already; choose another name.", param="name")
        if old is None and len(index.voices) >= MAX_VOICES:
            raise InvalidRequest(f"There are {MAX_VOICES} voices, which is the maximum; delete one first.")
        voice = replace(voice, former_names=self._free_names(voice, old))
        restore_folder(self._folder)
        self._at(voice).create(voice, recordings, prompt, old.id if old else None)
        self._index = index.put(voice, instead_of=old.id if old else None)
        self._take_name(voice)
        if old is not None:
            with finished_later("An overwritten voice could not be removed"):
                if self._index.default != index.default:
                    write_default(self._folder, voice.id)
                remove(self._at(old).path)
        return voice

    def _change(
        self, voice_id: str, name: str | None, kept: Sequence[str] | None, given: Mapping[str, object]
    ) -> KeptVoice:
        old = rename(self._on_disk(voice_id), name, kept)
        voice = replace(old, **given, updated_at=time.time())  # type: ignore[arg-type]
        check_voice(voice)
        namesake = self._index.named(voice.name)
        if namesake is not None and namesake.id != voice.id:
            raise NameExists(f"There is a voice {namesake.name!r} already; choose another name.", param="name")
        self._write(voice)
        self._take_name(voice)
        return voice

    def _free_names(self, voice: KeptVoice, old: KeptVoice | None) -> tuple[str, ...]:
        """Return the former names of a new voice: its own and those of `old`, without those that another voice has."""
        others = [one for one in self._index.voices if one is not old]
        taken = {voice_key(name) for one in others for name in (one.name, *one.former_names)}
        return merge(voice.name, [*voice.former_names, *(old.former_names if old else ())], taken)

    def _take_name(self, voice: KeptVoice) -> None:
        """Remove the name of a voice from the former names of the others."""
        for other in self._index.voices:
            names = merge(other.name, other.former_names, {voice_key(voice.name)})
            if other.id != voice.id and names != other.former_names:
                with finished_later("A former name of a voice could not be removed"):
                    self._write(replace(other, former_names=names))

    def _take_samples(
        self, voice_id: str, recordings: Sequence[Reference], *, instead: bool = False, digest: str | None = None
    ) -> KeptVoice:
        old = self._on_disk(voice_id)
        added = _samples(recordings)
        if not added:
            raise InvalidRequest("At least one recording is needed.", param="samples")
        voice = replace(_revised(old, added if instead else (*old.samples, *added)), digest=digest or old.digest)
        check_voice(voice)
        try:
            self._at(voice).write_clips(added, recordings)
            self._write(voice)
        finally:
            self._at(voice).tidy(self._index.with_id(voice_id))
        return voice

    def _remove_sample(self, voice_id: str, sample_id: str) -> KeptVoice:
        old = self._on_disk(voice_id)
        gone = _sample(old, sample_id)
        voice = self._write(_revised(old, tuple(sample for sample in old.samples if sample != gone)))
        self._at(voice).tidy(voice)
        return voice

    def _delete(self, voice_id: str) -> None:
        remove(self._at(self._index.with_id(voice_id)).path)
        self._index = self._index.without(voice_id)

    def _recordings(self, voice_id: str) -> list[Reference]:
        voice = self._index.with_id(voice_id)
        try:
            return self._at(voice).read_clips(voice.samples)
        except (OSError, InvalidRequest) as error:
            raise StorageFailed(
                f"The server can't read a recording of the voice {voice.name!r}; add it again."
            ) from error

    def _keep_prompt(self, voice_id: str, revision: str, size: Size, prompt: ClonePrompt) -> None:
        voice = self._index.by_id.get(voice_id)
        if voice is not None and voice.revision == revision:
            try:
                self._at(voice).write_prompt(revision, size, prompt)
            except (StorageFailed, InvalidRequest) as error:
                _LOGGER.warning("The clone prompt of the voice %r could not be stored: %s", voice.name, error)

    def _set_default(self, name_or_id: str | None) -> None:
        default = None if name_or_id is None else self._resolve(name_or_id)
        restore_folder(self._folder)
        write_default(self._folder, default)
        self._index = VoiceIndex(self._index.voices, default)

    def _set_aliases(self, aliases: dict[str, str]) -> None:
        restore_folder(self._folder)
        write_aliases(self._folder, aliases)
        self._aliases = aliases

    def _resolve(self, name_or_id: str) -> str:
        if voice := self.find(name_or_id):
            return voice.id
        try:
            speaker, language = find_voice(name_or_id)
        except VoiceNotFound:
            self.get(name_or_id)  # its message names the stored voices
            raise
        if language is not None:
            raise InvalidRequest(f"The default voice has no language; choose {speaker.id!r}.", param="voice")
        return speaker.id

    def _on_disk(self, voice_id: str) -> KeptVoice:
        """Return a voice that can be changed. Raises VoiceNotFound, and StorageFailed if its folder was deleted."""
        voice = self._index.with_id(voice_id)
        if not self._at(voice).path.is_dir():
            raise StorageFailed(
                f"The files of the voice {voice.name!r} were deleted; delete the voice and make it again."
            )
        return voice

    def _write(self, voice: KeptVoice) -> KeptVoice:
        self._at(voice).write(voice)
        self._index = self._index.put(voice)
        return voice

    def _at(self, voice: KeptVoice) -> VoiceFolder:
        return VoiceFolder(self._folder / voice.id, read_only=self._read_only)


def _samples(recordings: Sequence[Reference]) -> tuple[VoiceClip, ...]:
    for clip in recordings:
        check_clip(clip)
    return tuple(
        VoiceClip(str(uuid.uuid4()), clip.text, clip.sample_rate, clip.samples.size / clip.sample_rate)
        for clip in recordings
    )


def _sample(voice: KeptVoice, sample_id: str) -> VoiceClip:
    for sample in voice.samples:
        if sample.id == sample_id:
            return sample
    raise NotFound(f"The voice {voice.name!r} has no recording {sample_id[:64]!r}.", param="sample")


def _revised(voice: KeptVoice, samples: tuple[VoiceClip, ...]) -> KeptVoice:
    return replace(voice, samples=samples, revision=uuid.uuid4().hex, updated_at=time.time())
