"""A voice as one zip file, which a person can export and import elsewhere.

    manifest.json                name, manner, design, consent, and the text of each clip
    samples/1.wav                the clips, exactly as they are stored
    prompts/1.7B.safetensors     the clone prompt of that size of Base; optional

An imported archive is not trusted. Only these members are read, one by one into memory and up to a limit, whatever
their headers say. Nothing is extracted to disk. Knows no folders.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wyoming_qwen3.core.checkpoints import SIZES, Size
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import ClonePrompt, Reference

from . import prompts as prompt_files
from . import wav
from .archive_members import PARAM, read_members, write_members
from .checks import check_name
from .json_object import JsonObject
from .record import read_design, read_former_names, read_manner, read_time, read_type, write_manner
from .voice import Design, KeptVoice, Manner, VoiceType

MEDIA_TYPE = "application/zip"

MAX_SECONDS = 60
"""Maximum length of a clip."""


@dataclass(frozen=True, eq=False)
class VoiceArchive:
    """The checked content of an archive."""

    name: str
    type: VoiceType
    manner: Manner
    design: Design | None
    recordings: tuple[Reference, ...]
    prompts: Mapping[Size, ClonePrompt]
    former_names: tuple[str, ...] = ()


def pack(voice: KeptVoice, recordings: Sequence[Reference], prompts: Mapping[Size, ClonePrompt]) -> bytes:
    """Return the archive of a voice. `recordings` are its clips in order; `prompts` were extracted from all of them.

    The same voice gives the same bytes, except for prompts: safetensors writes their metadata in any order. Raises
    TooLarge if the archive is larger than `unpack` accepts.
    """
    members = {_MANIFEST: _write_manifest(voice, recordings)}
    members |= {_sample_file(number): wav.pack(recording) for number, recording in enumerate(recordings, 1)}
    members |= {_prompt_file(size): prompt_files.pack(prompts[size], size) for size in SIZES if size in prompts}
    return write_members(members)


def unpack(data: bytes) -> VoiceArchive:
    """Return the content of an archive.

    Raises TooLarge if it has more, larger or longer members than a voice may have, and InvalidRequest if it is
    incomplete or wrong in any detail. Otherwise only StorageFailed is raised, as in `prompts.unpack`, whatever the
    bytes are.
    """
    members = read_members(data)
    if _MANIFEST not in members:
        raise InvalidRequest(f"The archive has no {_MANIFEST}, so it is not an archive of a voice.", param=PARAM)
    manifest = JsonObject(_parse(members[_MANIFEST]), _MANIFEST, PARAM)
    _check_version(manifest)
    manifest.check_names(*_FIELDS)
    if manifest.get("design") is not None:
        manifest.child("design").check_names("description", "sample_text", "seed", "model")
    read_time(manifest, "created_at")
    return VoiceArchive(
        name=check_name(manifest.text("name")),
        type=read_type(manifest),
        manner=read_manner(manifest),
        design=read_design(manifest),
        recordings=_read_recordings(manifest, members),
        prompts=_read_prompts(members),
        former_names=read_former_names(manifest),
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
        return json.loads(manifest.decode("utf-8-sig"))  # some editors write a byte order mark
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{_MANIFEST} in the archive must be JSON in UTF-8.", param=PARAM) from error


def _check_version(manifest: JsonObject) -> None:
    if manifest.get("format") != _FORMAT:
        raise InvalidRequest(f"The file is not an archive of a voice: its format must be {_FORMAT}.", param=PARAM)
    version = manifest.get("version")
    if isinstance(version, int) and version > _VERSION:
        raise InvalidRequest(
            f"The archive was made by a newer version of this program; this one reads version {_VERSION}.", param=PARAM
        )
    if version != _VERSION or isinstance(version, bool):
        raise InvalidRequest(f"The archive's version must be {_VERSION}.", param=PARAM)


def _read_recordings(manifest: JsonObject, members: Mapping[str, bytes]) -> tuple[Reference, ...]:
    listed: dict[str, str | None] = {}
    samples = manifest.children("samples")
    for sample in samples:
        sample.check_names("file", "text")
        listed[sample.text("file")] = sample.optional_text("text")
    there = {name for name in members if name.startswith("samples/")}
    if there != listed.keys() or len(there) != len(samples):
        raise InvalidRequest("The archive's manifest does not list each of its clips once.", param=PARAM)
    return tuple(_read_recording(members[name], name, text) for name, text in listed.items())


def _read_recording(data: bytes, name: str, text: str | None) -> Reference:
    if data[:4] != b"RIFF":  # untrusted bytes must not reach libsndfile's other formats
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
