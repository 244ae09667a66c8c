"""Checkpoints as files: the right names, and random bytes in them."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from wyoming_qwen3.core.checkpoints import Checkpoint

CHECKPOINT = Checkpoint("custom_voice", "0.6B")
MODEL, CODEC = "model.safetensors", "speech_tokenizer/model.safetensors"
MODEL_BYTES, CODEC_BYTES = 1_000_000, 300_000


def write_checkpoint(folder: Path, *, shards: int = 1) -> Path:
    """A checkpoint as to its files: real safetensors of random bytes, JSON that nobody reads."""
    (folder / "speech_tokenizer").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in ("config", "generation_config", "vocab", "tokenizer_config"):
        (folder / f"{name}.json").write_text(json.dumps({"name": name}))
    for name in ("config", "preprocessor_config"):
        (folder / f"speech_tokenizer/{name}.json").write_text(json.dumps({"codec": name}))
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")
    save_file({"decoder.weight": random.integers(0, 256, CODEC_BYTES, np.uint8)}, folder / CODEC)
    names = [MODEL] if shards == 1 else [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    for name in names:
        save_file({f"{name}.weight": random.integers(0, 256, MODEL_BYTES // shards, np.uint8)}, folder / name)
    if shards > 1:
        index = {"metadata": {}, "weight_map": {f"{name}.weight": name for name in names}}
        (folder / f"{MODEL}.index.json").write_text(json.dumps(index))
    return folder


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold files of the same names and contents."""
    names = [{p.relative_to(root) for p in root.rglob("*") if p.is_file()} for root in (one, other)]
    return names[0] == names[1] and all((one / n).read_bytes() == (other / n).read_bytes() for n in names[0])


def write_cache(cache: Path, checkpoint: Checkpoint, commit: str = "c0ffee", *, source: Path | None = None) -> Path:
    """A checkpoint in a Hugging Face cache, as hf_hub_download lays it: blobs, a snapshot of links, and a ref."""
    repository = cache / f"models--{checkpoint.repository.replace('/', '--')}"
    whole = source or write_checkpoint(cache.parent / f"whole-{commit}")
    (repository / "blobs").mkdir(parents=True, exist_ok=True)
    snapshot = repository / "snapshots" / commit
    for number, file in enumerate(sorted(path for path in whole.rglob("*") if path.is_file())):
        blob = repository / "blobs" / f"{commit}{number}"
        shutil.copyfile(file, blob)
        link = snapshot / file.relative_to(whole)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs/main").write_text(commit)
    return snapshot
