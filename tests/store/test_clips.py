"""Clips in a real folder: kept for a while, within bounds, and found again."""

import asyncio
import os
import shutil
import time
import uuid
from pathlib import Path

import pytest

from tests.store.disk import largest_file
from wyoming_qwen3.core.errors import InvalidRequest, NotFound, StorageFailed, TooLarge
from wyoming_qwen3.store.clips import EXTENSIONS, Clips, StoredClip


async def opened(folder: Path, most_bytes: int = 1000, keep_seconds: float = 24 * 3600.0) -> Clips:
    clips = Clips(folder, most_bytes, keep_seconds)
    await clips.open()
    return clips


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def age(clips: Clips, clip: StoredClip, seconds: float) -> None:
    """Have it come so much earlier, as a server that starts sees it."""
    then = time.time() - seconds
    os.utime(clips.path(clip.id), (then, then))


async def test_a_clip_is_kept_and_found_again_by_the_next_server(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "clips"
    clips = await opened(folder)
    added = {extension: await clips.add(extension.encode(), extension, 1.25) for extension in EXTENSIONS}
    again = await opened(folder)
    for extension, clip in added.items():
        assert uuid.UUID(clip.id).version == 4
        assert (clip.extension, clip.bytes, clip.seconds) == (extension, len(extension), 1.25)
        assert clips.get(clip.id) is clip
        found = again.get(clip.id)
        assert (found.id, found.extension, found.bytes, found.seconds) == (clip.id, extension, clip.bytes, 1.25)
        assert found.created_at == pytest.approx(clip.created_at, abs=10)
        assert again.path(clip.id).read_bytes() == extension.encode()
        assert again.path(clip.id).suffix == f".{extension}"


async def test_the_oldest_go_when_there_is_no_room(tmp_path: Path) -> None:
    clips = await opened(tmp_path)
    first, second, third = [await clips.add(bytes(400), "wav", 1.0) for _ in range(3)]
    with pytest.raises(NotFound):
        clips.get(first.id)
    fourth = await clips.add(bytes(1000), "wav", 1.0)
    for clip in (second, third):
        with pytest.raises(NotFound):
            clips.path(clip.id)
    assert files(tmp_path) == {clips.path(fourth.id).name}


async def test_a_server_with_less_room_keeps_the_newest(tmp_path: Path) -> None:
    clips = await opened(tmp_path)
    old, new = await clips.add(bytes(400), "wav", 1.0), await clips.add(bytes(400), "wav", 1.0)
    age(clips, old, 60)
    again = await opened(tmp_path, most_bytes=500)
    assert again.get(new.id).bytes == 400
    assert len(files(tmp_path)) == 1


async def test_what_would_never_fit_is_refused_and_costs_no_other(tmp_path: Path) -> None:
    clips = await opened(tmp_path)
    clip = await clips.add(bytes(1000), "wav", 1.0)
    with pytest.raises(TooLarge, match="at most 1000 bytes, but this one has 1001"):
        await clips.add(bytes(1001), "wav", 1.0)
    assert clips.get(clip.id) is clip


@pytest.mark.parametrize("extension", ["", "exe", "WAV", "../wav", "wav.sh", "part"])
async def test_other_types_are_refused(tmp_path: Path, extension: str) -> None:
    clips = await opened(tmp_path)
    with pytest.raises(InvalidRequest, match="must be one of aac, flac"):
        await clips.add(b"x", extension, 1.0)
    assert files(tmp_path) == set()


async def test_a_clip_is_not_given_out_after_its_time_and_goes_with_the_next(tmp_path: Path) -> None:
    clips = await opened(tmp_path, keep_seconds=0.05)
    old = await clips.add(b"old", "mp3", 1.0)
    await asyncio.sleep(0.06)
    with pytest.raises(NotFound):
        clips.get(old.id)
    await clips.add(b"new", "mp3", 1.0)
    assert len(files(tmp_path)) == 1


async def test_opening_sweeps_what_is_old_or_half_written(tmp_path: Path) -> None:
    clips = await opened(tmp_path)
    old, new = await clips.add(b"old", "wav", 1.0), await clips.add(b"new", "wav", 1.0)
    age(clips, old, 25 * 3600)
    (tmp_path / f".{uuid.uuid4().hex}.partial").write_bytes(b"half")
    again = await opened(tmp_path)
    assert files(tmp_path) == {again.path(new.id).name}
    with pytest.raises(
        NotFound,
        match=f"^There is no clip {old.id}; it may have expired: clips are kept for 24 hours.$",
    ):
        again.get(old.id)


@pytest.mark.parametrize("clip_id", ["", "nobody", "../../etc/passwd", "*", "a" * 36])
async def test_what_is_no_clip_is_not_found(tmp_path: Path, clip_id: str) -> None:
    clips = await opened(tmp_path)
    with pytest.raises(NotFound):
        clips.get(clip_id)
    with pytest.raises(NotFound):
        clips.path(clip_id)
    with pytest.raises(NotFound):
        await clips.delete(clip_id)


async def test_a_deleted_clip_is_gone_and_gives_room(tmp_path: Path) -> None:
    clips = await opened(tmp_path)
    first, second = await clips.add(bytes(500), "ogg", 1.0), await clips.add(bytes(500), "ogg", 1.0)
    await clips.delete(first.id)
    with pytest.raises(NotFound):
        await clips.delete(first.id)
    third = await clips.add(bytes(500), "ogg", 1.0)
    assert files(tmp_path) == {clips.path(second.id).name, clips.path(third.id).name}


async def test_many_at_once_stay_within_bounds(tmp_path: Path) -> None:
    clips = await opened(tmp_path)
    added = await asyncio.gather(*(clips.add(bytes(100 + number), "wav", 1.0) for number in range(30)))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    left = [clip for clip in added if any(clip.id in name for name in files(tmp_path))]
    assert left == added[-len(left) :]
    assert [clips.get(clip.id) for clip in left] == left


async def test_a_full_disk_costs_the_new_clip_alone(tmp_path: Path) -> None:
    clips = await opened(tmp_path, most_bytes=2_000_000)
    clip = await clips.add(bytes(1_500_000), "wav", 1.0)
    with largest_file(500_000), pytest.raises(StorageFailed):
        await clips.add(bytes(1_000_000), "wav", 1.0)
    assert files(tmp_path) == {clips.path(clip.id).name}
    assert (await clips.add(b"fits", "wav", 1.0)).bytes == 4


async def test_a_folder_that_is_deleted_while_the_server_runs_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = Clips(tmp_path / "clips")
    await clips.open()
    await clips.add(b"1", "wav", 1.0)
    shutil.rmtree(tmp_path / "clips")
    kept = await clips.add(b"2", "wav", 1.0)
    assert clips.path(kept.id).read_bytes() == b"2"
    assert "was deleted while the server was running; it is created again" in caplog.text


async def test_a_client_that_leaves_while_its_clip_is_written_leaves_no_file_unseen(tmp_path: Path) -> None:
    clips = await opened(tmp_path, most_bytes=8_000_000)
    adding = asyncio.create_task(clips.add(bytes(5_000_000), "wav", 1.0))
    while not files(tmp_path):
        await asyncio.sleep(0)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    clip = await clips.add(bytes(5_000_000), "wav", 1.0)
    assert files(tmp_path) == {clips.path(clip.id).name}
