"""Whether a checkpoint on disk is whole."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.checkpoint.checkpoint_files import CODEC, CODEC_BYTES, MODEL, MODEL_BYTES, write_checkpoint
from wyoming_qwen3.core.errors import InvalidRequest, ModelMissing
from wyoming_qwen3.engine.checkpoint import on_disk


@pytest.mark.parametrize("shards", [1, 2])
def test_copied_folder_is_complete_without_any_marker(tmp_path: Path, shards: int) -> None:
    path = write_checkpoint(tmp_path / "x", shards=shards)
    assert on_disk.missing_files(path) == []
    assert on_disk.footprint(path) == MODEL_BYTES + CODEC_BYTES


def test_no_folder_lacks_everything(tmp_path: Path) -> None:
    assert on_disk.missing_files(tmp_path / "none") == [
        "config.json",
        "generation_config.json",
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "speech_tokenizer/config.json",
        "speech_tokenizer/preprocessor_config.json",
        "model.safetensors",
        "speech_tokenizer/model.safetensors",
    ]
    assert on_disk.lacking_names([]) == on_disk.missing_files(tmp_path / "none")


@pytest.mark.parametrize("name", [*on_disk.lacking_names([])])
def test_each_file_is_needed(tmp_path: Path, name: str) -> None:
    path = write_checkpoint(tmp_path / "x")
    (path / name).unlink()
    assert on_disk.missing_files(path) == [name]
    (path / name).write_bytes(b"")
    assert on_disk.missing_files(path) == [name]


@pytest.mark.parametrize("name", [MODEL, CODEC])
@pytest.mark.parametrize(
    "content",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[:20],
        lambda whole: whole[:5],
        lambda whole: whole + b"\0",
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1000100\n",
        lambda whole: (2).to_bytes(8, "little") + b"[]" + whole,
        lambda whole: (4).to_bytes(8, "little") + b"\xff\xfe{}" + whole,
    ],
    ids=["one byte short", "in header", "in length", "too long", "git lfs pointer", "list for header", "no text"],
)
def test_weights_that_do_not_end_where_their_header_says_are_missing(
    tmp_path: Path, name: str, content: Callable[[bytes], bytes]
) -> None:
    path = write_checkpoint(tmp_path / "x")
    (path / name).write_bytes(content((path / name).read_bytes()))
    assert on_disk.missing_files(path) == [name]
    with pytest.raises(ModelMissing, match=name):
        on_disk.footprint(path)


def test_shards_are_those_of_the_index(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "x", shards=2)
    second = path / "model-00002-of-00002.safetensors"
    second.write_bytes(second.read_bytes()[:-1])
    assert on_disk.missing_files(path) == ["model-00002-of-00002.safetensors"]
    second.unlink()
    assert on_disk.missing_files(path) == ["model-00002-of-00002.safetensors"]


@pytest.mark.parametrize("index", ["", "{", "[]", '{"weight_map": {}}', '{"weight_map": []}'])
def test_unreadable_index_is_missing(tmp_path: Path, index: str) -> None:
    path = write_checkpoint(tmp_path / "x", shards=2)
    (path / f"{MODEL}.index.json").write_text(index)
    assert on_disk.missing_files(path) == [f"{MODEL}.index.json"]


def test_models_dir_is_made(tmp_path: Path) -> None:
    on_disk.check_models_dir(tmp_path / "a" / "b")
    on_disk.check_models_dir(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file", "The models folder .*/file is not a folder."),
        ("file/below", "can't be used: Not a directory."),
        ("/proc/nothing/models", "can't be used: No such file or directory."),
    ],
)
def test_unusable_models_dir_is_told(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRequest, match=message):
        on_disk.check_models_dir(tmp_path / path)


def test_retries_wait_longer_and_longer_up_to_a_quarter_of_an_hour() -> None:
    assert [on_disk.retry_delay(attempt) for attempt in range(1, 8)] == [5, 15, 60, 300, 900, 900, 900]


def test_looking_at_checkpoints_imports_neither_torch_nor_the_hubs_client() -> None:
    code = "import sys, wyoming_qwen3.engine.checkpoint.on_disk; print(*{m.split('.')[0] for m in sys.modules})"
    program = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(program.stdout.split())
    assert "wyoming_qwen3" in loaded
    assert not loaded & {"torch", "transformers", "huggingface_hub", "requests", "numpy", "safetensors"}
