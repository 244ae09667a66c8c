"""The voices that the server keeps, a folder for each; knows neither protocols nor how a voice is spoken with.

Voices and samples are UUIDs; nothing that a client sends is part of a path. `default.json` beside the voices holds
which of them, or which speaker, is the default, and `aliases.json` further names. One process at a time has a folder
open.
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
from wyoming_qwen3.store.files import remove

from .checks import check_name, check_voice
from .folder import VoiceFolder
from .former_names import merge, rename
from .index import VoiceIndex
from .startup import finished_later, read_aliases, read_index, write_aliases, write_default
from .voice import Design, KeptVoice, Manner, Sample, VoiceType
from .wav import check_clip

MAX_VOICES = 1000

_LOGGER = logging.getLogger(__name__)
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class VoiceStore:
    """Lookups are from memory; changes are made one after the other, on a thread, and seen whole or not at all.

    Methods that change anything raise StorageFailed where the disk is full or can't be written, and then all is as
    it was; those that take a voice's id raise VoiceNotFound. A change goes on when its caller is cancelled.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = VoiceIndex((), None)
        self._aliases: Mapping[str, str] = {}
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Read all voices, and clear away what was half-written when the program was ended.

        A voice that can't be read, or has another schema, is logged, stays on disk as it is, and is not listed.
        """
        await self._alone(self._open)

    def all(self) -> list[KeptVoice]:
        """All voices by name."""
        return list(self._index.voices)

    def find(self, name_or_id: str) -> KeptVoice | None:
        """The voice with that id, or with that name as `voice_key` compares them."""
        return self._index.find(name_or_id)

    def find_former(self, name: str) -> KeptVoice | None:
        """The voice that had that name before it was renamed, where no voice has it now."""
        return self._index.find_former(name)

    def get(self, name_or_id: str) -> KeptVoice:
        """As `find`. Raises VoiceNotFound, naming what there is."""
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
        """Keep a new voice. With `overwrite` it replaces the one of that name, also as the default and by old names.

        `prompt` is what the Base checkpoint of that size extracted from `recordings`. Of `former_names` it gets those
        that no voice has or had. Raises NameExists, InstructionsNotSupported, InvalidRequest for a name, clip or
        number of them that is not taken.
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
        """Change what is given; a name that is replaced becomes an old name.

        `former_names` are the old names that it keeps, of those that it has. Raises NameExists,
        InstructionsNotSupported, InvalidRequest.
        """
        wanted = {"manner": manner, "folder": folder, "digest": digest}
        given = {key: value for key, value in wanted.items() if value is not None}
        return await self._alone(
            self._change, voice_id, None if name is None else check_name(name), former_names, given
        )

    async def add_samples(self, voice_id: str, recordings: Sequence[Reference]) -> KeptVoice:
        """Add clips, which makes another revision. Raises InvalidRequest."""
        return await self._alone(self._take_samples, voice_id, recordings)

    async def replace_samples(self, voice_id: str, recordings: Sequence[Reference], digest: str | None) -> KeptVoice:
        """Have other clips in place of all, which makes another revision. Raises InvalidRequest."""
        return await self._alone(self._take_samples, voice_id, recordings, instead=True, digest=digest)

    async def remove_sample(self, voice_id: str, sample_id: str) -> KeptVoice:
        """Remove a clip, which makes another revision. Raises NotFound."""
        return await self._alone(self._remove_sample, voice_id, sample_id)

    async def delete(self, voice_id: str) -> None:
        """Remove a voice with all that is kept of it. Where it was the default, there is none afterwards."""
        await self._alone(self._delete, voice_id)

    async def recordings(self, voice_id: str) -> list[Reference]:
        """The clips of a voice in order. Raises VoiceNotFound, StorageFailed for one that is lost or damaged."""
        return await self._alone(self._recordings, voice_id)

    def sample_path(self, voice_id: str, sample_id: str) -> Path:
        """The WAV file of a clip. Raises VoiceNotFound, NotFound, StorageFailed where the file is lost."""
        voice = self._index.with_id(voice_id)
        path = self._at(voice).sample_path(_sample(voice, sample_id).id)
        if not path.is_file():
            raise StorageFailed(f"The server has lost a recording of the voice {voice.name!r}; add it again.")
        return path

    async def prompt(self, voice_id: str, revision: str, size: Size) -> ClonePrompt | None:
        """The clone prompt kept for a revision; None where there is none that can be used."""
        voice = self._index.by_id.get(voice_id)
        if voice is None or voice.revision != revision or size not in SIZES:
            return None
        return await asyncio.to_thread(self._at(voice).read_prompt, revision, size)

    async def prompted(self, voices: Sequence[KeptVoice], size: Size) -> frozenset[str]:
        """Ids of those among the voices for which a clone prompt of that size is kept."""
        return await asyncio.to_thread(
            lambda: frozenset(voice.id for voice in voices if self._at(voice).has_prompt(voice.revision, size))
        )

    async def keep_prompt(self, voice_id: str, revision: str, size: Size, prompt: ClonePrompt) -> None:
        """Keep a clone prompt, unless the voice is gone or has another revision.

        It is no more than remembered: what can't be kept is logged, for who asked for speech shall have it.
        """
        await self._alone(self._keep_prompt, voice_id, revision, size, prompt)

    @property
    def default(self) -> str | None:
        """Id of the voice or of the speaker that speaks when none is asked for."""
        return self._index.default

    async def set_default(self, name_or_id: str | None) -> None:
        """Make a kept voice or a speaker the default. Raises VoiceNotFound, InvalidRequest."""
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

        return await asyncio.shield(hold())  # a thread can't be cancelled, and must not go on without the lock

    def _open(self) -> None:
        self._index = read_index(self._folder)
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
            raise InvalidRequest(f"There are {MAX_VOICES} voices, and no more are kept; delete one first.")
        voice = replace(voice, former_names=self._free_names(voice, old))
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
        old = rename(self._index.with_id(voice_id), name, kept)
        voice = replace(old, **given, updated_at=time.time())  # type: ignore[arg-type]
        check_voice(voice)
        namesake = self._index.named(voice.name)
        if namesake is not None and namesake.id != voice.id:
            raise NameExists(f"There is a voice {namesake.name!r} already; choose another name.", param="name")
        self._write(voice)
        self._take_name(voice)
        return voice

    def _free_names(self, voice: KeptVoice, old: KeptVoice | None) -> tuple[str, ...]:
        """The old names of a new voice: those of the one that it overwrites, and its own that no other voice has."""
        others = [one for one in self._index.voices if one is not old]
        taken = {voice_key(name) for one in others for name in (one.name, *one.former_names)}
        return merge(voice.name, [*voice.former_names, *(old.former_names if old else ())], taken)

    def _take_name(self, voice: KeptVoice) -> None:
        """Remove the name of a voice from the old names of the others."""
        for other in self._index.voices:
            names = merge(other.name, other.former_names, {voice_key(voice.name)})
            if other.id != voice.id and names != other.former_names:
                with finished_later("The old name of a voice could not be removed"):
                    self._write(replace(other, former_names=names))

    def _take_samples(
        self, voice_id: str, recordings: Sequence[Reference], *, instead: bool = False, digest: str | None = None
    ) -> KeptVoice:
        old = self._index.with_id(voice_id)
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
        old = self._index.with_id(voice_id)
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
                _LOGGER.warning("The prompt of the voice %r is not kept: %s", voice.name, error)

    def _set_default(self, name_or_id: str | None) -> None:
        default = None if name_or_id is None else self._resolve(name_or_id)
        write_default(self._folder, default)
        self._index = VoiceIndex(self._index.voices, default)

    def _set_aliases(self, aliases: dict[str, str]) -> None:
        write_aliases(self._folder, aliases)
        self._aliases = aliases

    def _resolve(self, name_or_id: str) -> str:
        if voice := self.find(name_or_id):
            return voice.id
        try:
            speaker, language = find_voice(name_or_id)
        except VoiceNotFound:
            self.get(name_or_id)  # names the kept voices too
            raise
        if language is not None:
            raise InvalidRequest(f"The default voice has no language; choose {speaker.id!r}.", param="voice")
        return speaker.id

    def _write(self, voice: KeptVoice) -> KeptVoice:
        self._at(voice).write(voice)
        self._index = self._index.put(voice)
        return voice

    def _at(self, voice: KeptVoice) -> VoiceFolder:
        return VoiceFolder(self._folder / voice.id)


def _samples(recordings: Sequence[Reference]) -> tuple[Sample, ...]:
    for clip in recordings:
        check_clip(clip)
    return tuple(
        Sample(str(uuid.uuid4()), clip.text, clip.sample_rate, clip.samples.size / clip.sample_rate)
        for clip in recordings
    )


def _sample(voice: KeptVoice, sample_id: str) -> Sample:
    for sample in voice.samples:
        if sample.id == sample_id:
            return sample
    raise NotFound(f"The voice {voice.name!r} has no recording {sample_id[:64]!r}.", param="sample")


def _revised(voice: KeptVoice, samples: tuple[Sample, ...]) -> KeptVoice:
    return replace(voice, samples=samples, revision=uuid.uuid4().hex, updated_at=time.time())
