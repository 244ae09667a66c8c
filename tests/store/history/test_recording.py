"""Recordings on a real disk: what is heard is what is kept, and no trouble of the disk reaches the speech."""

import logging
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.store.disk import largest_file
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.request import FloatArray
from wyoming_qwen3.store.history.recording import AudioFile, Facts, Recorder, Recording

FACTS = Facts(
    text="Hello.",
    source="speech",
    voice="Ryan",
    model="custom_voice-0.6b",
    language="en",
    params={},
    seed=None,
    first_audio=0.1,
    wall=1.0,
    outcome="whole",
)


class Desk:
    """Begins recordings in a folder, and collects the files that they become."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recorder = Recorder()
        self._completing: dict[str, Future[AudioFile | None]] = {}

    def begin(self) -> Recording:
        entry_id = str(uuid.uuid4())
        return Recording(entry_id, self.folder / f"{entry_id}.flac", self.recorder, self._keep)

    def file(self, recording: Recording) -> AudioFile | None:
        """What became of it; None also where it had failed before it was finished."""
        completing = self._completing.get(recording.id)
        return completing.result(30) if completing else None

    def settle(self) -> None:
        """Wait until the thread has done all it was given."""
        done = self.recorder.submit(0, lambda: None)
        assert done is not None
        done.result(30)

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.folder.iterdir())

    def _keep(self, recording: Recording, facts: Facts, completing: Future[AudioFile | None]) -> None:
        assert facts is FACTS
        self._completing[recording.id] = completing


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.recorder.close()


@contextmanager
def busy(desk: Desk) -> Iterator[None]:
    """While the block lasts, the thread gets to nothing."""
    go_on = threading.Event()
    desk.recorder.submit(0, lambda: go_on.wait(HANG_SECONDS))
    try:
        yield
    finally:
        go_on.set()


def noise(seconds: float, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(-1.2, 1.2, round(seconds * 24_000)).astype(np.float32)


def kept(desk: Desk, samples: FloatArray) -> AudioFile | None:
    recording = desk.begin()
    for chunk in np.array_split(samples, 7):
        recording.add(chunk)
    recording.store(FACTS)
    return desk.file(recording)


def test_the_file_holds_the_samples_that_a_listener_gets(desk: Desk) -> None:
    """Also beyond full scale, and half-way between two steps."""
    halves = (np.arange(-40, 40, dtype=np.float32) + 0.5) / np.float32(32767)
    samples = np.concatenate([noise(1.0), halves, np.array([-1, 1, 0, 3, -3], dtype=np.float32)])
    file = kept(desk, samples)
    assert file is not None
    found, rate = soundfile.read(file.path, dtype="int16")
    assert rate == 24_000
    assert found.astype("<i2").tobytes() == pcm.to_int16(samples)
    information = soundfile.info(file.path)
    assert (information.format, information.subtype, information.channels) == ("FLAC", "PCM_16", 1)
    assert (file.samples, file.bytes) == (samples.size, file.path.stat().st_size)
    assert desk.files == [file.path.name]


def test_feeding_leaves_the_disk_to_the_thread(desk: Desk) -> None:
    with busy(desk):
        recording = desk.begin()
        recording.add(noise(0.5))
        recording.store(FACTS)
        assert desk.files == []
    assert desk.file(recording) is not None


def test_a_recording_is_on_the_disk_while_it_is_spoken(desk: Desk) -> None:
    recording = desk.begin()
    assert desk.files == []
    recording.add(noise(5.0))
    desk.settle()
    assert desk.files == [f"{recording.id}.flac.part"]
    assert (desk.folder / desk.files[0]).stat().st_size > 100_000
    recording.discard()


def test_what_is_discarded_leaves_nothing(desk: Desk) -> None:
    recording = desk.begin()
    recording.add(noise(0.5))
    recording.discard()
    recording.add(noise(0.5))
    recording.store(FACTS)
    recording.discard()
    desk.begin().discard()
    desk.settle()
    assert desk.files == []


def test_nothing_spoken_is_nothing_kept(desk: Desk) -> None:
    recording = desk.begin()
    recording.store(FACTS)
    assert desk.file(recording) is None
    assert desk.files == []


def test_a_recording_ends_once(desk: Desk) -> None:
    recording = desk.begin()
    recording.add(noise(0.5))
    recording.store(FACTS)
    recording.add(noise(0.5))
    recording.discard()
    desk.settle()
    assert desk.files == [f"{recording.id}.flac"]
    assert soundfile.info(desk.folder / desk.files[0]).frames == 12_000


def test_sixteen_recordings_at_once_keep_their_own_samples(desk: Desk) -> None:
    spoken = {desk.begin(): noise(2.0, seed) for seed in range(16)}
    for start in range(0, 48_000, 1_920):
        for recording, samples in spoken.items():
            recording.add(samples[start : start + 1_920])
    for recording in spoken:
        recording.store(FACTS)
    for recording, samples in spoken.items():
        file = desk.file(recording)
        assert file is not None
        assert soundfile.read(file.path, dtype="int16")[0].astype("<i2").tobytes() == pcm.to_int16(samples)
    assert len(desk.files) == 16


def test_a_disk_slower_than_the_speech_costs_that_recording_and_bounded_memory(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    minute = np.zeros(60 * 24_000, dtype=np.float32)
    with busy(desk):
        first, second = desk.begin(), desk.begin()
        for _ in range(5):
            first.add(minute)
        assert not caplog.records
        for _ in range(3):
            second.add(minute)  # the sixth minute of both together is one too many
        assert second.lost == "This speech is not kept in the history: The disk is slower than the speech."
        second.store(FACTS)
        first.store(FACTS)
    file = desk.file(first)
    assert file is not None
    assert file.samples == 5 * minute.size
    desk.settle()
    assert desk.files == [f"{first.id}.flac"]
    assert [record.message for record in caplog.records] == [
        "A generation is not kept in the history: The disk is slower than the speech."
    ]
    assert kept(desk, minute) is not None


def test_a_full_disk_costs_that_recording_alone(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with largest_file(200_000):
        recording = desk.begin()
        for seed in range(20):
            recording.add(noise(0.5, seed))
        desk.settle()
        assert desk.files == []
        recording.add(noise(0.5))
        recording.store(FACTS)
        assert recording.lost == "This speech is not kept in the history: File too large."
        assert kept(desk, noise(20.0)) is None
        small = kept(desk, noise(1.0))
    assert small is not None
    assert desk.files == [small.path.name]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "A generation is not kept in the history: File too large."
    assert kept(desk, noise(20.0)) is not None


@pytest.mark.parametrize("size", [0, 10, 4096])
def test_a_disk_that_is_full_at_the_first_bytes_leaves_no_file(desk: Desk, size: int) -> None:
    with largest_file(size):
        assert kept(desk, noise(1.0)) is None
        desk.settle()
        assert desk.files == []


@pytest.mark.parametrize("missing", [1, 100, 2000])
def test_a_disk_that_is_full_at_the_last_bytes_leaves_no_shortened_file(desk: Desk, missing: int) -> None:
    """libsndfile writes them as it closes, and then reports no error."""
    whole = kept(desk, noise(5.0))
    assert whole is not None
    with largest_file(whole.bytes - missing):
        assert kept(desk, noise(5.0)) is None
    with largest_file(whole.bytes):
        assert kept(desk, noise(5.0)) is not None
    assert len(desk.files) == 2


def test_a_folder_that_is_gone_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(tmp_path / "gone")
    assert kept(desk, noise(0.5)) is not None
    desk.recorder.close()
    assert "was deleted while the server was running; it is created again" in caplog.text


def test_a_folder_that_can_not_be_made_anew_costs_that_recording_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path / "gone")
    desk.folder.touch()
    lost = desk.begin()
    lost.add(noise(0.5))
    lost.store(FACTS)
    desk.settle()
    assert lost.lost == "This speech is not kept in the history: The server could not use its disk: File exists."
    assert str(tmp_path) not in caplog.text
    desk.folder.unlink()
    desk.folder.mkdir()
    found = desk.begin()
    found.add(noise(0.5))
    found.store(FACTS)
    assert desk.file(found) is not None
    assert found.lost is None
    desk.recorder.close()


def test_after_close_recordings_do_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    recording = desk.begin()
    desk.recorder.close()
    recording.add(noise(0.5))
    recording.store(FACTS)
    desk.begin().discard()
    assert desk.files == []
    assert not caplog.records
