"""Checkpoints with random weights at the published dimensions: speed needs no download.

A seed gives the same weights in every process. Text is cut into single bytes, so 267 of 151,936 rows of its
embedding are ever read: in memory there are no others, on disk they are zeros. Speech never ends by itself. On disk
they can also be made for some texts: their words are a token each, and speech is as long as text of that length takes,
so that a server can speak them. Knows nothing of what is measured.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine.upstream import import_qwen_tts, without_weights

from .upstream import Upstream


@dataclass(frozen=True)
class Stack:
    """Dimensions of a stack of decoder layers."""

    hidden: int
    intermediate: int
    layers: int
    heads: int = 16
    kv_heads: int = 8
    head_dim: int = 128


@dataclass(frozen=True)
class Dimensions:
    """All that tells checkpoints of one make apart; `codec` is the configuration of the codec's decoder."""

    talker: Stack
    predictor: Stack
    text_hidden: int
    codes: int
    codec: Mapping[str, Any]
    text_vocabulary: int = 151936


_CODEC = {
    "latent_dim": 1024,
    "codebook_dim": 512,
    "decoder_dim": 1536,
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 64,
    "sliding_window": 72,
}
_TINY_CODEC = {
    "latent_dim": 32,
    "codebook_dim": 16,
    "decoder_dim": 32,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "sliding_window": 16,
}
_PREDICTOR = Stack(1024, 3072, 5)

SIZES: Mapping[str, Dimensions] = MappingProxyType(
    {
        "0.6B": Dimensions(Stack(1024, 3072, 28), _PREDICTOR, 2048, 2048, _CODEC),
        "1.7B": Dimensions(Stack(2048, 6144, 28), _PREDICTOR, 2048, 2048, _CODEC),
        "tiny": Dimensions(Stack(48, 64, 2, 4, 2, 16), Stack(32, 64, 2, 4, 2, 16), 32, 64, _TINY_CODEC, 1500),
    }
)
"""The published sizes, as in their config.json, and a tiny one that shows only that everything runs."""

_SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>")

_PREPROCESSOR = {
    "feature_extractor_type": "EncodecFeatureExtractor",
    "feature_size": 1,
    "sampling_rate": 24000,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
}

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "do_sample": True,
        "repetition_penalty": 1.05,
        "temperature": 0.9,
        "top_k": 50,
        "top_p": 1.0,
        "subtalker_dosample": True,
        "subtalker_temperature": 0.9,
        "subtalker_top_k": 50,
        "subtalker_top_p": 1.0,
        "max_new_tokens": 8192,
    }
)
"""The published generation_config.json."""


FRAMES_PER_TOKEN = 3.5
"""About so many frames does speech take for each token of text where it ends by itself, as at an ordinary pace.

So at the published dimensions; fewer at tiny ones.
"""

_TEXT, _SPEECH = 1.0, 2.8
"""What counts as much of a token by these frames and of speech: the norm divides speech, 16 embeddings, by more."""


def write_checkpoint(folder: Path, dimensions: Dimensions, seed: int, texts: Sequence[str] = ()) -> None:
    """Write a CustomVoice checkpoint into a folder as the published ones are: bfloat16, the codec float32.

    With `texts` it is made for these, and speech ends by itself.
    """
    tokenizer = _byte_tokenizer(texts)
    upstream = build_model(
        dimensions, seed, "cpu", torch.bfloat16, tokenizer=tokenizer, text_vocabulary=dimensions.text_vocabulary
    )
    if texts:
        _set_end(upstream, speech=-_SPEECH)
    upstream.tokenizer.save_pretrained(folder)
    _write_json(folder / "config.json", _model_config(dimensions, upstream.tokenizer, dimensions.text_vocabulary))
    _write_json(folder / "generation_config.json", dict(DEFAULTS))
    save_file(dict(upstream.model.state_dict()), folder / "model.safetensors", metadata={"format": "pt"})
    codec = folder / "speech_tokenizer"
    codec.mkdir(parents=True, exist_ok=True)
    tokenizer = build_speech_tokenizer(dimensions, seed, "cpu", torch.float32)
    _write_json(codec / "config.json", {"model_type": "qwen3_tts_tokenizer_12hz"} | _codec_config(dimensions))
    _write_json(codec / "preprocessor_config.json", _PREPROCESSOR)
    weights = {name: weight.contiguous() for name, weight in tokenizer.model.state_dict().items()}
    save_file(weights, codec / "model.safetensors", metadata={"format": "pt"})


def build_model(
    dimensions: Dimensions,
    seed: int,
    device: str,
    dtype: torch.dtype,
    *,
    tokenizer: Any = None,
    text_vocabulary: int | None = None,
) -> Upstream:
    """A CustomVoice checkpoint without its codec, which never ends its speech."""
    import_qwen_tts()
    models: Any = import_module("qwen_tts.core.models")
    tokenizer = tokenizer or _byte_tokenizer()
    config = models.Qwen3TTSConfig(**_model_config(dimensions, tokenizer, text_vocabulary))
    with without_weights():
        model = models.Qwen3TTSForConditionalGeneration._from_config(config, dtype=dtype)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            mean, std = _spread(name, weight)
            read = weight.zero_()[: len(tokenizer)] if "text_embedding" in name else weight
            read.normal_(mean, std, generator=draw)
    upstream = Upstream(model.eval().to(device), tokenizer, dict(DEFAULTS))
    _set_end(upstream, speech=_SPEECH)
    return upstream


def build_speech_tokenizer(dimensions: Dimensions, seed: int, device: str, dtype: torch.dtype) -> Any:
    """Its codec: upstream's Qwen3TTSTokenizer, of which only the decoder works."""
    import_qwen_tts()
    core: Any = import_module("qwen_tts.core")
    config = core.Qwen3TTSTokenizerV2Config(**_codec_config(dimensions))
    with without_weights():
        model = core.Qwen3TTSTokenizerV2Model(config)
    with torch.no_grad():
        _fill_decoder(model.decoder, torch.Generator().manual_seed(seed))
    tokenizer: Any = import_module("qwen_tts").Qwen3TTSTokenizer()
    tokenizer.model = model.eval().to(device, dtype)
    tokenizer.config = tokenizer.model.config
    tokenizer.device = tokenizer.model.device
    return tokenizer


def talker_config(dimensions: Dimensions, text_vocabulary: int = 0) -> dict[str, Any]:
    """What `talker_config` of a config.json holds for these dimensions, as far as upstream's defaults are wrong."""
    codes = dimensions.codes
    return _stack_config(dimensions.talker) | {
        "text_hidden_size": dimensions.text_hidden,
        "text_vocab_size": text_vocabulary,
        "vocab_size": codes + 1024,
        "num_code_groups": 16,
        "codec_pad_id": codes + 100,
        "pad_token_id": codes + 100,
        "codec_bos_id": codes + 101,
        "codec_eos_token_id": codes + 102,
        "codec_think_id": codes + 106,
        "codec_nothink_id": codes + 107,
        "codec_think_bos_id": codes + 108,
        "codec_think_eos_id": codes + 109,
        "codec_language_id": {"english": codes + 2},
        "spk_id": {speaker.id: codes + 1000 + number for number, speaker in enumerate(SPEAKERS)},
        "spk_is_dialect": {speaker.id: False for speaker in SPEAKERS},
        "code_predictor_config": _stack_config(dimensions.predictor) | {"vocab_size": codes, "num_code_groups": 16},
    }


def _stack_config(stack: Stack) -> dict[str, Any]:
    half = stack.head_dim // 2
    side = half * 5 // 16
    return {
        "hidden_size": stack.hidden,
        "intermediate_size": stack.intermediate,
        "num_hidden_layers": stack.layers,
        "num_attention_heads": stack.heads,
        "num_key_value_heads": stack.kv_heads,
        "head_dim": stack.head_dim,
        "rope_theta": 1000000,
        "rope_scaling": {
            "interleaved": True,
            "mrope_section": [half - 2 * side, side, side],
            "rope_type": "default",
            "type": "default",
        },
    }


def _model_config(dimensions: Dimensions, tokenizer: Any, text_vocabulary: int | None = None) -> dict[str, Any]:
    ids = tokenizer.get_vocab()
    return {
        "model_type": "qwen3_tts",
        "tts_model_type": "custom_voice",
        "tts_model_size": "1b7" if dimensions is SIZES["1.7B"] else "0b6",
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "assistant_token_id": ids["assistant"],
        "im_start_token_id": ids["<|im_start|>"],
        "im_end_token_id": ids["<|im_end|>"],
        "tts_pad_token_id": ids["<tts_pad>"],
        "tts_bos_token_id": ids["<tts_text_bos>"],
        "tts_eos_token_id": ids["<tts_text_eod>"],
        "talker_config": talker_config(dimensions, text_vocabulary or len(ids)),
    }


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def _set_end(upstream: Upstream, speech: float) -> None:
    """Have the end of speech drawn when there are as many frames as the text takes, sampled or greedy, or never.

    Hidden channel 0 tells whether a position holds text, a number above 0, or `speech`; a head of the first layer
    averages it over all positions into channel 1; and the end's logit is that, steep: if speech is below 0 it rises
    from far below all others to far above.
    """
    talker = upstream.model.talker
    config, layers = talker.config, talker.model.layers
    with torch.no_grad():
        codes, text = talker.model.codec_embedding.weight, talker.model.text_embedding.weight
        for table in (codes, *(embedding.weight for embedding in talker.code_predictor.model.codec_embedding)):
            table[:, :2] = 0
        text[: len(upstream.tokenizer), 0] = 4.0  # which the projection's activation lets through, as it does a 0
        text[upstream.tokenizer.convert_tokens_to_ids(list(_SPECIAL_TOKENS)), 0] = 0.0
        codes[: config.code_predictor_config.vocab_size, 0] = speech
        first, second = talker.text_projection.linear_fc1, talker.text_projection.linear_fc2
        for writer in (first, second, *(part for layer in layers for part in _writers(layer))):
            writer.weight[:2] = 0
        for reader in (part for layer in layers for part in _readers(layer)):
            reader.weight[:, :2] = 0
        first.bias[0] = 0
        second.bias[:2] = 0
        first.weight[0, 0] = 1.0
        second.weight[0, 0] = _TEXT * FRAMES_PER_TOKEN / 4.0
        attention = layers[0].self_attn
        attention.q_proj.weight[: config.head_dim] = 0
        attention.v_proj.weight[0] = 0
        attention.v_proj.weight[0, 0] = 1.0
        attention.o_proj.weight[1, 0] = 1.0
        talker.codec_head.weight[:, :2] = 0
        talker.codec_head.weight[config.codec_eos_token_id, 1] = -256.0


def _readers(layer: Any) -> tuple[nn.Linear, ...]:
    attention, perceptron = layer.self_attn, layer.mlp
    return attention.q_proj, attention.k_proj, attention.v_proj, perceptron.gate_proj, perceptron.up_proj


def _writers(layer: Any) -> tuple[nn.Linear, nn.Linear]:
    return layer.self_attn.o_proj, layer.mlp.down_proj


def _byte_tokenizer(texts: Sequence[str] = ()) -> Any:
    """A Qwen2TokenizerFast of all bytes, of "assistant", behind which prompts are cut, and of most ASCII words."""
    words = ["assistant", *(word.replace(" ", "Ġ") for text in texts for word in re.findall(r" ?[A-Za-z]+", text))]
    prefixes = list(dict.fromkeys(word[:end] for word in words for end in range(2, len(word) + 1)))
    transformers: Any = import_module("transformers")
    slow: Any = import_module("transformers.convert_slow_tokenizer")
    vocabulary = {symbol: number for number, symbol in enumerate([*slow.bytes_to_unicode().values(), *prefixes])}
    merges = [(prefix[:-1], prefix[-1]) for prefix in prefixes]
    return transformers.Qwen2TokenizerFast(
        tokenizer_object=slow.Qwen2Converter(None).converted(vocabulary, merges),
        eos_token="<|im_end|>",
        additional_special_tokens=list(_SPECIAL_TOKENS),
    )


def _spread(name: str, weight: nn.Parameter) -> tuple[float, float]:
    """Mean and deviation with which signals neither vanish nor grow from layer to layer."""
    if "norm" in name:
        return 1.0, 0.1
    if "embedding" in name:
        return 0.0, 0.5
    if name.endswith(("text_projection.linear_fc2.weight", "self_attn.o_proj.weight")):
        return 0.0, 3 * weight[0].numel() ** -0.5  # makes up for the activation, and the averaging, before it
    return 0.0, weight[0].numel() ** -0.5 if weight.dim() > 1 else 0.02


def _codec_config(dimensions: Dimensions) -> dict[str, Any]:
    return {
        "encoder_valid_num_quantizers": 16,
        "decoder_config": dict(dimensions.codec)
        | {
            "codebook_size": dimensions.codes,
            "vector_quantization_hidden_dimension": dimensions.codec["codebook_dim"],
            "num_quantizers": 16,
            "num_semantic_quantizers": 1,
            "upsample_rates": [8, 5, 4, 3],
            "upsampling_ratios": [2, 2],
        },
        # Never run: as small as it can be.
        "encoder_config": {
            "hidden_size": 16,
            "upsample_groups": 16,
            "num_filters": 4,
            "codebook_dim": 8,
            "vector_quantization_hidden_dimension": 8,
            "codebook_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "intermediate_size": 16,
        },
    }


def _fill_decoder(decoder: Any, draw: torch.Generator) -> None:
    """Weights with which each part matters and the wave has a standard deviation of 0.1, far from clipping."""
    for name, weight in decoder.named_parameters():
        mean, std = _codec_spread(name, weight)
        weight.normal_(mean, std, generator=draw)
    last = decoder.decoder[-1].conv
    last.bias.zero_()
    last.weight.mul_(1e-3)
    wave = decoder(torch.randint(decoder.config.codebook_size, (1, 16, 8), generator=draw))
    last.weight.mul_(0.1 / wave.std())


def _codec_spread(name: str, weight: nn.Parameter) -> tuple[float, float]:
    """Mean and deviation, the published start values for the scales of layers."""
    match name.rpartition(".")[2]:
        case "cluster_usage":
            return 1.0, 0.0
        case "gamma":
            return 0.3, 0.05
        case "scale":
            return 0.01, 0.001
        case "alpha" | "beta":
            return 0.0, 0.2
        case "embedding_sum":
            return 0.0, 0.3
        case "weight" if "norm" in name:
            return 1.0, 0.1
    return 0.0, 0.6 * weight[0].numel() ** -0.5 if weight.dim() > 1 else 0.02
