"""Backups while speech is recorded: none fails, and what is restored is whole."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from tests.app.backup import FOLDER, back_up, excluded, restore
from tests.app.files import CONFIG, HEALTHCHECK
from tests.conftest import environment
from tests.store.history.spoken import FACTS, noise, spoken
from tests.waiting import until
from wyoming_qwen3.store.files import new_folder, write_file
from wyoming_qwen3.store.history.store import History, Limits, Recording


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    (folder / "store/voices").mkdir(parents=True)
    return folder


def history_of(data: Path) -> History:
    return History(data / "store/history", Limits())


async def tell(data: Path, what: str) -> None:
    """Run the command that the Supervisor runs in the app's container before and after a backup."""
    command = {"begin": CONFIG["backup_pre"], "end": CONFIG["backup_post"]}[what].split()
    path = f"{HEALTHCHECK.parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(*command, env=environment(PATH=path, TTS_QWEN3_DATA_DIR=str(data)))
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("models", False),
        ("options.json", True),
        ("dictionary.csv", True),
        ("store", True),
        ("store/clips", False),
        ("store/voices/0b9f/voice.json", True),
        ("store/voices/.0b9f.partial", False),
        ("store/voices/0b9f/.1c2d.partial", False),
        ("store/history/audio/0b9f.flac", True),
        ("store/history/audio/0b9f.flac.part", False),
        ("store/history/history.sqlite3", True),
        ("store/history/history.sqlite3-wal", True),
        ("store/history/history.sqlite3-shm", False),
        ("store/history/history.sqlite3-journal", False),
        ("store/history/.backup", False),
    ],
)
def test_backups_hold_what_is_finished_and_can_not_be_had_again(path: str, kept: bool) -> None:
    assert excluded(PurePosixPath("/mnt/data/supervisor/addons/data", FOLDER, path)) is not kept


async def test_what_is_being_written_is_left_out(data: Path, tmp_path: Path) -> None:
    """A recording, and a folder of a voice with a file in it."""
    history = history_of(data)
    await history.open()
    recording = history.begin()
    recording.add(noise(0.1))
    await until(lambda: bool(parts(data)))
    with new_folder(data / "store/voices/made") as folder:
        write_file(folder / "voice.json", b"{}")
        begun = sorted(path.name for path in data.rglob("*.part*"))
        await asyncio.to_thread(back_up, data, tmp_path / "backup.tar")
    recording.store(FACTS)
    await history.get(recording.id)
    await history.close()
    restored = await asyncio.to_thread(restore, tmp_path / "backup.tar", tmp_path / "restored")
    assert len(begun) == 2
    assert not set(begun) & {path.name for path in restored.rglob("*")}


async def test_no_backup_fails_while_speech_is_recorded(data: Path, tmp_path: Path) -> None:
    """Recordings are finished after a backup has looked for them and before it reads them."""
    history = history_of(data)
    await history.open()
    loop = asyncio.get_running_loop()
    for _ in range(10):
        recordings = [history.begin() for _ in range(3)]
        for recording in recordings:
            recording.add(noise(0.1))
        await until(lambda: len(parts(data)) == 3)

        async def finish(recordings: Sequence[Recording] = recordings) -> None:
            for recording in recordings:
                recording.store(FACTS)
                await history.get(recording.id)

        def look(path: Path) -> None:
            if path.suffix == ".part" and parts(data):
                asyncio.run_coroutine_threadsafe(finish(), loop).result()

        await asyncio.to_thread(back_up, data, tmp_path / "backup.tar", look)
        assert not parts(data)
    await history.close()


def parts(data: Path) -> list[Path]:
    return list((data / "store/history/audio").glob("*.part"))


async def test_a_backup_during_many_writes_is_restored_whole(data: Path, tmp_path: Path) -> None:
    """Between the two files of the database so much is written that SQLite would move what is in one to the other."""
    before = []
    for _ in range(2):  # part of it is in the one file, part in the other
        history = history_of(data)
        await history.open()
        before += [await spoken(history, 0.01, text=f"Before, {number}.") for number in range(50)]
        if len(before) == 50:
            await history.close()
    await tell(data, "begin")
    loop = asyncio.get_running_loop()
    looked: list[str] = []

    async def write_much() -> None:
        for number in range(30):
            await spoken(history, 0.01, text=f"word {number} " * 20_000)

    def look(path: Path) -> None:
        if path.name in {"history.sqlite3", "history.sqlite3-wal"}:
            looked.append(path.name)
            if len(looked) == 2:
                asyncio.run_coroutine_threadsafe(write_much(), loop).result()

    await asyncio.to_thread(back_up, data, tmp_path / "backup.tar", look)
    assert len(looked) == 2
    restored = await asyncio.to_thread(restore, tmp_path / "backup.tar", tmp_path / "restored")
    await history.close()
    again = history_of(restored)
    await again.open()
    for entry in before:
        assert (await again.get(entry.id)).text == entry.text
        assert again.audio_path(entry.id).is_file()
    await again.close()
