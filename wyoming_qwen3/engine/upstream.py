"""The one place where qwen-tts is imported: for what reads clips, and for tests and comparisons.

What it does first takes seconds, for transformers and qwen-tts are imported then. Knows upstream's classes; does NOT
know how speech is generated.
"""

import sys
from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from .checkpoint.config import read_json
from .checkpoint.published import Published, PublishedCodec, reading
from .checkpoint.tensors import TensorReader

_UNUSED_TOKENIZER = "qwen_tts.core.tokenizer_25hz"


def import_qwen_tts() -> None:
    """Make `import qwen_tts` work with any torch, and quietly; calling it again changes nothing.

    qwen-tts imports its 25 Hz tokenizer always, and with it torchaudio, onnxruntime and sox, which no 12 Hz
    checkpoint uses and which often can't be loaded beside a CPU torch. Two empty modules stand in for it; they hold
    what upstream registers with transformers. torchaudio itself is left alone.
    """
    transformers: Any = import_module("transformers")
    transformers.logging.set_verbosity_error()
    kept = {"model_type": "qwen3_tts_tokenizer_25hz"}
    config = type("Qwen3TTSTokenizerV1Config", (transformers.PretrainedConfig,), kept)
    model = type("Qwen3TTSTokenizerV1Model", (), {"config_class": config})
    for part, content in (("configuration", config), ("modeling", model)):
        name = f"{_UNUSED_TOKENIZER}.{part}_qwen3_tts_tokenizer_v1"
        if name not in sys.modules:
            module = ModuleType(name, "Stands in for a tokenizer that is never used here.")
            setattr(module, content.__name__, content)
            sys.modules[name] = module


def without_weights() -> AbstractContextManager[None]:
    """While a model is made, leave its memory as it comes: weights are put into it afterwards."""
    skipping: AbstractContextManager[None] = import_module("transformers.modeling_utils").no_init_weights()
    return skipping


def load_speaker_encoder(published: Published, device: str, dtype: torch.dtype) -> Any:
    """What gives a clip's timbre: has upstream's method extract_speaker_embedding. Raises ModelFailed.

    `published` must be a Base checkpoint.
    """
    import_qwen_tts()
    models: Any = import_module("qwen_tts.core.models.modeling_qwen3_tts")
    configs: Any = import_module("qwen_tts.core.models.configuration_qwen3_tts")
    with reading(published.name):
        with without_weights():
            config = configs.Qwen3TTSSpeakerEncoderConfig(**published.config.speaker_encoder_config)
            encoder = models.Qwen3TTSSpeakerEncoder(config)
        _fill(encoder, TensorReader(published.tensors, device, dtype, "speaker_encoder."))

    class SpeakerEncoder:
        """As much of upstream's model as its method asks for."""

        extract_speaker_embedding = models.Qwen3TTSForConditionalGeneration.extract_speaker_embedding

        def __init__(self) -> None:
            self.speaker_encoder = encoder
            self.device = torch.device(device)
            self.dtype = dtype

    return SpeakerEncoder()


def load_clip_encoder(codec: PublishedCodec, device: str) -> Any:
    """The speech tokenizer, an upstream Qwen3TTSTokenizer in float32, without its decoder. Raises ModelFailed."""
    import_qwen_tts()
    core: Any = import_module("qwen_tts.core")
    tokenizer: Any = import_module("qwen_tts").Qwen3TTSTokenizer()
    extractor: Any = import_module("transformers").EncodecFeatureExtractor
    with reading("The speech tokenizer"):
        config = core.Qwen3TTSTokenizerV2Config(**read_json(codec.path / "config.json"))
        tokenizer.feature_extractor = extractor(**read_json(codec.path / "preprocessor_config.json"))
        with without_weights():
            tokenizer.model = core.Qwen3TTSTokenizerV2Model(config)
        del tokenizer.model.decoder  # nothing was put into its memory yet
        _fill(tokenizer.model.encoder, TensorReader(codec.tensors, device, torch.float32, "encoder."))
        tokenizer.model.to(device)
    tokenizer.config = config
    tokenizer.device = torch.device(device)
    return tokenizer


def _fill(module: nn.Module, read: TensorReader) -> None:
    """Put a checkpoint's tensors into a module, all that it keeps in one."""
    state = {name: read(name, *tensor.shape) for name, tensor in module.state_dict().items()}
    module.load_state_dict(state, assign=True)
    module.to(read.device).eval()
