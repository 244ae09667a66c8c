"""The pack: a checkpoint's language model in the kernels' layout, rounded once and kept beside the checkpoint.

Knows files and upstream's names of tensors. The file is only a cache: it is written again if it is missing, damaged, or
of other weights or another format. If it can't be written, the weights are rounded at each start.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.engine.checkpoint.config import StackConfig, TalkerConfig
from wyoming_qwen3.engine.checkpoint.on_disk import weight_files
from wyoming_qwen3.engine.checkpoint.published import Published
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader
from wyoming_qwen3.engine.drafts import replaced
from wyoming_qwen3.engine.kernels.library import Kernels
from wyoming_qwen3.engine.memory import huge_pages
from wyoming_qwen3.engine.wire import OnProgress, ignore_progress

from .cpu_packing import BLOCK, interleave, interleaved, pack, packed_sizes

_LOGGER = logging.getLogger(__name__)

_FORMAT = "2"
"""Version of the pack; change it whenever its content, layout or names change."""

_ALIGNMENT = 64
_DTYPES = {"U8": torch.uint8, "F32": torch.float32, "BF16": torch.bfloat16}

Tensors = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[torch.dtype, list[int]]]


@dataclass(frozen=True)
class _Plain:
    """A tensor that is not rounded."""

    name: str
    size: list[int]
    make: Callable[[], Tensor]
    dtype: torch.dtype = torch.float32

    def shapes(self) -> Shapes:
        return {self.name: (self.dtype, self.size)}

    def tensors(self, _kernels: Kernels) -> Tensors:
        return {self.name: self.make()}


@dataclass(frozen=True)
class _Matrix:
    """A matrix [outputs, inputs] that is rounded to `bits`."""

    name: str
    outputs: int
    inputs: int
    bits: int
    make: Callable[[], Tensor]

    def shapes(self) -> Shapes:
        data, scales = packed_sizes(self.outputs, self.inputs, self.bits)
        return {f"{self.name}.data": (torch.uint8, [data]), f"{self.name}.scales": (torch.float32, [scales])}

    def tensors(self, kernels: Kernels) -> Tensors:
        packed = pack(kernels, self.make(), self.bits)
        return {f"{self.name}.data": packed.data, f"{self.name}.scales": packed.scales}


_PackPart = _Plain | _Matrix


def packed_tensors(published: Published, bits: int, kernels: Kernels, report: OnProgress = ignore_progress) -> Tensors:
    """Return the packed tensors of a checkpoint's language model; see `is_sensitive` for those always in 8 bits.

    `talker.N.values` and so on are matrices (`.data`, `.scales`); norms and embedding tables are not rounded. The
    weights are read only if there is no pack yet, one matrix at a time. `report` is called with the bytes of the pack
    that are there, and with all of them. Raises TensorError, what safetensors raises if a file is damaged, and what
    `report` raises.
    """
    path, config = published.path, published.config.talker_config
    key = {"format": _FORMAT, "bits": str(bits), "source": _source(path, config)}
    file = path / f"packed-int{bits}.safetensors"
    if found := _read(file, key, report):
        return found
    _LOGGER.info("Rounding the weights of %s to %d bits", published.name, bits)
    parts = list(_parts(published, bits))
    tensors = _rooms({name: shape for part in parts for name, shape in part.shapes().items()})
    done, total = 0, sum(tensor.nbytes for tensor in tensors.values())
    for part in parts:
        for name, tensor in part.tensors(kernels).items():
            tensors[name].copy_(tensor)
            done += tensors[name].nbytes
        report(done, total)
    try:
        with replaced(file) as draft:
            _write(draft, key, tensors)
    except OSError as error:  # such as a full disk or a read-only folder
        _LOGGER.warning("The rounded weights can't be saved in %s, so each start takes longer: %s", path, error)
    return tensors


def _source(path: Path, config: TalkerConfig) -> str:
    """Return a string that identifies weights without reading them, by size and modification time, and the config."""
    stats = [(path / name).stat() for name in weight_files(path)]
    times = ",".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)
    return f"{times},{hashlib.blake2b(repr(config).encode(), digest_size=8).hexdigest()}"


def is_sensitive(layer: int, layers: int) -> bool:
    """Return whether a layer's values and down projections stay in 8 bits when the others are rounded to 4.

    The rule is that of llama.cpp's Q4_K_M, which gives more bits to these: the first and the last eighth of the layers,
    and every third between. It concerns the talker only. The predictor is read 15 times a frame, so each of its bytes
    costs 15 times as much, and the heads of both, which are small, are always in 8 bits.
    """
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _parts(published: Published, bits: int) -> Iterator[_PackPart]:
    """Yield all parts of the pack, in the order in which a frame reads them."""
    read, config = TensorReader(published.tensors, prefix="talker."), published.config.talker_config
    own, predictor = config.code_predictor_config, read.below("code_predictor.")
    width, hidden, others = config.hidden_size, own.hidden_size, range(config.num_code_groups - 1)
    sensitive = [is_sensitive(number, config.num_hidden_layers) for number in range(config.num_hidden_layers)]
    yield from _stack(read.below("model."), "talker.", config, bits, sensitive)
    yield _matrix("talker.head", 8, read, "codec_head.weight", (config.vocab_size, width))
    yield from _stack(predictor.below("model."), "predictor.", own, bits, [False] * own.num_hidden_layers)
    for number in others:
        yield _matrix(f"predictor.heads.{number}", 8, predictor, f"lm_head.{number}.weight", (own.vocab_size, hidden))
    if width != hidden:
        projection, padding = predictor.below("small_to_mtp_projection."), -hidden % BLOCK
        yield _matrix("predictor.projection", 8, projection, "weight", (hidden, width))
        bias = partial(projection, "bias", hidden)
        yield _Plain("predictor.projection.bias", [hidden + padding], lambda: F.pad(bias().float(), (0, padding)))
    yield _table("predictor.tables.0", read, "model.codec_embedding.weight", config.vocab_size, width)
    for number in others:
        name = f"model.codec_embedding.{number}.weight"
        yield _table(f"predictor.tables.{number + 1}", predictor, name, own.vocab_size, width)


def _stack(
    read: TensorReader, name: str, config: StackConfig, bits: int, sensitive: Sequence[bool]
) -> Iterator[_PackPart]:
    for number, more in enumerate(sensitive):
        yield from _layer(read.below(f"layers.{number}."), f"{name}{number}.", config, bits, 8 if more else bits)
    yield _norm(f"{name}norm", read, "norm.weight", config.hidden_size)


def _layer(
    read: TensorReader, name: str, config: StackConfig, bits: int, bits_of_sensitive: int
) -> Iterator[_PackPart]:
    attention, mlp = read.below("self_attn."), read.below("mlp.")
    hidden, inner, dim = config.hidden_size, config.intermediate_size, config.head_dim
    queries, keys = config.num_attention_heads * dim, config.num_key_value_heads * dim

    def queries_keys() -> Tensor:
        return torch.cat((attention("q_proj.weight", queries, hidden), attention("k_proj.weight", keys, hidden)))

    def gate_up() -> Tensor:
        return interleave(mlp("gate_proj.weight", inner, hidden), mlp("up_proj.weight", inner, hidden))

    yield _Matrix(f"{name}queries_keys", queries + keys, hidden, bits, queries_keys)
    yield _matrix(f"{name}values", bits_of_sensitive, attention, "v_proj.weight", (keys, hidden))
    yield _matrix(f"{name}out", bits, attention, "o_proj.weight", (hidden, queries))
    yield _Matrix(f"{name}gate_up", interleaved(inner), hidden, bits, gate_up)
    yield _matrix(f"{name}down", bits_of_sensitive, mlp, "down_proj.weight", (hidden, inner))
    yield _norm(f"{name}attention_norm", read, "input_layernorm.weight", hidden)
    yield _norm(f"{name}query_norm", attention, "q_norm.weight", dim)
    yield _norm(f"{name}key_norm", attention, "k_norm.weight", dim)
    yield _norm(f"{name}mlp_norm", read, "post_attention_layernorm.weight", hidden)


def _matrix(name: str, bits: int, read: TensorReader, source: str, shape: tuple[int, int]) -> _PackPart:
    return _Matrix(name, *shape, bits, partial(read, source, *shape))


def _norm(name: str, read: TensorReader, source: str, size: int) -> _PackPart:
    return _Plain(name, [size], partial(read, source, size))


def _table(name: str, read: TensorReader, source: str, rows: int, columns: int) -> _PackPart:
    stored = read.view(source, rows, columns).dtype
    kept = torch.bfloat16 if stored == torch.bfloat16 else torch.float32
    return _Plain(name, [rows, columns], partial(read.view, source, rows, columns), kept)


def _write(file: Path, key: Mapping[str, str], tensors: Tensors) -> None:
    """Write a safetensors file directly from the tensors' memory: the library would copy all of them first."""
    names, end = {dtype: name for name, dtype in _DTYPES.items()}, 0
    header: dict[str, Any] = {"__metadata__": dict(key)}
    for name, tensor in tensors.items():
        place = [end, end := end + tensor.nbytes]
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with file.open("wb") as out:
        out.write(len(head).to_bytes(8, "little") + head)
        for tensor in tensors.values():
            out.write(tensor.view(torch.uint8).numpy().data)


def _read(file: Path, key: Mapping[str, str], report: OnProgress) -> Tensors | None:
    """Return the tensors of a cache file; None if it is missing, incomplete, damaged or has another key."""
    try:
        with file.open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            header: dict[str, Any] = json.loads(source.read(min(length, file.stat().st_size)))
            if header.pop("__metadata__", None) != dict(key):
                return None
            start = source.tell()
            places = {name: entry["data_offsets"] for name, entry in header.items()}
            if start + max(end for _, end in places.values()) != file.stat().st_size:
                return None
            tensors = _rooms({name: (_DTYPES[entry["dtype"]], entry["shape"]) for name, entry in header.items()})
            for name, tensor in tensors.items():
                source.seek(start + places[name][0])
                source.readinto(tensor.view(torch.uint8).numpy().data)
                report(source.tell(), file.stat().st_size)
            return tensors
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _LOGGER.warning("%s can't be read and is created again: %s", file, error)
        return None


def _rooms(shapes: Mapping[str, tuple[torch.dtype, list[int]]]) -> dict[str, Tensor]:
    """Allocate uninitialised tensors of these dtypes and shapes, one after the other in huge pages."""
    sizes = {
        name: -(-dtype.itemsize * prod(shape) // _ALIGNMENT) * _ALIGNMENT for name, (dtype, shape) in shapes.items()
    }
    whole = huge_pages(sum(sizes.values()))
    place = 0
    rooms = {}
    for name, (dtype, shape) in shapes.items():
        rooms[name] = whole[place : place + dtype.itemsize * prod(shape)].view(dtype).view(shape)
        place += sizes[name]
    return rooms
