"""The data folder of version 0.1.0 stays readable, and what is written is still what that version wrote.

tests/data/data-0.1.0.tar.gz was made by the server of version 0.1.0, with random tiny checkpoints and synthetic clips:
voices were made, renamed, dropped into the folder and exported over HTTP, texts were spoken over HTTP and Wyoming, and
last the standby voice spoke. The archive holds the data folder, and `annie.zip` as the server exported it. Samples and
prompts are compared by the hash of what 0.1.0 itself read from the folder.
"""

import asyncio
import hashlib
import os
import tarfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.waiting import until
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import ClonePrompt, Description, KeptVoiceRef, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.speech.replay import from_json
from wyoming_qwen3.speech.tts_cache import NOTE, TtsCache
from wyoming_qwen3.store.clips import Clips
from wyoming_qwen3.store.history.store import GenerationQuery, History, Limits, StoredGeneration
from wyoming_qwen3.store.voices import archive
from wyoming_qwen3.store.voices.folder import VoiceFolder
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Design, KeptVoice, Manner
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import SpokenPiece
from wyoming_qwen3.voices.watched_folder import WatchedFolder

PACKED = Path(__file__).parent.parent / "data" / "data-0.1.0.tar.gz"

ANNIE, COMMANDER = "ce6ca074-b513-4e85-8532-18bbe9927e40", "96907883-32b9-4984-9e5c-473a74f83952"

ANNIE_MANNER = Manner(
    description="Großmutter",
    language=find_language("de"),
    speed=1.25,
    effects=read_effects([{"type": "reverb", "room_size": 0.4, "wet": 0.2}]),
    consent="Anna, in November 2026: „ja“",
)
ANNIE_CLIPS = [(8_000, "Guten Abend.", "b0ea7d9cb0fc8260"), (16_000, "Die Tür ist offen.", "19a3a6896a4358f4")]
ANNIE_PROMPT = ("4e3fe7afb6e7f899", (44, 16), "d281aaf659eee46a", "Guten Abend. Die Tür ist offen.")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The folder in which `data` and `annie.zip` are."""
    with tarfile.open(PACKED) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
async def voices(unpacked: Path) -> VoiceStore:
    store = VoiceStore(unpacked / "data/store/voices")
    await store.open()
    return store


@pytest.fixture
async def history(unpacked: Path) -> AsyncIterator[History]:
    history = History(unpacked / "data/store/history", Limits())
    assert await history.open() is None
    yield history
    await history.close()


def digest(numbers: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()[:16]


def told(prompt: ClonePrompt) -> tuple[object, ...]:
    assert prompt.codes is not None
    return digest(prompt.speaker_embedding), prompt.codes.shape, digest(prompt.codes), prompt.text


async def clips_of(store: VoiceStore, voice: KeptVoice) -> list[tuple[int, str | None, str]]:
    return [(clip.sample_rate, clip.text, digest(clip.samples)) for clip in await store.recordings(voice.id)]


def test_all_voices_are_there(voices: VoiceStore) -> None:
    names = ["Annie", "Carol", "Commander", "Slow Aiden", "Whisper"]
    assert [voice.name for voice in voices.all()] == names
    assert voices.default == ANNIE


async def test_a_profile_has_its_clips_its_prompt_and_its_former_names(voices: VoiceStore) -> None:
    annie = voices.get("Annie")
    assert (annie.id, annie.type, annie.manner, annie.design) == (ANNIE, "profile", ANNIE_MANNER, None)
    assert (annie.created_at, annie.updated_at) == (1796028943.073445, 1796028943.1188211)
    assert annie.revision == "985b845448b641d5876a25b129d75fe4"
    assert annie.former_names == ("Anna", "Änne")
    assert voices.find_former("ANNA") == annie
    assert [(sample.text, sample.sample_rate, sample.seconds) for sample in annie.samples] == [
        ("Guten Abend.", 8_000, 1.5),
        ("Die Tür ist offen.", 16_000, 1.25),
    ]
    assert await clips_of(voices, annie) == ANNIE_CLIPS
    prompt = await voices.prompt(annie.id, annie.revision, "1.7B")
    assert prompt is not None
    assert told(prompt) == ANNIE_PROMPT
    assert await voices.prompt(annie.id, annie.revision, "0.6B") is None


async def test_a_preset_from_words_has_its_clip_and_its_prompt(voices: VoiceStore) -> None:
    voice = voices.get(COMMANDER)
    words = "A deep, calm man, with authority."
    assert (voice.name, voice.type) == ("Commander", "preset")
    assert voice.manner == Manner(description=words, language=find_language("en"))
    assert voice.design == Design(words, "Go on.", 7, "Qwen3-TTS-12Hz-1.7B-VoiceDesign")
    assert await clips_of(voices, voice) == [(24_000, "Go on.", "efb007c939684f85")]
    prompt = await voices.prompt(voice.id, voice.revision, "1.7B")
    assert prompt is not None
    assert told(prompt) == ("cc09482ba687a358", (30, 16), "d67d18b265d84cbf", "Go on.")


def test_voices_of_speakers_have_their_styles(voices: VoiceStore) -> None:
    whisper, slow = voices.get("Whisper"), voices.get("Slow Aiden")
    assert (whisper.type, whisper.samples) == ("preset", ())
    assert whisper.manner == Manner(
        language=find_language("de"),
        speaker=find_voice("ryan")[0],
        instructions="Whispering, close to the microphone.",
        speed=0.9,
        effects=read_effects([{"type": "pitch", "semitones": -3}, {"type": "gain", "gain_db": -6.5}]),
    )
    assert (slow.type, slow.samples) == ("profile", ())
    assert slow.manner == Manner(speaker=find_voice("aiden")[0], speed=0.5)


async def test_a_dropped_voice_is_still_that_of_its_folder(voices: VoiceStore, unpacked: Path) -> None:
    carol = voices.get("Carol")
    assert carol.folder == "Carol"
    assert await clips_of(voices, carol) == [(24_000, "It rains today.", "1bd91846459d3465")]
    before = voices.all()
    assert await WatchedFolder(unpacked / "data/voices", voices).scan() == []
    assert voices.all() == before


def test_voices_are_written_as_they_were(voices: VoiceStore, unpacked: Path) -> None:
    for voice in voices.all():
        folder = VoiceFolder(unpacked / "data/store/voices" / voice.id)
        files = [folder.path / "voice.json", *(folder.sample_path(sample.id) for sample in voice.samples)]
        before = [file.read_bytes() for file in files]
        folder.write(voice)
        folder.write_clips(voice.samples, folder.read_clips(voice.samples))
        assert [file.read_bytes() for file in files] == before


async def test_the_archive_of_a_voice_comes_in(unpacked: Path, tmp_path: Path) -> None:
    packed = archive.unpack((unpacked / "annie.zip").read_bytes())
    store = VoiceStore(tmp_path / "elsewhere")
    await store.open()
    voice = await store.create(
        packed.name, packed.type, packed.manner, packed.recordings, former_names=packed.former_names
    )
    assert (voice.name, voice.type, voice.manner) == ("Annie", "profile", ANNIE_MANNER)
    assert (voice.former_names, packed.design) == (("Anna", "Änne"), None)
    assert await clips_of(store, voice) == ANNIE_CLIPS
    assert {size: told(prompt) for size, prompt in packed.prompts.items()} == {"1.7B": ANNIE_PROMPT}


async def test_the_same_archive_goes_out(voices: VoiceStore, unpacked: Path) -> None:
    annie = voices.get("Annie")
    packed = archive.pack(annie, await voices.recordings(annie.id), {})
    old = (unpacked / "annie.zip").read_bytes()
    assert old.startswith(packed[: packed.index(b"PK\x01\x02")])  # prompts and the directory follow


HISTORY: list[tuple[str, str, str, int, str, str]] = [
    # text, source, voice, samples, outcome, digest of the samples as int16
    ("The kettle is warm. [pause:200ms] Good.", "speech", "Ryan", 7680, "cut", "28d80891742c92f0"),
    ("Grüß Gott 🎙", "speech", "Annie", 5120, "cut", "94baffa74be9a79f"),
    ("Go.", "speech", "Commander", 4003, "whole", "9b6a4abe2264ac3c"),
    ("Hm.", "speech", "Vivian", 3840, "cut", "9e5ffa359962da6f"),
    ("Well.", "speech", "design", 3840, "cut", "d9ba3e66315e164e"),
    ("So.", "speech", "clone", 3840, "cut", "4ba89954ad79572f"),
    ("Open?", "conversation", "Serena", 15360, "whole", "0439ef6f5c965927"),
    ("Yes.", "conversation", "Commander", 3072, "whole", "99b516100cd461d5"),
    ("No. [pause:0.2s] No.", "wyoming", "Ryan", 39360, "whole", "e894a88fadc24581"),
]


async def rows(history: History) -> list[StoredGeneration]:
    return list((await history.search(GenerationQuery(descending=False))).items)


async def test_the_history_has_its_rows_and_their_audio(history: History) -> None:
    found = []
    for row in await rows(history):
        samples, rate = soundfile.read(history.audio_path(row.id), dtype="int16")
        assert (rate, row.duration, row.bytes) == (
            24_000,
            samples.size / 24_000,
            history.audio_path(row.id).stat().st_size,
        )
        found.append((row.text, row.source, row.voice, samples.size, row.outcome, digest(samples)))
    assert found == HISTORY


async def test_a_row_has_all_of_its_facts(history: History) -> None:
    kettle, greeting, *_ = await rows(history)
    assert kettle == StoredGeneration(
        text="The kettle is warm. [pause:200ms] Good.",
        source="speech",
        voice="Ryan",
        model="Qwen3-TTS-12Hz-1.7B-CustomVoice",
        language="en",
        params={
            "length": 4,
            "size": "1.7B",
            "standby": "off",
            "voice": {"speaker": "ryan"},
            "language": "en",
            "sampling": {"seed": 11},
            "segments": ["The kettle is warm."],
        },
        seed=11,
        first_audio=0.014204066000047533,
        wall=0.1754052359999605,
        outcome="cut",
        id="bc280f55-e3e9-4050-9b95-92c1d44fdcff",
        created_at=1796028943.1402063,
        duration=0.32,
        bytes=12607,
        favorite=True,
    )
    assert not greeting.favorite
    page = await history.search(GenerationQuery(q="grüß 🎙", voice="annie"))
    assert page.items == (greeting,)


async def test_what_was_spoken_can_be_spoken_again(history: History, voices: VoiceStore) -> None:
    params = [row.params for row in await rows(history)]
    again = []
    for one in params:
        with suppress(InvalidRequest):  # of a clip that came along with its request, nothing was kept
            again.append(from_json(one, voices))
    assert len(again) == len(params) - 1
    revision = voices.get(COMMANDER).revision
    assert again[2] == (
        SpeechRequest(
            KeptVoiceRef(COMMANDER, revision),
            find_language("en"),
            sampling=Sampling(temperature=0.7, seed=13),
            speed=1.1,
            length=3,
            size="1.7B",
            standby="off",
            effects=read_effects([{"type": "gain", "gain_db": -3}]),
            voice_name="Commander",
        ),
        [SpokenPiece("Go.")],
    )
    assert again[3][0].instruct == "Sad."
    assert again[3][0].sampling == Sampling(0.5, 20, 0.8, 1.1, seed=14)
    assert again[4][0].voice == Description("An old man.")
    assert again[-1][1] == [SpokenPiece("No."), Pause(0.2), SpokenPiece("No.")]


async def test_a_clip_is_given_out_for_a_day(unpacked: Path) -> None:
    folder = unpacked / "data/store/clips"
    (file,) = folder.iterdir()
    os.utime(file, (time.time(), time.time()))
    clips = Clips(folder)
    await clips.open()
    clip = clips.get(file.name.split("_")[0])
    assert (clip.extension, clip.seconds, clip.bytes) == ("wav", 0.5, 8044)
    assert clips.path(clip.id).read_bytes()[:4] == b"RIFF"


async def test_speech_of_the_standby_voice_in_home_assistants_cache_is_still_told(unpacked: Path) -> None:
    cache = TtsCache(unpacked / "data/store/tts-cache", lambda: True, None)
    task = asyncio.create_task(cache.run())
    await until(lambda: cache.note)
    task.cancel()
    assert cache.note == NOTE
