"""Each way in which a checkpoint's files go wrong is said with the file's name."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.checkpoint.checkpoint_files import write_cache
from tests.engine.checkpoint.damage import POINTER, cut, holding
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.engine.checkpoint import on_disk
from wyoming_qwen3.engine.checkpoint.defects import describe, find_defects

from .checkpoint_files import CHECKPOINT, CODEC, MODEL, write_checkpoint

INDEX = f"{MODEL}.index.json"
SHARD = "model-00002-of-00002.safetensors"


def dangling(file: Path) -> None:
    file.unlink()
    file.symlink_to("../../blobs/0123")


def larger_vocabulary(file: Path) -> None:
    file.write_text(json.dumps({f"word{number}": number for number in range(50_000)}))
    cut(file)


@pytest.mark.parametrize(
    ("name", "harm", "said"),
    [
        (MODEL, cut, r"model\.safetensors is incomplete: it has 5\d\d,\d\d\d of 1,000,\d\d\d bytes"),
        (MODEL, holding(POINTER), r"model\.safetensors is a Git LFS pointer and not the file itself"),
        (MODEL, holding(b""), r"model\.safetensors is empty"),
        (MODEL, holding(b"PK\3\4" + bytes(9) + b"\1" * 9), r"model\.safetensors is not a safetensors file"),
        (MODEL, holding(b"\1\0"), r"model\.safetensors is incomplete"),
        (MODEL, holding(b"<!DOCTYPE html>" * 9), r"model\.safetensors is not a safetensors file"),
        (MODEL, dangling, r"model\.safetensors is a link to a file that is missing"),
        (CODEC, holding((2).to_bytes(8, "little") + b"{]"), rf"{CODEC} is damaged: its header can't be read"),
        ("speech_tokenizer", shutil.rmtree, "the folder speech_tokenizer is missing"),
        ("config.json", Path.unlink, r"config\.json is missing"),
        ("config.json", cut, r"config\.json is incomplete or not a JSON object"),
        ("config.json", holding(b"# Qwen3"), r"config\.json is incomplete or not a JSON object"),
        ("generation_config.json", holding(b"[]"), r"generation_config\.json is incomplete or not a JSON object"),
        ("vocab.json", larger_vocabulary, r"vocab\.json is incomplete or not a JSON object"),
        ("merges.txt", holding(POINTER), r"merges\.txt is a Git LFS pointer and not the file itself"),
        ("config.json", holding(b'{"model_type": "qwen3"}'), r"config\.json belongs to another kind of model, 'qwen3'"),
        (
            "config.json",
            holding(b'{"model_type": "qwen3_tts", "tts_model_type": "base", "tts_model_size": "1b7"}'),
            r"config\.json belongs to another checkpoint, 1\.7B-Base",
        ),
        (
            "config.json",
            holding(b'{"tts_model_size": "1b7"}'),
            r"config\.json belongs to another checkpoint, 1\.7B-CustomVoice",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_file(
    tmp_path: Path, name: str, harm: Callable[[Path], object], said: str
) -> None:
    path = write_checkpoint(tmp_path / "x")
    assert find_defects(path, CHECKPOINT) == []
    harm(path / name)
    told = describe(find_defects(path, CHECKPOINT), path)
    assert re.fullmatch(said, told), told


def test_a_shard_that_is_absent_is_said_with_who_names_it(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "x", shards=2)
    (path / SHARD).unlink()
    assert describe(find_defects(path), path) == f"{SHARD} is missing, but {INDEX} lists it"
    (path / INDEX).write_text('{"weight_map": {}}')
    assert describe(find_defects(path), path) == f"{INDEX} lists no weight files"


def test_a_long_list_is_shortened(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "x")
    for name in ("config.json", "vocab.json", "merges.txt", "generation_config.json", MODEL):
        (path / name).unlink()
    assert describe(find_defects(path), path) == (
        "config.json is missing; generation_config.json is missing; vocab.json is missing; and 2 more"
    )


def test_a_checkpoint_is_found_in_a_hugging_face_cache_and_in_the_folder_that_holds_it(tmp_path: Path) -> None:
    """That of the revision, else the newest; a folder of our own comes first."""
    cache = tmp_path / "hf" / "hub"
    old, new = write_cache(cache, CHECKPOINT, "0ld"), write_cache(cache, CHECKPOINT, "2new")
    os.utime(old, (1, 1))
    own = on_disk.folder(cache, CHECKPOINT)
    assert on_disk.places(cache, CHECKPOINT) == [own, new]
    assert on_disk.places(cache.parent, CHECKPOINT) == [on_disk.folder(cache.parent, CHECKPOINT), new]
    assert on_disk.places(cache, CHECKPOINT, "0ld")[1:] == [old]
    assert on_disk.places(cache, CHECKPOINT, "v9")[1:] == [new]
    assert find_defects(new, CHECKPOINT) == []
    assert on_disk.checkpoint_name(new) == on_disk.checkpoint_name(own) == CHECKPOINT.name
    assert on_disk.places(cache, Checkpoint("base", "0.6B")) == [cache / "Qwen3-TTS-12Hz-0.6B-Base"]


def test_a_checkpoint_is_found_as_the_hub_names_it(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / CHECKPOINT.repository)
    assert on_disk.places(tmp_path, CHECKPOINT)[1:] == [path]
