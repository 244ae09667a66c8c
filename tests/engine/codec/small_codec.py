"""Upstream's codec decoder built small, with random weights, and ours with the same.

The weights are such that every branch matters and no sample is clamped.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wyoming_qwen3.engine.checkpoint.config import CodecConfig
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader
from wyoming_qwen3.engine.codec.chunks import FrameDecoder
from wyoming_qwen3.engine.codec.decoder import CodecDecoder
from wyoming_qwen3.engine.kernels.library import Kernels
from wyoming_qwen3.engine.upstream import import_qwen_tts

CODES = 32
SMALL: dict[str, Any] = {
    "codebook_size": CODES,
    "codebook_dim": 16,
    "num_quantizers": 4,
    "latent_dim": 24,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "sliding_window": 8,
    "layer_scale_initial_scale": 0.5,
    "decoder_dim": 32,
    "upsample_rates": (4, 3),
    "upsampling_ratios": (2, 2),
}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 5e-5}


def upstream_decoder(*, loudness: float = 0.1, dtype: torch.dtype = torch.float32, **config: Any) -> Any:
    """Upstream's decoder with random weights; `loudness` is the standard deviation of its samples."""
    import_qwen_tts()
    from qwen_tts.core.tokenizer_12hz import modeling_qwen3_tts_tokenizer_v2 as v2

    torch.manual_seed(7)
    decoder = v2.Qwen3TTSTokenizerV2Decoder(v2.Qwen3TTSTokenizerV2DecoderConfig(**SMALL | config)).eval()
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            _fill(name.rsplit(".", 1)[-1], weight)
        last = decoder.decoder[-1].conv
        for target in (1e-4, loudness):  # first far below where the clamp would hide how loud it is
            gain = target / whole(decoder, random_codes(16, decoder)).std()
            last.weight *= gain
            last.bias *= gain
    return decoder.to(dtype)


def ours(
    upstream: Any, dtype: torch.dtype | None = None, kernels: Kernels | None = None, bits: int = 32
) -> CodecDecoder:
    """Our decoder with the same weights."""
    read = TensorReader(upstream.state_dict(), dtype=dtype)
    return CodecDecoder(read, CodecConfig.pick(upstream.config.to_dict()), kernels, bits=bits)


def random_codes(frames: int, upstream: Any) -> Tensor:
    """Codes [frames, codebooks]."""
    shape = (frames, upstream.config.num_quantizers)
    return torch.randint(0, upstream.config.codebook_size, shape, generator=torch.Generator().manual_seed(frames))


def whole(upstream: Any, codes: Tensor) -> Tensor:
    """Samples by one forward of upstream's decoder over all codes."""
    with torch.inference_mode():
        samples: Tensor = upstream(codes.t()[None])[0, 0]
    return samples


def streamed(decoder: FrameDecoder, codes: Tensor, pieces: Sequence[int]) -> Tensor:
    """Samples of `codes` cut into `pieces`, over and over."""
    state = decoder.new_state()
    samples: list[Tensor] = []
    start = 0
    while start < len(codes):
        piece = codes[start : start + pieces[len(samples) % len(pieces)]]
        samples.append(decoder.decode(piece, state))
        start += len(piece)
    assert state.frames == len(codes)
    return torch.cat(samples)


def assert_equal(samples: Tensor, expected: Tensor) -> None:
    """Equal but for rounding, and a sound at all."""
    assert samples.shape == expected.shape
    assert samples.dtype == expected.dtype
    assert expected.std() > 0.05
    assert float((samples - expected).abs().max()) <= TOLERANCE[samples.dtype]


def _fill(name: str, weight: Tensor) -> None:
    """Random values that let all branches weigh in without blowing each other up."""
    if name in {"alpha", "beta"}:
        weight.normal_(std=0.3)
    elif name == "embedding_sum":
        weight.normal_()
        weight[0] *= 1e-5  # a code that was never used: its vector is the sum over the smallest usage
    elif name == "cluster_usage":
        weight.uniform_(0.5, 2)
        weight[0] = 0
    elif name in {"scale", "gamma"}:
        weight.uniform_(0.3, 0.7)
    elif weight.ndim > 1:
        weight.normal_(std=0.7 * weight[0].numel() ** -0.5)
    elif name == "bias":
        weight.normal_(std=0.1)
    else:
        weight.uniform_(0.7, 1.3)
