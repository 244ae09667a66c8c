"""Stock qwen-tts' own modules with the weights of a checkpoint."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from wyoming_qwen3.core.errors import ModelFailed
from wyoming_qwen3.engine.upstream import import_qwen_tts


@dataclass(frozen=True, eq=False)
class Upstream:
    """One loaded checkpoint, without the speech tokenizer.

    `model` is a Qwen3TTSForConditionalGeneration, `tokenizer` a Qwen2TokenizerFast, `defaults` the content of
    generation_config.json.
    """

    model: Any
    tokenizer: Any
    defaults: dict[str, Any]


def load_checkpoint(path: Path, device: str, dtype: torch.dtype) -> Upstream:
    """The model and text tokenizer below `path`; nothing is downloaded or executed. Raises what upstream raises."""
    import_qwen_tts()
    model_class: Any = import_module("qwen_tts.core.models").Qwen3TTSForConditionalGeneration
    # Upstream's own from_pretrained also loads a speech tokenizer each time: use the one it overrides.
    model = _pretrained(super(model_class, model_class).from_pretrained, path, dtype).to(device)
    # transformers takes any large local vocabulary for Mistral's and offers to replace its pattern of pre-tokens; from
    # the hub, as upstream's documentation loads it, Qwen2's own pattern stays.
    tokenizer_class: Any = import_module("transformers").Qwen2TokenizerFast
    tokenizer = tokenizer_class.from_pretrained(path, local_files_only=True, fix_mistral_regex=False)
    defaults = json.loads((path / "generation_config.json").read_text(encoding="utf-8"))
    return Upstream(model, tokenizer, defaults)


def load_speech_tokenizer(path: Path, device: str, dtype: torch.dtype) -> Any:
    """The 12 Hz speech tokenizer, an upstream Qwen3TTSTokenizer, of the folder `path`. Raises what upstream raises."""
    import_qwen_tts()
    model_class: Any = import_module("qwen_tts.core").Qwen3TTSTokenizerV2Model
    tokenizer = import_module("qwen_tts").Qwen3TTSTokenizer()
    extractor_class: Any = import_module("transformers").EncodecFeatureExtractor
    tokenizer.feature_extractor = extractor_class.from_pretrained(path, local_files_only=True)
    tokenizer.model = _pretrained(model_class.from_pretrained, path, dtype).to(device)
    tokenizer.config = tokenizer.model.config
    tokenizer.device = tokenizer.model.device
    return tokenizer


def _pretrained(from_pretrained: Callable[..., Any], path: Path, dtype: torch.dtype) -> Any:
    """The model in the folder `path`; refuses what transformers would fill with random numbers and a warning."""
    model, report = from_pretrained(
        path,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    missing = len(report["missing_keys"]) + len(report["mismatched_keys"])
    if missing:
        raise ModelFailed(f"{path.name} could not be loaded: {missing} of its tensors are missing or of another shape.")
    return model.eval()
