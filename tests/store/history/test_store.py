"""The history as a whole, with real files and a real database: kept, found, deleted, and none of it half."""

import asyncio
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.store.disk import largest_file
from tests.store.history.spoken import FACTS, noise, speak, spoken
from tests.waiting import until
from wyoming_qwen3.core.errors import NotFound, StorageFailed
from wyoming_qwen3.store.backup import MARKER, Backup
from wyoming_qwen3.store.history.store import Facts, GenerationQuery, History, Limits, Removed, StoredGeneration

NO_LIMITS = Limits()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture
async def history(folder: Path) -> AsyncIterator[History]:
    history = await opened(folder)
    yield history
    await history.close()


async def opened(folder: Path, limits: Limits = NO_LIMITS, **more: Any) -> History:
    history = History(folder, limits, **more)
    await history.open()
    return history


async def found(history: History, **query: Any) -> list[str]:
    return [entry.id for entry in (await history.search(GenerationQuery(**query))).items]


def audio(folder: Path) -> set[str]:
    """Names in the folder of audio files."""
    return {file.name for file in (folder / "audio").iterdir()}


async def test_what_has_just_been_spoken_is_found_at_once(history: History) -> None:
    recordings = [speak(history, noise(0.5)) for _ in range(3)]
    assert set(await found(history)) == {recording.id for recording in recordings}


async def test_what_was_spoken_is_found_and_heard_again(folder: Path, history: History) -> None:
    samples = noise(1.5)
    recording = speak(history, samples)
    entry = await history.get(recording.id)
    path = history.audio_path(entry.id)
    told = {name: getattr(entry, name) for name in vars(FACTS)}
    assert Facts(**told) == FACTS
    assert (entry.duration, entry.bytes, entry.favorite) == (1.5, path.stat().st_size, False)
    assert entry.created_at == recording.created_at
    heard, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(heard, samples, atol=1 / 16384)
    assert await found(history, q="lights") == [entry.id]
    await history.close()
    again = await opened(folder)
    assert await again.get(entry.id) == entry
    await again.close()


async def test_an_entry_is_there_as_soon_as_its_recording_is_finished(history: History) -> None:
    for _ in range(10):
        recording = speak(history, noise(0.5))
        assert (await history.set_favorite(recording.id, True)).favorite
        recording = speak(history, noise(0.5))
        await history.delete(recording.id)
    assert (await history.search(GenerationQuery())).total == 10


async def test_sixteen_speak_at_once(folder: Path, history: History) -> None:
    recordings = [history.begin() for _ in range(16)]
    for _ in range(10):
        for number, recording in enumerate(recordings):
            recording.add(noise(0.08, number))
        await asyncio.sleep(0)
    for number, recording in enumerate(recordings):
        recording.store(replace(FACTS, text=f"Speaker {number}"))
    kept = await asyncio.gather(*(history.get(recording.id) for recording in recordings))
    assert [entry.text for entry in kept] == [f"Speaker {number}" for number in range(16)]
    assert {entry.duration for entry in kept} == {0.8}
    assert audio(folder) == {f"{entry.id}.flac" for entry in kept}
    for number, entry in enumerate(kept):
        heard = soundfile.read(history.audio_path(entry.id), dtype="float32")[0]
        np.testing.assert_allclose(heard, np.tile(noise(0.08, number), 10), atol=1 / 16384)


async def test_what_is_deleted_is_gone_with_its_audio(folder: Path, history: History) -> None:
    entry, other = await spoken(history), await spoken(history)
    await history.set_favorite(entry.id, True)
    await history.delete(entry.id)
    assert audio(folder) == {f"{other.id}.flac"}
    assert await found(history) == [other.id]
    for call in (history.get, history.delete):
        with pytest.raises(NotFound, match="may have been deleted"):
            await call(entry.id)


@pytest.mark.parametrize(
    "entry_id",
    ["", "nobody", "../../../../etc/passwd", "../audio/" + "a" * 27, "A" * 36, "a" * 36 + "\n", "a" * 36],
)
async def test_what_is_no_id_is_not_found(history: History, entry_id: str) -> None:
    with pytest.raises(NotFound):
        await history.get(entry_id)
    with pytest.raises(NotFound):
        await history.delete(entry_id)
    with pytest.raises(NotFound):
        await history.set_favorite(entry_id, True)
    if entry_id != "a" * 36:  # which might be one
        with pytest.raises(NotFound):
            history.audio_path(entry_id)


async def test_what_is_before_a_time_is_deleted_on_demand(folder: Path, history: History) -> None:
    first, second, third = [await spoken(history, 0.1 * number) for number in (1, 2, 3)]
    await history.set_favorite(first.id, True)
    assert await history.delete_before(third.created_at) == Removed(2, first.bytes + second.bytes)
    assert audio(folder) == {f"{third.id}.flac"}
    assert await history.delete_before(third.created_at) == Removed(0, 0)


async def test_clean_up_spares_favorites(folder: Path, history: History) -> None:
    first, second, third = [await spoken(history) for _ in range(3)]
    await history.set_favorite(first.id, True)
    assert await history.clean_up() == Removed(0, 0)
    assert await history.clean_up(Limits(entries=1)) == Removed(1, second.bytes)
    assert audio(folder) == {f"{first.id}.flac", f"{third.id}.flac"}
    assert await history.clean_up(Limits(bytes=1)) == Removed(1, third.bytes)
    assert await history.clean_up(Limits(days=0, entries=0, bytes=0)) == Removed(0, 0)
    assert await found(history) == [first.id]


async def test_opening_cleans_up(folder: Path, history: History) -> None:
    kept = [(await spoken(history)).id for _ in range(5)]
    await history.close()
    again = await opened(folder, Limits(entries=2))
    assert await found(again) == [kept[4], kept[3]]
    assert len(audio(folder)) == 2
    await again.close()


async def test_speaking_cleans_up_by_and_by(folder: Path) -> None:
    history = await opened(folder, Limits(entries=2), tidy_seconds=0.05)
    for _ in range(2):
        kept = [(await spoken(history)).id for _ in range(6)]
        await until(lambda: len(audio(folder)) == 2)
        assert await found(history) == [kept[5], kept[4]]
    await history.close()


async def test_nothing_is_cleaned_up_while_a_backup_is_made(folder: Path, history: History) -> None:
    for _ in range(3):
        await spoken(history)
    await history.close()
    (folder / MARKER).touch()
    limited = await opened(folder, Limits(entries=1), tidy_seconds=0.01)
    assert (await limited.usage()).entries == len(audio(folder)) == 3
    (folder / MARKER).unlink()
    await until(lambda: len(audio(folder)) == 1)
    await limited.close()


def test_a_backup_that_was_broken_off_is_over_after_an_hour(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    backup = Backup(folder)
    (folder / MARKER).touch()
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    assert backup.running()
    monkeypatch.setattr(time, "monotonic", lambda: 4599.0)
    assert backup.running()
    monkeypatch.setattr(time, "monotonic", lambda: 4601.0)
    assert not backup.running()


async def test_opening_repairs_what_was_left_half_done(folder: Path, history: History) -> None:
    whole, silent = await spoken(history), await spoken(history)
    history.audio_path(silent.id).unlink()
    orphan, half = str(uuid.uuid4()), str(uuid.uuid4())
    history.audio_path(orphan).write_bytes(b"deleted, but for this")
    history.audio_path(half).with_suffix(".flac.part").write_bytes(b"half")
    await history.close()
    again = await opened(folder)
    assert await found(again) == [whole.id]
    assert audio(folder) == {f"{whole.id}.flac"}
    await again.close()


async def test_closing_finishes_what_was_finished_and_forgets_the_rest(folder: Path, history: History) -> None:
    done = [speak(history, noise(2.0)).id for _ in range(8)]
    speaking = history.begin()
    speaking.add(noise(1.0))
    await history.close()
    speaking.add(noise(1.0))
    speaking.store(FACTS)
    history.begin().add(noise(1.0))
    assert audio(folder) == {f"{entry_id}.flac" for entry_id in done}
    again = await opened(folder)
    assert set(await found(again)) == set(done)
    await again.close()


async def test_a_history_that_was_never_opened_harms_nobody(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    history = History(folder, NO_LIMITS)
    recording = speak(history, noise(0.5))
    with pytest.raises(StorageFailed):
        await history.get(recording.id)
    await history.close()
    assert audio(folder) == set()
    assert "not kept in the history" in caplog.text


async def test_a_folder_that_is_deleted_while_the_server_runs_is_made_anew(
    folder: Path, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    before = await spoken(history)
    shutil.rmtree(folder)
    assert await found(history) == []
    assert len(caplog.records) == 1
    with pytest.raises(NotFound):
        await history.get(before.id)
    after = await spoken(history)
    assert await found(history) == [after.id]
    assert audio(folder) == {f"{after.id}.flac"}


async def test_a_full_disk_under_the_database_leaves_neither_row_nor_audio(
    folder: Path, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    """The audio fits, being silence; the database's log may not grow."""
    before = await spoken(history)
    with largest_file((folder / "history.sqlite3-wal").stat().st_size):
        lost = [speak(history, np.zeros(2400, dtype=np.float32)).id for _ in range(5)]
        for entry_id in lost:
            with pytest.raises(StorageFailed, match=r"^This speech is not kept in the history: "):
                await history.get(entry_id)
        assert audio(folder) == {f"{before.id}.flac"}
        with pytest.raises(StorageFailed):
            await history.set_favorite(before.id, True)
    assert len(caplog.records) == 1
    after = await spoken(history)
    assert await found(history) == [after.id, before.id]
    assert audio(folder) == {f"{before.id}.flac", f"{after.id}.flac"}


async def test_a_corrupt_database_is_set_aside_with_its_audio(folder: Path, history: History) -> None:
    entry = await spoken(history)
    await history.close()
    (folder / "history.sqlite3").write_bytes(b"nonsense " * 1000)
    again = await opened(folder)
    assert await found(again) == []
    await spoken(again)
    await again.close()
    (aside,) = [path for path in folder.iterdir() if path.name.startswith("audio.corrupt-")]
    assert [path.name for path in aside.iterdir()] == [f"{entry.id}.flac"]
    assert (folder / aside.name.replace("audio", "history.sqlite3")).read_bytes() == b"nonsense " * 1000


KILLED = """
import asyncio, sys
from pathlib import Path
import numpy as np
from wyoming_qwen3.store.history.store import Facts, History, Limits

async def main():
    history = History(Path(sys.argv[1]), Limits())
    await history.open()
    frame = np.random.default_rng(0).uniform(-1, 1, 1920).astype(np.float32)
    for turn in range(1_000_000):
        recordings = [history.begin() for _ in range(50)]
        for number, recording in enumerate(recordings):
            for _ in range(1 + number % 20):
                recording.add(frame)
        for number, recording in enumerate(recordings):
            recording.store(Facts(
                text=f"Number {number}", source="speech", voice="Ryan", model="m", language=None,
                params={"frames": 1 + number % 20}, seed=None, first_audio=0.1, wall=1.0, outcome="whole",
            ))
        for recording in recordings:
            await history.get(recording.id)
            print(recording.id, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(4))
async def test_kill_9_in_the_middle_of_fifty_recordings_leaves_whole_entries_only(folder: Path, seed: int) -> None:
    command = [sys.executable, "-c", KILLED, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(random.Random(seed).randrange(1, 120))]
        child.kill()
        lines += child.stdout
    assert child.returncode == -signal.SIGKILL
    told = {line.strip() for line in lines if re.fullmatch(r"[0-9a-f-]{36}\n", line)}
    history = await opened(folder)
    kept: list[StoredGeneration] = []
    while page := (await history.search(GenerationQuery(limit=200, offset=len(kept)))).items:
        kept += page
    assert told <= {entry.id for entry in kept}, "what get() has answered stays"
    assert audio(folder) == {f"{entry.id}.flac" for entry in kept}
    for entry in kept:
        path = history.audio_path(entry.id)
        samples, _ = soundfile.read(path)
        assert samples.size == entry.params["frames"] * 1920 == round(entry.duration * 24_000)
        assert path.stat().st_size == entry.bytes
    assert (await history.get((await spoken(history)).id)).duration == 0.1
    await history.close()
