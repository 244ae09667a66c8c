"""Upstream can be imported beside any torch, and what of it reads clips says what is wrong with its files."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny import build_checkpoint
from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.engine.checkpoint.published import open_checkpoint, open_codec
from wyoming_qwen3.engine.upstream import import_qwen_tts, load_clip_encoder, load_speaker_encoder

from .checkpoint.damage import DAMAGE, damage, without


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("checkpoint"), "base")


def test_import_is_repeatable_and_leaves_torchaudio_alone() -> None:
    import_qwen_tts()
    before = {name: module for name, module in sys.modules.items() if name.startswith("qwen_tts")}
    import_qwen_tts()
    assert {name: module for name, module in sys.modules.items() if name.startswith("qwen_tts")} == before
    assert "torchaudio" not in sys.modules or sys.modules["torchaudio"].__spec__ is not None


@pytest.mark.parametrize("how", DAMAGE)
def test_an_encoder_with_damaged_settings_is_refused(checkpoint: Path, tmp_path: Path, how: str) -> None:
    codec = open_codec(Path(shutil.copytree(checkpoint / "speech_tokenizer", tmp_path / "speech_tokenizer")))
    damage(codec.path / "preprocessor_config.json", how)
    with pytest.raises(ModelFailed, match=r"^The speech tokenizer could not be loaded: [^/\n]*\.$"):
        load_clip_encoder(codec, "cpu")


def test_an_encoder_that_lacks_a_tensor_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    without(copy / "model.safetensors", "speaker_encoder.fc.bias")
    without(copy / "speech_tokenizer" / "model.safetensors", "encoder.downsample.conv.weight")
    with pytest.raises(ModelFailed, match=r"^copy could not be loaded: its tensor \S*\.fc\.bias is missing"):
        load_speaker_encoder(open_checkpoint(copy), "cpu", torch.float32)
    with pytest.raises(ModelFailed, match=r"its tensor encoder\.downsample\.conv\.weight is missing"):
        load_clip_encoder(open_codec(copy / "speech_tokenizer"), "cpu")
