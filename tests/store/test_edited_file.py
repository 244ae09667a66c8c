"""A file that both the server and people change."""

import os
from pathlib import Path

import pytest

from wyoming_qwen3.core.errors import StorageFailed, TooLarge
from wyoming_qwen3.store.edited_file import EditedFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "words.csv"


def test_it_is_read_again_only_when_it_has_changed(path: Path) -> None:
    file = EditedFile(path, 100)
    assert file.read(bytes) is None  # the folder may be on a share that is not mounted
    path.parent.mkdir()
    assert file.read(bytes) == b""
    assert file.read(bytes) is None
    path.write_bytes(b"one")
    assert file.read(bytes) == b"one"
    assert file.read(bytes) is None
    path.with_name("new").write_bytes(b"two")
    path.with_name("new").replace(path)  # as editors do
    assert file.read(bytes) == b"two"
    path.unlink()
    assert file.read(bytes) == b""
    path.parent.rmdir()
    assert file.read(bytes) is None


def test_what_the_server_writes_is_read(path: Path) -> None:
    file = EditedFile(path, 100)
    file.write(b"one")
    assert (file.read(bytes), file.read(bytes)) == (b"one", None)
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_read_is_told_until_it_can(path: Path) -> None:
    path.parent.mkdir()
    file = EditedFile(path, 3)
    path.write_bytes(b"four")
    for _ in range(2):
        with pytest.raises(TooLarge, match="more than the allowed 3 bytes"):
            file.read(bytes)
    path.unlink()
    os.mkfifo(path)  # to open it would wait for a writer
    with pytest.raises(StorageFailed, match="It is not a file"):
        file.read(bytes)
    path.unlink()
    path.write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            file.read(int)
    path.write_bytes(b"12")
    assert file.read(int) == 12


def test_where_nothing_can_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="could not use its disk"):
        EditedFile(tmp_path / "file" / "words.csv", 100).write(b"x")
