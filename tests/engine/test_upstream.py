"""Checkpoints load from disk as upstream loads them, and damaged ones are refused in one sentence."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import build_checkpoint
from wyoming_qwen3.checkpoints import KINDS, SIZES, Checkpoint, Kind, Size
from wyoming_qwen3.engine.upstream import import_qwen_tts, load_checkpoint, load_speech_tokenizer
from wyoming_qwen3.errors import ModelFailed

from .conftest import LoadPair


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("checkpoint"), "base")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_kind_and_instructions_are_those_of_the_published_checkpoint(pairs: LoadPair, kind: Kind, size: Size) -> None:
    upstream = pairs(kind, size).upstream
    assert upstream.kind == kind
    assert upstream.follows_instructions == Checkpoint(kind, size).follows_instructions


def test_weights_and_defaults_are_the_files(checkpoint: Path) -> None:
    upstream = load_checkpoint(checkpoint, "cpu", torch.bfloat16)
    weights = load_file(checkpoint / "model.safetensors")
    head = upstream.model.talker.codec_head.weight
    assert torch.equal(head, weights["talker.codec_head.weight"].bfloat16())
    assert upstream.model.speech_tokenizer is None
    assert upstream.defaults == json.loads((checkpoint / "generation_config.json").read_text())


def test_import_is_repeatable_and_leaves_torchaudio_alone() -> None:
    import_qwen_tts()
    before = {name: module for name, module in sys.modules.items() if name.startswith("qwen_tts")}
    import_qwen_tts()
    assert {name: module for name, module in sys.modules.items() if name.startswith("qwen_tts")} == before
    assert "torchaudio" not in sys.modules or sys.modules["torchaudio"].__spec__ is not None


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "vocab.json", "generation_config.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_damaged_checkpoint_is_refused(checkpoint: Path, tmp_path: Path, file: str, damage: str) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "Some-Checkpoint"))
    _damage(copy / file, damage)
    with pytest.raises(ModelFailed, match=r"^Some-Checkpoint could not be loaded: [^/\n]*\.$"):
        load_checkpoint(copy, "cpu", torch.float32)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "preprocessor_config.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_damaged_speech_tokenizer_is_refused(checkpoint: Path, tmp_path: Path, file: str, damage: str) -> None:
    copy = Path(shutil.copytree(checkpoint / "speech_tokenizer", tmp_path / "speech_tokenizer"))
    _damage(copy / file, damage)
    with pytest.raises(ModelFailed, match=r"^The speech tokenizer could not be loaded: [^/\n]*\.$"):
        load_speech_tokenizer(copy, "cpu", torch.float32)


@pytest.mark.parametrize("part", ["", "speech_tokenizer"])
def test_checkpoint_without_one_of_its_tensors_is_refused(checkpoint: Path, tmp_path: Path, part: str) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    weights = load_file(copy / part / "model.safetensors")
    weights.pop(sorted(weights)[-1])
    save_file(weights, copy / part / "model.safetensors", metadata={"format": "pt"})
    load = load_speech_tokenizer if part else load_checkpoint
    with pytest.raises(ModelFailed, match="1 of its tensors"):
        load(copy / part, "cpu", torch.float32)


def _damage(file: Path, damage: str) -> None:
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
