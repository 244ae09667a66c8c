import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.disk import largest_file, names
from wyoming_qwen3.core.errors import StorageFailed
from wyoming_qwen3.store.files import new_folder, remove, storing, sweep, write_file


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    with largest_file(1000), pytest.raises(StorageFailed, match=r"File too large\.$"):
        write_file(path, b"x" * 1001)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_the_message_names_no_path(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed) as raised:
        write_file(tmp_path / "secret-folder" / "file", b"")
    assert str(raised.value) == "The server could not use its disk: No such file or directory."


def test_an_error_without_a_reason_has_a_sentence_all_the_same() -> None:
    with pytest.raises(StorageFailed, match="its disk: OSError"), storing():
        raise OSError


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    with new_folder(place) as folder:
        (folder / "inner").mkdir()
        write_file(folder / "inner" / "file", b"data")
        assert not place.exists()
        assert folder.parent == tmp_path
    assert (place / "inner" / "file").read_bytes() == b"data"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize(("error", "seen"), [(ValueError, ValueError), (OSError, StorageFailed)])
def test_a_folder_whose_filling_fails_is_not_there(
    tmp_path: Path, error: type[Exception], seen: type[Exception]
) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "folder") as folder:
            write_file(folder / "file", b"data")
            raise error

    with pytest.raises(seen):
        fill()
    assert names(tmp_path) == []


def test_a_folder_does_not_take_a_place_that_is_taken(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    (place / "mine").touch()
    with pytest.raises(StorageFailed), new_folder(place):
        pass
    assert names(tmp_path) == ["folder"]
    assert names(place) == ["mine"]


def test_remove_takes_files_and_folders_and_what_is_gone_already(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "file").touch()
    (tmp_path / "file").touch()
    for name in ("folder", "file", "gone"):
        remove(tmp_path / name)
    assert names(tmp_path) == []


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").touch()
    (tmp_path / "link").symlink_to(target)
    remove(tmp_path / "link")
    assert names(tmp_path) == ["target"]
    assert names(target) == ["file"]


def test_sweeping_takes_temporaries_only(tmp_path: Path) -> None:
    kept = {".hidden", "name.partial", "file"}
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / ".abc.partial").mkdir()
    (tmp_path / ".abc.partial" / "file").touch()
    (tmp_path / ".def.partial").touch()
    sweep(tmp_path)
    assert set(names(tmp_path)) == kept
    sweep(tmp_path / "missing")


WRITER = """
import itertools, sys
from pathlib import Path
from wyoming_qwen3.store.files import write_file
for number in itertools.count():
    write_file(Path(sys.argv[1]), bytes([number % 256]) * 300_000)
    if number == 3:
        print("begun", flush=True)
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"begun\n"
            writer.send_signal(signal.SIGKILL)
        data = path.read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1
        assert all(name == "file" or re.fullmatch(r"\.[0-9a-f]{32}\.partial", name) for name in names(tmp_path))
    sweep(tmp_path)
    assert names(tmp_path) == ["file"]
