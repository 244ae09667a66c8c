"""Opens a checkpoint on disk: its configuration, its text tokenizer, and its tensors by name.

No tensor is read here. Knows the layout of the published folders; does NOT know how speech is generated from them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from torch import Tensor

from wyoming_qwen3.core.checkpoints import Kind
from wyoming_qwen3.core.errors import ModelFailed

from .config import CodecConfig, FileError, ModelConfig, read_json
from .on_disk import checkpoint_name, weight_files
from .tensors import Copy, TensorFiles, TensorReader

_PRE_TOKENS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's pattern for pre-tokens."""

CODEC_FILE = "model.safetensors"
_DECODER = "decoder."


@dataclass(frozen=True, eq=False)
class Published:
    """One checkpoint, without the speech tokenizer, which several checkpoints can share.

    `defaults` is the content of generation_config.json.
    """

    path: Path
    config: ModelConfig
    tokenizer: Tokenizer
    defaults: dict[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """The checkpoint's name, as it was published."""
        return checkpoint_name(self.path)

    @property
    def kind(self) -> Kind:
        """Which of the three kinds of checkpoint this is."""
        return self.config.tts_model_type

    @property
    def follows_instructions(self) -> bool:
        """Whether it follows instructions; upstream ignores them for the 0.6B CustomVoice and for Base."""
        small = self.config.tts_model_size == "0b6"
        return self.kind == "voice_design" or (self.kind == "custom_voice" and not small)


@dataclass(frozen=True, eq=False)
class PublishedCodec:
    """A speech tokenizer on disk."""

    path: Path
    config: CodecConfig
    tensors: Mapping[str, Tensor]

    @property
    def file(self) -> Path:
        """The file with all of its tensors."""
        return self.path / CODEC_FILE

    def decoder(self, device: str, copy: Copy | None = None) -> TensorReader:
        """Return a reader of its decoder's tensors, in float32; `copy` as for TensorReader."""
        return TensorReader(self.tensors, device, torch.float32, _DECODER, copy)

    def decoder_bytes(self) -> int:
        """Return the bytes of the decoder's tensors in float32."""
        with safe_open(self.file, framework="pt") as content:
            shapes = [content.get_slice(name).get_shape() for name in content.keys() if name.startswith(_DECODER)]  # noqa: SIM118  it is no mapping
        return sum(torch.float32.itemsize * prod(shape) for shape in shapes)


def open_checkpoint(path: Path) -> Published:
    """Open the checkpoint in a folder; nothing is downloaded or executed.

    Raises ModelFailed if files are missing, damaged or of another model.
    """
    with reading(checkpoint_name(path)):
        return Published(
            path,
            ModelConfig.read(path),
            read_tokenizer(path),
            read_json(path / "generation_config.json"),
            TensorFiles([path / name for name in weight_files(path)]),
        )


def open_codec(path: Path) -> PublishedCodec:
    """Open the speech tokenizer in a folder. Raises ModelFailed as open_checkpoint does."""
    with reading("The speech tokenizer"):
        return PublishedCodec(path, CodecConfig.read(path), TensorFiles([path / CODEC_FILE]))


def read_tokenizer(path: Path) -> Tokenizer:
    """Return a checkpoint's text tokenizer; it gives the ids of upstream's, which transformers builds from these files.

    What looks like a special token is encoded as plain characters. Raises OSError if tokenizer_config.json can't be
    read, and FileError if a file is damaged.
    """
    added = read_json(path / "tokenizer_config.json").get("added_tokens_decoder", {})
    try:
        tokenizer = Tokenizer(BPE.from_file(str(path / "vocab.json"), str(path / "merges.txt")))
    except Exception as error:  # the library has no class of its own for what is wrong with a file
        raise FileError("its vocab.json or merges.txt is missing, incomplete or damaged") from error
    tokenizer.normalizer = NFC()
    words = Split(Regex(_PRE_TOKENS), behavior="isolated")
    tokenizer.pre_tokenizer = Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.add_tokens([AddedToken(**token) for _, token in sorted(added.items(), key=lambda item: int(item[0]))])
    tokenizer.encode_special_tokens = True
    return tokenizer


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn errors of reading files into ModelFailed with a message of one sentence that begins with `name`."""
    try:
        yield
    except FileError as error:
        raise ModelFailed(f"{name} could not be loaded: {error}.") from error
    except FileNotFoundError as error:
        raise ModelFailed(f"{name} could not be loaded: its {Path(error.filename).name} is missing.") from error
    except PermissionError as error:
        raise ModelFailed(f"{name} could not be loaded: this program has no permission to read its files.") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelFailed(f"{name} could not be loaded: its files are incomplete or damaged.") from error
