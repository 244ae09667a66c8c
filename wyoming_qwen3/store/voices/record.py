"""Converts a stored voice to and from the JSON of its record. Knows no files.

The JSON has the fields of KeptVoice except its id. A language is its ISO 639-1 code, a speaker its id, and effects are
as a client writes them. `schema` is the version of the format; `replaces` is the ID of the voice that this one
overwrote. The readers of a manner, a design and former names serve archives too.
"""

import re
from typing import Any, TypeAlias, get_args

from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import MAX_SPEED, MIN_SPEED
from wyoming_qwen3.core.speakers import LANGUAGES, MAX_VOICE_NAME_CHARACTERS, SPEAKERS

from .checks import check_words
from .former_names import MAX_FORMER_NAMES
from .json_object import JsonObject
from .voice import Design, KeptVoice, Manner, VoiceClip, VoiceType, is_id

Record: TypeAlias = dict[str, Any]

SCHEMA = 1
RECORD_FILE = "voice.json"


def write_record(voice: KeptVoice, *, replaces: str | None = None) -> Record:
    """Return the voice as JSON."""
    return {
        "schema": SCHEMA,
        "name": voice.name,
        "former_names": list(voice.former_names),
        "type": voice.type,
        "created_at": voice.created_at,
        "updated_at": voice.updated_at,
        "revision": voice.revision,
        "manner": write_manner(voice.manner),
        "samples": [vars(sample) for sample in voice.samples],
        "design": vars(voice.design) if voice.design else None,
        "folder": voice.folder,
        "digest": voice.digest,
        "replaces": replaces,
    }


def write_manner(manner: Manner) -> Record:
    """Return a manner as JSON."""
    return {
        "description": manner.description,
        "language": manner.language.code if manner.language else None,
        "speaker": manner.speaker.id if manner.speaker else None,
        "instructions": manner.instructions,
        "speed": manner.speed,
        "effects": [effect.to_json() for effect in manner.effects],
        "consent": manner.consent,
    }


def read_record(voice_id: str, record: object) -> KeptVoice:
    """Return the voice in JSON. Raises InvalidRequest, naming the field, if the JSON is not a record of this schema."""
    fields = JsonObject(record, RECORD_FILE)
    _check_schema(fields)
    return KeptVoice(
        id=voice_id,
        name=_read_name(fields),
        type=read_type(fields),
        created_at=read_time(fields, "created_at"),
        updated_at=read_time(fields, "updated_at"),
        revision=_read_revision(fields),
        manner=read_manner(fields.child("manner")),
        samples=tuple(map(_read_sample, fields.children("samples"))),
        design=read_design(fields),
        folder=fields.optional_text("folder"),
        digest=fields.optional_text("digest"),
        former_names=read_former_names(fields),
    )


def read_type(fields: JsonObject) -> VoiceType:
    """Return the voice's type."""
    return fields.choice("type", {name: name for name in get_args(VoiceType)})


def read_time(fields: JsonObject, name: str) -> float:
    """Return a time in seconds since 1970."""
    return fields.number(name, 0, 1e12)


def read_manner(fields: JsonObject) -> Manner:
    """Return the manner whose fields these are."""
    return Manner(
        description=fields.text("description"),
        language=fields.choice("language", {None: None} | {language.code: language for language in LANGUAGES}),
        speaker=fields.choice("speaker", {None: None} | {speaker.id: speaker for speaker in SPEAKERS}),
        instructions=fields.optional_text("instructions"),
        speed=fields.number("speed", MIN_SPEED, MAX_SPEED),
        effects=read_effects(fields.get("effects")),
        consent=fields.text("consent"),
    )


def read_design(fields: JsonObject) -> Design | None:
    """Return the voice's design; None if it was not made from words."""
    if fields.get("design") is None:
        return None
    design = fields.child("design")
    return Design(
        description=design.text("description"),
        sample_text=design.text("sample_text"),
        seed=design.whole_number("seed", 0, 2**63 - 1),
        model=design.text("model"),
    )


def read_former_names(fields: JsonObject) -> tuple[str, ...]:
    """Return the voice's former names, the last MAX_FORMER_NAMES of them; empty if the field is null or absent."""
    names = [] if fields.get("former_names") is None else fields.items("former_names")
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_VOICE_NAME_CHARACTERS:
            raise fields.wrong("former_names", f"names of 1 to {MAX_VOICE_NAME_CHARACTERS} characters")
        check_words(name, "former_names")
    return tuple(map(str, names[-MAX_FORMER_NAMES:]))


def _check_schema(fields: JsonObject) -> None:
    if (schema := fields.whole_number("schema", 0, 2**31)) != SCHEMA:
        raise InvalidRequest(f"{RECORD_FILE} has schema {schema}, but this version of the program reads {SCHEMA} only.")


def _read_name(fields: JsonObject) -> str:
    # Not check_name: if a later version reserves the name, the voice must still be read, so that it can be renamed.
    name = fields.text("name")
    if not 1 <= len(name) <= MAX_VOICE_NAME_CHARACTERS:
        raise fields.wrong("name", f"text of 1 to {MAX_VOICE_NAME_CHARACTERS} characters")
    return name


def _read_revision(fields: JsonObject) -> str:
    revision = fields.text("revision")
    if not re.fullmatch(r"[0-9a-f]{32}", revision):
        raise fields.wrong("revision", "32 hexadecimal digits")
    return revision


def _read_sample(fields: JsonObject) -> VoiceClip:
    sample_id = fields.text("id")
    if not is_id(sample_id):
        raise fields.wrong("id", "a UUID in lower case")
    return VoiceClip(
        id=sample_id,
        text=fields.optional_text("text"),
        sample_rate=fields.whole_number("sample_rate", 1, 192_000),
        seconds=fields.number("seconds", 0, 1e12),
    )
