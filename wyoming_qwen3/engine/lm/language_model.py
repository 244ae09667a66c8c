"""Loads a checkpoint's language model in the wanted precision.

Combines files, packs and kernels; does NOT know how any of them works.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from wyoming_qwen3.core.cpu_speed import Quantize
from wyoming_qwen3.engine.checkpoint.published import Published, reading
from wyoming_qwen3.engine.checkpoint.tensors import Copy, TensorReader
from wyoming_qwen3.engine.cuda_graphs import CaptureFailed, Graphs, reason
from wyoming_qwen3.engine.devices import free_memory, release
from wyoming_qwen3.engine.isolation import concerns_all
from wyoming_qwen3.engine.kernels.library import Kernels
from wyoming_qwen3.engine.wire import OnProgress, ignore_progress

from .cpu_kernels import Pack, QuantizedLinear, QuantizedPredictor, QuantizedTransformer
from .cpu_pack_file import Tensors, packed_tensors
from .cpu_tuning import tuned
from .decode import Decoder, LanguageModel
from .fused.slot_tensors import MakeSteps
from .gpu_decode import StaticDecoder
from .gpu_int8 import GroupedInt8Linear
from .gpu_slots import Buckets
from .int8_linear import Int8Linear
from .predictor import CodePredictor
from .talker import Talker
from .transformer import MakeLinear, Transformer, linear_layer

_LOGGER = logging.getLogger(__name__)

_TALKER = "talker."


@dataclass(frozen=True, eq=False)
class LoadedLanguageModel:
    """A loaded checkpoint with its decoder; `footprint` is the bytes that it takes in memory."""

    published: Published
    decoder: Decoder
    footprint: int


def load_exact(
    published: Published,
    device: str,
    dtype: torch.dtype,
    linear: MakeLinear = linear_layer,
    copy: Copy | None = None,
) -> LoadedLanguageModel:
    """Load the weights and compute in `dtype`. Matrices are as `linear` has them: as they are, unless it is given.

    `copy` is as for TensorReader. Raises ModelFailed.
    """
    model = _model(published, TensorReader(published.tensors, device, dtype, _TALKER, copy), linear)
    return LoadedLanguageModel(published, Decoder(published, model), _footprint(model))


def load_static(
    published: Published,
    device: str,
    dtype: torch.dtype,
    graphs: Graphs,
    fuse: MakeSteps | None = None,
    *,
    rounded: bool = False,
    copy: Copy | None = None,
) -> LoadedLanguageModel:
    """Load as load_exact does, with captured steps unless capturing fails. Raises ModelFailed.

    On a GPU there are as many slots as the memory that is left allows. The steps are those that `fuse` makes; without
    it, and where they fail, PyTorch's kernels are captured. They widen matrices that are `rounded` to 8 bits at each
    step.
    """
    loaded = load_exact(published, device, dtype, GroupedInt8Linear if rounded else linear_layer, copy)
    if rounded:
        release(device)  # what it took to round, so that it counts as free
    try:
        buckets = _fitting_buckets(loaded.decoder.model.talker, device)
        decoder = _fused_decoder(loaded, graphs, buckets, fuse) if fuse else None
        decoder = decoder or StaticDecoder(published, loaded.decoder.model, graphs, buckets)
    except (CaptureFailed, torch.OutOfMemoryError) as error:
        _LOGGER.warning("Generating speech without CUDA graphs, which is several times slower: %s", reason(error))
        return loaded
    return LoadedLanguageModel(published, decoder, loaded.footprint + decoder.slots.footprint)


def _fitting_buckets(talker: Talker, device: str) -> Buckets | None:
    """Return the buckets for the device's free memory; None for all. Raises CaptureFailed if not one slot fits."""
    if device == "cpu":
        return None
    free, position = free_memory(device), talker.transformer.new_cache(1)
    buckets = Buckets().within(free, position.keys.nbytes + position.values.nbytes)
    if buckets is None:
        raise CaptureFailed(f"{free / 1e6:.0f} MB of GPU memory are left, which is too little for a slot.")
    if buckets.slots < Buckets().slots:
        _LOGGER.info("%d of %d slots, as %.0f MB of GPU memory are left", buckets.slots, Buckets().slots, free / 1e6)
    return buckets


def _fused_decoder(
    loaded: LoadedLanguageModel, graphs: Graphs, buckets: Buckets | None, fuse: MakeSteps
) -> StaticDecoder | None:
    """Return a decoder with fused steps, or None if they fail, by an error of Triton's or of a compiler's.

    Raises errors that PyTorch's kernels would not avoid.
    """
    try:
        return StaticDecoder(loaded.published, loaded.decoder.model, graphs, buckets, fuse=fuse)
    except Exception as error:
        if concerns_all(error):
            raise
        _LOGGER.warning("Fused kernels failed, so PyTorch's are used, about five times as many: %s", reason(error))
        return None


def load_int8(published: Published) -> LoadedLanguageModel:
    """Load in 8 bits without our kernels, on a CPU. Raises ModelFailed."""
    model = _model(published, TensorReader(published.tensors, "cpu", torch.float32, _TALKER), Int8Linear)
    return LoadedLanguageModel(published, Decoder(published, model), _footprint(model))


def load_quantized(
    published: Published, quantize: Quantize, kernels: Kernels, report: OnProgress = ignore_progress
) -> LoadedLanguageModel:
    """Load in 8 or 4 bits for our kernels. Raises ModelFailed, and what `report` raises.

    If there is a pack, most published tensors are not read: only those for text, and the talker's codec embeddings.
    """
    config = published.config.talker_config
    with reading(published.name):
        tensors = packed_tensors(published, 4 if quantize == "int4" else 8, kernels, report)
        pack = Pack(tensors, _tuned(published, quantize, kernels, tensors))
        talker = Talker(
            TensorReader(published.tensors, "cpu", torch.float32, _TALKER),
            config,
            QuantizedTransformer(kernels, pack, "talker.", config, config.max_position_embeddings),
            QuantizedLinear(kernels, pack, "talker.head", config.vocab_size, config.hidden_size),
        )
    predictor = QuantizedPredictor(kernels, pack, config)
    footprint = sum(tensor.nbytes for tensor in tensors.values()) + _tensor_bytes(talker)
    return LoadedLanguageModel(published, Decoder(published, LanguageModel(talker, predictor)), footprint)


def _tuned(published: Published, quantize: Quantize, kernels: Kernels, tensors: Tensors) -> int:
    """Return how far ahead weights are prefetched, in bytes; measured on steps of the talker if it is not known yet."""
    config = published.config.talker_config
    token = torch.zeros(1, 1, config.hidden_size)

    def step(ahead: int) -> Callable[[], object]:
        stack = QuantizedTransformer(kernels, Pack(tensors, ahead), "talker.", config, positions=1)
        return lambda: stack(token, [stack.new_cache(1)])

    key = {"kind": kernels.kind, "threads": kernels.threads}
    return tuned(published.path / f"tuning-{quantize}.json", key, step)


def _model(published: Published, read: TensorReader, linear: MakeLinear) -> LanguageModel:
    config = published.config.talker_config
    with reading(published.name):
        head = linear_layer(read("codec_head.weight", config.vocab_size, config.hidden_size))
        layers = Transformer(read.below("model."), config, config.max_position_embeddings, linear)
        talker = Talker(read, config, layers, head)
        return LanguageModel(talker, CodePredictor(read, config, talker.codec_embedding, linear))


def _footprint(model: LanguageModel) -> int:
    """Return the bytes of a model that does not use our kernels."""
    assert isinstance(model.predictor, CodePredictor)
    return _tensor_bytes(nn.ModuleList((model.talker, model.predictor)))


def _tensor_bytes(module: nn.Module) -> int:
    """Return the bytes of a module's parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
