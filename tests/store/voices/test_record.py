import json
from typing import Any

import pytest

from wyoming_qwen3.core.effects import EFFECTS, read_effects
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS
from wyoming_qwen3.store.voices.record import Record, read_record, write_record
from wyoming_qwen3.store.voices.voice import Design, KeptVoice, Manner, VoiceClip, is_id

ID = "0b9a9d3e-6c3c-4f5b-9a5e-0d9f0a3c1b2d"
VOICE = KeptVoice(
    id=ID,
    name="Großmutter Ödön",
    type="preset",
    created_at=1_790_000_000.25,
    updated_at=1_790_000_001.5,
    revision="0123456789abcdef" * 2,
    manner=Manner("warm", LANGUAGES[4], None, None, 1.25, read_effects([{"type": "gain", "gain_db": -6}]), "herself"),
    samples=(VoiceClip(ID, "Hallo 🎙", 44_100, 3.5), VoiceClip(ID.replace("0", "1"), None, 8_000, 1.0)),
    design=Design("an old lady", "Good evening.", 2**63 - 1, "Qwen3-TTS-12Hz-1.7B-VoiceDesign"),
    folder="grandmother",
    digest="abc",
    former_names=("Oma", "Erna"),
)
STYLED = KeptVoice(ID, "Whisper", "profile", 0.0, 0.0, "f" * 32, Manner(speaker=SPEAKERS[2], instructions="Whisper."))


def record(**changes: Any) -> Record:
    return json.loads(json.dumps(write_record(VOICE))) | changes  # type: ignore[no-any-return]


@pytest.mark.parametrize("voice", [VOICE, STYLED])
def test_a_voice_comes_back_from_json_as_it_was(voice: KeptVoice) -> None:
    assert read_record(ID, json.loads(json.dumps(write_record(voice)))) == voice


def test_all_effects_come_back() -> None:
    chain = read_effects([{"type": kind.type, kind.parameters[0].name: kind.parameters[0].high} for kind in EFFECTS])
    voice = KeptVoice(ID, "All", "profile", 0.0, 0.0, "f" * 32, Manner(effects=chain))
    assert read_record(ID, json.loads(json.dumps(write_record(voice)))) == voice


@pytest.mark.parametrize("field", sorted(set(write_record(VOICE)) - {"design", "folder", "digest", "replaces"}))
@pytest.mark.parametrize("value", [True, [[]], {"a": 1}, -1, "", "x" * 65, float("nan"), 10**30])
def test_a_field_of_another_kind_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest):
        read_record(ID, record(**{field: value}))


@pytest.mark.parametrize("field", ["schema", "name", "created_at", "manner", "samples", "revision"])
def test_a_field_without_a_value_is_refused(field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        read_record(ID, record(**{field: None}))


@pytest.mark.parametrize("value", [None, [], 1, "text"])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest):
        read_record(ID, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("language", "tlh"),
        ("language", 1),
        ("speaker", "nobody"),
        ("speed", "1"),
        ("effects", [{"type": "explode"}]),
        ("effects", [1]),
        ("description", None),
    ],
)
def test_a_manner_that_is_none_is_refused(field: str, value: object) -> None:
    manner = record()["manner"]
    with pytest.raises(InvalidRequest):
        read_record(ID, record(manner=manner | {field: value}))


@pytest.mark.parametrize("sample_id", ["", "..", "../../etc/passwd", ID.upper(), ID + "\n", ID[:-1], 1, None])
def test_a_sample_whose_id_is_no_uuid_is_refused(sample_id: object) -> None:
    with pytest.raises(InvalidRequest):
        read_record(ID, record(samples=[record()["samples"][0] | {"id": sample_id}]))


@pytest.mark.parametrize("revision", ["", "../" * 10 + "ab", "g" * 32, "a" * 33, "a" * 32 + "\n"])
def test_a_revision_that_is_none_is_refused(revision: str) -> None:
    with pytest.raises(InvalidRequest):
        read_record(ID, record(revision=revision))


def test_ids_are_uuids_in_one_spelling() -> None:
    assert is_id(ID)
    assert not any(map(is_id, ["", ID.upper(), ID.replace("-", ""), f"{{{ID}}}", ID + "\n", "../" + ID]))


@pytest.mark.parametrize("schema", [0, -1, 2, 10**30, "1", None, 1.0, True])
def test_a_schema_of_another_version_is_refused(schema: object) -> None:
    assert record()["schema"] == 1
    with pytest.raises(InvalidRequest, match="schema"):
        read_record(ID, record(schema=schema))


def test_fields_that_are_not_known_are_left_alone() -> None:
    design = record()["design"]
    assert read_record(ID, record(more=1, design=design | {"more": 1}, replaces=ID)) == VOICE


def test_a_record_from_before_names_were_changed_has_no_former_names() -> None:
    old = record()
    del old["former_names"]
    assert read_record(ID, old).former_names == ()
