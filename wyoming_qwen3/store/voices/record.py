"""A kept voice as the JSON that is kept of it, of this version and older ones; knows no files.

The JSON's fields are those of KeptVoice but for its id; a language is its ISO 639-1 code, a speaker its id, effects
are as a client writes them. `schema` counts the versions, `replaces` is the id of the voice that this one overwrote.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.speakers import SPEAKERS, Speaker, find_language

from .voice import Design, KeptVoice, Manner, Sample, VoiceType

Record: TypeAlias = dict[str, Any]
Migration: TypeAlias = Callable[[Record], Record]

MIGRATIONS: tuple[Migration, ...] = ()
"""The first turns a record of schema 1 into one of schema 2, the next that into 3, and so on to today's."""

_Value = TypeVar("_Value")


def is_id(text: str) -> bool:
    """Whether it is a UUID as the store writes them, and so safe as the name of a file."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


def write_record(voice: KeptVoice, *, replaces: str | None = None, schema: int = 1 + len(MIGRATIONS)) -> Record:
    """The voice as JSON."""
    return {
        "schema": schema,
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
    """A manner as JSON, for an archive too."""
    return {
        "description": manner.description,
        "language": manner.language.code if manner.language else None,
        "speaker": manner.speaker.id if manner.speaker else None,
        "instructions": manner.instructions,
        "speed": manner.speed,
        "effects": [effect.to_json() for effect in manner.effects],
        "consent": manner.consent,
    }


def read_record(voice_id: str, record: object, migrations: Sequence[Migration] = MIGRATIONS) -> KeptVoice:
    """The voice in JSON of any schema up to today's. Raises InvalidRequest, saying what is wrong with it."""
    if not isinstance(record, dict):
        raise InvalidRequest("A voice's record must be a JSON object.")
    record = _migrated(record, migrations)
    design = _take(record, "design", dict, optional=True)
    return KeptVoice(
        id=voice_id,
        name=_name(_take(record, "name", str)),
        type=_type(_take(record, "type", str)),
        created_at=_number(record, "created_at"),
        updated_at=_number(record, "updated_at"),
        revision=_revision(_take(record, "revision", str)),
        manner=_manner(_take(record, "manner", dict)),
        samples=tuple(_sample(sample) for sample in _take(record, "samples", list)),
        design=_design(design) if design is not None else None,
        folder=_take(record, "folder", str, optional=True),
        digest=_take(record, "digest", str, optional=True),
        former_names=_former_names(record.get("former_names", [])),  # records of before have none
    )


def _migrated(record: Record, migrations: Sequence[Migration]) -> Record:
    schema = _take(record, "schema", int)
    if not 1 <= schema <= 1 + len(migrations):
        raise InvalidRequest(f"It has schema {schema}; this version reads 1 to {1 + len(migrations)}.")
    for number, migrate in enumerate(migrations[schema - 1 :], schema):
        try:
            record = migrate(record)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InvalidRequest(f"It is not what schema {number} demands.") from error
    return record


def _take(record: Mapping[str, Any], field: str, kind: type[_Value], *, optional: bool = False) -> Any:
    value = record.get(field)
    if (value is None and optional) or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f"Its {field} is missing or of another kind than {kind.__name__}.")


def _number(record: Mapping[str, Any], field: str) -> float:
    value = record.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e12:
        raise InvalidRequest(f"Its {field} is missing or not a number from 0 to 1e12.")
    return float(value)


def _name(name: str) -> str:
    # Not check_voice_name: a name that a later version reserves must not lose its voice, which can be renamed.
    if not 1 <= len(name) <= 64:
        raise InvalidRequest("Its name must have 1 to 64 characters.")
    return name


def _former_names(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest("Its former_names must be a list of names.")
    return tuple(map(_name, names))


def _type(name: str) -> VoiceType:
    if name not in ("preset", "profile"):
        raise InvalidRequest("Its type must be preset or profile.")
    return name  # type: ignore[return-value]


def _revision(revision: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{32}", revision):
        raise InvalidRequest("Its revision must be 32 hexadecimal digits.")
    return revision


def _manner(record: Record) -> Manner:
    language = _take(record, "language", str, optional=True)
    speaker = _take(record, "speaker", str, optional=True)
    return Manner(
        description=_take(record, "description", str),
        language=find_language(language) if language is not None else None,
        speaker=_speaker(speaker) if speaker is not None else None,
        instructions=_take(record, "instructions", str, optional=True),
        speed=_number(record, "speed"),
        effects=read_effects(_take(record, "effects", list)),
        consent=_take(record, "consent", str),
    )


def _speaker(speaker_id: str) -> Speaker:
    for speaker in SPEAKERS:
        if speaker.id == speaker_id:
            return speaker
    raise InvalidRequest(f"There is no speaker {speaker_id!r}.")


def _sample(record: object) -> Sample:
    if not isinstance(record, dict) or not is_id(_take(record, "id", str)):
        raise InvalidRequest("Each of its samples must be an object with an id.")
    return Sample(
        id=record["id"],
        text=_take(record, "text", str, optional=True),
        sample_rate=_take(record, "sample_rate", int),
        seconds=_number(record, "seconds"),
    )


def _design(record: Record) -> Design:
    return Design(
        description=_take(record, "description", str),
        sample_text=_take(record, "sample_text", str),
        seed=_take(record, "seed", int),
        model=_take(record, "model", str),
    )
