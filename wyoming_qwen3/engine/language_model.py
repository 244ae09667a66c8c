"""A checkpoint's language model, loaded as exactly as it is wanted.

Puts upstream, packs and kernels together; does NOT know how any of them works.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from wyoming_qwen3.errors import ModelFailed

from .decode import Decoder, LanguageModel
from .dynamic import rounded_model
from .graphs import CaptureFailed, Graphs, reason
from .kernels.library import Kernels
from .pack_file import is_packed, packed_tensors
from .predictor import CodePredictor
from .quantized import QuantizedLinear, QuantizedPredictor, QuantizedTransformer
from .static import StaticDecoder
from .talker import Talker
from .upstream import Upstream, load_checkpoint, open_checkpoint

_LOGGER = logging.getLogger(__name__)

Quantize = Literal["none", "int8", "int4"]
"""How the weights of the language model's matrices are kept."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint that can make codes, and the bytes that it takes in memory."""

    upstream: Upstream
    decoder: Decoder
    footprint: int


def load_exact(path: Path, device: str, dtype: torch.dtype) -> Loaded:
    """As it was published, computed in `dtype`. Raises ModelFailed."""
    upstream = load_checkpoint(path, device, dtype)
    footprint = tensor_bytes(upstream.model)  # before the decoder moves most of it out
    return Loaded(upstream, Decoder(upstream), footprint)


def load_static(path: Path, device: str, dtype: torch.dtype, graphs: Graphs) -> Loaded:
    """As load_exact, with captured steps unless memory is too short for them. Raises ModelFailed."""
    upstream = load_checkpoint(path, device, dtype)
    return Loaded(upstream, *static_decoder(upstream, graphs))


def static_decoder(upstream: Upstream, graphs: Graphs) -> tuple[Decoder, int]:
    """The decoder for a GPU, or where memory is short a slower one; and the bytes that it and the model take."""
    footprint = tensor_bytes(upstream.model)
    model = LanguageModel(Talker(upstream.model.talker), CodePredictor(upstream.model.talker))
    try:
        decoder = StaticDecoder(upstream, model, graphs)
    except (CaptureFailed, torch.OutOfMemoryError) as error:
        _LOGGER.warning("Speaking without CUDA graphs, several times slower: %s", reason(error))
        return Decoder(upstream, model), footprint
    return decoder, footprint + decoder.slots.footprint


def load_rounded(path: Path) -> Loaded:
    """In 8 bits without kernels. Raises ModelFailed."""
    upstream = load_checkpoint(path, "cpu", torch.float32)
    return Loaded(upstream, Decoder(upstream, rounded_model(upstream)), tensor_bytes(upstream.model))


def load_quantized(path: Path, quantize: Quantize, kernels: Kernels) -> Loaded:
    """In 8 or 4 bits; `upstream` is without its talker. Raises ModelFailed."""
    upstream = open_checkpoint(path, is_packed)
    try:
        tensors = packed_tensors(path, 4 if quantize == "int4" else 8)
    except Exception as error:
        raise ModelFailed(f"{path.name} could not be loaded: its files are incomplete or damaged.") from error
    config = upstream.model.config.talker_config
    source = upstream.model.talker
    source.model.codec_embedding.weight = nn.Parameter(tensors["predictor.tables.0"].float(), requires_grad=False)
    hidden, positions = config.hidden_size, config.max_position_embeddings
    talker = Talker(
        source,
        QuantizedTransformer(kernels, tensors, "talker.", config, positions),
        QuantizedLinear(kernels, tensors, "talker.head", config.vocab_size, hidden),
    )
    predictor = QuantizedPredictor(kernels, tensors, config)
    del upstream.model.talker
    footprint = sum(tensor.nbytes for tensor in tensors.values()) + tensor_bytes(upstream.model)
    return Loaded(upstream, Decoder(upstream, LanguageModel(talker, predictor)), footprint)


def tensor_bytes(module: nn.Module) -> int:
    """Memory of its parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
