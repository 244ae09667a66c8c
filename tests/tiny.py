"""Tiny random checkpoints that upstream loads as it loads the real ones, built in Python in a blink.

As with the published ones, all of one seed have the same speech tokenizer, byte for byte. Special token ids are laid
out as in the published checkpoints, with a codec vocabulary of 64 instead of 2048. The weights are random but for one
path that makes speech end: the first head of the talker's first layer averages over all positions whether they hold
text, and the less text there is among them, the likelier is the end of speech. So the number of frames follows the
length of the text, greedy or sampled, in all text modes.

`python -m tests.tiny DIR` writes a models folder of them, to try the server or `script/bench http` with.
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from wyoming_qwen3.core.checkpoints import Checkpoint, Kind, Size
from wyoming_qwen3.engine.upstream import import_qwen_tts

CODES = 64
"""Size of each of the 16 codebooks."""

_SHIFT = 2048 - CODES
"""What the ids of codec tokens beyond the codebook are less than the published ones."""

_LANGUAGES = {
    "chinese": 2055,
    "english": 2050,
    "german": 2053,
    "italian": 2070,
    "portuguese": 2071,
    "spanish": 2054,
    "japanese": 2058,
    "korean": 2064,
    "french": 2061,
    "russian": 2069,
}
_DIALECTS = {"beijing_dialect": 2074, "sichuan_dialect": 2062}
_SPEAKERS = {
    "serena": 3066,
    "vivian": 3065,
    "uncle_fu": 3010,
    "ryan": 3061,
    "aiden": 2861,
    "ono_anna": 2873,
    "sohee": 2864,
    "eric": 2875,
    "dylan": 2878,
}
_GENERATION = {
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
"""The published generation_config.json."""

_SPEAKER_DIALECTS = {"eric": "sichuan_dialect", "dylan": "beijing_dialect"}

_SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|audio_start|>",
    "<|audio_end|>",
    "<tts_pad>",
    "<tts_text_bos>",
    "<tts_text_eod>",
    "<tts_text_bos_single>",
    "<|audio_pad|>",
)
_MERGED_WORDS = ("assistant", "user", "ĠĠ", "ĊĊ", "Ġthe", "the", "Ġand", "ing", "ation", "ich", "Ġder", "ell", "or")
_MERGED_PAIRS = [
    "th",
    "er",
    "on",
    "an",
    "re",
    "he",
    "in",
    "ed",
    "nd",
    "ha",
    "at",
    "en",
    "es",
    "of",
    "nt",
    "ea",
    "ti",
    "to",
    "io",
    "le",
    "is",
    "ou",
    "ar",
    "st",
    "te",
    "ng",
    "al",
    "it",
    "se",
    "ve",
    "un",
    "ch",
    "ei",
    "ie",
]


_FOLDER = (
    Checkpoint("custom_voice", "0.6B"),
    Checkpoint("base", "0.6B"),
    Checkpoint("voice_design", "1.7B"),
    Checkpoint("custom_voice", "1.7B"),
)


def build_models_dir(root: Path) -> Path:
    """Write all three kinds, CustomVoice in both sizes, and return the folder."""
    for checkpoint in _FOLDER:
        build_checkpoint(root / checkpoint.name, checkpoint.kind, checkpoint.size)
    return root


def build_checkpoint(path: Path, kind: Kind, size: Size = "0.6B", *, seed: int = 0) -> Path:
    """Write a checkpoint of about 1 MB with random float32 weights into the folder `path`, and return it."""
    import_qwen_tts()
    path.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        tokens = _write_text_tokenizer(path)
        _write_model(path, _model_config(kind, size, tokens))
    _write_speech_tokenizer(path / "speech_tokenizer", seed)
    _write_json(path / "generation_config.json", _GENERATION)
    return path


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _byte_symbols() -> list[str]:
    """Printable stand-ins of the 256 bytes, as byte-level BPE vocabularies spell them."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + place) for place in range(len(others))]


def _merges() -> list[tuple[str, str]]:
    """Words are merged from the left, so that "assistant" is one token before any other merge can cut it."""
    merges: dict[tuple[str, str], None] = {}
    for word in (*_MERGED_WORDS, *_MERGED_PAIRS):
        for end in range(1, len(word)):
            merges[word[:end], word[end]] = None
    return list(merges)


def _write_text_tokenizer(path: Path) -> dict[str, int]:
    """Write a byte-level BPE tokenizer for any text, and return the ids of all its tokens."""
    merges = _merges()
    symbols = dict.fromkeys([*_byte_symbols(), *("".join(pair) for pair in merges)])
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    special = {token: len(vocabulary) + number for number, token in enumerate(_SPECIAL_TOKENS)}
    _write_json(path / "vocab.json", vocabulary)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (path / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    added = {
        str(number): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for token, number in special.items()
    }
    _write_json(
        path / "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "added_tokens_decoder": added,
            "add_prefix_space": False,
            "bos_token": None,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "unk_token": None,
            "errors": "replace",
            "model_max_length": 131072,
            "split_special_tokens": False,
        },
    )
    return vocabulary | special


def _model_config(kind: Kind, size: Size, tokens: dict[str, int]) -> dict[str, Any]:
    hidden = 32 if size == "0.6B" else 48
    config = {
        "architectures": ["Qwen3TTSForConditionalGeneration"],
        "model_type": "qwen3_tts",
        "assistant_token_id": tokens["assistant"],
        "im_start_token_id": tokens["<|im_start|>"],
        "im_end_token_id": tokens["<|im_end|>"],
        "tts_pad_token_id": tokens["<tts_pad>"],
        "tts_bos_token_id": tokens["<tts_text_bos>"],
        "tts_eos_token_id": tokens["<tts_text_eod>"],
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "tts_model_size": "0b6" if size == "0.6B" else "1b7",
        "tts_model_type": kind,
        "talker_config": _talker_config(kind, hidden, len(tokens)),
        "transformers_version": "4.57.3",
    }
    if kind == "base":
        config["speaker_encoder_config"] = {
            "enc_dim": hidden,
            "enc_channels": [16, 16, 16, 16, 48],
            "enc_attention_channels": 8,
            "enc_se_channels": 8,
            "enc_res2net_scale": 4,
            "sample_rate": 24000,
        }
    return config


def _talker_config(kind: Kind, hidden: int, text_vocabulary: int) -> dict[str, Any]:
    languages = _LANGUAGES | (_DIALECTS if kind == "custom_voice" else {})
    speakers = _SPEAKERS if kind == "custom_voice" else {}
    attention = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rope_theta": 1000000}
    return attention | {
        "model_type": "qwen3_tts_talker",
        "hidden_size": hidden,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_code_groups": 16,
        "max_position_embeddings": 32768,
        "rope_scaling": {"interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default", "type": "default"},
        "text_hidden_size": 32,
        "text_vocab_size": text_vocabulary,
        "vocab_size": CODES + 1024,
        "codec_pad_id": 2148 - _SHIFT,
        "pad_token_id": 2148 - _SHIFT,
        "codec_bos_id": 2149 - _SHIFT,
        "codec_eos_token_id": 2150 - _SHIFT,
        "codec_think_id": 2154 - _SHIFT,
        "codec_nothink_id": 2155 - _SHIFT,
        "codec_think_bos_id": 2156 - _SHIFT,
        "codec_think_eos_id": 2157 - _SHIFT,
        "codec_language_id": {name: number - _SHIFT for name, number in languages.items()},
        "spk_id": {name: number - _SHIFT for name, number in speakers.items()},
        "spk_is_dialect": {name: _SPEAKER_DIALECTS.get(name, False) for name in speakers},
        "code_predictor_config": attention
        | {
            "model_type": "qwen3_tts_talker_code_predictor",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_code_groups": 16,
            "max_position_embeddings": 65536,
            "vocab_size": CODES,
        },
    }


def _write_model(path: Path, config: dict[str, Any]) -> None:
    from qwen_tts.core.models import Qwen3TTSConfig, Qwen3TTSForConditionalGeneration

    model = Qwen3TTSForConditionalGeneration(Qwen3TTSConfig(**config))
    for name, weight in model.named_parameters():
        if "norm" in name:
            weight.copy_(1 + 0.1 * torch.randn(weight.shape))
        elif weight.dim() > 1:
            weight.normal_(std=0.5 if "embedding" in name else weight[0].numel() ** -0.5)
        else:
            weight.normal_(std=0.02)
    _let_speech_end(model, config)
    _write_json(path / "config.json", config)
    save_file(_weights(model), path / "model.safetensors", metadata={"format": "pt"})


def _let_speech_end(model: Any, config: dict[str, Any]) -> None:
    """Reserve hidden channel 0 for "this position holds text" and channel 1 for its average so far."""
    talker = model.talker
    codes = talker.model.codec_embedding.weight
    codes[:, :2] = 0
    codes[CODES:, 0] = 3.5
    codes[config["talker_config"]["codec_pad_id"], 0] = 0
    for embedding in talker.code_predictor.model.codec_embedding:
        embedding.weight[:, :2] = 0
    if model.speaker_encoder is not None:
        model.speaker_encoder.fc.weight[:2] = 0
        model.speaker_encoder.fc.bias[0] = 3.5
        model.speaker_encoder.fc.bias[1] = 0
    text_rows = talker.model.text_embedding.weight
    text_rows[:, 0] = 4.0
    text_rows[config["tts_pad_token_id"], 0] = -4.0
    first, second = talker.text_projection.linear_fc1, talker.text_projection.linear_fc2
    second.weight.mul_(3)
    for layer in (first, second):
        layer.weight[:2] = 0
        layer.bias[:2] = 0
    first.weight[0, 0] = 1.0
    second.weight[0, 0] = 1.15
    second.bias[0] = -3.5
    for layer in talker.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for reader in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            reader.weight[:, :2] = 0
        for writer in (attention.o_proj, mlp.down_proj):
            writer.weight.mul_(4)
            writer.weight[:2] = 0
        attention.q_norm.weight.mul_(4)
    attention = talker.model.layers[0].self_attn
    attention.q_proj.weight[:16] = 0
    attention.v_proj.weight[0] = 0
    attention.v_proj.weight[0, 0] = 1.0
    attention.o_proj.weight[1, 0] = 8.0
    head = talker.codec_head.weight
    head.mul_(3)
    head[:, :2] = 0
    eos = head[config["talker_config"]["codec_eos_token_id"]]
    eos.zero_()
    eos[1] = -16.0


def _write_speech_tokenizer(path: Path, seed: int) -> None:
    path.mkdir(exist_ok=True)
    _write_json(path / "config.json", _speech_tokenizer_config())
    _write_json(
        path / "preprocessor_config.json",
        {
            "feature_extractor_type": "EncodecFeatureExtractor",
            "feature_size": 1,
            "sampling_rate": 24000,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": True,
        },
    )
    save_file(_speech_tokenizer_weights(seed), path / "model.safetensors", metadata={"format": "pt"})


@cache
def _speech_tokenizer_weights(seed: int) -> dict[str, torch.Tensor]:
    """Make them only once: that takes half a second."""
    from qwen_tts.core import Qwen3TTSTokenizerV2Config, Qwen3TTSTokenizerV2Model

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = Qwen3TTSTokenizerV2Model(Qwen3TTSTokenizerV2Config(**_speech_tokenizer_config())).eval()
        _fill_encoder(model.encoder)
        _fill_decoder(model.decoder)
        return _weights(model)


def _speech_tokenizer_config() -> dict[str, Any]:
    return {
        "architectures": ["Qwen3TTSTokenizerV2Model"],
        "model_type": "qwen3_tts_tokenizer_12hz",
        "encoder_valid_num_quantizers": 16,
        "input_sample_rate": 24000,
        "output_sample_rate": 24000,
        "decode_upsample_rate": 1920,
        "encode_downsample_rate": 1920,
        "decoder_config": {
            "codebook_dim": 16,
            "codebook_size": CODES,
            "latent_dim": 32,
            "hidden_size": 24,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 8,
            "num_quantizers": 16,
            "num_semantic_quantizers": 1,
            "sliding_window": 16,
            "layer_scale_initial_scale": 0.3,
            "decoder_dim": 64,
            "upsample_rates": [8, 5, 4, 3],
            "upsampling_ratios": [2, 2],
            "vector_quantization_hidden_dimension": 16,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000,
            "max_position_embeddings": 8000,
        },
        "encoder_config": {
            "hidden_size": 16,
            "upsample_groups": 16,
            "num_filters": 4,
            "codebook_dim": 8,
            "vector_quantization_hidden_dimension": 8,
            "codebook_size": CODES,
            "num_quantizers": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "intermediate_size": 32,
            "sliding_window": 250,
            "upsampling_ratios": [8, 6, 5, 4],
            "sampling_rate": 24000,
            "use_cache": False,
        },
    }


def _fill_encoder(encoder: Any) -> None:
    """Random codebooks: fresh ones are all alike, and each code would be 0."""
    for name, buffer in encoder.named_buffers():
        if name.endswith("embed_sum"):
            buffer.normal_(std=0.1)
        elif name.endswith(("initialized", "cluster_usage")):
            buffer.fill_(1)


def _fill_decoder(decoder: Any) -> None:
    """Weights with which each part matters and the wave has a standard deviation of 0.1, far from clipping."""
    for name, weight in decoder.named_parameters():
        if name.endswith("embedding_sum"):
            weight.normal_(std=0.3)
        elif name.endswith("gamma"):
            weight.normal_(mean=0.3, std=0.05)
        elif name.endswith(("alpha", "beta")):
            weight.normal_(std=0.2)
        elif weight.dim() == 3:
            weight.normal_(std=0.6 * weight[0].numel() ** -0.5)
        elif weight.dim() == 2:
            weight.normal_(std=weight.shape[1] ** -0.5)
        elif name.endswith("bias"):
            weight.normal_(std=0.02)
    last = decoder.decoder[-1].conv
    last.weight.mul_(1e-3)
    last.bias.zero_()
    wave = decoder(torch.randint(CODES, (1, 16, 20)))
    last.weight.mul_(0.1 / wave.std())


def _weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


if __name__ == "__main__":
    build_models_dir(Path(sys.argv[1]))
