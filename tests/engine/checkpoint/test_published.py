"""Checkpoints are read as upstream reads them, and what is wrong with their files is said in one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.engine.conftest import LoadPair
from tests.tiny import build_checkpoint
from wyoming_qwen3.core.checkpoints import KINDS, SIZES, Checkpoint, Kind, Size
from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.engine.checkpoint.published import CODEC_FILE, open_checkpoint, open_codec, read_tokenizer
from wyoming_qwen3.engine.checkpoint.tensors import TensorError
from wyoming_qwen3.engine.codec.decoder import CodecDecoder
from wyoming_qwen3.engine.lm.language_model import load_exact
from wyoming_qwen3.engine.lm.text_track import encode
from wyoming_qwen3.engine.native import NativeEngine

from .damage import DAMAGE, damage, without

CUSTOM = Checkpoint("custom_voice", "0.6B")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("checkpoint"), "custom_voice")


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "Some-Checkpoint"))


def load(path: Path) -> None:
    """All that speaks of it."""
    NativeEngine("cpu", "auto").load(CUSTOM, path)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_kind_and_instructions_are_those_of_the_published_checkpoint(pairs: LoadPair, kind: Kind, size: Size) -> None:
    published = pairs(kind, size).published
    assert published.kind == kind
    assert published.follows_instructions == Checkpoint(kind, size).follows_instructions


def test_weights_and_defaults_are_the_files(checkpoint: Path) -> None:
    loaded = load_exact(open_checkpoint(checkpoint), "cpu", torch.bfloat16)
    weights = load_file(checkpoint / "model.safetensors")
    table = loaded.decoder.model.talker.codec_embedding.weight
    assert torch.equal(table, weights["talker.model.codec_embedding.weight"].bfloat16())
    assert loaded.published.defaults == json.loads((checkpoint / "generation_config.json").read_text())


def test_settings_are_upstreams(pairs: LoadPair) -> None:
    """Also those that a config.json leaves out."""
    pair = pairs("custom_voice", "0.6B")
    golden, config = pair.golden.model.config, pair.published.config
    for ours, theirs in (
        (config, golden),
        (config.talker_config, golden.talker_config),
        (config.talker_config.code_predictor_config, golden.talker_config.code_predictor_config),
        (open_codec(pair.path / "speech_tokenizer").config, pair.golden.model.speech_tokenizer.model.decoder.config),
    ):
        for name, value in vars(ours).items():
            if not name.endswith("_config"):
                assert value == getattr(theirs, name), name


def test_tokens_are_upstreams(checkpoint: Path, tmp_path: Path) -> None:
    """Of text with every token that was added to the vocabulary, special ones and others, with and without blanks."""
    from transformers import Qwen2TokenizerFast

    path = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    file = path / "tokenizer_config.json"
    config = json.loads(file.read_text())
    added = config["added_tokens_decoder"]
    first = 1 + max(map(int, added))
    flags = [{}, {"lstrip": True}, {"rstrip": True}, {"single_word": True}, {"normalized": True}, {"special": True}]
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False}
    for number, flag in enumerate(flags, start=first):
        added[str(number)] = plain | {"content": f"<tool{number}>"} | flag
    file.write_text(json.dumps(config))
    golden, ours = Qwen2TokenizerFast.from_pretrained(path), read_tokenizer(path)
    contents = [token["content"] for token in added.values()]
    texts = [part for token in contents for part in (token, f" {token} ", f"a{token}b", f"a {token} é\u0301 {token}\n")]
    for text in [*texts, " ".join(contents), "".join(contents), "", "It's 12 o'clock\n\n  — 你好，世界 ①Å"]:
        assert encode(ours, text) == golden(text, add_special_tokens=False, split_special_tokens=True)["input_ids"], (
            text
        )
    assert ours.get_vocab() == golden.get_vocab()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "vocab.json", "tokenizer_config.json"])
@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_checkpoint_is_refused(copy: Path, file: str, how: str) -> None:
    damage(copy / file, how)
    with pytest.raises(ModelFailed, match=r"^Some-Checkpoint could not be loaded: [^/\n]*\.$"):
        load(copy)


@pytest.mark.parametrize(
    ("file", "how", "said"),
    [
        ("generation_config.json", "cut", r"its generation_config\.json is incomplete or not JSON"),
        ("tokenizer_config.json", "missing", r"its tokenizer_config\.json is missing"),
        ("merges.txt", "missing", r"its vocab\.json or merges\.txt is missing, incomplete or damaged"),
        ("model.safetensors", "missing", r"its model\.safetensors is missing"),
        ("model.safetensors", "cut", r"its model\.safetensors is incomplete or damaged"),
        ("speech_tokenizer/config.json", "cut", r"its config\.json is incomplete or not JSON"),
        ("speech_tokenizer/model.safetensors", "empty", r"its model\.safetensors is incomplete or damaged"),
    ],
)
def test_a_damaged_file_is_named(copy: Path, file: str, how: str, said: str) -> None:
    damage(copy / file, how)
    with pytest.raises(ModelFailed, match=rf" could not be loaded: {said}\.$"):
        load(copy)


def test_a_setting_that_is_missing_is_named(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    del config["talker_config"]["codec_bos_id"]
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFailed, match=r"its config\.json lacks codec_bos_id\.$"):
        load(copy)


def test_a_checkpoint_in_a_hugging_face_cache_has_its_own_name(copy: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--Qwen--Some-Checkpoint" / "snapshots" / "c0ffee"
    shutil.copytree(copy, snapshot)
    (snapshot / "config.json").unlink()
    with pytest.raises(ModelFailed, match=r"^Some-Checkpoint could not be loaded: its config\.json is missing\.$"):
        load(snapshot)


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_speech_tokenizer_is_refused(copy: Path, how: str) -> None:
    damage(copy / "speech_tokenizer" / "model.safetensors", how)
    with pytest.raises(ModelFailed, match=r"could not be loaded: [^/\n]*\.$"):
        load(copy)


def test_a_tensor_that_is_missing_or_of_another_shape_is_named(copy: Path) -> None:
    name = "decoder.pre_conv.conv.bias"
    without(copy / "speech_tokenizer" / CODEC_FILE, name)
    codec = open_codec(copy / "speech_tokenizer")
    with pytest.raises(TensorError, match=f"^its tensor {name} is missing$"):
        CodecDecoder(codec.decoder("cpu"), codec.config)
    file = copy / "model.safetensors"
    weights = load_file(file)
    name = "talker.model.layers.1.self_attn.q_proj.weight"
    save_file(weights | {name: weights[name][1:].contiguous()}, file)
    with pytest.raises(
        ModelFailed, match=r"layers\.1\.self_attn\.q_proj\.weight has the shape \[63, 32\] instead of \[64, 32\]\.$"
    ):
        load_exact(open_checkpoint(copy), "cpu", torch.float32)
    without(file, name)
    with pytest.raises(ModelFailed, match=r"layers\.1\.self_attn\.q_proj\.weight is missing\.$"):
        load_exact(open_checkpoint(copy), "cpu", torch.float32)


def test_files_are_not_blamed_for_what_is_wrong_elsewhere(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'safetensors'", name="safetensors")

    monkeypatch.setattr("wyoming_qwen3.engine.checkpoint.published.TensorFiles", lacking)
    with pytest.raises(ModuleNotFoundError):
        load(copy)
