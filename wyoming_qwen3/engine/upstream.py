"""The one place where qwen-tts is imported and its checkpoints are loaded from disk.

Knows upstream's classes and file layout; does NOT know how speech is generated from them.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from transformers import EncodecFeatureExtractor, PretrainedConfig, Qwen2TokenizerFast
from transformers.modeling_utils import no_init_weights
from transformers.utils import logging as transformers_logging

from wyoming_qwen3.checkpoints import Kind
from wyoming_qwen3.errors import ModelFailed

from .weights import weight_files

_Loaded = TypeVar("_Loaded")

_TEXT_EMBEDDING = "talker.model.text_embedding.weight"

_UNUSED_TOKENIZER = "qwen_tts.core.tokenizer_25hz"


@dataclass(frozen=True, eq=False)
class Upstream:
    """One loaded checkpoint, without the speech tokenizer, which several checkpoints can share.

    `model` is a Qwen3TTSForConditionalGeneration, `tokenizer` a Qwen2TokenizerFast, `defaults` the content of
    generation_config.json.
    """

    model: Any
    tokenizer: Any
    defaults: dict[str, Any]

    @property
    def kind(self) -> Kind:
        """Which of the three jobs this checkpoint does."""
        kind: Kind = self.model.config.tts_model_type
        return kind

    @property
    def follows_instructions(self) -> bool:
        """Whether an instruction changes how it speaks; upstream drops it for the 0.6B CustomVoice and for Base."""
        small = self.model.config.tts_model_size == "0b6"
        return self.kind == "voice_design" or (self.kind == "custom_voice" and not small)


def import_qwen_tts() -> None:
    """Make `import qwen_tts` work with any torch, and quietly; calling it again changes nothing.

    qwen-tts imports its 25 Hz tokenizer always, and with it torchaudio, onnxruntime and sox, which no 12 Hz
    checkpoint uses and which often can't be loaded beside a CPU torch. Two empty modules stand in for it; they hold
    what upstream registers with transformers. torchaudio itself is left alone.
    """
    transformers_logging.set_verbosity_error()
    config = type("Qwen3TTSTokenizerV1Config", (PretrainedConfig,), {"model_type": "qwen3_tts_tokenizer_25hz"})
    model = type("Qwen3TTSTokenizerV1Model", (), {"config_class": config})
    for part, content in (("configuration", config), ("modeling", model)):
        name = f"{_UNUSED_TOKENIZER}.{part}_qwen3_tts_tokenizer_v1"
        if name not in sys.modules:
            module = ModuleType(name, "Stands in for a tokenizer that is never used here.")
            setattr(module, content.__name__, content)
            sys.modules[name] = module


def load_checkpoint(path: Path, device: str, dtype: torch.dtype) -> Upstream:
    """Load the model, text tokenizer and sampling defaults below `path`; nothing is downloaded or executed.

    Raises ModelFailed when the files are missing, damaged or of another model.
    """
    return _loaded(path.name, lambda: _load_checkpoint(path, device, dtype))


def open_checkpoint(path: Path, elsewhere: Callable[[str], bool]) -> Upstream:
    """As load_checkpoint on a CPU, but without the tensors whose names are `elsewhere`: these have no content.

    The embeddings of text stay on disk, in the type in which they are stored there, and are read as they are used;
    all else is float32. Raises ModelFailed.
    """
    return _loaded(path.name, lambda: _open_checkpoint(path, elsewhere))


def load_speech_tokenizer(path: Path, device: str, dtype: torch.dtype) -> Any:
    """Load the 12 Hz speech tokenizer, an upstream Qwen3TTSTokenizer, of the folder `path`.

    Raises ModelFailed when the files are missing, damaged or of another model.
    """
    return _loaded("The speech tokenizer", lambda: _load_speech_tokenizer(path, device, dtype))


def _loaded(name: str, load: Callable[[], _Loaded]) -> _Loaded:
    """Result of `load`; a damaged file can raise nearly anything, from safetensors, json, torch or upstream."""
    try:
        return load()
    except ModelFailed:
        raise
    except Exception as error:
        raise ModelFailed(f"{name} could not be loaded: its files are incomplete or damaged.") from error


def _load_checkpoint(path: Path, device: str, dtype: torch.dtype) -> Upstream:
    import_qwen_tts()
    model_class: Any = import_module("qwen_tts.core.models").Qwen3TTSForConditionalGeneration
    # Upstream's own from_pretrained also loads a speech tokenizer each time: use the one it overrides.
    model = _pretrained(super(model_class, model_class).from_pretrained, path, dtype).to(device)
    return _with_tokenizer(path, model)


def _open_checkpoint(path: Path, elsewhere: Callable[[str], bool]) -> Upstream:
    import_qwen_tts()
    models: Any = import_module("qwen_tts.core.models")
    config = models.Qwen3TTSConfig.from_pretrained(path, local_files_only=True)
    with no_init_weights(), torch.device("meta"):
        model = models.Qwen3TTSForConditionalGeneration(config)
    tensors = {}
    for name in weight_files(path):
        with safe_open(path / name, framework="pt") as content:
            for key in content.keys():  # noqa: SIM118  it is no mapping
                if not elsewhere(key):
                    tensor = content.get_tensor(key)
                    tensors[key] = tensor if key == _TEXT_EMBEDDING else tensor.float()
    report = model.load_state_dict(tensors, strict=False, assign=True)
    if missing := [key for key in report.missing_keys if not elsewhere(key)]:
        raise ModelFailed(f"{path.name} could not be loaded: {len(missing)} of its tensors are missing.")
    return _with_tokenizer(path, model.eval())


def _with_tokenizer(path: Path, model: Any) -> Upstream:
    # transformers takes any large local vocabulary for Mistral's and offers to replace its pattern of pre-tokens; from
    # the hub, as upstream's documentation loads it, Qwen2's own pattern stays.
    tokenizer = Qwen2TokenizerFast.from_pretrained(path, local_files_only=True, fix_mistral_regex=False)
    defaults = json.loads((path / "generation_config.json").read_text(encoding="utf-8"))
    return Upstream(model, tokenizer, defaults)


def _load_speech_tokenizer(path: Path, device: str, dtype: torch.dtype) -> Any:
    import_qwen_tts()
    model_class: Any = import_module("qwen_tts.core").Qwen3TTSTokenizerV2Model
    # Upstream's own from_pretrained does not tell which tensors it missed.
    tokenizer = import_module("qwen_tts").Qwen3TTSTokenizer()
    tokenizer.feature_extractor = EncodecFeatureExtractor.from_pretrained(path, local_files_only=True)
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
