"""The one module that imports qwen-tts: for the encoders that read clips, and for tests and comparisons.

The first call takes seconds, because it imports transformers and qwen-tts. Knows upstream's classes; does NOT know how
speech is generated.
"""

import sys
from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from wyoming_qwen3.core.importing import importing

from .checkpoint.config import read_json
from .checkpoint.published import Published, PublishedCodec, reading
from .checkpoint.tensors import TensorReader

_UNUSED_TOKENIZER = "qwen_tts.core.tokenizer_25hz"


@importing()
def import_qwen_tts() -> None:
    """Import qwen_tts, with any torch and without log output; calling it again changes nothing.

    qwen-tts always imports its 25 Hz tokenizer, and with it torchaudio, onnxruntime and sox, which no 12 Hz checkpoint
    uses and which often can't be loaded with a CPU torch. Two nearly empty modules replace it; they define what
    upstream registers with transformers. torchaudio itself is not touched.
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
    import_module("qwen_tts")


def without_weights() -> AbstractContextManager[None]:
    """Return a context in which models are created without initialising weights, since they are loaded afterwards."""
    skipping: AbstractContextManager[None] = import_module("transformers.modeling_utils").no_init_weights()
    return skipping


def load_speaker_encoder(published: Published, device: str, dtype: torch.dtype) -> Any:
    """Load the speaker encoder, an object with upstream's method extract_speaker_embedding. Raises ModelFailed.

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
        """The part of upstream's model that the method needs."""

        extract_speaker_embedding = models.Qwen3TTSForConditionalGeneration.extract_speaker_embedding

        def __init__(self) -> None:
            self.speaker_encoder = encoder
            self.device = torch.device(device)
            self.dtype = dtype

    return SpeakerEncoder()


def load_clip_encoder(codec: PublishedCodec, device: str) -> Any:
    """Load the speech tokenizer: upstream's Qwen3TTSTokenizer in float32, without its decoder. Raises ModelFailed."""
    import_qwen_tts()
    core: Any = import_module("qwen_tts.core")
    tokenizer: Any = import_module("qwen_tts").Qwen3TTSTokenizer()
    extractor: Any = import_module("transformers").EncodecFeatureExtractor
    with reading("The speech tokenizer"):
        config = core.Qwen3TTSTokenizerV2Config(**read_json(codec.path / "config.json"))
        tokenizer.feature_extractor = extractor(**read_json(codec.path / "preprocessor_config.json"))
        with without_weights():
            tokenizer.model = core.Qwen3TTSTokenizerV2Model(config)
        del tokenizer.model.decoder  # its weights were not loaded
        _fill(tokenizer.model.encoder, TensorReader(codec.tensors, device, torch.float32, "encoder."))
        tokenizer.model.to(device)
    tokenizer.config = config
    tokenizer.device = torch.device(device)
    return tokenizer


def _fill(module: nn.Module, read: TensorReader) -> None:
    """Load a checkpoint's tensors into a module: its whole state dict."""
    state = {name: read(name, *tensor.shape) for name, tensor in module.state_dict().items()}
    module.load_state_dict(state, assign=True)
    module.to(read.device).eval()
