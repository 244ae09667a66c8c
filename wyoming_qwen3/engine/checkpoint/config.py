"""Reads a checkpoint's dimensions and special ids from its JSON files, under upstream's names.

Knows files and upstream's defaults; does NOT know tensors.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from math import prod
from pathlib import Path
from typing import Any, Self, TypeVar

from wyoming_qwen3.core.checkpoints import Kind

_Section = TypeVar("_Section")


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """A stack of decoder layers; `sliding_window` is None if each position attends to all before it."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int = 32768
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000
    hidden_act: str = "silu"
    attention_bias: bool = False
    sliding_window: int | None = None

    @classmethod
    def pick(cls, content: Mapping[str, Any]) -> Self:
        """Read it from its part of config.json. Raises ValueError if a field without a default is missing."""
        window = content.get("sliding_window") if content.get("use_sliding_window") else None
        return _pick(cls, {**content, "sliding_window": window})


@dataclass(frozen=True, kw_only=True)
class PredictorConfig(StackConfig):
    """The code predictor."""

    vocab_size: int
    num_code_groups: int


@dataclass(frozen=True, kw_only=True)
class TalkerConfig(StackConfig):
    """The talker, and the meaning of its codec ids."""

    code_predictor_config: PredictorConfig
    vocab_size: int
    num_code_groups: int
    text_vocab_size: int
    text_hidden_size: int
    codec_bos_id: int
    codec_eos_token_id: int
    codec_pad_id: int
    codec_think_id: int
    codec_nothink_id: int
    codec_think_bos_id: int
    codec_think_eos_id: int
    codec_language_id: Mapping[str, int] = field(default_factory=dict)
    spk_id: Mapping[str, int] = field(default_factory=dict)
    spk_is_dialect: Mapping[str, str | bool] = field(default_factory=dict)

    @classmethod
    def pick(cls, content: Mapping[str, Any]) -> Self:
        """Read it from talker_config. Raises ValueError if a field without a default is missing."""
        predictor = PredictorConfig.pick(_part(content, "code_predictor_config"))
        return super().pick({**content, "code_predictor_config": predictor})


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A whole checkpoint, except its speech tokenizer."""

    talker_config: TalkerConfig
    tts_model_type: Kind
    tts_model_size: str
    speaker_encoder_config: Mapping[str, Any] = field(default_factory=dict)
    im_start_token_id: int = 151644
    im_end_token_id: int = 151645
    tts_pad_token_id: int = 151671
    tts_bos_token_id: int = 151672
    tts_eos_token_id: int = 151673

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it from config.json. Raises OSError, and ValueError if the file is damaged."""
        content = read_json(folder / "config.json")
        return _pick(cls, {**content, "talker_config": TalkerConfig.pick(_part(content, "talker_config"))})


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """The decoder of the speech tokenizer."""

    codebook_dim: int
    codebook_size: int
    num_quantizers: int
    latent_dim: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    decoder_dim: int
    upsample_rates: tuple[int, ...]
    upsampling_ratios: tuple[int, ...]
    sliding_window: int = 72
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000
    hidden_act: str = "silu"
    attention_bias: bool = False

    @property
    def samples_per_frame(self) -> int:
        """1,920 for the published codec."""
        return prod((*self.upsample_rates, *self.upsampling_ratios))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it from the config.json in a speech tokenizer's folder. Raises what ModelConfig.read raises."""
        return cls.pick(_part(read_json(folder / "config.json"), "decoder_config"))

    @classmethod
    def pick(cls, content: Mapping[str, Any]) -> Self:
        """Read it from decoder_config. Raises ValueError if a field without a default is missing."""
        return _pick(cls, content)


class FileError(ValueError):
    """A file is not what it should be; the message continues "... could not be loaded: "."""


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises OSError, and FileError if the file does not hold one."""
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise FileError(f"its {file.name} is incomplete or not JSON") from error
    if not isinstance(content, dict):
        raise FileError(f"its {file.name} is not a JSON object")
    return content


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    if not isinstance(part, Mapping):
        raise FileError(f"its config.json lacks {name}")
    return part


def _pick(made: type[_Section], content: Mapping[str, Any]) -> _Section:
    """Create a config from the known names in `content`. Raises FileError if a field without a default is missing."""
    known = {entry.name: entry for entry in fields(made)}  # type: ignore[arg-type]
    for name, entry in known.items():
        if name not in content and entry.default is entry.default_factory is MISSING:
            raise FileError(f"its config.json lacks {name}")
    return made(**{name: value for name, value in content.items() if name in known})
