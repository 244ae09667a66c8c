import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import unicodedata
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.store import crash
from tests.store.disk import largest_file, names
from wyoming_qwen3.core.checkpoints import SIZES
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import (
    InstructionsNotSupported,
    InvalidRequest,
    NameExists,
    NotFound,
    SpeechError,
    StorageFailed,
    VoiceNotFound,
)
from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS
from wyoming_qwen3.store.voices import checks
from wyoming_qwen3.store.voices import store as store_module
from wyoming_qwen3.store.voices.former_names import MAX_FORMER_NAMES
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Design, KeptVoice, Manner

PROMPT = ClonePrompt(
    np.linspace(-1, 1, 1024, dtype=np.float32), np.arange(160, dtype=np.int64).reshape(10, 16), "Good evening."
)
NOWHERE = str(uuid.UUID(int=0))
STYLE = Manner(speaker=SPEAKERS[0], instructions="Whisper.")


def clip(text: str | None = "Hello.", *, seconds: float = 0.1, rate: int = 24_000, height: float = 0.5) -> Reference:
    steps = np.arange(round(seconds * rate), dtype=np.float32)
    return Reference((np.sin(steps / 20) * height).astype(np.float32), rate, text)


async def opened(folder: Path) -> VoiceStore:
    store = VoiceStore(folder)
    await store.open()
    return store


@pytest.fixture
async def store(tmp_path: Path) -> VoiceStore:
    return await opened(tmp_path / "voices")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of `store`."""
    return tmp_path / "voices"


def tree(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def make(store: VoiceStore, name: str = "Anna", **more: Any) -> KeptVoice:
    return await store.create(name, "profile", Manner(), [clip("One."), clip(None, rate=8_000)], **more)


# What is kept


async def test_a_voice_outlives_the_store_with_all_that_was_said_of_it(store: VoiceStore, folder: Path) -> None:
    manner = Manner("warm", LANGUAGES[4], None, None, 1.5, read_effects([{"type": "gain", "gain_db": 3}]), "she did")
    design = Design("an old lady", "Good evening.", 7, "Qwen3-TTS-12Hz-1.7B-VoiceDesign")
    given = [clip("Eins 🎙."), clip(None, rate=8_000), clip("x", rate=44_100, seconds=1.5)]
    made = await store.create("Großmutter", "preset", manner, given, design=design, folder="drop", digest="d")
    again = await opened(folder)
    kept = again.get("großmutter")
    assert kept == made
    assert (kept.type, kept.manner, kept.design, kept.folder, kept.digest) == ("preset", manner, design, "drop", "d")
    assert [(sample.text, sample.sample_rate, sample.seconds) for sample in kept.samples] == [
        ("Eins 🎙.", 24_000, 0.1),
        (None, 8_000, 0.1),
        ("x", 44_100, 1.5),
    ]
    for was, now in zip(given, await again.recordings(kept.id), strict=True):
        assert (now.text, now.sample_rate) == (was.text, was.sample_rate)
        assert np.abs(now.samples - was.samples).max() <= 0.5 / 32768


async def test_files_lie_where_others_look_for_them(store: VoiceStore, folder: Path) -> None:
    voice = await make(store, prompt=("0.6B", PROMPT))
    samples = [f"{voice.id}/samples/{sample.id}.wav" for sample in voice.samples]
    prompt = f"{voice.id}/prompts/{voice.revision}-0.6B.safetensors"
    assert set(tree(folder)) == {f"{voice.id}/voice.json", prompt, *samples}
    assert store.sample_path(voice.id, voice.samples[1].id) == folder / samples[1]
    info = soundfile.info(folder / samples[1])
    assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "PCM_16", 1, 8_000)


async def test_voices_are_listed_by_name(store: VoiceStore) -> None:
    for name in ("berta", "Anna", "Ärmel", "cora"):
        await store.create(name, "profile", STYLE, [])
    assert [voice.name for voice in store.all()] == ["Anna", "berta", "cora", "Ärmel"]


async def test_a_voice_is_found_by_id_and_by_each_spelling_of_its_name(store: VoiceStore) -> None:
    voice = await make(store, "Frau Ödön")
    for name in (voice.id, "frau ödön", "FRAU_ÖDÖN", unicodedata.normalize("NFD", " Frau   Ödön ")):
        assert store.find(name) is voice
    assert store.find("Ödön") is None
    assert store.find("") is None


async def test_who_is_not_found_is_told_who_is_there(store: VoiceStore) -> None:
    with pytest.raises(VoiceNotFound, match="'x' is kept; there is none yet"):
        store.get("x")
    for number in range(32):
        await store.create(f"v{number:02}", "profile", STYLE, [])
    with pytest.raises(VoiceNotFound, match=r"there is v00, v01, .*, v29 and 2 more\.$"):
        store.get("x")
    with pytest.raises(VoiceNotFound) as raised:
        store.get("x" * 1_000_000)
    assert len(str(raised.value)) < 400


# Making voices


@pytest.mark.parametrize("name", ["anna", "ANNA", " Anna ", "Frau Ödön", "frau_ödön", "Frau  O\u0308do\u0308n"])
async def test_a_name_is_taken_in_all_its_spellings(store: VoiceStore, folder: Path, name: str) -> None:
    await make(store, "Anna")
    await make(store, "Frau Ödön")
    before = tree(folder)
    with pytest.raises(NameExists):
        await make(store, name)
    assert tree(folder) == before


@pytest.mark.parametrize(
    "name",
    [
        *["", " ", ".", "..", ".hidden", "../x", "a/b", "a\\b", "a\0b", "a\nb", "x" * 65, "<b>", "\ud800", "~", "a:b"],
        *["Ryan", "uncle fu", "unclefu", "Ryan de", "alloy", "nova-pt-br", "serena-de", "default"],
        *[NOWHERE, NOWHERE.upper()],
        "con\u202e",
    ],
)
async def test_hostile_and_reserved_names_are_refused(store: VoiceStore, folder: Path, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await make(store, name)
    voice = await make(store)
    with pytest.raises(InvalidRequest):
        await store.change(voice.id, name=name)
    assert names(folder) == [voice.id]


async def test_instructions_need_a_speaker_and_a_speaker_has_no_clips(store: VoiceStore, folder: Path) -> None:
    with pytest.raises(InstructionsNotSupported):
        await store.create("Anna", "profile", Manner(instructions="Whisper."), [clip()])
    with pytest.raises(InvalidRequest, match="speaker or recordings"):
        await store.create("Anna", "profile", STYLE, [clip()])
    assert names(folder) == []
    styled = await store.create("Anna", "profile", STYLE, [])
    with pytest.raises(InvalidRequest, match="speaker or recordings"):
        await store.add_samples(styled.id, [clip()])
    cloned = await make(store, "Berta")
    with pytest.raises(InvalidRequest, match="speaker or recordings"):
        await store.change(cloned.id, manner=STYLE)


@pytest.mark.parametrize(
    "manner",
    [
        Manner(speed=0.1),
        Manner(speed=float("nan")),
        Manner(description="x" * (checks.MAX_CHARACTERS + 1)),
        Manner(consent="\udfff"),
    ],
)
async def test_a_manner_that_can_not_be_kept_is_refused(store: VoiceStore, folder: Path, manner: Manner) -> None:
    with pytest.raises(InvalidRequest):
        await store.create("Anna", "profile", manner, [])
    assert names(folder) == []


async def test_a_folder_whose_name_is_no_text_is_refused(store: VoiceStore, folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="folder must be valid Unicode"):
        await make(store, folder=os.fsdecode(b"\xff"))
    assert names(folder) == []


async def test_no_more_clips_than_a_voice_has(store: VoiceStore, folder: Path) -> None:
    tiny = [clip(seconds=0.001)] * checks.MAX_VOICE_CLIPS
    with pytest.raises(InvalidRequest, match="at most 32"):
        await store.create("Anna", "profile", Manner(), [*tiny, clip()])
    voice = await store.create("Anna", "profile", Manner(), tiny)
    before = tree(folder)
    with pytest.raises(InvalidRequest, match="at most 32"):
        await store.add_samples(voice.id, [clip()])
    with pytest.raises(InvalidRequest, match="At least one"):
        await store.add_samples(voice.id, [])
    assert tree(folder) == before


async def test_no_more_voices_than_are_kept(store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_VOICES", 2)
    await make(store, "Anna")
    await make(store, "Berta")
    with pytest.raises(InvalidRequest, match="There are 2 voices"):
        await make(store, "Cora")
    await make(store, "Anna", overwrite=True)


@pytest.mark.parametrize(
    "bad", [Reference(np.zeros(0, np.float32), 24_000, None), Reference(np.zeros(9, np.float32), 0, None)]
)
async def test_a_clip_that_is_none_changes_nothing(store: VoiceStore, folder: Path, bad: Reference) -> None:
    voice = await make(store)
    before = tree(folder)
    with pytest.raises(InvalidRequest):
        await store.create("Berta", "profile", Manner(), [clip(), bad])
    with pytest.raises(InvalidRequest):
        await store.add_samples(voice.id, [clip(), bad])
    assert tree(folder) == before
    assert store.all() == [voice]


async def test_overwriting_leaves_nothing_of_the_old_voice(store: VoiceStore, folder: Path) -> None:
    old = await make(store, "Anna", prompt=("0.6B", PROMPT))
    other = await make(store, "Berta")
    await store.set_default("anna")
    new = await store.create("ANNA", "profile", Manner(), [clip("New.")], overwrite=True)
    assert store.all() == [new, other]
    assert store.find(old.id) is None
    assert store.default == new.id
    again = await opened(folder)
    assert again.all() == [new, other]
    assert again.default == new.id
    assert set(names(folder)) == {new.id, other.id, "default.json"}


async def test_overwriting_what_is_not_there_just_makes_it(store: VoiceStore) -> None:
    voice = await make(store, overwrite=True)
    assert store.all() == [voice]


async def test_ten_at_once_with_one_name_make_one_voice(store: VoiceStore, folder: Path) -> None:
    made = await asyncio.gather(*(make(store, "Anna") for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(one, KeptVoice) for one in made) == 1
    assert sum(isinstance(one, NameExists) for one in made) == 9
    assert len(names(folder)) == 1


async def test_many_changes_at_once_are_all_made(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    await asyncio.gather(*(store.add_samples(voice.id, [clip(str(number), seconds=0.001)]) for number in range(20)))
    kept = (await opened(folder)).get("Anna")
    assert sorted(sample.text or "" for sample in kept.samples[2:]) == sorted(map(str, range(20)))


async def test_a_change_is_made_whole_when_its_caller_is_cancelled(store: VoiceStore, folder: Path) -> None:
    asking = asyncio.create_task(make(store))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await make(store, "Berta")  # waits for its turn
    assert [voice.name for voice in store.all()] == ["Anna", "Berta"]
    assert (await opened(folder)).all() == store.all()


# Changing voices


async def test_a_change_keeps_what_it_does_not_name(store: VoiceStore, folder: Path) -> None:
    voice = await make(store, folder="drop", digest="1")
    renamed = await store.change(voice.id, name="ANNA ")
    assert (renamed.name, renamed.revision, renamed.samples) == ("ANNA", voice.revision, voice.samples)
    styled = await store.change(voice.id, manner=Manner("warm", speed=2.0), digest="2")
    assert (styled.name, styled.manner.speed, styled.folder, styled.digest) == ("ANNA", 2.0, "drop", "2")
    assert styled.created_at == voice.created_at
    assert styled.updated_at > voice.updated_at
    assert (await opened(folder)).all() == store.all() == [styled]


async def test_a_voice_does_not_take_anothers_name(store: VoiceStore) -> None:
    await make(store, "Anna")
    berta = await make(store, "Berta")
    with pytest.raises(NameExists):
        await store.change(berta.id, name="anna")
    assert store.find("Berta") is berta


# Old names.


def old_names(store: VoiceStore, name: str) -> tuple[str, ...]:
    return store.get(name).former_names


async def test_a_renamed_voice_is_found_by_its_old_names_and_not_taken_for_them(
    store: VoiceStore, folder: Path
) -> None:
    voice = await make(store)
    await store.change(voice.id, name="Berta")
    await store.change(voice.id, name="Clara")
    for kept in (store, await opened(folder)):
        assert old_names(kept, "Clara") == ("Anna", "Berta")
        assert [kept.find_former(name).id for name in ("ANNA", "berta")] == [voice.id] * 2  # type: ignore[union-attr]
        assert kept.find("anna") is None
        assert kept.find_former("clara") is None
        with pytest.raises(VoiceNotFound):
            kept.get("Anna")


async def test_the_same_name_in_other_letters_and_the_own_one_again_are_no_old_names(store: VoiceStore) -> None:
    voice = await make(store)
    assert (await store.change(voice.id, name="ANNA")).former_names == ()
    await store.change(voice.id, name="Berta")
    assert (await store.change(voice.id, name="anna")).former_names == ("Berta",)


@pytest.mark.parametrize("taking", ["new", "renamed"])
async def test_a_name_that_another_voice_takes_is_nobodys_old_name_any_more(
    store: VoiceStore, folder: Path, taking: str
) -> None:
    voice = await make(store)
    await store.change(voice.id, name="Berta")
    other = await make(store, "anna" if taking == "new" else "Dora")
    await store.change(other.id, name="anna")
    assert old_names(store, "Berta") == ()
    assert store.find_former("Anna") is None
    assert old_names(await opened(folder), "Berta") == ()
    await store.delete(other.id)
    assert store.find_former("Anna") is None


async def test_what_could_not_be_written_of_a_name_that_was_taken_is_found_at_the_start(
    store: VoiceStore, folder: Path
) -> None:
    """The server was ended between the two records."""
    voice = await make(store)
    await store.change(voice.id, name="Berta")
    before = (folder / voice.id / "voice.json").read_bytes()
    other = await make(store, "Anna")
    (folder / voice.id / "voice.json").write_bytes(before)
    again = await opened(folder)
    assert old_names(again, "Berta") == ()
    assert again.find("anna") == other


async def test_an_old_name_that_can_not_be_written_off_does_not_undo_the_voice_that_took_it(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voice = await make(store)
    await store.change(voice.id, name="Berta")
    record = folder / voice.id / "voice.json"
    record.unlink()
    record.mkdir()
    (record / "in the way").touch()
    await make(store, "Anna")
    assert store.find("Anna") is not None
    assert store.find_former("Anna") is None
    assert "A former name of a voice could not be removed" in caplog.text


async def test_old_names_are_given_up_one_by_one(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    for name in ("Berta", "Clara", "Dora"):
        await store.change(voice.id, name=name)
    assert (await store.change(voice.id, former_names=["CLARA", "Anna"])).former_names == ("Anna", "Clara")
    with pytest.raises(InvalidRequest, match="'Berta' is not a former name of the voice 'Dora', which has Anna"):
        await store.change(voice.id, former_names=["Anna", "Berta"])
    assert (await store.change(voice.id, name="Emma", former_names=[])).former_names == ("Dora",)
    assert old_names(await opened(folder), "Emma") == ("Dora",)


async def test_so_many_old_names_are_kept_and_the_newest_of_them(store: VoiceStore) -> None:
    voice = await make(store, "0")
    for number in range(1, 40):
        await store.change(voice.id, name=str(number))
    assert old_names(store, "39") == tuple(str(number) for number in range(39 - MAX_FORMER_NAMES, 39))


async def test_what_overwrites_a_voice_has_its_old_names(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    await store.change(voice.id, name="Berta")
    other = await make(store, "berta", overwrite=True)
    assert (await opened(folder)).find_former("Anna") == store.find_former("Anna") == other


async def test_a_voice_that_is_brought_in_keeps_the_old_names_that_are_free(store: VoiceStore) -> None:
    await make(store, "Taken")
    other = await make(store, "Was")
    await store.change(other.id, name="Is")
    made = await make(store, former_names=["taken", "WAS", "Free", "anna", "free"])
    assert made.former_names == ("free",)
    assert store.find_former("was") == store.get("Is")


async def test_a_record_of_before_has_no_old_names(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    path = folder / voice.id / "voice.json"
    record = json.loads(path.read_bytes())
    del record["former_names"]
    path.write_text(json.dumps(record))
    assert (await opened(folder)).find("Anna") == voice


async def test_other_clips_are_another_revision_without_the_old_prompts(store: VoiceStore, folder: Path) -> None:
    voice = await make(store, prompt=("0.6B", PROMPT))
    more = await store.add_samples(voice.id, [clip("Three.")])
    assert [sample.text for sample in more.samples] == ["One.", None, "Three."]
    assert more.samples[:2] == voice.samples
    await store.keep_prompt(voice.id, more.revision, "1.7B", PROMPT)
    less = await store.remove_sample(voice.id, voice.samples[0].id)
    assert [sample.text for sample in less.samples] == [None, "Three."]
    assert len({voice.revision, more.revision, less.revision}) == 3
    assert names(folder / voice.id / "prompts") == []
    assert names(folder / voice.id / "samples") == sorted(f"{sample.id}.wav" for sample in less.samples)
    assert (await opened(folder)).all() == [less]


async def test_the_last_clip_can_go_too(store: VoiceStore) -> None:
    voice = await store.create("Anna", "profile", Manner(), [clip()])
    assert (await store.remove_sample(voice.id, voice.samples[0].id)).samples == ()
    assert await store.recordings(voice.id) == []


async def test_deleting_leaves_nothing(store: VoiceStore, folder: Path) -> None:
    voice = await make(store, prompt=("0.6B", PROMPT))
    await store.set_default(voice.id)
    await store.delete(voice.id)
    assert store.all() == []
    assert store.default is None
    assert names(folder) == ["default.json"]
    again = await opened(folder)
    assert again.all() == []
    assert again.default is None


HOSTILE_IDS = ["", ".", "..", "../..", "/etc", "\0", "x" * 100_000, NOWHERE, "anna", "{}", "default.json", "\ud800"]


@pytest.mark.parametrize("voice_id", HOSTILE_IDS)
async def test_hostile_ids_are_not_found_and_touch_nothing(store: VoiceStore, folder: Path, voice_id: str) -> None:
    voice = await make(store, "Anna")
    before = tree(folder.parent)
    for asked in (
        store.change(voice_id, name="Berta"),
        store.add_samples(voice_id, [clip()]),
        store.remove_sample(voice_id, voice.samples[0].id),
        store.delete(voice_id),
        store.recordings(voice_id),
    ):
        with pytest.raises(VoiceNotFound):
            await asked
    with pytest.raises(VoiceNotFound):
        store.sample_path(voice_id, voice.samples[0].id)
    with pytest.raises(NotFound):
        store.sample_path(voice.id, voice_id)
    with pytest.raises(NotFound):
        await store.remove_sample(voice.id, voice_id)
    assert await store.prompt(voice_id, voice_id, "0.6B") is None
    assert await store.prompt(voice.id, voice_id, "0.6B") is None
    assert await store.prompt(voice.id, voice.revision, voice_id) is None  # type: ignore[arg-type]
    await store.keep_prompt(voice_id, voice.revision, "0.6B", PROMPT)
    await store.keep_prompt(voice.id, voice_id, "0.6B", PROMPT)
    await store.keep_prompt(voice.id, voice.revision, voice_id, PROMPT)  # type: ignore[arg-type]
    assert tree(folder.parent) == before


# Prompts


async def test_a_prompt_is_kept_for_its_revision_and_size(store: VoiceStore, folder: Path) -> None:
    voice = await make(store, prompt=("0.6B", PROMPT))
    other = ClonePrompt(np.ones(2048, np.float32))
    await store.keep_prompt(voice.id, voice.revision, "1.7B", other)
    again = await opened(folder)
    small, large = [await again.prompt(voice.id, voice.revision, size) for size in SIZES]
    assert small is not None
    assert small.codes is not None
    assert small.speaker_embedding.tobytes() == PROMPT.speaker_embedding.tobytes()
    assert np.array_equal(small.codes, PROMPT.codes)  # type: ignore[arg-type]
    assert small.text == PROMPT.text
    assert large is not None
    assert large.speaker_embedding.tobytes() == other.speaker_embedding.tobytes()
    assert await again.prompt(voice.id, "0" * 32, "0.6B") is None


async def test_a_prompt_of_clips_that_are_gone_is_not_kept(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    await store.add_samples(voice.id, [clip()])
    await store.keep_prompt(voice.id, voice.revision, "0.6B", PROMPT)
    assert names(folder / voice.id / "prompts") == []
    await store.delete(voice.id)
    await store.keep_prompt(voice.id, voice.revision, "0.6B", PROMPT)
    assert names(folder) == []


@pytest.mark.parametrize("damage", [b"", b"\x80\x04.", "cut", "size"])
async def test_a_damaged_prompt_is_dropped_and_made_anew(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture, damage: bytes | str
) -> None:
    voice = await make(store, prompt=("0.6B", PROMPT))
    path = folder / voice.id / "prompts" / f"{voice.revision}-0.6B.safetensors"
    if damage == "size":  # a whole prompt, but of the other checkpoint
        await store.keep_prompt(voice.id, voice.revision, "1.7B", PROMPT)
        path.with_name(f"{voice.revision}-1.7B.safetensors").replace(path)
    else:
        path.write_bytes(path.read_bytes()[:-1] if isinstance(damage, str) else damage)
    assert await store.prompt(voice.id, voice.revision, "0.6B") is None
    assert "is removed" in caplog.text
    assert not path.exists()
    await store.keep_prompt(voice.id, voice.revision, "0.6B", PROMPT)
    assert await store.prompt(voice.id, voice.revision, "0.6B") is not None


async def test_a_voice_without_its_folder_of_prompts_is_whole(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    (folder / voice.id / "prompts").rmdir()
    again = await opened(folder)
    assert await again.prompt(voice.id, voice.revision, "0.6B") is None
    await again.keep_prompt(voice.id, voice.revision, "0.6B", PROMPT)
    assert await again.prompt(voice.id, voice.revision, "0.6B") is not None


# The default voice


async def test_the_default_is_a_voice_or_a_speaker_or_none(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    assert store.default is None
    for asked, is_now in (("ANNA", voice.id), ("Uncle Fu", "uncle_fu"), ("alloy", "aiden"), (voice.id, voice.id)):
        await store.set_default(asked)
        assert store.default == is_now
        assert (await opened(folder)).default == is_now
    await store.change(voice.id, name="Berta")
    assert store.default == voice.id
    await store.set_default(None)
    assert store.default is None
    assert (await opened(folder)).default is None


@pytest.mark.parametrize(
    ("asked", "error"), [("nobody", VoiceNotFound), ("ryan-de", InvalidRequest), ("", VoiceNotFound)]
)
async def test_a_default_that_is_none_is_refused(store: VoiceStore, asked: str, error: type[SpeechError]) -> None:
    await store.set_default("ryan")
    with pytest.raises(error):
        await store.set_default(asked)
    assert store.default == "ryan"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"voice": 1}', b'{"voice": "nobody"}', b"\xff"])
async def test_a_damaged_default_is_none(store: VoiceStore, folder: Path, content: bytes) -> None:
    voice = await make(store)
    (folder / "default.json").write_bytes(content)
    again = await opened(folder)
    assert again.default is None
    assert again.all() == [voice]
    await again.set_default("Anna")
    assert (await opened(folder)).default == voice.id


# What a start finds


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "{}", "null", "\ufeff{}", "[" * 100_000, '{"schema": 99}', '{"schema": 1}', "lost"]
)
async def test_a_voice_that_can_not_be_read_stays_on_disk_and_is_left_out(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    voice, other = await make(store, "Anna"), await make(store, "Berta")
    record = folder / voice.id / "voice.json"
    if damage == "lost":
        record.unlink()
    else:
        record.write_text(damage)
    before = tree(folder)
    again = await opened(folder)
    assert again.all() == [other]
    assert tree(folder) == before
    said = [entry for entry in caplog.records if voice.id in entry.getMessage()]
    assert [entry.levelno for entry in said] == [logging.WARNING]
    new = await make(again, "Anna")
    assert (await opened(folder)).all() == [new, other]


async def test_a_voice_whose_clip_is_lost_stays_on_disk_and_is_left_out(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voice = await make(store)
    store.sample_path(voice.id, voice.samples[0].id).unlink()
    before = tree(folder)
    assert (await opened(folder)).all() == []
    assert tree(folder) == before
    assert f"The recording {voice.samples[0].id} is missing" in caplog.text


async def test_a_newer_record_is_told_from_a_damaged_one(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voice = await make(store)
    path = folder / voice.id / "voice.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    assert (await opened(folder)).all() == []
    assert "voice.json has schema 2, but this version of the program reads 1 only." in caplog.text


@pytest.mark.parametrize("damage", [b"", b"RIFF", b"not sound", None])
async def test_a_clip_that_is_damaged_or_lost_meanwhile_is_told(store: VoiceStore, damage: bytes | None) -> None:
    voice = await make(store)
    path = store.sample_path(voice.id, voice.samples[1].id)
    if damage is None:
        path.unlink()
        with pytest.raises(StorageFailed, match="lost a recording of the voice 'Anna'"):
            store.sample_path(voice.id, voice.samples[1].id)
    else:
        path.write_bytes(damage)
    with pytest.raises(StorageFailed, match="can't read a recording of the voice 'Anna'"):
        await store.recordings(voice.id)
    less = await store.remove_sample(voice.id, voice.samples[1].id)
    assert len(await store.recordings(less.id)) == 1


async def test_a_start_sweeps_what_nobody_names_and_nothing_else(store: VoiceStore, folder: Path) -> None:
    voice = await make(store, prompt=("0.6B", PROMPT))
    await store.set_default("Anna")
    (folder / "lost+found").mkdir()
    (folder / "README").touch()
    before = tree(folder)
    for place in (folder, folder / voice.id, folder / voice.id / "samples", folder / voice.id / "prompts"):
        (place / ".0123.partial").write_bytes(b"half")
    (folder / ".4567.partial" / "samples").mkdir(parents=True)
    (folder / ".4567.partial" / "samples" / "x.wav").touch()
    (folder / voice.id / "samples" / f"{NOWHERE}.wav").touch()
    (folder / voice.id / "prompts" / f"{'0' * 32}-0.6B.safetensors").touch()
    assert (await opened(folder)).all() == [voice]
    assert tree(folder) == before
    assert (folder / "lost+found").is_dir()


async def test_of_two_voices_of_one_name_the_newer_is_listed(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A person may have put a folder back that was overwritten since; it is not ours to remove."""
    old, new = await make(store, "Anna"), await make(store, "Berta")
    path = folder / new.id / "voice.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "ANNA"}))
    again = await opened(folder)
    assert [voice.id for voice in again.all()] == [new.id]
    assert "a newer one has the name" in caplog.text
    assert set(names(folder)) == {old.id, new.id}


async def test_an_overwritten_voice_that_has_another_name_by_now_stays(store: VoiceStore, folder: Path) -> None:
    """A person has put it back and renamed it."""
    old = await make(store, "Anna")
    shutil.copytree(folder / old.id, folder.parent / "kept")
    await make(store, "Anna", overwrite=True)
    shutil.copytree(folder.parent / "kept", folder / old.id)
    path = folder / old.id / "voice.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "Berta"}))
    assert [voice.name for voice in (await opened(folder)).all()] == ["Anna", "Berta"]


# Disks


async def test_a_full_disk_leaves_all_as_it_was(store: VoiceStore, folder: Path) -> None:
    voice = await make(store, prompt=("0.6B", PROMPT))
    await store.set_default("Anna")
    before, listed = tree(folder), store.all()
    long = clip(seconds=2)
    with largest_file(3_000):
        for change in (
            store.create("Berta", "profile", Manner(), [clip(seconds=0.01), long]),
            store.create("Anna", "profile", Manner(), [clip(seconds=0.01), long], overwrite=True),
            store.add_samples(voice.id, [clip(seconds=0.01), long]),
            store.change(voice.id, manner=Manner("x" * 5_000)),
        ):
            with pytest.raises(StorageFailed, match="File too large"):
                await change
            assert tree(folder) == before
            assert store.all() == listed
    with largest_file(10):
        for small in (
            store.remove_sample(voice.id, voice.samples[0].id),
            store.change(voice.id, name="Berta"),
            store.set_default("ryan"),
        ):
            with pytest.raises(StorageFailed):
                await small
    assert tree(folder) == before
    assert store.all() == listed
    assert store.default == voice.id
    assert (await opened(folder)).all() == listed


async def test_speech_goes_on_when_its_prompt_can_not_be_kept(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voice = await make(store)
    before = tree(folder)
    with largest_file(1_000):
        await store.keep_prompt(voice.id, voice.revision, "0.6B", PROMPT)
    assert "The clone prompt of the voice 'Anna' could not be stored: " in caplog.text
    assert tree(folder) == before


async def test_a_place_that_can_not_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = VoiceStore(tmp_path / "file" / "voices")
    with pytest.raises(StorageFailed):
        await store.open()
    assert store.all() == []
    with pytest.raises(StorageFailed):
        await make(store)


async def test_a_folder_that_can_only_be_read_is_read(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    if os.access(folder, os.W_OK):
        pytest.skip("root writes everywhere")
    again = await opened(folder)
    assert again.all() == [voice]
    for change in (again.delete(voice.id), make(again, "Berta"), again.set_default("Anna")):
        with pytest.raises(StorageFailed):
            await change
    assert again.all() == [voice]


async def test_a_voice_whose_folder_was_taken_away_can_be_deleted(store: VoiceStore, folder: Path) -> None:
    voice = await make(store)
    (folder / voice.id).rename(folder.parent / "elsewhere")
    await store.delete(voice.id)
    assert store.all() == []


async def test_a_folder_that_is_deleted_while_the_server_runs_is_made_anew(
    store: VoiceStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Voices whose files are gone say so, and can be deleted or overwritten."""
    anna, berta = await make(store), await make(store, "Berta")
    for change in (
        lambda: make(store, "Cara"),
        lambda: store.set_default("Ryan"),
        lambda: store.set_aliases({"a": "b"}),
    ):
        shutil.rmtree(folder)
        await change()
    assert caplog.text.count("was deleted while the server was running; it is created again") == 3
    for change in (
        lambda: store.change(anna.id, name="Annie"),
        lambda: store.add_samples(anna.id, [clip()]),
        lambda: store.remove_sample(anna.id, anna.samples[0].id),
    ):
        with pytest.raises(StorageFailed, match=r"^The files of the voice 'Anna' were deleted; "):
            await change()
    await store.delete(anna.id)
    again = await make(store, "Berta", overwrite=True)
    assert berta not in store.all()
    assert [voice.name for voice in (await opened(folder)).all()] == [again.name]


@pytest.mark.parametrize("change", [*crash.CHANGES, "anything"])
def test_a_killed_server_leaves_each_voice_whole(tmp_path: Path, change: str) -> None:
    """SIGKILL before each touch of the disk in turn, and at any time of a busy process: as before, or as after."""
    command = [sys.executable, "-m", "tests.store.crash", str(tmp_path / "crash"), change]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3
