"""Voices follow a folder: found, changed, gone; what is wrong with an entry is told and costs no other."""

import asyncio
import builtins
import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.errors import StorageFailed
from wyoming_qwen3.core.request import FloatArray
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Manner
from wyoming_qwen3.voices.watched_folder import FolderProblem, WatchedFolder

TEXT = "She sells sea shells by the sea shore, and the shells are sea shells."


def speech(seconds: float = 4.0, seed: int = 0, rate: int = 24_000) -> FloatArray:
    """Noise that swells four times a second as syllables do, from silence to silence."""
    time = np.arange(round(seconds * rate)) / rate
    ends = np.minimum(1, 8 * np.minimum(time, time[::-1]))
    sound = (0.3 + np.sin(2 * np.pi * 4 * time) ** 2) * ends * np.random.default_rng(seed).standard_normal(time.size)
    scaled: FloatArray = (0.1 * sound).clip(-0.99, 0.99).astype(np.float32)
    return scaled


def encoded(form: str, samples: FloatArray, rate: int = 24_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form.upper())
    return file.getvalue()


def put(folder: Path, name: str, text: str | bytes | None = TEXT, seed: int = 0, seconds: float = 4.0) -> None:
    """A clip, in the format that its name ends in, and its text."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(path.suffix[1:], speech(seconds, seed)))
    if text is not None:
        path.with_suffix(".txt").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "drop"
    path.mkdir()
    return path


@pytest.fixture
async def store(tmp_path: Path) -> VoiceStore:
    store = VoiceStore(tmp_path / "voices")
    await store.open()
    return store


@pytest.fixture
def drop(folder: Path, store: VoiceStore) -> WatchedFolder:
    return WatchedFolder(folder, store, quiet_seconds=0)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    """Names of the folder's files that are opened, as they are."""
    names: list[str] = []
    real = io.open

    def spy(file: Any, *args: Any, **kwargs: Any) -> Any:
        if str(file).startswith(str(folder)):
            names.append(Path(file).name)
        return real(file, *args, **kwargs)

    monkeypatch.setattr(io, "open", spy)
    monkeypatch.setattr(builtins, "open", spy)
    return names


def message(problems: list[FolderProblem]) -> str:
    (problem,) = problems
    return problem.message


async def test_folders_and_single_clips_become_profiles(folder: Path, store: VoiceStore, drop: WatchedFolder) -> None:
    put(folder, "Anna/b.mp3", b"\xef\xbb\xbf  She sells sea shells by the sea shore,\r\n and she sells sea shells. ")
    put(folder, "Anna/a.wav")
    put(folder, "Bob.flac")
    put(folder, "Chloé.ogg")
    assert await drop.scan() == []
    anna, bob, chloe = store.all()
    assert [(voice.name, voice.type, voice.folder) for voice in (anna, bob, chloe)] == [
        ("Anna", "profile", "Anna"),
        ("Bob", "profile", "Bob"),
        ("Chloé", "profile", "Chloé"),
    ]
    assert [sample.text for sample in anna.samples] == [
        TEXT,
        "She sells sea shells by the sea shore, and she sells sea shells.",
    ]
    (clip,) = await store.recordings(bob.id)
    assert (clip.sample_rate, clip.text) == (24_000, TEXT)
    np.testing.assert_allclose(clip.samples, speech(), atol=1e-4)


@pytest.mark.parametrize("name", ["Bob.aiff", "Bob.AIF", "Bob.au", "Bob.caf", "Bob.amr"])
async def test_what_phones_and_macs_record_is_read(
    folder: Path, store: VoiceStore, drop: WatchedFolder, name: str
) -> None:
    """Also one without a text is an entry, and is told so."""
    kind = {".aif": "AIFF"}.get(Path(name).suffix.lower(), Path(name).suffix[1:].upper())
    if kind == "AMR":
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream("libopencore_amrnb", rate=8_000, layout="mono", bit_rate=12_200)
            whole = av.AudioFrame.from_ndarray(speech(rate=8_000)[np.newaxis], format="flt", layout="mono")
            whole.sample_rate = 8_000
            for frame in av.AudioResampler("s16", "mono", 8_000).resample(whole):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    else:
        soundfile.write(folder / name, speech(), 24_000, format=kind, subtype="PCM_16")
    assert message(await drop.scan()) == f"{name} has no text; write what it says to Bob.txt."
    (folder / "Bob.txt").write_text(TEXT)
    assert await drop.scan() == []
    (bob,) = store.all()
    (clip,) = await store.recordings(bob.id)
    assert clip.samples.size / clip.sample_rate == pytest.approx(4.0, abs=0.1)


async def test_an_m4a_is_read(folder: Path, store: VoiceStore, drop: WatchedFolder) -> None:
    with av.open(str(folder / "Bob.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=24_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech()[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = 24_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (folder / "Bob.txt").write_text(TEXT)
    assert await drop.scan() == []
    assert [voice.name for voice in store.all()] == ["Bob"]


async def test_names_match_whatever_their_case_and_composition(
    folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    put(folder, "Chloe\N{COMBINING ACUTE ACCENT}.wav", None)
    (folder / "chloé.TXT").write_text(TEXT)
    assert await drop.scan() == []
    assert store.all()[0].name == "Chloé"


async def test_changed_clips_replace_the_old_ones_and_nothing_else(
    folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    put(folder, "Anna/a.wav")
    put(folder, "Anna/b.wav", seed=1)
    await drop.scan()
    before = await store.change(store.get("Anna").id, name="Anne", manner=Manner(consent="yes", speed=1.5))
    put(folder, "Anna/b.wav", seed=2)
    put(folder, "Anna/c.wav", seed=3)
    assert await drop.scan() == []
    (after,) = store.all()
    assert (after.id, after.name, after.manner) == (before.id, "Anne", before.manner)
    assert after.revision != before.revision
    assert not {sample.id for sample in before.samples} & {sample.id for sample in after.samples}
    clips = await store.recordings(after.id)
    for clip, seed in zip(clips, (0, 2, 3), strict=True):
        np.testing.assert_allclose(clip.samples, speech(seed=seed), atol=1e-4)


async def test_as_many_clips_as_a_voice_can_have_are_replaced(
    folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    for number in range(32):
        put(folder, f"Anna/{number:02}.wav", "She sells shells.", seed=number, seconds=1.2)
    assert await drop.scan() == []
    put(folder, "Anna/00.wav", "She sells shells.", seed=99, seconds=1.2)
    assert await drop.scan() == []
    assert len(store.all()[0].samples) == 32
    np.testing.assert_allclose((await store.recordings(store.all()[0].id))[0].samples, speech(1.2, 99), atol=1e-4)


async def test_another_text_is_another_content(folder: Path, store: VoiceStore, drop: WatchedFolder) -> None:
    put(folder, "Bob.wav")
    await drop.scan()
    (folder / "Bob.txt").write_text(TEXT.replace("shore", "store"))
    await drop.scan()
    assert [sample.text for sample in store.all()[0].samples] == [TEXT.replace("shore", "store")]


async def test_what_is_gone_from_the_folder_is_deleted(folder: Path, store: VoiceStore, drop: WatchedFolder) -> None:
    put(folder, "Anna.wav")
    put(folder, "Bob.wav")
    await store.create("Kept", "profile", Manner(), [])
    await drop.scan()
    (folder / "Bob.wav").unlink()
    await drop.scan()
    assert [voice.name for voice in store.all()] == ["Anna", "Kept"]


async def test_a_single_clip_may_become_a_folder(folder: Path, store: VoiceStore, drop: WatchedFolder) -> None:
    put(folder, "Bob.wav")
    await drop.scan()
    before = store.all()[0].id
    (folder / "Bob").mkdir()
    (folder / "Bob.wav").rename(folder / "Bob" / "x.wav")
    (folder / "Bob.txt").rename(folder / "Bob" / "x.txt")
    assert await drop.scan() == []
    assert [voice.id for voice in store.all()] == [before]


async def test_a_missing_folder_is_no_voices_and_deletes_none(
    folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    put(folder, "Bob.wav")
    await drop.scan()
    folder.rename(folder.with_name("unmounted"))
    assert await drop.scan() == []
    assert [voice.name for voice in store.all()] == ["Bob"]


async def test_an_unreadable_folder_is_a_problem_and_deletes_none(
    folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    put(folder, "Bob.wav")
    await drop.scan()
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("a file in its place")
    assert "can't be read" in message(await drop.scan())
    assert [voice.name for voice in store.all()] == ["Bob"]


class Clock:
    """What the folder's reader takes for the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wall = 0.0
        """Seconds since 1970: for this machine, all files are of the future."""

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.wall


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("wyoming_qwen3.voices.watched_folder.time", clock)
    return clock


async def test_what_is_still_being_copied_waits(folder: Path, store: VoiceStore, clock: Clock) -> None:
    drop = WatchedFolder(folder, store)
    for seed in range(3):
        put(folder, "Bob.wav", seed=seed)
        assert await drop.scan() == []
        clock.now += 1.9
        assert await drop.scan() == []
        assert store.all() == []
    clock.now += 0.2
    await drop.scan()
    assert [voice.name for voice in store.all()] == ["Bob"]


async def test_what_was_there_long_before_does_not_wait(folder: Path, store: VoiceStore, clock: Clock) -> None:
    put(folder, "Bob.wav")
    clock.wall = 4e9
    await WatchedFolder(folder, store).scan()
    assert [voice.name for voice in store.all()] == ["Bob"]


async def test_an_old_time_that_a_copy_keeps_is_not_taken_for_its_end(
    folder: Path, store: VoiceStore, clock: Clock
) -> None:
    put(folder, "Bob.wav")
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    clock.wall = 1.1e9
    await WatchedFolder(folder, store).scan()
    assert store.all() == []


async def test_what_is_unchanged_is_not_opened(folder: Path, drop: WatchedFolder, opened: list[str]) -> None:
    put(folder, "Bob.wav")
    put(folder, "Eve.wav", seconds=0.5)
    opened.clear()
    first = await drop.scan()
    assert set(opened) == {"Bob.wav", "Bob.txt", "Eve.wav", "Eve.txt"}
    opened.clear()
    assert await drop.scan() == first
    assert opened == []


async def test_after_a_restart_the_same_content_is_the_same_voice(
    folder: Path, store: VoiceStore, drop: WatchedFolder, tmp_path: Path
) -> None:
    put(folder, "Bob.wav")
    await drop.scan()
    again = VoiceStore(tmp_path / "voices")
    await again.open()
    await WatchedFolder(folder, again, quiet_seconds=0).scan()
    assert again.all() == store.all()


async def test_a_mirror_that_was_deleted_comes_back(folder: Path, store: VoiceStore, drop: WatchedFolder) -> None:
    put(folder, "Bob.wav")
    await drop.scan()
    await store.delete(store.all()[0].id)
    await drop.scan()
    assert [voice.name for voice in store.all()] == ["Bob"]


def no_text(folder: Path) -> None:
    put(folder, "Bob.mp3", None)


def empty_text(folder: Path) -> None:
    put(folder, "Bob.wav", " \n")


def text_in_utf16(folder: Path) -> None:
    put(folder, "Bob.wav", TEXT.encode("utf-16"))


def endless_text(folder: Path) -> None:
    put(folder, "Bob.wav", "x" * 70_000)


def wrong_text(folder: Path) -> None:
    put(folder, "Bob.wav", TEXT * 9)


def no_sound(folder: Path) -> None:
    put(folder, "Bob.wav")
    (folder / "Bob.wav").write_bytes(b"<html>")


def half_a_file(folder: Path) -> None:
    put(folder, "Bob.wav")
    (folder / "Bob.wav").write_bytes(encoded("wav", speech())[:20])


def unknown_kind(folder: Path) -> None:
    put(folder, "Bob.voc")


def too_short(folder: Path) -> None:
    put(folder, "Bob.wav", seconds=0.9)


def too_long(folder: Path) -> None:
    put(folder, "Bob.wav", seconds=301)


def silent(folder: Path) -> None:
    put(folder, "Bob.wav")
    soundfile.write(folder / "Bob.wav", np.zeros(72_000), 24_000)


def one_of_two(folder: Path) -> None:
    put(folder, "Bob/a.wav")
    put(folder, "Bob/b.wav", None)


def empty_folder(folder: Path) -> None:
    (folder / "Bob").mkdir()


def too_many(folder: Path) -> None:
    put(folder, "Bob/0.wav")
    for number in range(1, 33):
        os.link(folder / "Bob/0.wav", folder / f"Bob/{number}.wav")
        os.link(folder / "Bob/0.txt", folder / f"Bob/{number}.txt")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (no_text, "Bob.mp3 has no text; write what it says to Bob.txt."),
        (empty_text, "Bob.txt is empty; write what Bob.wav says into it."),
        (text_in_utf16, "Bob.txt must be UTF-8."),
        (endless_text, "Bob.txt must not have more than 65536 bytes."),
        (wrong_text, "Bob.wav: The text takes"),
        (no_sound, "Bob.wav must be a WAV, AIFF"),
        (half_a_file, "Bob.wav is damaged"),
        (unknown_kind, "Bob.voc must be a WAV, AIFF"),
        (too_short, "Bob.wav: The clip has 0.9 s"),
        (too_long, "Bob.wav must not be longer than 300 seconds."),
        (silent, "Bob.wav: The clip is silent"),
        (one_of_two, "b.wav has no text; write what it says to b.txt."),
        (empty_folder, "There is no clip in it"),
        (too_many, "It has 33 clips, but a voice has at most 32."),
    ],
)
async def test_what_is_wrong_is_one_sentence_and_costs_nobody_else(
    make: Callable[[Path], None], sentence: str, folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    make(folder)
    put(folder, "Zoe.wav")
    (problem,) = await drop.scan()
    assert problem.entry == "Bob"
    assert problem.message.startswith(sentence)
    assert problem.message.endswith(".")
    assert str(folder) not in problem.message
    assert drop.problems == [problem]
    assert [voice.name for voice in store.all()] == ["Zoe"]


async def test_a_recording_of_a_minute_is_cut_to_its_best_part_and_that_is_said(
    folder: Path, store: VoiceStore, drop: WatchedFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text is that of the whole, so only the timbre of the part is cloned; that is said once in the log."""
    put(folder, "Bob.wav", " ".join([TEXT] * 12), seconds=60)
    (cut,) = await drop.scan()
    assert cut.message.startswith("Bob.wav: The recording is longer than 30 s: ")
    assert cut.message.endswith(
        "of its 60.0 s are used. The text is longer than this part, so only the timbre is cloned."
    )
    (sample,) = store.get("Bob").samples
    assert sample.text is None
    assert 10 < sample.seconds <= 15
    assert await drop.scan() == [cut]
    assert [cut.message in line for line in caplog.messages].count(True) == 1


async def test_an_entry_gone_bad_leaves_its_voice_until_it_is_good_again(
    folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    put(folder, "Bob.wav")
    await drop.scan()
    before = store.all()
    (folder / "Bob.txt").write_text("")
    assert "is empty" in message(await drop.scan())
    assert store.all() == before
    (folder / "Bob.txt").write_text(TEXT)
    assert await drop.scan() == []


@pytest.mark.parametrize(("name", "sentence"), [("Vivian", "reserved"), ("alloy", "reserved"), ("a+b", "letters")])
async def test_a_name_that_no_voice_can_have_is_told(
    name: str, sentence: str, folder: Path, drop: WatchedFolder, opened: list[str]
) -> None:
    put(folder, f"{name}.wav")
    opened.clear()
    assert sentence in message(await drop.scan())
    assert opened == []


async def test_another_voices_name_is_taken_until_that_is_gone(
    folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    mine = await store.create("bob", "profile", Manner(), [])
    put(folder, "Bob.wav")
    assert "another voice 'bob'" in message(await drop.scan())
    assert store.all() == [mine]
    await store.delete(mine.id)
    assert await drop.scan() == []
    assert [voice.folder for voice in store.all()] == ["Bob"]


async def test_of_two_entries_with_the_same_name_one_is_told_to_go(
    folder: Path, store: VoiceStore, drop: WatchedFolder
) -> None:
    put(folder, "Bob/a.wav")
    put(folder, "Bob.wav", seed=1)
    put(folder, "bOB/a.wav", seed=2)
    assert [problem.message for problem in await drop.scan()] == [
        "Two entries are named 'bOB'; rename one.",
        "Two entries are named 'Bob'; rename one.",
    ]
    assert [voice.folder for voice in store.all()] == ["Bob"]


async def test_what_nobody_means_to_be_a_voice_is_ignored(folder: Path, store: VoiceStore, drop: WatchedFolder) -> None:
    for name in (".hidden.wav", "._Bob.wav", ".stfolder/x.wav", "@eaDir/x.wav", "__MACOSX/x.wav", "~x.wav"):
        put(folder, name)
    put(folder, "Bob.sync-conflict-20261122-101010-ABCDEFG.wav")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "Bob.wav.part", "x.tmp", "README.md", "note.txt"):
        (folder / name).write_text("x")
    os.mkfifo(folder / "pipe.wav")
    assert await drop.scan() == []
    assert store.all() == []


async def test_links_that_lead_out_or_nowhere_are_ignored(
    folder: Path, store: VoiceStore, drop: WatchedFolder, tmp_path: Path
) -> None:
    put(tmp_path, "secret/a.wav")
    put(folder, "Bob/a.wav")
    (folder / "Evil").symlink_to(tmp_path / "secret")
    (folder / "Evil.wav").symlink_to(tmp_path / "secret/a.wav")
    (folder / "Evil.txt").symlink_to("../secret/a.txt")
    (folder / "Circle.wav").symlink_to("Circle.wav")
    (folder / "Broken.wav").symlink_to("nothing.wav")
    (folder / "Bob/b.wav").symlink_to("../../secret/a.wav")
    (folder / "Robert").symlink_to("Bob")
    assert await drop.scan() == []
    assert {voice.name: len(voice.samples) for voice in store.all()} == {"Bob": 1, "Robert": 1}


async def test_a_problem_is_logged_once_until_it_is_another(
    folder: Path, drop: WatchedFolder, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder, "Bob.wav", None)
    with caplog.at_level(logging.WARNING):
        await drop.scan()
        await drop.scan()
        (folder / "Bob.txt").write_text("")
        await drop.scan()
        await drop.scan()
    assert [record.getMessage() for record in caplog.records] == [
        "Bob in the folder of voices: Bob.wav has no text; write what it says to Bob.txt.",
        "Bob in the folder of voices: Bob.txt is empty; write what Bob.wav says into it.",
    ]


async def test_a_disk_that_is_full_for_a_while_is_tried_again(
    folder: Path, store: VoiceStore, drop: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StorageFailed("The disk is full.")

    put(folder, "Bob.wav")
    with monkeypatch.context() as context:
        context.setattr(store, "create", full)
        assert await drop.scan() == [FolderProblem("Bob", "The disk is full.")]
    assert await drop.scan() == []
    assert [voice.name for voice in store.all()] == ["Bob"]


async def test_a_replacement_that_failed_is_tried_again(
    folder: Path, store: VoiceStore, drop: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StorageFailed("The disk is full.")

    put(folder, "Bob.wav")
    await drop.scan()
    put(folder, "Bob.wav", seed=1)
    with monkeypatch.context() as context:
        context.setattr(store, "replace_samples", full)
        assert await drop.scan() == [FolderProblem("Bob", "The disk is full.")]
    (clip,) = await store.recordings(store.all()[0].id)
    np.testing.assert_allclose(clip.samples, speech(), atol=1e-4)
    assert await drop.scan() == []
    (clip,) = await store.recordings(store.all()[0].id)
    np.testing.assert_allclose(clip.samples, speech(seed=1), atol=1e-4)


async def test_it_runs_until_it_is_cancelled(folder: Path, store: VoiceStore, drop: WatchedFolder) -> None:
    running = asyncio.create_task(drop.run(0.01))
    put(folder, "Bob.wav")
    async with asyncio.timeout(HANG_SECONDS):
        while not store.all() or drop.problems:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_entry_that_can_not_be_read_leaves_its_voice(
    folder: Path, store: VoiceStore, drop: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "Bob/a.wav")
    await drop.scan()
    real = os.scandir

    def scandir(path: Path) -> Any:
        if path.name == "Bob":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("wyoming_qwen3.voices.folder_content.os.scandir", scandir)
    assert message(await drop.scan()) == "The folder can't be read: Permission denied."
    assert [voice.name for voice in store.all()] == ["Bob"]
