"""A voice as one zip file that a person can keep, hand on and bring in elsewhere.

    manifest.json                name, manner, design, consent, and what each clip says
    samples/1.wav                the clips, exactly as they are kept
    prompts/1.7B.safetensors     what that size of Base made of them; optional

What is brought in is not trusted: only these members are read, one by one into memory and no further than is allowed,
whatever their headers say; nothing is extracted. Knows not where voices lie.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from wyoming_qwen3.core.checkpoints import SIZES, Size
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS

from . import prompts as prompt_files
from . import wav
from .archive_members import PARAM, read_members, write_members
from .checks import check_name, check_words
from .former_names import MAX_FORMER_NAMES
from .record import write_manner
from .voice import Design, KeptVoice, Manner, VoiceType

MEDIA_TYPE = "application/zip"

MAX_SECONDS = 60
"""Of one clip."""

MAX_NAME_CHARACTERS = 64
"""Of a name that the voice had before."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class VoiceArchive:
    """What an archive holds, checked."""

    name: str
    type: VoiceType
    manner: Manner
    design: Design | None
    recordings: tuple[Reference, ...]
    prompts: Mapping[Size, ClonePrompt]
    former_names: tuple[str, ...] = ()


def pack(voice: KeptVoice, recordings: Sequence[Reference], prompts: Mapping[Size, ClonePrompt]) -> bytes:
    """The archive of a voice: `recordings` are its samples in their order, `prompts` what was extracted of them all.

    The same voice gives the same bytes, but for prompts, whose metadata safetensors writes in any order. Raises
    TooLarge for one that does not fit into what `unpack` takes.
    """
    members = {_MANIFEST: _write_manifest(voice, recordings)}
    members |= {_sample_file(number): wav.pack(recording) for number, recording in enumerate(recordings, 1)}
    members |= {_prompt_file(size): prompt_files.pack(prompts[size], size) for size in SIZES if size in prompts}
    return write_members(members)


def unpack(data: bytes) -> VoiceArchive:
    """What is in the bytes of an archive.

    Raises TooLarge for one with more, larger or longer members than a voice has, and InvalidRequest for what is not
    whole and right in each detail; nothing else, whatever the bytes are, but StorageFailed as `prompts.unpack` does.
    """
    members = read_members(data)
    if _MANIFEST not in members:
        raise InvalidRequest(f"The archive has no {_MANIFEST}, so it is not one of a voice.", param=PARAM)
    manifest = _Fields(_parse(members[_MANIFEST]), "")
    _check_version(manifest)
    manifest.check_names(*_FIELDS)
    manifest.number("created_at", 0, 1e12)
    return VoiceArchive(
        name=check_name(manifest.text("name")),
        type=manifest.choice("type", {name: name for name in get_args(VoiceType)}),
        manner=_read_manner(manifest),
        design=_read_design(manifest),
        recordings=_read_recordings(manifest, members),
        prompts=_read_prompts(members),
        former_names=_read_former_names(manifest),
    )


_FORMAT, _VERSION = "wyoming-qwen3-voice", 1

_MANIFEST = "manifest.json"

_FIELDS = (
    "format version name former_names type description language speaker instructions speed effects consent design "
    "created_at samples"
).split()


def _sample_file(number: int) -> str:
    return f"samples/{number}.wav"


def _prompt_file(size: Size) -> str:
    return f"prompts/{size}.safetensors"


def _write_manifest(voice: KeptVoice, recordings: Sequence[Reference]) -> bytes:
    manifest = {
        "format": _FORMAT,
        "version": _VERSION,
        "name": voice.name,
        **({"former_names": list(voice.former_names)} if voice.former_names else {}),
        "type": voice.type,
        **write_manner(voice.manner),
        "design": vars(voice.design) if voice.design else None,
        "created_at": voice.created_at,
        "samples": [
            {"file": _sample_file(number), "text": recording.text} for number, recording in enumerate(recordings, 1)
        ],
    }
    return json.dumps(manifest, ensure_ascii=False, indent=2).encode()


def _parse(manifest: bytes) -> object:
    try:
        return json.loads(manifest.decode("utf-8-sig"))  # some editors put a byte order mark there
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{_MANIFEST} in the archive must be JSON in UTF-8.", param=PARAM) from error


def _check_version(manifest: "_Fields") -> None:
    if manifest.get("format") != _FORMAT:
        raise InvalidRequest(f"The archive is not one of a voice: its format must be {_FORMAT}.", param=PARAM)
    version = manifest.get("version")
    if isinstance(version, int) and version > _VERSION:
        raise InvalidRequest(
            f"The archive was made by a newer version of this program; this one reads version {_VERSION}.", param=PARAM
        )
    if version != _VERSION or isinstance(version, bool):
        raise InvalidRequest(f"The archive's version must be {_VERSION}.", param=PARAM)


def _read_manner(manifest: "_Fields") -> Manner:
    return Manner(
        description=manifest.text("description"),
        language=manifest.choice("language", {None: None} | {language.code: language for language in LANGUAGES}),
        speaker=manifest.choice("speaker", {None: None} | {speaker.id: speaker for speaker in SPEAKERS}),
        instructions=manifest.optional_text("instructions"),
        speed=manifest.number("speed", 0.25, 4.0),
        effects=read_effects(manifest.get("effects")),
        consent=manifest.text("consent"),
    )


def _read_former_names(manifest: "_Fields") -> tuple[str, ...]:
    """The names that the voice had before; absent where it had none, and from archives of older versions."""
    names = [] if manifest.get("former_names") is None else manifest.list("former_names")
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS:
            raise InvalidRequest(
                f"{_MANIFEST}: former_names must be names of 1 to {MAX_NAME_CHARACTERS} characters.", param=PARAM
            )
        check_words(name, f"{_MANIFEST}: former_names")
    return tuple(str(name) for name in names[-MAX_FORMER_NAMES:])


def _read_design(manifest: "_Fields") -> Design | None:
    if manifest.get("design") is None:
        return None
    design = _Fields(manifest.get("design"), "design.")
    design.check_names("description", "sample_text", "seed", "model")
    return Design(
        description=design.text("description"),
        sample_text=design.text("sample_text"),
        seed=design.whole_number("seed", 0, 2**63 - 1),
        model=design.text("model"),
    )


def _read_recordings(manifest: "_Fields", members: Mapping[str, bytes]) -> tuple[Reference, ...]:
    listed: dict[str, str | None] = {}
    for number, item in enumerate(manifest.list("samples")):
        sample = _Fields(item, f"samples[{number}].")
        sample.check_names("file", "text")
        listed[sample.text("file")] = sample.optional_text("text")
    there = {name for name in members if name.startswith("samples/")}
    if there != listed.keys() or len(there) != len(manifest.list("samples")):
        raise InvalidRequest("The archive's manifest does not list each of its clips once.", param=PARAM)
    return tuple(_read_recording(members[name], name, text) for name, text in listed.items())


def _read_recording(data: bytes, name: str, text: str | None) -> Reference:
    if data[:4] != b"RIFF":  # libsndfile reads many other formats, each of them code for a stranger's bytes
        raise InvalidRequest(f"{name} in the archive is not a WAV file.", param=PARAM)
    try:
        recording = wav.unpack(data, text)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"{name} in the archive must be a mono WAV file of 16 bits at 8 to 192 kHz.", param=PARAM
        ) from error
    if recording.samples.size > MAX_SECONDS * recording.sample_rate:
        raise TooLarge(f"{name} in the archive must not be longer than {MAX_SECONDS} seconds.", param=PARAM)
    return recording


def _read_prompts(members: Mapping[str, bytes]) -> dict[Size, ClonePrompt]:
    prompts: dict[Size, ClonePrompt] = {}
    for size in SIZES:
        if _prompt_file(size) in members:
            prompts[size], made_by = prompt_files.unpack(members[_prompt_file(size)])
            if made_by != size:
                raise InvalidRequest(f"{_prompt_file(size)} in the archive is of the size {made_by}.", param=PARAM)
    return prompts


class _Fields:
    """The fields of an object in the manifest, each taken only as what it has to be."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise InvalidRequest(f"{_MANIFEST}: {place.rstrip('.') or 'it'} must be an object.", param=PARAM)
        self._fields: dict[str, Any] = value
        self._place = place

    def check_names(self, *names: str) -> None:
        unknown = sorted(self._fields.keys() - set(names))
        if unknown:
            name = self._place + unknown[0]
            raise InvalidRequest(f"{_MANIFEST}: there is no field {name[:64]!r}; remove it.", param=PARAM)

    def get(self, name: str) -> object:
        return self._fields.get(name)

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        check_words(value, f"{_MANIFEST}: {self._place}{name}")
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self._fields.get(name) is None else self.text(name)

    def number(self, name: str, low: float, high: float) -> float:
        value = self._fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise self._wrong(name, f"a number from {low:g} to {high:g}")

    def whole_number(self, name: str, low: int, high: int) -> int:
        value = self._fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise self._wrong(name, f"a whole number from {low} to {high}")

    def choice(self, name: str, choices: Mapping[Any, _T]) -> _T:
        value = self._fields.get(name)
        if (value is None or isinstance(value, str)) and value in choices:
            return choices[value]
        accepted = ("null" if choice is None else choice for choice in choices)
        raise self._wrong(name, f"one of {', '.join(accepted)}")

    def list(self, name: str) -> list[object]:
        value = self._fields.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def _wrong(self, name: str, accepted: str) -> InvalidRequest:
        return InvalidRequest(f"{_MANIFEST}: {self._place}{name} must be {accepted}.", param=PARAM)
